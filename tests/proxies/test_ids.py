"""A greeting's connection id may be none of the server's: then nobody else's connection is killed by it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from between import CONNECTIONS, TASKS, crowd
from kit import Admin
from lab import ALL, EACH_DRIVER, settled

from async_mysqlpool.testing.mysql_proxy import MySQLProxy, Renames

if TYPE_CHECKING:
    from between import Servers

    from async_mysqlpool import ConnectionPool
    from async_mysqlpool.testing import Server

ELSEWHERE = 900_000_000  # no server of the tests has had so many connections
# What a proxy makes of the server's id and a bystander's; whether CONNECTION_ID() is the same; and whether a KILL of it
# is understood.
NAMES = {
    "another number": (lambda real, bystander: real + ELSEWHERE, False, False),
    "0": (lambda real, bystander: 0, False, False),
    "a bystander's": (lambda real, bystander: bystander, False, False),
    "another number, CONNECTION_ID() too": (lambda real, bystander: real + ELSEWHERE, True, False),
    "a bystander's, CONNECTION_ID() too": (lambda real, bystander: bystander, True, False),
    "another number, CONNECTION_ID() and KILL too": (lambda real, bystander: real + ELSEWHERE, True, True),
}


async def cancelled_borrowers(pool: ConnectionPool) -> None:
    """Borrowers that give up in the middle of a statement; then the capacity is there again."""
    count = pool.max_size

    async def give_up() -> None:
        async with asyncio.timeout(0.2), pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT SLEEP(3)")

    results = await asyncio.gather(*(give_up() for _ in range(count)), return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError] * count
    assert await crowd(pool, "session", TASKS) == {"ok": TASKS}
    stats = await settled(pool, lambda stats: stats.size == stats.idle)
    assert stats.size == stats.idle <= pool.max_size, stats


@ALL
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
async def test_no_bystander_is_killed(
    servers: Servers, driver: str, flavor: str, names: Any, pool_at: Any, warnings: Any
):
    server = servers(flavor)
    rename, answers, kills = names
    with Admin(server) as bystander:
        id_ = bystander.value("SELECT CONNECTION_ID()")
        persona = Renames(lambda real: rename(real, id_), answers=answers, kills=kills)
        async with MySQLProxy(server, persona) as proxy, pool_at(server, driver, proxy, min_size=CONNECTIONS) as pool:
            await cancelled_borrowers(pool)
        try:
            assert bystander.value("SELECT CONNECTION_ID()") == id_
        except pymysql.err.OperationalError:
            pytest.fail("the bystander was killed")
    told = [text for text in warnings() if "not stopped on the server" in text]
    assert len(told) == 1 or (answers and not told), warnings()


@EACH_DRIVER
async def test_behind_real_programs(relay: Server, driver: str, pool_at: Any, warnings: Any):
    """Either the id is the server's, and the statement is stopped; or it is said that statements are not."""
    async with pool_at(relay, driver, min_size=CONNECTIONS) as pool:
        await cancelled_borrowers(pool)
        told = [text for text in warnings() if "not stopped on the server" in text]
        assert (pool.stats().killed, len(told)) in {(CONNECTIONS, 0), (0, 1)}
