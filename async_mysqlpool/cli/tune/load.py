"""Runs statements over a number of connections, all of them busy all the time, and takes the times."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from async_mysqlpool.cli.output import percentile
from async_mysqlpool.cli.tune.caution import run_once
from async_mysqlpool.cli.tune.levels import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool import ConnectionPool

__all__ = ["measure"]

_WARM_UP = 0.25  # part of the time that is measured
_ENOUGH = 50  # statements, at least, for a level of slow ones
_LONGEST = 4.0  # times the time asked for, while there are not enough
_LOST = {1205, 1213}  # a lock wait timeout, a deadlock: the fate of some where many write


class _Meter:
    """What has been seen since `start`."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Forget what was before."""
        self.times: list[float] = []
        self.failed = 0
        self.since, self.cpu = time.perf_counter(), time.process_time()

    def level(self, size: int) -> Level:
        """What that amounts to."""
        took = time.perf_counter() - self.since
        times = sorted(self.times)
        mean = sum(times) / len(times) if times else 0.0
        client = (time.process_time() - self.cpu) / took
        return Level(
            size, len(times) / took, mean, percentile(times, 0.5), percentile(times, 0.99), client, self.failed
        )


async def measure(pool: ConnectionPool, size: int, statements: Sequence[str], seconds: float) -> Level:
    """One task for each connection, so nobody waits for a connection but all for the server.

    Raises:
        ServerFullError: the server has not so many connections for us.
        Exception: of the driver's, when a statement fails for another reason than that others were first.
    """
    await pool.resize(min_size=0, max_size=size)
    meter, stopping = _Meter(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(size):
            group.create_task(_work(pool, statements, meter, stopping), name=f"tune {number}")
        try:
            await asyncio.sleep(seconds * _WARM_UP)
            meter.start()
            ends = meter.since + seconds * _LONGEST
            await asyncio.sleep(seconds)
            while len(meter.times) < _ENOUGH and time.perf_counter() < ends:  # noqa: ASYNC110  nothing says so
                await asyncio.sleep(0.1)
            return meter.level(size)
        finally:
            stopping.set()


async def _work(pool: ConnectionPool, statements: Sequence[str], meter: _Meter, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        started = time.perf_counter()
        try:
            async with pool.acquire() as connection:
                await run_once(connection, random.choice(statements))  # noqa: S311
        except Exception as error:
            if pool.driver.error_number(error) not in _LOST:
                raise
            meter.failed += 1
        else:
            meter.times.append(time.perf_counter() - started)
