"""What `on_acquire` and `on_release` do to a real session is cleaned with the rest, on every driver."""

from __future__ import annotations

import pytest

from async_mysqlpool import AcquireTimeoutError

LOOK = "SELECT @tenant, @@session.time_zone, @@session.sql_mode, IS_USED_LOCK('hook') = CONNECTION_ID()"


async def ask(conn, sql, args=None):
    async with conn.cursor() as cursor:
        await cursor.execute(sql, args)
        return await cursor.fetchone() if cursor.description else None


async def dirty(conn):
    """Of all kinds: variables, a lock, a temporary table, a transaction."""
    await ask(conn, "SET @tenant = %s, time_zone = '-07:00', sql_mode = 'ANSI_QUOTES'", (7,))
    await ask(conn, "SELECT GET_LOCK('hook', 0)")
    await ask(conn, "CREATE TEMPORARY TABLE of_a_hook (n INT)")
    await ask(conn, "BEGIN")


class Once:
    """A hook that is called the first time only."""

    def __init__(self, hook):
        self.hook, self.calls = hook, 0

    async def __call__(self, conn):
        self.calls += 1
        return await self.hook(conn) if self.calls == 1 else None


@pytest.mark.parametrize("reset", ["session", "auto"])
@pytest.mark.parametrize("name", ["on_acquire", "on_release"])
async def test_what_a_hook_leaves_is_cleaned(pools, name, reset):
    hook = Once(dirty)
    pool = await pools(max_size=1, reset=reset, **{name: hook})
    async with pool.acquire() as conn:
        number = await ask(conn, "SELECT CONNECTION_ID()")
        if name == "on_acquire":
            seen = await ask(conn, LOOK)
            assert [str(cell) for cell in seen] == ["7", "-07:00", "ANSI_QUOTES", "1"]
            await ask(conn, "SELECT * FROM of_a_hook")
    async with pool.acquire() as conn:
        assert await ask(conn, "SELECT CONNECTION_ID()") == number
        tenant, time_zone, sql_mode, lock = await ask(conn, LOOK)
        assert tenant is None
        assert time_zone != "-07:00"
        assert "ANSI_QUOTES" not in sql_mode
        assert not lock
        with pytest.raises(Exception, match="of_a_hook"):
            await ask(conn, "SELECT * FROM of_a_hook")
    assert hook.calls


@pytest.mark.parametrize("reset", ["rollback", "none"])
async def test_without_session_resets_it_stays_as_all_that_borrowers_set(pools, reset):
    pool = await pools(max_size=1, reset=reset, on_acquire=Once(lambda conn: ask(conn, "SET @tenant = 7")))
    for _ in range(2):
        assert str(await pool.fetch_value("SELECT @tenant")) == "7"


async def test_a_tenant_for_each_borrow(pools):
    """Also in the helpers and in blocks, and whatever the borrower before made of it."""
    tenants = iter(range(1, 1000))

    async def on_acquire(conn):
        await ask(conn, "SET @tenant = %s", (next(tenants),))

    pool = await pools(max_size=1, on_acquire=on_acquire)
    assert int(await pool.fetch_value("SELECT @tenant")) == 1
    async with pool.transaction() as conn:
        assert int((await ask(conn, "SELECT @tenant"))[0]) == 2
        await ask(conn, "SET @tenant = 1000")
    assert int(await pool.fetch_value("SELECT @tenant")) == 3
    assert pool.stats().opened == 1


async def test_a_hook_that_hangs_on_the_server_is_stopped_there(pools):
    hook = Once(lambda conn: ask(conn, "SELECT SLEEP(1000)"))
    pool = await pools(max_size=1, on_acquire=hook)
    with pytest.raises(AcquireTimeoutError, match="of on_acquire"):
        await pool.acquire(timeout=0.5)
    assert await pool.fetch_value("SELECT 1") == 1
    assert pool.stats().killed == 1


async def test_a_connection_that_on_release_does_not_want_is_not_lent_again(pools):
    async def on_release(conn):
        return (await ask(conn, "SELECT @spoilt"))[0] is None

    pool = await pools(max_size=1, on_release=on_release)
    first = await pool.fetch_value("SELECT CONNECTION_ID()")
    async with pool.acquire() as conn:
        assert (await ask(conn, "SELECT CONNECTION_ID()"))[0] == first
        await ask(conn, "SET @spoilt = 1")
    assert await pool.fetch_value("SELECT CONNECTION_ID()") != first
    assert pool.stats().closed == {"on_release": 1}
