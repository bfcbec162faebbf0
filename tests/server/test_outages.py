"""Servers that kill, vanish, come back, are full, change passwords or turn read-only under a pool."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial

import pytest
from kit import eventually, rows, value

from async_mysqlpool import ConnectError, ConnectionPool, PoolClosedError, ServerUnavailableError

# A server that only the tests of this file use: they stop and reconfigure it, and leave it running.
BROKEN = pytest.mark.parametrize("server", ["mariadb-broken", "mysql-broken"], indirect=True)


async def take_all(pool):
    """Borrow everything at once; the ids of the connections."""
    connections = [await pool.acquire() for _ in range(pool.max_size)]
    try:
        return [await value(connection, "SELECT CONNECTION_ID()") for connection in connections]
    finally:
        for connection in connections:
            connection.close()


async def test_killed_idle_connections_are_never_seen(account, admin, pools):
    pool = await pools(min_size=3, max_size=3)
    killed = admin.connection_ids(account.user)
    for connection_id in killed:
        admin.kill(connection_id)
    # What the server said is on its way; a borrower may come before it is read.
    await eventually(lambda: admin.connection_ids(account.user), lambda ids: not set(ids) & set(killed))
    await asyncio.sleep(0.01)
    assert not set(await take_all(pool)) & set(killed)


async def test_connection_killed_while_borrowed_costs_one_statement(account, admin, pools):
    pool = await pools(max_size=1)
    async with pool.acquire() as connection:
        admin.kill(pool.driver.connection_id(connection.raw))
        with pytest.raises(Exception) as caught:
            await value(connection, "SELECT 1")
        assert not isinstance(caught.value, AssertionError)
    assert await pool.fetch_value("SELECT 2") == 2


@BROKEN
async def test_server_restarted_with_ten_idle_connections(account, admin, pools, server):
    pool = await pools(min_size=10, max_size=10)
    before = set(admin.connection_ids(account.user))
    assert len(before) == 10
    await asyncio.to_thread(server.restart)
    admin.reconnect()
    for _ in range(10):
        assert await pool.fetch_value("SELECT 1") == 1


@BROKEN
@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_borrowers_wait_for_a_server_that_comes_back(admin, ending, pools, server):
    pool = await pools(max_size=2, queue_timeout=30)
    await asyncio.to_thread(getattr(server, ending))
    with pytest.raises(ServerUnavailableError):
        await pool.fetch_value("SELECT 1")
    await asyncio.to_thread(server.start)
    admin.reconnect()

    async def try_again():
        while True:
            try:
                return await pool.fetch_value("SELECT 'back'")
            except ServerUnavailableError:
                await asyncio.sleep(0.05)

    assert await try_again() == "back"


@BROKEN
async def test_open_waits_for_a_server_that_comes_up(account, admin, driver, server):
    await asyncio.to_thread(server.stop)
    pool = ConnectionPool(server.dsn(driver, user=account.user, password=account.password))
    opening = asyncio.create_task(pool.open(timeout=60))
    await asyncio.to_thread(server.start)
    admin.reconnect()
    await opening
    assert await pool.fetch_value("SELECT 1") == 1
    await pool.close()


@BROKEN
async def test_frozen_server_does_not_hold_up_the_end(account, admin, pools, server):
    pool = await pools(min_size=2, max_size=2)
    server.freeze()
    try:
        await pool.close(timeout=0.5)
    finally:
        server.thaw()
    assert pool.closed
    assert await eventually(partial(admin.connection_ids, account.user), lambda ids: not ids) == []


async def test_wait_timeout_of_the_server(account, admin, pools):
    """max_idle_time is capped below it; and had the server been faster, nobody would see that."""
    pool = await pools(min_size=1, max_size=2, session_variables={"wait_timeout": 1})
    (first,) = admin.connection_ids(account.user)
    await eventually(lambda: admin.connection_ids(account.user), lambda ids: first not in ids)
    for _ in range(3):
        assert await pool.fetch_value("SELECT 1") == 1


async def test_keepalive_outlasts_the_wait_timeout_of_the_server(account, admin, pools):
    limits = {"session_variables": {"wait_timeout": 3}, "max_idle_time": None}
    pool = await pools(min_size=2, max_size=2, keepalive=0.5, **limits)
    first = set(admin.connection_ids(account.user))
    await asyncio.sleep(5)
    assert set(admin.connection_ids(account.user)) == first
    assert pool.stats().closed == {}


async def test_wrong_password_is_an_error_at_once(account, driver, server):
    pool = ConnectionPool(server.dsn(driver, user=account.user, password="wrong"))
    with pytest.raises(ConnectError) as caught:
        await pool.open(timeout=60)
    assert not isinstance(caught.value, ServerUnavailableError)
    assert pool.closed
    assert "wrong" not in f"{caught.value!r}{caught.value}"


async def test_unknown_database_is_an_error_at_once(account, driver, server):
    dsn = server.dsn(driver, user=account.user, password=account.password, database="nowhere")
    with pytest.raises(ConnectError) as caught:
        await ConnectionPool(dsn).open(timeout=60)
    assert not isinstance(caught.value, ServerUnavailableError)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_password_is_asked_for_at_every_connect(account, admin, kind, pools):
    current = account.password
    asked = []

    def ask():
        asked.append(current)
        return current

    async def ask_later():
        await asyncio.sleep(0)
        return ask()

    pool = await pools(max_size=3, password=ask if kind == "sync" else ask_later)
    for number in range(2):
        current = f"rotated{number}"
        admin.rows(f"ALTER USER {account.user}@'%' IDENTIFIED BY '{current}'")
        pool.expire()
        assert await pool.fetch_value("SELECT 1") == 1
        assert asked[-1] == current


async def test_password_that_changes_while_a_connection_is_opened(account, pools):
    """What was asked for is refused; asked again, it is another one."""
    answers = ["outdated", account.password]
    pool = await pools(password=lambda: answers.pop(0) if len(answers) > 1 else answers[0])
    assert await pool.fetch_value("SELECT 1") == 1
    assert answers == [account.password]


async def test_account_with_fewer_connections_than_max_size(accounts, admin, driver, server):
    """1226 is back-pressure, not an error, as long as a connection of the pool's is there.

    No session resets here: MariaDB (10.11) does not count a connection any more once it was reset.
    """
    limited = accounts("SELECT ON test.*", "WITH MAX_USER_CONNECTIONS 3")
    dsn = server.dsn(driver, user=limited.user, password=limited.password)
    async with ConnectionPool(dsn, max_size=10, queue_timeout=60, reset="rollback") as pool:

        async def work():
            async with pool.acquire() as connection:
                return await value(connection, "SELECT SLEEP(0.01)")

        assert await asyncio.gather(*(work() for _ in range(40))) == [0] * 40
        assert 1 <= len(admin.connection_ids(limited.user)) <= 3


@BROKEN
async def test_read_only_after_failover(accounts, admin, driver, server):
    """The old primary goes on answering pings: only its refusal to write says that it is no longer one."""
    writer = accounts("SELECT, INSERT ON test.*")
    dsn = server.dsn(driver, user=writer.user, password=writer.password)
    async with ConnectionPool(dsn, min_size=3, max_size=3) as pool:
        before = set(await take_all(pool))
        admin.rows("SET GLOBAL read_only = ON")
        try:
            with pytest.raises(Exception, match="read-only"):
                await pool.execute("INSERT INTO items (note) VALUES ('refused')")
        finally:
            admin.rows("SET GLOBAL read_only = OFF")
        assert not set(await take_all(pool)) & before
        assert await pool.execute("INSERT INTO items (note) VALUES ('taken')") == 1


async def test_never_more_than_max_size_on_the_server(account, admin, pools):
    pool = await pools(max_size=4, max_connecting=10)
    seen = set()

    async def work(number):
        async with pool.acquire() as connection:
            if number % 10 == 0:
                connection.discard()
                return
            await value(connection, "SELECT SLEEP(0.001)")
            seen.add(len(admin.connection_ids(account.user)))

    await asyncio.gather(*(work(number) for number in range(100)))
    assert max(seen) <= 4


async def test_global_defaults_changed_under_a_pool(driver, servers):
    """A reset takes the session to the server's defaults of the moment; what they were is learned at connect.

    So after SET GLOBAL of what the pool's own options set, its connections want to be replaced (docs/sessions.md).
    """
    server = servers("mysql-broken")
    async with ConnectionPool(server.dsn(driver), max_size=1) as pool:
        look = "SELECT @@autocommit, @@character_set_client, @@character_set_results, @@collation_connection"
        before = await pool.fetch_one(look)
        async with pool.acquire() as connection:
            await rows(connection, "SET GLOBAL autocommit = 0, GLOBAL character_set_client = latin1")
            await rows(
                connection, "SET GLOBAL character_set_results = latin1, GLOBAL collation_connection = latin1_bin"
            )
        pool.expire()
        try:
            async with pool.acquire() as connection:
                assert (await rows(connection, look))[0] == before
        finally:
            for name in ("autocommit", "character_set_client", "character_set_results", "collation_connection"):
                await pool.execute(f"SET GLOBAL {name} = DEFAULT")


@pytest.fixture
def small_packets(admin):
    """New connections may send 1 MB at once."""
    before = admin.value("SELECT @@GLOBAL.max_allowed_packet")
    admin.rows("SET GLOBAL max_allowed_packet = 1048576")
    yield
    admin.rows(f"SET GLOBAL max_allowed_packet = {before}")


async def through_the_pools_cursor(connection, sql):
    await rows(connection, sql)


async def through_the_drivers_own(connection, sql):
    """Of whose errors the pool hears nothing."""
    cursor = connection.raw.cursor()
    cursor = await cursor if inspect.isawaitable(cursor) else cursor
    await cursor.execute(sql)


@pytest.mark.parametrize("reset", ["session", "none"])
@pytest.mark.parametrize("size", [1_050_000, 17_000_000])
@pytest.mark.parametrize("execute", [through_the_pools_cursor, through_the_drivers_own])
async def test_a_statement_too_large_for_the_server_costs_nobody_else_anything(
    pools, small_packets, execute, size, reset
):
    """Error 1153: the server hangs up after it, at once or when the client has stopped sending."""
    pool = await pools(max_size=1, reset=reset)
    for _ in range(3):
        async with pool.acquire() as connection:
            with pytest.raises(Exception) as caught:
                await execute(connection, f"SELECT LENGTH('{'x' * size}')")
        assert not isinstance(caught.value, AssertionError)
        assert await pool.fetch_value("SELECT 1") == 1
    stats = pool.stats()
    assert (stats.opened, stats.resets_failed) == (4, 0)


@pytest.mark.parametrize("busy", [False, True], ids=["between two statements", "in a statement"])
async def test_a_borrower_that_close_cut_off_is_told_so(pools, busy):
    pool = await pools(max_size=1)
    connection = await pool.acquire()
    waiting = asyncio.create_task(value(connection, "SELECT SLEEP(100)")) if busy else None
    await asyncio.sleep(0.1)
    await pool.close(timeout=0)
    with pytest.raises(PoolClosedError, match="did not wait for it any longer"):
        await (waiting or connection.begin())
    connection.close()
