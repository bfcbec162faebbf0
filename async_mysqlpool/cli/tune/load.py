"""Runs statements over a number of connections, all of them busy all the time, and takes the times."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from async_mysqlpool.cli.busy import WARM_UP, Meter, kept_busy
from async_mysqlpool.cli.output import percentile
from async_mysqlpool.cli.tune.levels import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool import ConnectionPool

__all__ = ["measure"]

_ENOUGH = 50  # statements, at least, for a level of slow ones
_LONGEST = 4.0  # times the time asked for, while there are not enough
_LOST = {1205, 1213}  # a lock wait timeout, a deadlock: the fate of some where many write


async def measure(pool: ConnectionPool, size: int, statements: Sequence[str], seconds: float) -> Level:
    """One task for each connection, so nobody waits for a connection but all for the server.

    Raises:
        ServerFullError: the server has not so many connections for us.
        Exception: of the driver's, when a statement fails for another reason than that others were first.
    """
    await pool.resize(min_size=0, max_size=size)
    meter = Meter()
    async with kept_busy(pool, size, statements, meter, _LOST):
        await asyncio.sleep(seconds * WARM_UP)
        meter.start()
        ends = meter.since + seconds * _LONGEST
        await asyncio.sleep(seconds)
        while len(meter.times) < _ENOUGH and time.perf_counter() < ends:  # noqa: ASYNC110  nothing says so
            await asyncio.sleep(0.1)
        return _level(size, meter)


def _level(size: int, meter: Meter) -> Level:
    took, cpu = meter.passed()
    times = sorted(meter.times)
    mean = sum(times) / len(times) if times else 0.0
    return Level(
        size, len(times) / took, mean, percentile(times, 0.5), percentile(times, 0.99), cpu / took, meter.failed
    )
