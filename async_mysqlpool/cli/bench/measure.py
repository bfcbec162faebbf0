"""One combination of driver, reset, size and tasks: how much it does, and where the time of a statement goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from async_mysqlpool import ConnectionPool
from async_mysqlpool.cli.busy import WARM_UP, Meter, kept_busy
from async_mysqlpool.cli.output import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.config import Reset

__all__ = ["Case", "Outcome", "measure"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is tried: so many tasks want a connection of a pool of so many, all the time."""

    driver: str
    reset: Reset
    size: int
    tasks: int

    def __str__(self) -> str:
        """As a line of the table begins."""
        return f"{self.driver}, {self.reset}, {self.size} connections, {self.tasks} tasks"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What it did. Times are seconds, from wanting a connection to having given it back.

    Attributes:
        waiting: share of that time spent waiting for a connection.
        python: share of it that this program's CPU worked, driver and pool included.
        server: the rest: the server, the way there and back, and waiting for this program to get round to it.
        client: the share of one CPU that this program took. Near 1, it is the limit.
    """

    case: Case
    throughput: float
    p50: float
    p99: float
    waiting: float
    python: float
    server: float
    client: float


async def measure(dsn: str, case: Case, statements: Sequence[str], seconds: float) -> Outcome:
    """Run it, with a pool of its own.

    Raises:
        PoolError: there is no server, or it has not so many connections for us.
        Exception: of the driver's, when a statement fails.
    """
    meter = Meter()
    pool = ConnectionPool(
        dsn, driver=case.driver, reset=case.reset, name="bench", min_size=case.size, max_size=case.size,
        queue_timeout=None,
    )  # fmt: skip
    async with pool, kept_busy(pool, case.tasks, statements, meter):
        await asyncio.sleep(seconds * WARM_UP)
        meter.start()
        await asyncio.sleep(seconds)
        return _outcome(case, meter)


def _outcome(case: Case, meter: Meter) -> Outcome:
    took, cpu = meter.passed()
    times, whole = sorted(meter.times), sum(meter.times) or 1.0
    waiting = meter.waited / whole
    python = min(1 - waiting, cpu / whole)
    return Outcome(
        case=case,
        throughput=len(times) / took,
        p50=percentile(times, 0.5),
        p99=percentile(times, 0.99),
        waiting=waiting,
        python=python,
        server=1 - waiting - python,
        client=cpu / took,
    )
