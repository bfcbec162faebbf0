"""One combination of driver, reset, size and tasks: how much it does, and where the time of a statement goes."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from async_mysqlpool import ConnectionPool
from async_mysqlpool.cli.output import percentile
from async_mysqlpool.cli.tune.caution import run_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.config import Reset

__all__ = ["Case", "Outcome", "measure"]

_WARM_UP = 0.25  # part of the time that is measured


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


class _Meter:
    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Forget what was before."""
        self.times: list[float] = []
        self.waited = 0.0
        self.since, self.cpu = time.perf_counter(), time.process_time()

    def outcome(self, case: Case) -> Outcome:
        """What that amounts to."""
        took, cpu = time.perf_counter() - self.since, time.process_time() - self.cpu
        times, whole = sorted(self.times), sum(self.times) or 1.0
        waiting = self.waited / whole
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


async def measure(dsn: str, case: Case, statements: Sequence[str], seconds: float) -> Outcome:
    """Run it, with a pool of its own.

    Raises:
        PoolError: there is no server, or it has not so many connections for us.
        Exception: of the driver's, when a statement fails.
    """
    meter, stopping = _Meter(), asyncio.Event()
    pool = ConnectionPool(
        dsn, driver=case.driver, reset=case.reset, name="bench", min_size=case.size, max_size=case.size,
        queue_timeout=None,
    )  # fmt: skip
    async with pool, asyncio.TaskGroup() as group:
        for number in range(case.tasks):
            group.create_task(_work(pool, statements, meter, stopping), name=f"bench {number}")
        try:
            await asyncio.sleep(seconds * _WARM_UP)
            meter.start()
            await asyncio.sleep(seconds)
            return meter.outcome(case)
        finally:
            stopping.set()


async def _work(pool: ConnectionPool, statements: Sequence[str], meter: _Meter, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        started = time.perf_counter()
        async with pool.acquire() as connection:
            waited = time.perf_counter() - started
            await run_once(connection, random.choice(statements))  # noqa: S311
        meter.waited += waited
        meter.times.append(time.perf_counter() - started)
