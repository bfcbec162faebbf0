"""A pattern that users write: one task accepts work and borrows for it, others have the connections and return them."""

from __future__ import annotations

import asyncio

import pytest

from async_mysqlpool import ConnectionPool, PooledConnection

pytestmark = pytest.mark.server


async def test_a_task_that_borrows_for_others_waits_for_them(dsn: str):
    async def handle(connection: PooledConnection) -> int:
        async with connection, connection.cursor() as cursor:
            await cursor.execute("SELECT SLEEP(0.05)")
            return len(await cursor.fetchall())

    async with ConnectionPool(dsn, max_size=2) as pool:
        handlers = [asyncio.create_task(handle(await pool.acquire())) for _ in range(5)]
        assert await asyncio.gather(*handlers) == [1] * 5
