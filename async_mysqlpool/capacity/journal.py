"""What a pool writes down: counters, events for observers, log lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, cast

from async_mysqlpool import events
from async_mysqlpool.capacity.insight import Insight, Throttle
from async_mysqlpool.connection.entry import site_text
from async_mysqlpool.lease.connection import PooledConnection
from async_mysqlpool.lease.watched import WatchedConnection
from async_mysqlpool.stats import Counters, Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.errors import ConnectError
    from async_mysqlpool.lease.held import Owner

__all__ = ["Journal", "logger"]

logger = logging.getLogger("async_mysqlpool")

_REMEMBERED = 1000  # places that were logged already


class Journal:
    """One pool's. Every method is bookkeeping only: nothing here waits, and an observer that fails changes nothing.

    Attributes:
        observed: there are observers.
        lends: connections are lent by `lent`, because somebody is to be told of borrows or of statements.
        insight: who is told of each statement; None: nobody.
    """

    def __init__(self, pool: str, config: PoolConfig) -> None:
        self.pool = pool
        self.counters = Counters()
        self.observed = self.lends = False
        self.insight: Insight | None = None
        self._slow_acquire, self._slow_statement = config.slow_acquire, config.slow_statement
        self._throttle = Throttle()
        self._observers: Sequence[events.Observer] = ()
        self._of_borrows: Sequence[events.Observer] = ()  # those that are told of each
        self._meters: Sequence[events.Meter] = ()
        if config.watch_statements or config.slow_statement is not None:
            self.insight = Insight(pool, config.slow_statement, self.say)
        self.observe(config.observers)
        self._nested: set[tuple[str, str]] = set()
        self._left: set[tuple[str, str]] = set()

    def observe(self, observers: Sequence[events.Observer]) -> None:
        """From now on, these are told."""
        self._observers = tuple(observers)
        listening = [observer for observer in observers if hasattr(observer, "on_statement")]
        if listening and self.insight is None:
            self.insight = Insight(self.pool, self._slow_statement, self.say)
        if self.insight is not None:
            self.insight.observers = tuple(listening)
        self.observed = bool(observers)
        self._meters = tuple(cast("events.Meter", other) for other in observers if hasattr(other, "on_wait"))
        self._of_borrows = tuple(other for other in observers if not hasattr(other, "on_wait"))
        self.lends = self.observed or self.insight is not None or self._slow_acquire is not None

    def emit(self, make_event: Callable[[], events.Event]) -> None:
        """Tell the observers. On the hot path look at `observed` first: then nobody listening costs nothing."""
        if not self.observed:
            return
        try:
            event = make_event()
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001  the text of a `site` of the user's
            self.say(logging.ERROR, "%s: an event could not be made: %r", self.pool, exc, event="observer_failed")
            return
        self._tell(self._observers, event)

    def _tell(self, observers: Sequence[events.Observer], event: events.Event) -> None:
        for observer in observers:
            try:
                observer.on_event(event)
            except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001
                self.say(
                    logging.ERROR, "%s: an observer failed on %r: %r", self.pool, event, exc, exc_info=exc,
                    event="observer_failed",
                )  # fmt: skip

    def say(
        self, level: int, text: str, *values: object, exc_info: BaseException | None = None, **fields: object
    ) -> None:
        """Write a line into the log, and what it says as fields of the record, for logs that are read by machines.

        A filter, a handler or a text of the user's that fails changes nothing.
        """
        with contextlib.suppress(Exception, asyncio.CancelledError):
            logger.log(level, text, *values, exc_info=exc_info, extra={"pool": self.pool, **fields})

    def driver_failed(self, error: BaseException) -> None:
        """A method of the driver's raised where nothing may."""
        self.say(logging.ERROR, "%s: the driver failed: %r", self.pool, error, exc_info=error, event="driver_failed")

    def hook_failed(self, hook: str, entry: Entry, error: BaseException) -> None:
        """One that nobody waits for; its connection is discarded."""
        self.say(
            logging.ERROR,
            "%s: %s failed, connection %d is discarded: %r", self.pool, hook, entry.connection_id, error,
            exc_info=error, event="hook_failed", connection_id=entry.connection_id, error=type(error).__name__,
        )  # fmt: skip

    def opened(self, entry: Entry, took: float, after: ConnectError | None) -> None:
        """A connection is ready; `after` is the failure before it, if the server had been away."""
        if after is not None:
            self.say(logging.WARNING, "%s: the server is back", self.pool, event="server_back")
        self.counters.opened += 1
        self.counters.connect_time += took
        self.emit(lambda: events.ConnectionOpened(self.pool, entry.connection_id, took))

    def connect_failed(self, error: ConnectError, after: ConnectError | None) -> None:
        """An attempt failed; of a row of failures the first one is logged."""
        if after is None:
            self.say(logging.WARNING, "%s: %s", self.pool, error, event="connect_failed", error=type(error).__name__)
        self.counters.connect_failures += 1
        self.emit(lambda: events.ConnectFailed(self.pool, error))

    def reconnect_failed(self, error: ConnectError, attempts: int, lasting: float) -> None:
        """There were connections once, there is none left, and the server is not reached again."""
        self.emit(lambda: events.ReconnectFailed(self.pool, error, attempts, lasting))

    def closed(self, entry: Entry, reason: events.CloseReason, age: float) -> None:
        """A connection is gone."""
        self.counters.closed[reason] = self.counters.closed.get(reason, 0) + 1
        self.emit(lambda: events.ConnectionClosed(self.pool, entry.connection_id, reason, age))

    def reset_failed(self, entry: Entry, error: BaseException) -> None:
        """A session could not be made clean."""
        self.counters.resets_failed += 1
        self.say(
            logging.WARNING, "%s: connection %d could not be reset: %r", self.pool, entry.connection_id, error,
            event="reset_failed", connection_id=entry.connection_id, error=type(error).__name__,
        )  # fmt: skip
        self.emit(lambda: events.ResetFailed(self.pool, entry.connection_id, error))

    def lent(self, owner: Owner, entry: Entry, waited: float) -> PooledConnection:
        """A borrower gets a connection, watched if somebody wants to know of its statements."""
        for meter in self._meters:
            try:
                meter.on_wait(waited)
            except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001
                self._meter_failed(exc)
        if self._of_borrows:
            self._tell(self._of_borrows, events.Acquired(self.pool, entry.connection_id, waited))
        if self._slow_acquire is not None and waited > self._slow_acquire:
            self._log_acquire(entry, waited)
        if self.insight is None:
            return PooledConnection(owner, entry)
        return WatchedConnection(owner, entry, self.insight, waited)

    def _meter_failed(self, error: BaseException) -> None:
        text = "%s: an observer failed on a time: %r"
        self.say(logging.ERROR, text, self.pool, error, exc_info=error, event="observer_failed")

    def _log_acquire(self, entry: Entry, waited: float) -> None:
        more = self._throttle.admits()
        if more is None:
            return
        site, task = site_text(entry.site), entry.task.get_name() if entry.task else "?"
        self.say(
            logging.WARNING,
            "%s: slow acquire, task %r waited %.3f s at %s for connection %d%s",
            self.pool, task, waited, site, entry.connection_id, more,
            event="slow_acquire", connection_id=entry.connection_id, seconds=waited, site=site, task=task,
        )  # fmt: skip

    def killed(self, entry: Entry) -> None:
        """The statement of a borrower that went away was stopped."""
        self.counters.killed += 1
        self.emit(lambda: events.StatementKilled(self.pool, entry.connection_id, True))

    def kill_failed(self, entry: Entry, error: Exception) -> None:
        """It could not be stopped, and may still run."""
        self.say(
                logging.WARNING,
            "%s: a statement on connection %d may still run, it could not be stopped: %r",
            self.pool, entry.connection_id, error,
            event="kill_failed", connection_id=entry.connection_id, error=type(error).__name__,
        )  # fmt: skip
        self.emit(lambda: events.StatementKilled(self.pool, entry.connection_id, False))

    def left_running(self, count: int) -> None:
        """The pool ends at once, and nobody stops what runs on its connections."""
        self.say(
            logging.WARNING,
            "%s: terminated with %d statements under way, which may run on on the server", self.pool, count,
            event="left_running", count=count,
        )  # fmt: skip

    def nested(self, holding: Lease, waiting: object) -> None:
        """A task that holds a connection has to wait for another one; each pair of places is logged once."""
        places = (holding.site, str(waiting))
        if places not in self._nested and len(self._nested) < _REMEMBERED:
            self._nested.add(places)
            self.say(
                logging.WARNING,
                "%s: task %r holds the connection it acquired at %s and waits at %s for another one; if enough tasks "
                "do that at once, none of them can go on",
                self.pool, holding.task, *places,
                event="nested_acquire", connection_id=holding.connection_id, task=holding.task, site=places[0],
                waits_at=places[1],
            )  # fmt: skip

    def left_behind(self, lease: Lease, what: str) -> None:
        """A borrower gave a connection back with something open; each place is logged once."""
        self.counters.left_behind[what] = self.counters.left_behind.get(what, 0) + 1
        if (lease.site, what) not in self._left and len(self._left) < _REMEMBERED:
            self._left.add((lease.site, what))
            self.say(
                logging.WARNING, "%s: %s left open by the borrower that acquired at %s", self.pool, what, lease.site,
                event="left_behind", what=what, connection_id=lease.connection_id, site=lease.site, task=lease.task,
            )  # fmt: skip
        self.emit(lambda: events.LeftBehind(self.pool, lease.connection_id, what, lease.site, lease.task))

    def forgotten(self, lease: Lease) -> None:
        """A borrower has dropped a connection without giving it back; each place is logged once."""
        if (lease.site, "forgotten") not in self._left and len(self._left) < _REMEMBERED:
            self._left.add((lease.site, "forgotten"))
            self.say(
                logging.WARNING, "%s: never given back, and found by the garbage collector: %s; use `async with "
                "pool.acquire()`", self.pool, lease, event="forgotten",
                connection_id=lease.connection_id, site=lease.site, task=lease.task,
            )  # fmt: skip

    def held_too_long(self, lease: Lease) -> None:
        """A connection is out for longer than `hold_warning`."""
        self.say(
            logging.WARNING, "%s: still held by %s", self.pool, lease,
            event="held_too_long", connection_id=lease.connection_id, seconds=lease.age, site=lease.site,
            task=lease.task,
        )  # fmt: skip
        self.emit(lambda: events.HeldTooLong(self.pool, lease.connection_id, lease.age, lease.site, lease.task))

    def came_back(self, connection_id: int, held: float, late: Lease | None) -> None:
        """A borrower is done; `late` when it had been reported as held too long."""
        for meter in self._meters:
            try:
                meter.on_use(held)
            except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001
                self._meter_failed(exc)
        if self._of_borrows:
            self._tell(self._of_borrows, events.Released(self.pool, connection_id, held))
        if late is None:
            return
        self.say(
            logging.WARNING, "%s: came back after %.1f s from %s", self.pool, late.age, late.site,
            event="late_return", connection_id=late.connection_id, seconds=late.age, site=late.site, task=late.task,
        )  # fmt: skip
        self.emit(lambda: events.LateReturn(self.pool, late.connection_id, late.age, late.site, late.task))
