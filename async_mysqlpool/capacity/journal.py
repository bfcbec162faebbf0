"""What a pool writes down: counters, events for observers, log lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from async_mysqlpool import events
from async_mysqlpool.stats import Counters, Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.errors import ConnectError

__all__ = ["Journal", "logger"]

logger = logging.getLogger("async_mysqlpool")

_REMEMBERED = 1000  # places that were logged already


class Journal:
    """One pool's. Every method is bookkeeping only: nothing here waits, and an observer that fails changes nothing."""

    def __init__(self, pool: str, observers: Sequence[events.Observer]) -> None:
        self.pool = pool
        self.counters = Counters()
        self.observed = bool(observers)
        self._observers = observers
        self._nested: set[tuple[str, str]] = set()
        self._left: set[tuple[str, str]] = set()

    def emit(self, make_event: Callable[[], events.Event]) -> None:
        """Tell the observers. On the hot path look at `observed` first: then nobody listening costs nothing."""
        if not self.observed:
            return
        try:
            event = make_event()
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001  the text of a `site` of the user's
            self.say(logging.ERROR, "%s: an event could not be made: %r", self.pool, exc)
            return
        for observer in self._observers:
            try:
                observer.on_event(event)
            except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001
                self.say(logging.ERROR, "%s: an observer failed on %r: %r", self.pool, event, exc, exc_info=exc)

    def say(self, level: int, text: str, *values: object, exc_info: BaseException | None = None) -> None:
        """Write a line into the log. A filter, a handler or a text of the user's that fails changes nothing."""
        with contextlib.suppress(Exception, asyncio.CancelledError):
            logger.log(level, text, *values, exc_info=exc_info)

    def driver_failed(self, error: BaseException) -> None:
        """A method of the driver's raised where nothing may."""
        self.say(logging.ERROR, "%s: the driver failed: %r", self.pool, error, exc_info=error)

    def hook_failed(self, hook: str, entry: Entry, error: BaseException) -> None:
        """One that nobody waits for; its connection is discarded."""
        self.say(
            logging.ERROR,
            "%s: %s failed, connection %d is discarded: %r", self.pool, hook, entry.connection_id, error,
            exc_info=error,
        )  # fmt: skip

    def opened(self, entry: Entry, took: float, after: ConnectError | None) -> None:
        """A connection is ready; `after` is the failure before it, if the server had been away."""
        if after is not None:
            self.say(logging.WARNING, "%s: the server is back", self.pool)
        self.counters.opened += 1
        self.counters.connect_time += took
        self.emit(lambda: events.ConnectionOpened(self.pool, entry.connection_id, took))

    def connect_failed(self, error: ConnectError, after: ConnectError | None) -> None:
        """An attempt failed; of a row of failures the first one is logged."""
        if after is None:
            self.say(logging.WARNING, "%s: %s", self.pool, error)
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
        self.say(logging.WARNING, "%s: connection %d could not be reset: %r", self.pool, entry.connection_id, error)
        self.emit(lambda: events.ResetFailed(self.pool, entry.connection_id, error))

    def acquired(self, entry: Entry, waited: float) -> None:
        """A borrower got a connection."""
        self.emit(lambda: events.Acquired(self.pool, entry.connection_id, waited))

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
        )  # fmt: skip
        self.emit(lambda: events.StatementKilled(self.pool, entry.connection_id, False))

    def left_running(self, count: int) -> None:
        """The pool ends at once, and nobody stops what runs on its connections."""
        self.say(
            logging.WARNING,
            "%s: terminated with %d statements under way, which may run on on the server", self.pool, count,
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
            )  # fmt: skip

    def left_behind(self, lease: Lease, what: str) -> None:
        """A borrower gave a connection back with something open; each place is logged once."""
        self.counters.left_behind[what] = self.counters.left_behind.get(what, 0) + 1
        if (lease.site, what) not in self._left and len(self._left) < _REMEMBERED:
            self._left.add((lease.site, what))
            self.say(
                logging.WARNING, "%s: %s left open by the borrower that acquired at %s", self.pool, what, lease.site
            )
        self.emit(lambda: events.LeftBehind(self.pool, lease.connection_id, what, lease.site, lease.task))

    def forgotten(self, lease: Lease) -> None:
        """A borrower has dropped a connection without giving it back; each place is logged once."""
        if (lease.site, "forgotten") not in self._left and len(self._left) < _REMEMBERED:
            self._left.add((lease.site, "forgotten"))
            self.say(
                logging.WARNING, "%s: never given back, and found by the garbage collector: %s; use `async with "
                "pool.acquire()`", self.pool, lease,
            )  # fmt: skip

    def held_too_long(self, lease: Lease) -> None:
        """A connection is out for longer than `hold_warning`."""
        self.say(logging.WARNING, "%s: still held by %s", self.pool, lease)
        self.emit(lambda: events.HeldTooLong(self.pool, lease.connection_id, lease.age, lease.site, lease.task))

    def came_back(self, lease: Lease, warned: bool) -> None:
        """A borrower is done; `warned` when it had been reported as held too long."""
        self.emit(lambda: events.Released(self.pool, lease.connection_id, lease.age))
        if warned:
            self.say(logging.WARNING, "%s: came back after %.1f s from %s", self.pool, lease.age, lease.site)
            self.emit(lambda: events.LateReturn(self.pool, lease.connection_id, lease.age, lease.site, lease.task))
