"""Streams that are compressed, and replies that are large: what a pool writes must fit between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from between import BORROWS, RESETS, crowd
from kit import rows
from lab import ALL, DRIVERS, FLAVORS

if TYPE_CHECKING:
    from between import Servers
    from kit import Admin

    from async_mysqlpool import ConnectionPool

CONNECTOR = "mysql.connector.aio"
EACH_RESET = pytest.mark.parametrize("reset", RESETS)


@pytest.mark.skipif(CONNECTOR not in DRIVERS, reason="only this driver compresses")
@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("reset", ["session", "auto"])
async def test_compressed(servers: Servers, flavor: str, reset: str, pool_at: Any, warnings: Any):
    """All borrows work, each with a clean session; that it costs a connection each is said once."""
    async with pool_at(servers(flavor), CONNECTOR, reset=reset, connect_args={"compress": True}) as pool:
        async with pool.acquire() as connection:
            assert list(await rows(connection, "SHOW SESSION STATUS LIKE 'Compression'")) == [("Compression", "ON")]
        found = await asyncio.gather(*(look(pool, number) for number in range(20)))
    assert found == [(number, None, "test", 0) for number in range(20)]
    assert len([text for text in warnings() if "used once" in text]) == 1


async def look(pool: ConnectionPool, number: int) -> tuple[Any, ...]:
    """With one statement: this driver, compressing, hangs on some results by itself (`SELECT COUNT(*)` for one)."""
    async with pool.acquire() as connection:
        sql = f"SELECT {number}, @dirty, DATABASE(), @@SESSION.sql_safe_updates /* {'.' * 100 * number} */"
        [found] = await rows(connection, sql)
        await rows(connection, "SET @dirty = 1, sql_safe_updates = 1")
        await rows(connection, "USE other")
        return tuple(found)


@ALL
@EACH_RESET
async def test_large_replies_to_a_reset(
    servers: Servers, driver: str, flavor: str, reset: str, pool_at: Any, admin: Admin
):
    """The session tracker can make an OK packet as long as it likes: here longer than 10,000 bytes."""
    names = ",".join(row[0] for row in admin.rows("SHOW VARIABLES"))
    admin.rows("SET SESSION session_track_system_variables = %s", names)
    fresh = admin.value("SELECT @@session_track_system_variables")  # not word for word the same everywhere
    variables = {"session_track_system_variables": names}
    async with pool_at(servers(flavor), driver, reset=reset, session_variables=variables) as pool:
        assert await crowd(pool, reset) == {"ok": BORROWS}
        async with pool.acquire() as connection:
            [[tracked]] = await rows(connection, "SELECT @@session_track_system_variables")
            assert tracked == fresh
