"""What a borrower changes behind the pool's back, or what ends behind it: the next one gets none of it."""

from __future__ import annotations

import asyncio
import gc
import importlib
import weakref

import pytest
from kit import rows, value

from async_mysqlpool import ResetFailedError

pytestmark = pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"], indirect=True)

TEXT = "\u00e9"


def own_cursor(driver, change):
    """A cursor class of the user's, which has the driver's connection in its hands."""
    base = importlib.import_module(f"{driver}.cursors").Cursor

    class Own(base):
        async def execute(self, *args):
            await change(self.connection if driver == "asyncmy" else self._connection)
            return await super().execute(*args)

    return Own


async def another_charset(raw):
    if hasattr(raw, "decoders"):  # asyncmy's set_charset raises
        await raw.set_charset("latin1")


async def no_autocommit(raw):
    await raw.autocommit(False)


async def other_converters(raw):
    table = raw.decoders if hasattr(raw, "decoders") else raw._decoders
    table[3] = table[8] = lambda _: "hijacked"


CHANGES = [another_charset, no_autocommit, other_converters]


async def seen(pool):
    async with pool.acquire() as connection:
        found = await rows(connection, "SELECT HEX(%s), @@character_set_client, 1", (TEXT,))
        return found, connection.get_autocommit()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("reset", ["session", "auto"])
async def test_a_cursor_class_of_the_users_may_change_any_setting(change, driver, pools, reset):
    pool = await pools(max_size=1, reset=reset)
    for _ in range(3):
        before = await seen(pool)
    async with pool.acquire() as connection, connection.cursor(own_cursor(driver, change)) as cursor:
        await cursor.execute("SELECT 1")
    assert await seen(pool) == before


async def test_a_container_of_the_drivers_may_be_changed(driver, pools):
    pool = await pools(max_size=1)
    before = await seen(pool)
    async with pool.acquire() as connection:
        if driver == "aiomysql":
            connection.decoders[8] = connection.decoders[3] = lambda _: "hijacked"
            assert await rows(connection, "SELECT 1") == [("hijacked",)]
    assert await seen(pool) == before


async def test_what_a_hook_has_set_is_set_for_everybody(driver, pools):
    async def hook(connection):
        if connection.get_autocommit():  # as hooks do that look first
            await connection.autocommit(False)

    pool = await pools(max_size=1, on_connect=hook)
    for _ in range(3):
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT @@autocommit") == 0
            assert not connection.get_autocommit()


async def test_a_hook_leaves_no_tasks_behind(pools):
    tasks = []

    async def hook(connection):
        tasks.append(weakref.ref(asyncio.current_task()))
        await rows(connection, "SELECT 1")

    pool = await pools(max_size=1, on_connect=hook)
    for _ in range(20):
        async with pool.acquire() as connection:
            await rows(connection, "SELECT 1")
    await pool.close()
    gc.collect()
    assert sum(task() is not None for task in tasks) <= 2


@pytest.mark.parametrize("reset", ["auto", "none", "session"])
async def test_what_is_cancelled_when_the_whole_reply_is_there_is_not_lent_again(pools, reset):
    """The driver closes the connection then, though nothing is left to be read."""
    pool = await pools(max_size=1, reset=reset)
    for _ in range(4):
        await pool.fetch_all("SELECT 1")

    async def borrower():
        async with pool.acquire() as connection:
            await rows(connection, "SELECT 1")

    for pause in range(60):
        task = asyncio.create_task(borrower())
        await asyncio.sleep(pause * 0.00002)
        task.cancel()
        await asyncio.wait([task])
        assert list(await pool.fetch_all("SELECT 1")) == [(1,)]


@pytest.mark.parametrize("read_results", [True, False])
async def test_nobody_works_in_a_session_whose_reset_failed(account, admin, pools, read_results):
    """Also where its answer comes together with that to the next borrower's statement, which went through."""
    admin.rows("CREATE TABLE test.cfg (v INT)")
    admin.rows("INSERT INTO test.cfg VALUES (7)")
    command = "SET @tenant = (SELECT v FROM test.cfg LIMIT 1)"
    pool = await pools(max_size=1, read_results=read_results, connect_args={"init_command": command})
    for _ in range(4):
        assert await pool.fetch_value("SELECT @tenant") == 7
    admin.rows("DROP TABLE test.cfg")

    async def borrower():
        return await pool.fetch_value("SELECT @tenant")

    found = await asyncio.gather(*(borrower() for _ in range(3)), return_exceptions=True)
    assert [one for one in found if not isinstance(one, Exception)] in ([], [7])
    assert any(isinstance(one, ResetFailedError) for one in found)
