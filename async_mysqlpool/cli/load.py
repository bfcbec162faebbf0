"""A coroutine service with more tasks than connections, and what can be measured of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from async_mysqlpool import ConnectionPool
from async_mysqlpool.cli.output import percentile
from async_mysqlpool.events import Acquired

if TYPE_CHECKING:
    from typing import Self

    from async_mysqlpool import PoolStats
    from async_mysqlpool.events import Event

__all__ = ["Load", "Meter", "Monitor", "Sample", "Service"]

TRACE_EVERY = 10  # requests: one that leaves something behind in its session
DESERTION_PAUSE = 0.1  # seconds between clients that go away in the middle of a statement


@dataclass(frozen=True)
class Load:
    """What is asked for: the service's tasks, the pool's max_size, and how many seconds."""

    driver: str | None
    tasks: int
    connections: int
    seconds: float


@dataclass
class Service:
    """Its requests check that each gets its own answer, in a session without a trace of the one before."""

    pool: ConnectionPool
    stopping: bool = False
    requests: int = 0
    traces: int = 0  # left behind by requests
    deserted: int = 0  # clients that went away in the middle of a statement
    dirty: int = 0  # sessions in which a trace was found
    wrong: int = 0  # answers meant for somebody else
    _tickets: count[int] = field(default_factory=lambda: count(1))

    async def run(self, tasks: int) -> None:
        """Until `stopping`; then each task finishes the request that it has begun."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._desert())
            for number in range(tasks):
                group.create_task(self._serve(), name=f"handler {number}")

    async def _serve(self) -> None:
        while not self.stopping:
            await self._request(next(self._tickets))

    async def _request(self, ticket: int) -> None:
        async with self.pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT %s, @trace", (ticket,))
            answer, trace = await cursor.fetchone()
            self.requests += 1
            self.wrong += int(answer) != ticket
            self.dirty += trace is not None
            if ticket % TRACE_EVERY == 0:
                await cursor.execute("SET @trace = %s", (ticket,))
                self.traces += 1

    async def _desert(self) -> None:
        while not self.stopping:
            await asyncio.sleep(DESERTION_PAUSE)
            async with self.pool.acquire() as connection, connection.cursor() as cursor:
                try:
                    async with asyncio.timeout(0.02):
                        await cursor.execute("SELECT SLEEP(2)")
                except TimeoutError:
                    self.deserted += 1


class Monitor:
    """A connection of its own that asks the server what it counts."""

    def __init__(self, dsn: str, driver: str | None) -> None:
        self._pool = ConnectionPool(dsn, driver=driver, name="monitor", max_size=1)
        self._others = 0
        self.peak = 0

    async def __aenter__(self) -> Self:
        await self._pool.open()
        self._others = await self._status("Threads_connected")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def connections(self) -> int:
        """Connections that came since the monitor's own, as the server counts them."""
        now = await self._status("Threads_connected") - self._others
        self.peak = max(self.peak, now)
        return now

    async def aborted_clients(self) -> int:
        """Connections that ended without a goodbye, since the server started."""
        return await self._status("Aborted_clients")

    async def _status(self, name: str) -> int:
        rows = await self._pool.fetch_all("SHOW GLOBAL STATUS LIKE %s", (name,))
        return int(rows[0][1])


@dataclass(frozen=True)
class Sample:
    """The pool over one short interval. Times are seconds; `rate` is borrows per second."""

    elapsed: float
    stats: PoolStats
    rate: float
    wait_p50: float
    wait_p99: float
    on_server: int


class Meter:
    """Observer of the pool: how long each borrower waited."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._seen = 0
        self._started = self._last = asyncio.get_running_loop().time()

    def on_event(self, event: Event, /) -> None:
        """Note a borrow."""
        if isinstance(event, Acquired):
            self.waits.append(event.waited)

    def sample(self, stats: PoolStats, on_server: int) -> Sample:
        """What happened since the last sample."""
        now = asyncio.get_running_loop().time()
        waits, took = sorted(self.waits[self._seen :]), now - self._last
        self._seen, self._last = len(self.waits), now
        return Sample(
            elapsed=now - self._started,
            stats=stats,
            rate=len(waits) / took,
            wait_p50=percentile(waits, 0.5),
            wait_p99=percentile(waits, 0.99),
            on_server=on_server,
        )
