"""The slow path of acquire: one deadline, an account of how it ended, and an error that explains."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from async_mysqlpool import events
from async_mysqlpool.entry import Entry, State
from async_mysqlpool.errors import (
    AcquireTimeoutError,
    ConfigurationError,
    PoolClosedError,
    PoolDeadlockError,
    PoolError,
    QueueFullError,
)
from async_mysqlpool.stats import describe_holders

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_mysqlpool.capacity import Capacity
    from async_mysqlpool.entry import Site
    from async_mysqlpool.stats import Lease, PoolStats

__all__ = ["wait_for_turn"]


class Turn:
    """What an acquirer waits for at the moment; the timeout error says it."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = "queueing"


class Pool(Protocol):
    """What the errors tell about the pool."""

    def stats(self) -> PoolStats:
        """The numbers of this moment."""
        ...

    def leases(self) -> list[Lease]:
        """Who holds a connection, the longest first."""
        ...


async def wait_for_turn(pool: Pool, capacity: Capacity, timeout: float | None, started: float, site: Site) -> Entry:
    """A connection within `timeout` seconds from `started` on (the loop's time), after everybody who came before."""
    _check_timeout(timeout)
    turn, journal = Turn(), capacity.journal
    entry: Entry | None = None
    try:
        if timeout == 0:
            entry = await capacity.take_without_waiting(turn)
        else:
            if capacity.config.max_waiting is not None:
                _check_queue(pool, capacity, capacity.config.max_waiting)
            deadline = None if timeout is None else started + timeout
            held = _held_by_this_task(capacity)
            if held is None:
                entry = await capacity.take(turn, deadline)
            else:
                with _nested(capacity, held, site, patient=timeout is not None):
                    entry = await capacity.take(turn, deadline)
    except TimeoutError:
        pass
    except BaseException as exc:
        if isinstance(exc, PoolError):
            journal.counters.refused += 1
        else:
            journal.counters.cancelled += 1
        _tell(capacity, exc, started)
        raise
    waited = capacity.loop.time() - started
    journal.counters.waited += 1
    journal.counters.wait_time += waited
    if entry is None:
        journal.counters.timeouts += 1
        error = _timed_out(pool, capacity, turn, waited)
        _tell(capacity, error, started)
        raise error from capacity.connect_error
    if entry.state is State.CLOSED:  # terminate() came between the hand-over and this task's turn
        raise PoolClosedError(f"pool {capacity.name} is closed")
    return entry


def _held_by_this_task(capacity: Capacity) -> Entry | None:
    task = asyncio.current_task()
    for entry in capacity.entries:
        if entry.task is task and task is not None:
            return entry
    return None


@contextmanager
def _nested(capacity: Capacity, held: Entry, site: Site, patient: bool) -> Generator[None]:
    """Note that a task which holds a connection waits for another one.

    A task that holds all of them itself waits as long as it was told to: perhaps it is prepared for that.

    Raises:
        PoolDeadlockError: with this one, every connection is held by such a task.
    """
    task = held.task
    if task is None or not capacity.permits.locked():
        yield
        return
    capacity.journal.nested(capacity.lease(held), site)
    capacity.nested[task] = site
    try:
        alone = patient and len(capacity.nested) == 1
        if not alone and capacity.permits.free <= 0 and all(e.task in capacity.nested for e in capacity.entries):
            raise PoolDeadlockError(_deadlock(capacity))
        yield
    finally:
        capacity.nested.pop(task, None)


def _deadlock(capacity: Capacity) -> str:
    tasks = "; ".join(
        f"task {entry.task.get_name()!r} holds one acquired at {entry.site} and waits at {capacity.nested[entry.task]}"
        for entry in capacity.entries
        if entry.task is not None
    )
    return (
        f"pool {capacity.name}: all {len(capacity.entries)} connections are held by tasks that wait for another one, "
        f"so none of them can go on: {tasks}. Let a task borrow one connection at a time, or raise max_size"
    )


def _check_timeout(timeout: object) -> None:
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout >= 0):
        raise ConfigurationError(f"timeout must be a number of seconds, 0 or more, or None, not {timeout!r}")


def _check_queue(pool: Pool, capacity: Capacity, limit: int) -> None:
    permits = capacity.permits
    if permits.locked() and permits.waiting >= limit:
        raise QueueFullError(
            f"pool {capacity.name}: {permits.waiting} tasks wait already (max_waiting={limit}); {pool.stats()}; "
            f"{describe_holders(pool.leases())}"
        )


def _timed_out(pool: Pool, capacity: Capacity, turn: Turn, waited: float) -> AcquireTimeoutError:
    stats, last = pool.stats(), capacity.connect_error
    failed = f"; the last connect failed: {last}" if last else ""
    return AcquireTimeoutError(
        f"pool {capacity.name}: no connection after {waited:.2f} s of {turn.phase}; {stats}; "
        f"{describe_holders(pool.leases())}{failed}",
        phase=turn.phase,
        stats=stats,
    )


def _tell(capacity: Capacity, error: BaseException, started: float) -> None:
    capacity.journal.emit(lambda: events.AcquireFailed(capacity.name, error, capacity.loop.time() - started))
