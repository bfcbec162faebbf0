"""Borrowing with `on_acquire`, `on_release`, `max_uses` or `min_idle`: what each borrow then has to do besides.

Which classes a pool is made of is decided once, by its options. Nothing here is in the way of a pool without these.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool.capacity.acquire import Acquire, WatchedAcquire, _timed_out, plain_class
from async_mysqlpool.capacity.capacity import Capacity
from async_mysqlpool.connection.entry import State
from async_mysqlpool.errors import PoolDeadlockError, PoolError
from async_mysqlpool.lease.held import entry_of, has_more
from async_mysqlpool.remedies import awaitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_mysqlpool.capacity.acquire import Pool
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.lease.connection import PooledConnection

__all__ = ["acquire_class", "make_capacity"]


def acquire_class(config: PoolConfig) -> type[Acquire]:
    """What the pool's `acquire` returns."""
    return plain_class() if config.on_acquire is None else HookedAcquire


def make_capacity(driver: Driver, config: PoolConfig, name: str) -> Capacity:
    """The capacity of one pool, as its options want it."""
    hooked = config.on_acquire or config.on_release or config.max_uses or config.min_idle
    return (HookedCapacity if hooked else Capacity)(driver, config, name)


class HookedCapacity(Capacity):
    """Counts uses, keeps connections ready, and has `on_release` asked.

    Attributes:
        preparing: the tasks that are in `on_acquire`.
    """

    def __init__(self, driver: Driver, config: PoolConfig, name: str) -> None:
        super().__init__(driver, config, name)
        self.preparing: set[asyncio.Task[Any] | None] = set()
        self._max_uses = config.max_uses or math.inf
        self._asks = config.on_release is not None

    def lend(self, entry: Entry, now: float, site: object, task: asyncio.Task[Any] | None) -> None:
        """A borrower has it, so perhaps there is one idle connection too few."""
        super().lend(entry, now, site, task)
        if self.idle.qsize() < self.config.min_idle:
            self.refill()

    def give_back(self, entry: Entry) -> None:
        """A borrower is done."""
        if entry.state is State.IN_USE:
            if entry.uses >= self._max_uses:
                entry.doubt = entry.doubt or "uses"
            entry.needs_look = entry.needs_look or self._asks
        super().give_back(entry)


class HookedAcquire(WatchedAcquire):
    """Hands a connection out when `on_acquire` is done with it, within the same deadline."""

    __slots__ = ("_lender", "_limit")

    def __init__(self, pool: Pool, timeout: float | None, site: object) -> None:
        Acquire.__init__(self, pool, timeout, site)
        self._lender, self._limit = pool, timeout

    async def __aenter__(self) -> PooledConnection:
        self.phase = "queueing"  # it is awaited
        capacity = cast("HookedCapacity", self._lender._ready(borrowing=True))
        task, started = asyncio.current_task(capacity.loop), capacity.loop.time()
        if task in capacity.preparing:
            raise PoolDeadlockError(
                f"pool {capacity.name}: on_acquire borrows from the pool that it prepares a connection of, which would "
                "run on_acquire again: let it use the connection that it is given"
            )
        connection = await Acquire.__aenter__(self)
        # Without a deadline (None, or 0: no waiting), the hook has as long as the others have.
        ends = started + self._limit if self._limit else capacity.loop.time() + capacity.config.connect_timeout
        capacity.preparing.add(task)
        try:
            await self._prepare(capacity, connection, asyncio.timeout_at(ends), started)
        finally:
            capacity.preparing.discard(task)
        return connection

    async def _prepare(
        self, capacity: HookedCapacity, connection: PooledConnection, clock: asyncio.Timeout, started: float
    ) -> None:
        """Run the hook. Whatever goes wrong, the connection is discarded."""
        entry, task = entry_of(connection), asyncio.current_task()
        before = task.cancelling() if task is not None else 0  # a task that was cancelled once may be cleaning up
        hook = cast("Callable[[Any], Awaitable[None]]", capacity.config.on_acquire)
        try:
            async with clock:
                await awaitable(hook(connection), "on_acquire")
            _check_usable(capacity, connection, entry)
        except BaseException as exc:
            if not connection.detached:
                entry.doubt = entry.doubt or "on_acquire"
                connection.close()
            if task is not None and task.cancelling() > before:
                raise  # the borrower's own end
            if clock.expired():
                capacity.journal.counters.timeouts += 1
                raise _timed_out(self._lender, capacity, "on_acquire", capacity.loop.time() - started, task) from exc
            if isinstance(exc, asyncio.CancelledError):
                raise PoolError(f"pool {capacity.name}: something that on_acquire awaited was cancelled") from exc
            exc.add_note(f"async_mysqlpool: raised by on_acquire of pool {capacity.name}; its connection is discarded")
            raise


def _check_usable(capacity: Capacity, connection: PooledConnection, entry: Entry) -> None:
    """A hook may have caught its errors.

    Raises:
        PoolError: nobody could use the connection that the hook leaves.
    """
    left = ""
    if connection.detached:
        left = "gave its connection back, which is the borrower's"
    elif entry.doubt is not None:
        left = f"left its connection of no use ({entry.doubt})"
    elif entry.under_way or has_more(connection):
        left = "left a result unread or a statement unfinished"
    if left:
        raise PoolError(f"pool {capacity.name}: on_acquire {left}")
