"""What capacity there is and where it goes: connections opened, failed, retired and ended; all but the way round.

A permit goes where its connection goes. An acquirer that got one but finds no idle connection hands it to a worker that
opens one, and waits in `wanted`, where it is served by whatever comes first: that connection or a returned one.
Whatever ends passes `gone`, the one place where capacity comes back.
"""

from __future__ import annotations

import asyncio
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from async_mysqlpool.capacity.advice import Advisor, Look
from async_mysqlpool.capacity.flow import FOREIGN, Flow
from async_mysqlpool.capacity.workers import Workers
from async_mysqlpool.connection.entry import Entry, State, site_text
from async_mysqlpool.connection.opening import again
from async_mysqlpool.drivers.base import READ_ONLY_TRANSACTION, hangs_up, is_disconnect, is_failover, is_server_error
from async_mysqlpool.errors import (
    ConnectError,
    PoolClosedError,
    PoolError,
    ResetFailedError,
    ServerFullError,
    ServerUnavailableError,
)
from async_mysqlpool.stats import ConnectionInfo, Lease, describe_cut_off
from async_mysqlpool.wire.packets import SERVER_STATUS_IN_TRANS_READONLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.drivers import Driver

__all__ = ["Capacity"]

_CUT_OFF = {State.CLOSING, State.CLOSED}  # of a connection that its borrower still believes to have
_READY = {State.IDLE, State.CLEANING}  # to be lent, now or soon
_LIVING = {State.IDLE, State.HANDED, State.IN_USE, State.CLEANING}


class Capacity(Flow):
    """The physical connections of one pool."""

    def __init__(self, driver: Driver, config: PoolConfig, name: str) -> None:
        super().__init__(driver, config, name)
        self.min_size, self.max_size = config.min_size, config.max_size
        self.progress = asyncio.Event()  # set whenever a connection came, went, or could not be opened
        self.changed = asyncio.Event()  # wakes the maintenance
        self.connect_error: ConnectError | None = None  # of the last attempt; None once one succeeded
        self._reconnects, self._lost_at = 0, 0.0  # failed attempts since there was no connection left, and the first
        self.nested: dict[asyncio.Task[Any], object] = {}  # tasks that hold a connection and wait for another one
        self.version = ""  # of the server, as its last connection said
        self.workers = Workers(self)
        self.advisor = Advisor()

    @property
    def waiting(self) -> int:
        """Acquirers that have no connection yet."""
        return len(self.wanted) + self.permits.waiting

    @property
    def living(self) -> int:
        """Connections that are there to be lent, now or later."""
        return sum(entry.state in _LIVING for entry in self.entries)

    @property
    def at_rest(self) -> int:
        """Connections that are to be there when nobody has one."""
        return max(self.min_size, min(self.config.min_idle, self.max_size))

    # -- opening --------------------------------------------------------------------------------------------------

    def refill(self) -> None:
        """Have connections opened until there are enough, as far as there is room besides the idle ones."""
        while self.permits.free > self.idle.qsize() and len(self.workers.openers) < self.needed():
            if not self.permits.take():
                return
            self.workers.open_one()

    def needed(self) -> int:
        """Connections that somebody waits for, or that are missing from `min_size` or `min_idle`."""
        if self.closing:
            return 0
        missing = self.min_size - self.living
        if self.config.min_idle:
            missing = max(missing, self.config.min_idle - sum(entry.state in _READY for entry in self.entries))
        return len(self.wanted) + max(0, missing)

    def connected(self, entry: Entry, took: float) -> None:
        """A worker opened one; it is about to be offered."""
        entry.on_reset = partial(self._reset_done, entry)
        self.journal.opened(entry, took, after=self.connect_error)
        self.connect_error, self._reconnects = None, 0
        if entry.baseline is not None:
            self.version = entry.baseline.version
        self.progress.set()
        self.changed.set()

    def connect_failed(self, error: ConnectError, hope: bool) -> None:
        """A worker could not: an answer for those whom no other connection, or with `hope` attempt, can serve."""
        self.journal.connect_failed(error, after=self.connect_error)
        self.connect_error = error
        self.progress.set()
        others = self.living > 0
        if others:
            self._reconnects = 0
        elif self.journal.counters.opened:
            self._reconnect_failed(error)
        if isinstance(error, ServerUnavailableError) and (others or hope):
            return
        self.fail_waiters(lambda: again(error), queued=not others)

    def _reconnect_failed(self, error: ConnectError) -> None:
        now = self.loop.time()
        if self._reconnects == 0:
            self._lost_at = now
        self._reconnects += 1
        self.journal.reconnect_failed(error, self._reconnects, now - self._lost_at)

    def fail_waiters(self, make_error: Callable[[], Exception], queued: bool = True) -> None:
        """Send those away who wait for a connection, and those who wait for their turn as well."""
        for waiter in list(self.wanted):
            if not waiter.done():
                waiter.set_exception(make_error())
        self.wanted.clear()
        if queued:
            self.permits.fail_waiters(make_error)

    def _reset_done(self, entry: Entry, error: Exception | None) -> None:
        """The server's answer to a reset. By now somebody else may have the connection."""
        if error is None:
            self.journal.counters.resets += 1
            return
        entry.doubt = "broken"
        if not isinstance(error, OSError):
            entry.doubt, entry.reset_error = "reset failed", error
            self.journal.reset_failed(entry, error)
        entry.wire.abort()  # so that nobody takes what follows for good
        if entry.state is State.IDLE:
            self.retire_idle(lambda other: other is entry, entry.doubt)

    # -- ending ---------------------------------------------------------------------------------------------------

    def retire(self, entry: Entry, reason: str) -> None:
        """Close a connection that has a permit: politely if it is in step with the server, else at once.

        The statement of a borrower that was cancelled is stopped on the server first.
        """
        if self.stops(entry):
            entry.state = State.CLOSING
            self._abort(entry)
            self.workers.kill(entry, reason)
        elif entry.under_way or entry.doubt == "broken" or entry.wire.doubt is not None or self.is_dead(entry):
            self.gone(entry, reason)
        else:
            entry.state = State.CLOSING
            self.workers.close(entry, reason)

    def stops(self, entry: Entry) -> bool:
        """Whether the statement under way on it is to be stopped on the server."""
        return entry.under_way and entry.killable and self.config.kill_on_cancel and entry.doubt != "broken"

    def retire_idle(self, chosen: Callable[[Entry], bool], reason: str) -> int:
        """Close idle connections; how many."""
        going = self.take_idle(chosen)
        for entry in going:
            self.retire(entry, reason)
        return len(going)

    def take_idle(self, chosen: Callable[[Entry], bool]) -> list[Entry]:
        """Those of the idle connections, each with a permit as everybody; the others stay in their order."""
        entries: list[Entry] = []
        taken: list[Entry] = []
        wanted: set[Entry] = set()
        while not self.idle.empty():
            entries.append(self.idle.get_nowait())
        try:
            wanted.update([entry for entry in entries if chosen(entry)])
        finally:  # `chosen` may ask a driver, or be the user's, and that may raise
            for entry in reversed(entries):
                if entry in wanted and self.permits.take():
                    taken.append(entry)
                else:
                    self.idle.put_nowait(entry)
        return taken

    def gone(self, entry: Entry, reason: str, keep_permit: bool = False) -> None:
        """A connection ends, whatever the road; its permit is free unless the caller goes on with it."""
        if entry.state is State.CLOSED:
            return
        opened = entry.state is not State.OPENING
        entry.state = State.CLOSED
        self.entries.discard(entry)
        self._abort(entry)
        self.progress.set()
        if not keep_permit:
            self.permits.release()
        self.refill()
        if opened:
            self.journal.closed(entry, reason, self.loop.time() - entry.created_at)

    def _abort(self, entry: Entry) -> None:
        """Close its socket, and the one that its driver may have opened besides."""
        if entry.raw is None:
            return
        try:
            entry.wire.abort()
            self.driver.abort(entry.raw)
        except FOREIGN as exc:
            self.journal.driver_failed(exc)

    def begin_closing(self) -> None:
        """No new connections; those that come back from now on are closed."""
        self.closing = True
        self.progress.set()
        self.workers.stop_opening()

    def cut_off(self) -> None:
        """Take back what borrowers still hold, and stop what they have under way."""
        for entry in list(self.entries):
            if entry.state is State.IN_USE:
                self._take_back(entry, self.loop.time())
                if entry.under_way:
                    self.retire(entry, "shutdown")
                else:
                    self.gone(entry, "shutdown")  # at once: the borrower may be about to send its next statement

    def terminate(self) -> None:
        """Close everything at once."""
        self.closing = True
        self.progress.set()
        self.deadlines.stop()
        self.workers.cancel()
        while not self.idle.empty():
            self.gone(self.idle.get_nowait(), "shutdown", keep_permit=True)
        for entry in list(self.entries):
            if entry.state is not State.OPENING:
                self.gone(entry, "shutdown")

    def cut_sockets(self) -> None:
        """All that can be done when the loop is closed: those who waited, and the pool's tasks, ended with it."""
        while not self.idle.empty():
            self.idle.get_nowait()
        while self.entries:
            entry = self.entries.pop()
            entry.state = State.CLOSED
            self._abort(entry)

    # -- trouble --------------------------------------------------------------------------------------------------

    def note_failure(self, entry: Entry, error: BaseException) -> PoolError | None:
        """A call of the driver failed: is the connection in step, and are the others good? The pool's error, if any."""
        if entry.reset_error is not None and isinstance(error, Exception):
            return ResetFailedError(
                f"connection {entry.connection_id} could not be made clean after its last borrower "
                f"({entry.reset_error}); this statement may have run in the old session"
            )
        if self.closing and entry.state in _CUT_OFF and isinstance(error, Exception):
            return PoolClosedError(describe_cut_off(self.name, entry.connection_id))
        number = self.driver.error_number(error)
        self._note_step(entry, error, number)
        if is_disconnect(number):
            self.suspect_all()
        elif number == READ_ONLY_TRANSACTION:
            entry.suspect_role = entry.needs_look = not entry.wire.status & SERVER_STATUS_IN_TRANS_READONLY
        elif is_failover(number, str(error)):
            entry.doubt = "failover"
            self.expire("failover")
        return None

    def _note_step(self, entry: Entry, error: BaseException, number: int | None) -> None:
        """Whether the connection is still in step with the server, and there at all."""
        wire = entry.wire
        if not (wire.in_step and wire.sees):
            entry.broken_off = not isinstance(error, Exception)  # what is cut off by the other side needs no KILL
        if not is_server_error(number):
            if number is not None or isinstance(error, asyncio.CancelledError):
                error.add_note("async_mysqlpool: a statement was under way; whether it took effect is not known")
            out_of_step = not wire.in_step or self.driver.has_unread(entry.raw)
            if isinstance(error, Exception) and (number is not None or out_of_step):
                entry.doubt = "broken"
        if hangs_up(number) or (entry.doubt is None and not entry.broken_off and self.has_given_up(entry)):
            entry.doubt = "broken"  # the driver may have closed it when its task was cancelled, though all was there

    def suspect_all(self) -> None:
        """One connection was lost: ping the others before they are lent again."""
        for entry in self.entries:
            entry.suspect = True

    def forgotten(self, entry: Entry) -> None:
        """A lease was dropped without being given back; called by the garbage collector, in whatever thread."""
        if entry.state is not State.IN_USE:
            return
        site = entry.site
        try:
            self.loop.call_soon_threadsafe(self._recover, entry)
        except RuntimeError:  # the loop is closed
            self._abort(entry)
        warnings.warn(
            f"pool {self.name}: connection {entry.connection_id} was never given back, acquired at {site}: use "
            "`async with pool.acquire()`",
            ResourceWarning,
            stacklevel=2,
        )

    def _recover(self, entry: Entry) -> None:
        if entry.state is State.IN_USE:
            entry.doubt = entry.doubt or "forgotten"
            self.journal.forgotten(self.lease(entry))
            self.give_back(entry)

    # -- changing -------------------------------------------------------------------------------------------------

    def expire(self, reason: str) -> None:
        """Every connection that is open now will not be lent again."""
        for entry in self.entries:
            entry.expires_at = 0.0
        self.retire_idle(lambda _: True, reason)

    def resize(self, grown: int) -> None:
        """More permits, or fewer: then idle connections that are too many go, and borrowed ones as they come back."""
        self.max_size += grown
        if grown >= 0:
            self.permits.grow(grown)
            return
        self.permits.shrink(-grown)
        for _ in range(self.idle.qsize() - max(0, self.permits.free)):
            entry = self.idle.get_nowait()
            self.permits.shrink(1)  # it holds one while it is being closed, free or not
            self.retire(entry, "surplus")

    def look(self) -> Look:
        """What the advice on the pool's size goes by."""
        in_use = [entry for entry in self.entries if entry.state is State.IN_USE]
        return Look(
            at=self.loop.time(),
            max_size=self.max_size,
            size=len(self.entries),
            in_use=len(in_use),
            busy=sum(entry.under_way or not entry.wire.sees for entry in in_use),
            waiting=self.waiting,
            acquired=self.journal.counters.acquired,
            full=isinstance(self.connect_error, ServerFullError),
        )

    def lease(self, entry: Entry) -> Lease:
        """Who holds it."""
        holder = entry.holder
        task = holder.get_name() if holder else "?"
        return Lease(entry.connection_id, self.loop.time() - entry.acquired_at, task, site_text(entry.site))

    def info(self, entry: Entry) -> ConnectionInfo:
        """What is told of it while it is idle."""
        now = self.loop.time()
        return ConnectionInfo(entry.connection_id, now - entry.created_at, now - entry.released_at, entry.uses)

    def leases(self) -> list[Lease]:
        """Who holds a connection, the longest first."""
        held = [self.lease(entry) for entry in self.entries if entry.state is State.IN_USE]
        return sorted(held, key=lambda lease: -lease.age)
