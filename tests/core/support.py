"""What several of the core's tests do."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing.fake import FakeDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from async_mysqlpool import PooledConnection, PoolStats
    from async_mysqlpool.testing.fake import FakeServer


def make_pool(server: FakeServer, *, pipelines: bool = True, **options: Any) -> ConnectionPool:
    """A pool on a fake server, with small numbers."""
    return ConnectionPool(driver=FakeDriver(server, pipelines), **{"min_size": 0, "max_size": 2, **options})


def start(work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
    return asyncio.create_task(work, name=name)


async def ticks(count: int = 5) -> None:
    """Let everybody else run for a few turns of the loop; no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled_before(work: Callable[[], Awaitable[Any]]) -> None:
    """Run something in a task that was cancelled and is cleaning up: its timeouts have to work all the same."""

    async def clean_up() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1000)
        await work()

    task = start(clean_up())
    await ticks()
    task.cancel()
    await asyncio.wait([task])
    await task


async def borrow(pool: ConnectionPool, seconds: float = 0.0, **options: Any) -> int:
    """Hold a connection for some seconds; its id."""
    async with pool.acquire(**options) as conn:
        await asyncio.sleep(seconds)
        return await connection_id(conn)


@asynccontextmanager
async def others_hold(pool: ConnectionPool, count: int = 1) -> AsyncIterator[None]:
    """Other tasks have so many connections for as long as the block runs."""
    tasks = [start(borrow(pool, 10_000), name=f"holder {number}") for number in range(count)]
    while len(pool.leases()) < count:
        assert not any(task.done() for task in tasks)
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def drop(items: list[Any]) -> None:
    """Forget the last references to something."""
    items.clear()
    gc.collect()


async def connection_id(conn: PooledConnection) -> int:
    """As the server sees it."""
    return await value(conn, "SELECT CONNECTION_ID()")


async def value(conn: PooledConnection, sql: str) -> Any:
    async with conn.cursor() as cursor:
        await cursor.execute(sql)
        return (await cursor.fetchone())[0]


def now() -> float:
    return asyncio.get_running_loop().time()


def check_sum(stats: PoolStats) -> None:
    """What must hold at every moment."""
    assert stats.idle + stats.in_use + stats.opening + stats.cleaning + stats.closing == stats.size, stats
    assert stats.size <= stats.max_size, stats


async def check_whole(pool: ConnectionPool, server: FakeServer) -> None:
    """Nothing was lost: nobody waits, every connection of the pool can be borrowed at once, and they all answer."""
    for gate in server.gates:
        gate.open()
    await asyncio.sleep(60)  # for whatever is still being cleaned, killed or closed within its own time
    stats = pool.stats()
    check_sum(stats)
    assert (stats.in_use, stats.opening, stats.cleaning, stats.closing, stats.waiting) == (0, 0, 0, 0, 0), stats
    assert len(server.sessions) <= pool.size  # a dead idle one is found out when it is wanted
    borrowed = [await pool.acquire(timeout=5) for _ in range(pool.max_size)]
    ids = [await connection_id(conn) for conn in borrowed]
    assert len(set(ids)) == pool.max_size == pool.size == len(server.sessions)
    for conn in borrowed:
        conn.close()
    await asyncio.sleep(1)
    assert pool.idle == pool.size == len(server.sessions)
    assert server.violations == []
