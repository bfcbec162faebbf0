"""Tasks that run statements over a pool, one after the other, and the times that these take: for `tune` and `bench`."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from async_mysqlpool.cli.tune.caution import run_once

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Container, Sequence

    from async_mysqlpool import ConnectionPool

__all__ = ["WARM_UP", "Meter", "kept_busy"]

WARM_UP = 0.25  # part of the time that is measured


class Meter:
    """What has been seen since `start`.

    Attributes:
        times: seconds of each statement, from wanting a connection to having given it back.
        waited: seconds of them until there was a connection, altogether.
        failed: statements that lost against others.
        since, cpu: when that was, by the clock and by the process's own.
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Forget what was before."""
        self.times: list[float] = []
        self.waited = 0.0
        self.failed = 0
        self.since, self.cpu = time.perf_counter(), time.process_time()

    def passed(self) -> tuple[float, float]:
        """Seconds since `start`, by the clock and by the process's own."""
        return time.perf_counter() - self.since, time.process_time() - self.cpu


@asynccontextmanager
async def kept_busy(
    pool: ConnectionPool, tasks: int, statements: Sequence[str], meter: Meter, forgiven: Container[int | None] = ()
) -> AsyncGenerator[None]:
    """So many tasks run statements, one of them by chance each time, until the end of the block.

    Args:
        pool: of the connections.
        tasks: how many.
        statements: of the user's.
        meter: is told of each.
        forgiven: numbers of errors of the server that do not end it all.

    Raises:
        ExceptionGroup: with any other error.
    """
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            work = _work(pool, statements, meter, forgiven, stopping)
            group.create_task(work, name=f"{pool.name} {number}")
        try:
            yield
        finally:
            stopping.set()


async def _work(
    pool: ConnectionPool,
    statements: Sequence[str],
    meter: Meter,
    forgiven: Container[int | None],
    stopping: asyncio.Event,
) -> None:
    while not stopping.is_set():
        started = time.perf_counter()
        try:
            async with pool.acquire() as connection:
                waited = time.perf_counter() - started
                await run_once(connection, random.choice(statements))  # noqa: S311
        except Exception as error:
            if pool.driver.error_number(error) not in forgiven:
                raise
            meter.failed += 1
        else:
            meter.waited += waited
            meter.times.append(time.perf_counter() - started)
