"""What the server hears from a pool besides its borrowers' own statements, by its general log."""

from __future__ import annotations

import asyncio

import pytest
from kit import rows, value

from async_mysqlpool.testing.proxy import Proxy


@pytest.fixture
def general_log(admin):
    """A function: the (command, argument) of every command of one connection since the log was switched on."""
    admin.rows("SET GLOBAL log_output = 'TABLE'")
    admin.rows("SET GLOBAL general_log = ON")

    def read(connection_id):
        found = admin.rows(
            "SELECT command_type, CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE thread_id = %s"
            " ORDER BY event_time",
            connection_id,
        )
        return [(command.lower(), argument) for command, argument in found]

    yield read
    admin.rows("SET GLOBAL general_log = OFF")
    admin.rows("SET GLOBAL log_output = 'FILE'")
    admin.rows("TRUNCATE mysql.general_log")


async def heard(pool, general_log, borrow):
    """What came in after the connection was set up, for three borrows."""
    connection_id = await pool.fetch_value("SELECT CONNECTION_ID()")
    for _ in range(3):
        async with pool.acquire() as connection:
            await borrow(connection)
    await pool.fetch_value("SELECT 'end'")
    log = general_log(connection_id)
    return log[log.index(("query", "SELECT CONNECTION_ID()")) + 1 : log.index(("query", "SELECT 'end'"))]


async def ask(connection):
    await value(connection, "SELECT 1")


async def test_nothing_with_reset_none(general_log, pools):
    pool = await pools(max_size=1, reset="none")
    assert await heard(pool, general_log, ask) == [("query", "SELECT 1")] * 3


async def test_one_rollback_with_reset_rollback(general_log, pools):
    pool = await pools(max_size=1, reset="rollback")
    log = await heard(pool, general_log, ask)
    assert log == [("query", "ROLLBACK"), ("query", "SELECT 1")] * 3 + [("query", "ROLLBACK")]


async def test_at_most_one_set_with_reset_session(general_log, pools):
    """COM_RESET_CONNECTION itself does not show in the log; it does on the wire, below."""
    pool = await pools(max_size=1)
    ours = [entry for entry in await heard(pool, general_log, ask) if entry[1] != "SELECT 1"]
    assert {command for command, _ in ours} <= {"query"}
    assert all(sql.startswith("SET ") for _, sql in ours)
    assert len(ours) <= 4


async def test_no_set_where_the_servers_defaults_are_the_pools(admin, general_log, pools):
    collation = admin.value("SELECT @@GLOBAL.collation_connection")
    charset = admin.value("SELECT @@GLOBAL.character_set_client")
    pool = await pools(
        max_size=1, charset=charset, autocommit=None, session_variables={"collation_connection": collation}
    )
    log = [
        entry for entry in await heard(pool, general_log, ask) if entry[1] != "SET ROLE NONE"
    ]  # who has made a role has it
    assert log == [("query", "SELECT 1")] * 3


@pytest.mark.parametrize(("sql", "times"), [("SELECT 1", 0), ("USE other", 3)])
async def test_database_is_chosen_again_only_if_it_may_have_moved(general_log, pools, sql, times):
    async def borrow(connection):
        await rows(connection, sql)

    log = await heard(await pools(max_size=1), general_log, borrow)
    assert log.count(("init db", "test")) == times


COM_QUERY, COM_PING, COM_RESET_CONNECTION = 0x03, 0x0E, 0x1F


@pytest.fixture
async def proxy(server):
    async with Proxy(server) as proxy:
        yield proxy


@pytest.mark.parametrize(("reset", "commands"), [("none", [COM_QUERY]), ("session", [COM_QUERY, COM_RESET_CONNECTION])])
async def test_no_ping_between_borrows_that_follow_each_other(commands, pools, proxy, reset):
    await pools()  # over TLS where the driver prefers that; then the server knows the password, and needs none below
    pool = await pools(host="127.0.0.1", port=proxy.port, ssl=False, max_size=1, reset=reset, validate_after=60)
    await pool.fetch_value("SELECT 1")
    proxy.commands.clear()
    for _ in range(100):
        assert await pool.fetch_value("SELECT 1") == 1
    assert sorted(set(proxy.commands)) == commands
    # The reset of the last borrow may be on its way, and that of the borrow before the first was.
    assert proxy.commands.count(commands[-1]) >= 99


async def test_ping_after_validate_after(pools, proxy):
    await pools()  # as above
    pool = await pools(host="127.0.0.1", port=proxy.port, ssl=False, max_size=1, validate_after=0)
    await asyncio.sleep(0.01)
    await pool.fetch_value("SELECT 1")
    assert COM_PING in proxy.commands
