"""A reset is refused, or never answered: nobody's statement runs in another schema, and nobody goes without."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from kit import Admin, rows
from lab import ALL

from async_mysqlpool.testing.mysql_proxy import Ignores, MySQLProxy, Refuses

if TYPE_CHECKING:
    from between import Servers

    from async_mysqlpool import ConnectionPool

COM_RESET_CONNECTION = 0x1F
FAILINGS = {"refused": Refuses(COM_RESET_CONNECTION), "never answered": Ignores(COM_RESET_CONNECTION)}
EACH_FAILING = pytest.mark.parametrize("failing", FAILINGS.values(), ids=FAILINGS)
# The pool's way to reset, how its borrower came to be in another schema, and whether the next one waited for it.
CASES = {
    "USE": ("session", "USE other", True),
    "USE behind a comment": ("session", "/* a note */ USE other", False),
    "USE behind a comment, with auto": ("auto", "/* a note */ USE other", True),
}


async def insert(pool: ConnectionPool) -> None:
    """Into the table `probe` of the current schema."""
    async with pool.acquire() as connection:
        await rows(connection, "REPLACE INTO probe VALUES (7, 7)")


@ALL
@EACH_FAILING
@pytest.mark.parametrize(("reset", "move", "waits"), CASES.values(), ids=CASES)
async def test_nobody_works_in_another_schema(
    servers: Servers, driver: str, flavor: str, failing: Any, reset: str, move: str, waits: bool, pool_at: Any
):
    server = servers(flavor)
    with Admin(server) as admin:
        admin.rows("DELETE FROM test.probe WHERE id = 7")
        async with (
            MySQLProxy(server) as proxy,
            pool_at(server, driver, proxy, reset=reset, max_size=1, connect_timeout=2) as pool,
        ):
            async with pool.acquire() as connection:
                await rows(connection, move)
                proxy.behave(failing, "open")
                next_one = asyncio.create_task(insert(pool))
                await asyncio.sleep(0.01 if waits else 0)
            await next_one
        assert admin.value("SELECT COUNT(*) FROM other.probe") == 0
        assert admin.value("SELECT COUNT(*) FROM test.probe WHERE id = 7") == 1


@ALL
async def test_a_server_without_resets(servers: Servers, driver: str, flavor: str, pool_at: Any, warnings: Any):
    """Every connection is used once, which is said once."""
    server = servers(flavor)
    async with MySQLProxy(server, Refuses(COM_RESET_CONNECTION)) as proxy, pool_at(server, driver, proxy) as pool:
        for _ in range(5):
            async with pool.acquire() as connection:
                assert list(await rows(connection, "SELECT @dirty, DATABASE()")) == [(None, "test")]
                await rows(connection, "SET @dirty = 1")
                await rows(connection, "USE other")
    assert len([text for text in warnings() if "used once" in text]) == 1
