"""Acquire: the fast path, and the slow one with its deadline, its account of how it ended, an error that explains."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from async_mysqlpool import events
from async_mysqlpool.capacity.permits import was_served
from async_mysqlpool.connection.entry import Entry, State, site_text
from async_mysqlpool.errors import (
    AcquireTimeoutError,
    ConfigurationError,
    PoolClosedError,
    PoolDeadlockError,
    PoolError,
    QueueFullError,
)
from async_mysqlpool.lease.connection import DONE, PooledConnection
from async_mysqlpool.misuse import not_attribute, resource_warnings_shown, warn_never_awaited
from async_mysqlpool.stats import describe_holders

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import CoroutineType, TracebackType

    from async_mysqlpool.capacity.capacity import Capacity
    from async_mysqlpool.stats import Lease, PoolStats

__all__ = ["Acquire", "WatchedAcquire", "check_timeout", "plain_class"]

NEVER_AWAITED, REFUSED = "not awaited yet", "misused"
_INSTANT = 0.001  # seconds: too little for a ping; the loop's timers come a little early, too


class Pool(Protocol):
    """What is borrowed from, and what the errors tell about it."""

    def _ready(self, borrowing: bool = False) -> Capacity:
        """The capacity, if there is one here and now; a borrower that is refused is counted."""
        ...

    def stats(self) -> PoolStats:
        """The numbers of this moment."""
        ...

    def leases(self) -> list[Lease]:
        """Who holds a connection, the longest first."""
        ...


class Acquire:
    """What `acquire` returns: await it, or use it with `async with`.

    Attributes:
        phase: what the slow path waits for at the moment; the timeout error says it.
    """

    __slots__ = ("_checks_end", "_connection", "_pool", "_site", "_timeout", "phase")

    def __init__(self, pool: Pool, timeout: float | None, site: object) -> None:
        self._pool = pool
        self._timeout = timeout
        self._site = site
        self._connection: PooledConnection | None = None
        self._checks_end = math.inf  # the loop's time; known with the first check
        self.phase = NEVER_AWAITED

    def __await__(self) -> Generator[Any, None, PooledConnection]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> PooledConnection:
        self.phase = "queueing"
        capacity = self._pool._ready(borrowing=True)
        loop = capacity.loop
        task = asyncio.current_task(loop)
        now = started = loop.time()
        entry = capacity.take_now(now)
        if entry is None:
            entry = await self._wait(capacity, task, started)
            now = loop.time()
        capacity.lend(entry, now, self._site, task)
        if capacity.journal.lends:
            connection = capacity.journal.lent(capacity, entry, now - started)
        else:
            connection = PooledConnection(capacity, entry)
        self._connection = connection
        return connection

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> CoroutineType[Any, Any, None]:
        if self._connection is not None:
            self._connection.close()
        return DONE

    if not TYPE_CHECKING:
        __exit__ = None

        def __enter__(self) -> NoReturn:
            self.phase = REFUSED
            raise TypeError("borrowing is async: `async with pool.acquire() as conn`")

        def __getattr__(self, name: str) -> NoReturn:
            self.phase = REFUSED
            not_attribute(
                name,
                "pool.acquire()",
                "it must be awaited to become a connection: `async with pool.acquire() as conn`, or "
                "`conn = await pool.acquire()`",
            )

    async def _wait(self, capacity: Capacity, task: asyncio.Task[Any] | None, started: float) -> Entry:
        """A connection within the timeout from `started` on (the loop's time), after everybody who came before."""
        counters, timeout = capacity.journal.counters, self._timeout
        deadline = None if timeout is None else started + timeout
        entry: Entry | None = None
        try:
            if timeout == 0:
                entry = await self._take_if_free(capacity)
            elif task in capacity.holders and (held := _held_by(task, capacity)) is not None:
                with _nested(capacity, held, self._site, patient=deadline is not None):
                    entry = await self._take(capacity, deadline)
            else:
                entry = await self._take(capacity, deadline)
        except TimeoutError:
            pass
        except BaseException as exc:
            if isinstance(exc, PoolError):
                counters.refused += 1
            else:
                counters.cancelled += 1
            _tell(capacity, exc, started)
            raise
        waited = capacity.loop.time() - started
        counters.waited += 1
        counters.wait_time += waited
        if entry is None:
            counters.timeouts += 1
            error = _timed_out(self._pool, capacity, self.phase, waited, task)
            _tell(capacity, error, started)
            raise error from capacity.connect_error
        return entry

    async def _take(self, capacity: Capacity, deadline: float | None) -> Entry:
        """Wait for a turn, which nearly always brings a connection along.

        Raises:
            TimeoutError: the deadline (the loop's time) passed; `phase` says in which phase.
            PoolClosedError: the pool was closed meanwhile.
        """
        permits, entry = capacity.permits, None
        if capacity.config.max_waiting is not None:
            _check_queue(self._pool, capacity, capacity.config.max_waiting)
        if not permits.take():
            waiter = permits.line_up(capacity.loop, deadline)
            try:
                await waiter
            except BaseException:
                permits.leave(waiter)
                raise
            entry = waiter.result()
        entry = _if_good(capacity, entry)
        return entry if entry is not None else await self._look_for_one(capacity, deadline)

    async def _look_for_one(self, capacity: Capacity, deadline: float | None) -> Entry:
        """With a permit, but no connection yet: an idle one that proves to be alive, or the next one to come."""
        entry = None
        while entry is None:
            entry = _if_good(capacity, await self._checked_idle(capacity, deadline))
            if entry is None:
                self.phase = "connecting"
                entry = _if_good(capacity, await _next_one(capacity, deadline))
        return entry

    async def _take_if_free(self, capacity: Capacity) -> Entry | None:
        """An idle connection or none; then one is opened for whoever comes next, if there is room."""
        if not capacity.permits.take():
            return None
        entry = _if_good(capacity, await self._checked_idle(capacity, None))
        if entry is None:
            capacity.workers.open_one(unconditional=True)
        return entry

    async def _checked_idle(self, capacity: Capacity, deadline: float | None) -> Entry | None:
        """An idle connection that is good. The caller has a permit, which goes with it.

        All checks together have `validation_timeout`; then the pool checks the rest without the caller.

        Raises:
            TimeoutError: the deadline passed.
        """
        while not capacity.idle.empty():
            entry = capacity.idle.get_nowait()
            now = capacity.loop.time()
            if capacity.is_useless(entry):
                capacity.gone(entry, "broken", keep_permit=True)
                continue
            if not entry.needs_ping(now, capacity.config.validate_after):
                return entry
            if self._checks_end == math.inf:
                self._checks_end = now + capacity.config.validation_timeout
            if self._checks_end - now < _INSTANT:
                capacity.idle.put_nowait(entry)
                capacity.workers.check_idle()
                return None
            self.phase = "validating"
            if await _answers(capacity, entry, self._checks_end - now, deadline) or entry.state is State.CLOSED:
                return entry
            capacity.gone(entry, "broken", keep_permit=True)
        return None


class WatchedAcquire(Acquire):
    """Complains when nobody awaits it, as a coroutine does."""

    __slots__ = ()

    def __del__(self) -> None:
        if self.phase is NEVER_AWAITED:
            warn_never_awaited(site_text(self._site))


def plain_class() -> type[Acquire]:
    """What `acquire` of a pool that is being made is to return, if it has no hook.

    Compiled, a finalizer costs nothing that can be measured; interpreted, about a hundredth of a borrow: then it is
    there where somebody looks for such mistakes, that is with ResourceWarnings on, as under pytest or `python -X dev`.
    """
    interpreted = isinstance(Acquire.__init__, FunctionType)
    return Acquire if interpreted and not resource_warnings_shown() else WatchedAcquire


async def _answers(capacity: Capacity, entry: Entry, timeout: float, deadline: float | None) -> bool:
    """Whether it answers a ping. A caller that leaves before leaves the connection to others, and its permit."""
    answer = capacity.workers.checked(entry, timeout)
    if deadline is not None:
        capacity.deadlines.watch(answer, deadline)
    try:
        return await answer
    except BaseException:
        if was_served(answer):  # in the very tick in which the caller was cancelled
            capacity.workers.was_checked(entry, answer.result())
        raise


async def _next_one(capacity: Capacity, deadline: float | None) -> Entry:
    """Hand the permit to a worker that opens a connection; that one, or another one that is free before."""
    waiter: asyncio.Future[Entry] = capacity.loop.create_future()
    capacity.wanted[waiter] = None
    if deadline is not None:
        capacity.deadlines.watch(waiter, deadline)
    capacity.workers.open_one()
    try:
        return await waiter
    except BaseException:
        # The connection may have been handed over in the very tick in which this task was cancelled.
        if was_served(waiter):
            capacity.offer(waiter.result())
        raise
    finally:
        capacity.wanted.pop(waiter, None)


def _if_good(capacity: Capacity, entry: Entry | None) -> Entry | None:
    """The caller has a permit, perhaps with a connection. Much may have happened between the hand-over and its turn.

    Raises:
        PoolClosedError: the pool was closed or terminated.
    """
    if capacity.closing:
        if entry is None:
            capacity.permits.release()
            capacity.progress.set()
        else:
            capacity.offer(entry)
        raise PoolClosedError(f"pool {capacity.name} is closed")
    if entry is not None and capacity.is_useless(entry):
        capacity.gone(entry, "broken", keep_permit=True)
        return None
    return entry


def _held_by(task: asyncio.Task[Any] | None, capacity: Capacity) -> Entry | None:
    return next((entry for entry in capacity.entries if entry.state is State.IN_USE and entry.holder is task), None)


@contextmanager
def _nested(capacity: Capacity, held: Entry, site: object, patient: bool) -> Generator[None]:
    """Note that a task which holds a connection waits for another one.

    A task that holds all of them itself waits as long as it was told to: perhaps it is prepared for that.

    Raises:
        PoolDeadlockError: with this one, every permit belongs to a connection that is held by such a task.
    """
    task, permits = held.holder, capacity.permits
    if task is None or not permits.locked():
        yield
        return
    capacity.journal.nested(capacity.lease(held), site)
    capacity.nested[task] = site
    try:
        alone = patient and len(capacity.nested) == 1
        stuck = [entry for entry in capacity.entries if _is_stuck(entry, capacity)]
        if not alone and len(stuck) >= capacity.max_size - permits.free:
            raise PoolDeadlockError(_deadlock(capacity, stuck))
        yield
    finally:
        capacity.nested.pop(task, None)


def _is_stuck(entry: Entry, capacity: Capacity) -> bool:
    return entry.state is State.IN_USE and entry.holder in capacity.nested and not entry.handed_on


def _deadlock(capacity: Capacity, stuck: list[Entry]) -> str:
    if all(entry.holder is stuck[0].holder for entry in stuck):
        sites = ", ".join(sorted({site_text(entry.site) for entry in stuck}))
        return (
            f"pool {capacity.name}: this task waits for itself: it holds all {len(stuck)} connections, acquired at "
            f"{sites}. Give one back before asking for another, pass it on, or raise max_size"
        )
    tasks = "; ".join(
        f"task {entry.holder.get_name()!r} holds one acquired at {entry.site} and waits at "
        f"{capacity.nested[entry.holder]}"
        for entry in stuck
        if entry.holder is not None
    )
    return (
        f"pool {capacity.name}: all {len(stuck)} connections are held by tasks that wait for another one, "
        f"so none of them can go on: {tasks}. Let a task borrow one connection at a time, or raise max_size"
    )


def check_timeout(timeout: object) -> None:
    """Of one call.

    Raises:
        ConfigurationError: it is not a time.
    """
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout >= 0):
        raise ConfigurationError(f"timeout must be a number of seconds, 0 or more, or None, not {timeout!r}")


def _check_queue(pool: Pool, capacity: Capacity, limit: int) -> None:
    permits = capacity.permits
    if permits.locked() and permits.waiting >= limit:
        raise QueueFullError(
            f"pool {capacity.name}: {permits.waiting} tasks wait already (max_waiting={limit}); {pool.stats()}; "
            f"{describe_holders(pool.leases())}"
        )


def _timed_out(
    pool: Pool, capacity: Capacity, phase: str, waited: float, task: asyncio.Task[Any] | None
) -> AcquireTimeoutError:
    stats, last = pool.stats(), capacity.connect_error
    failed = f"; the last connect failed: {last}" if last else ""
    mine = sum(entry.state is State.IN_USE and entry.holder is task for entry in capacity.entries)
    you = f"; {mine} of them by this very task: give that back first, or pass it on" if mine else ""
    return AcquireTimeoutError(
        f"pool {capacity.name}: no connection after {waited:.2f} s of {phase}; {stats}; "
        f"{describe_holders(pool.leases())}{you}{failed}",
        phase=phase,
        stats=stats,
    )


def _tell(capacity: Capacity, error: BaseException, started: float) -> None:
    capacity.journal.emit(lambda: events.AcquireFailed(capacity.name, error, capacity.loop.time() - started))
