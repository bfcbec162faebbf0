"""Who gets a connection, how it comes back, and where its capacity goes.

A permit of the semaphore is held for every connection that is not idle: being opened, borrowed, cleaned, closed. Idle
connections lie in a LIFO queue and hold none, and nobody takes from the queue without a permit; so idle connections
never outnumber free permits, physical connections never exceed max_size, and whoever waited longest is served first.

A permit goes where its connection goes. An acquirer that got one but finds no idle connection hands it to a worker that
opens one, and waits in `wanted`, where it is served by whatever comes first: that connection or a returned one.

The roads back: `give_back` (from a borrower) ends in `offer`, the connection stays, or in `retire`, it goes; and
whatever goes passes `gone`, the one place where capacity comes back. All of this is bookkeeping without an await; what
needs the server is done by `workers.py`.
"""

from __future__ import annotations

import asyncio
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from async_mysqlpool.capacity.journal import Journal
from async_mysqlpool.capacity.semaphore import Deadlines, FairSemaphore
from async_mysqlpool.capacity.workers import Workers
from async_mysqlpool.connection import session
from async_mysqlpool.connection.baseline import resets_all
from async_mysqlpool.connection.entry import Entry, State, site_text
from async_mysqlpool.connection.opening import again
from async_mysqlpool.drivers.base import READ_ONLY_TRANSACTION, is_disconnect, is_failover, is_server_error
from async_mysqlpool.errors import ConnectError, PoolError, ResetFailedError, ServerUnavailableError
from async_mysqlpool.stats import Lease
from async_mysqlpool.wire.packets import SERVER_STATUS_IN_TRANS_READONLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.drivers import Driver

__all__ = ["Capacity"]

# What foreign code (a driver, an observer) may raise where nothing is awaited: a cancellation of no task of ours, too.
FOREIGN = (Exception, asyncio.CancelledError)
_LIVING = {State.IDLE, State.HANDED, State.IN_USE, State.CLEANING}


class Capacity:
    """The physical connections of one pool.

    Its state is touched in one event loop only, and never across an await: a method without `await` is a critical
    section. `entries` holds every connection, `idle` those that wait for a borrower, `wanted` the acquirers that have
    a permit no more but a worker opening a connection for them: never more of them than such workers.
    """

    def __init__(self, driver: Driver, config: PoolConfig, name: str) -> None:
        self.driver = driver
        self.config = config
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.min_size, self.max_size = config.min_size, config.max_size
        self.entries: set[Entry] = set()
        self.deadlines = Deadlines()
        self.permits: FairSemaphore[Entry] = FairSemaphore(config.max_size, self.deadlines, self.offer)
        self.idle: asyncio.LifoQueue[Entry] = asyncio.LifoQueue()
        self.wanted: dict[asyncio.Future[Entry], None] = {}
        self.progress = asyncio.Event()  # set whenever a connection came, went, or could not be opened
        self.changed = asyncio.Event()  # wakes the maintenance
        self.connect_error: ConnectError | None = None  # of the last attempt; None once one succeeded
        self.closing = False
        self.nested: dict[asyncio.Task[Any], object] = {}  # tasks that hold a connection and wait for another one
        self.journal = Journal(name, config.observers)
        self.workers = Workers(self)

    # -- taking ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Acquirers that have no connection yet."""
        return len(self.wanted) + self.permits.waiting

    @property
    def living(self) -> int:
        """Connections that are there to be lent, now or later."""
        return sum(entry.state in _LIVING for entry in self.entries)

    def take_now(self, now: float) -> Entry | None:
        """An idle connection that needs no look at it; None if there is none, or if others wait."""
        if not self.permits.take():
            return None
        while not self.idle.empty():
            entry = self.idle.get_nowait()
            if self.is_useless(entry):
                self.gone(entry, "broken", keep_permit=True)
            elif entry.needs_ping(now, self.config.validate_after):
                self.idle.put_nowait(entry)
                break
            else:
                return entry
        self.permits.release()
        return None

    def is_useless(self, entry: Entry) -> bool:
        """Told without I/O. Mere old age is the maintenance's business; an expired connection must not be lent."""
        return entry.expires_at == 0.0 or entry.doubt is not None or self.is_dead(entry)

    def is_dead(self, entry: Entry) -> bool:
        """As far as its driver knows; one that cannot tell is of no use either."""
        try:
            return self.driver.is_dead(entry.raw)
        except FOREIGN as exc:
            self.journal.driver_failed(exc)
            return True

    # -- opening --------------------------------------------------------------------------------------------------

    def refill(self) -> None:
        """Have connections opened until there are `min_size`, as far as there is room besides the idle ones."""
        while len(self.workers.openers) < self.needed() and self.permits.free > self.idle.qsize():
            if not self.permits.take():
                return
            self.workers.open_one()

    def needed(self) -> int:
        """Connections that somebody waits for, or that are missing from `min_size`."""
        if self.closing:
            return 0
        return len(self.wanted) + max(0, self.min_size - self.living)

    def connected(self, entry: Entry, took: float) -> None:
        """A worker opened one; it is about to be offered."""
        self.journal.opened(entry, took, after=self.connect_error)
        self.connect_error = None
        self.progress.set()
        self.changed.set()

    def connect_failed(self, error: ConnectError, hope: bool) -> None:
        """A worker could not: an answer for those whom no other connection, or with `hope` attempt, can serve."""
        self.journal.connect_failed(error, after=self.connect_error)
        self.connect_error = error
        self.progress.set()
        others = self.living > 0
        if isinstance(error, ServerUnavailableError) and (others or hope):
            return
        self.fail_waiters(lambda: again(error), queued=not others)

    def fail_waiters(self, make_error: Callable[[], Exception], queued: bool = True) -> None:
        """Send those away who wait for a connection, and those who wait for their turn as well."""
        for waiter in list(self.wanted):
            if not waiter.done():
                waiter.set_exception(make_error())
        self.wanted.clear()
        if queued:
            self.permits.fail_waiters(make_error)

    # -- giving back ----------------------------------------------------------------------------------------------

    def give_back(self, entry: Entry) -> None:
        """A borrower is done. Its connection and permit move first; who is told of it comes afterwards."""
        if entry.state is not State.IN_USE:
            return  # the lease of a hook, or the pool was terminated meanwhile
        now, loan = self.loop.time(), (entry.site, entry.holder, entry.acquired_at, entry.warned)
        what: str | None = None
        try:
            reason = self._unfit(entry, now)
            what = "result" if reason == "unread result" else session.left_open(entry)
            entry.take_back(now, State.CLEANING)
            self._sort(entry, reason)
        except FOREIGN as exc:
            self.journal.driver_failed(exc)
            entry.take_back(now, State.CLEANING)
            self.gone(entry, "broken")
        if what is not None or self.journal.observed or loan[3]:
            self._tell_return(entry.connection_id, what, now, *loan)

    def _sort(self, entry: Entry, reason: str | None) -> None:
        """To the next borrower, to be made clean, or to its end."""
        if reason is not None:
            self.retire(entry, reason)
        elif entry.suspect_role:
            self.workers.clean(entry)
        elif session.is_clean(entry, self.config.reset):
            self.offer(entry)
        elif self.is_dead(entry):
            self.retire(entry, "broken")
        elif entry.wire.in_transaction or not self._begin_reset(entry):
            # A large transaction may take long to roll back: nobody should get a connection that is busy with that.
            self.workers.clean(entry)
        else:
            self.offer(entry)

    def _tell_return(self, connection_id: int, what: str | None, now: float, site: object, holder: Any, since: float,
                     warned: bool) -> None:  # fmt: skip
        task = holder.get_name() if holder else "?"
        lease = Lease(connection_id, now - since, task, site_text(site))
        if what is not None:
            self.journal.left_behind(lease, what)
        self.journal.came_back(lease, warned)

    def _begin_reset(self, entry: Entry) -> bool:
        """Locks and transactions end now; the replies will be read before that of the next borrower's first command.

        If that borrower is waiting already, the reset travels with its first command, should that come at once.
        """
        if self.config.on_connect is not None and resets_all(self.config.reset):
            return False
        somebody_waits = bool(self.wanted or self.permits.waiting)
        done = partial(self._reset_done, entry)
        begun = session.begin_reset(self.driver, entry, self.config.reset, somebody_waits, done)
        if begun and somebody_waits:
            self.workers.flush_soon(entry)
        return begun

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

    def _unfit(self, entry: Entry, now: float) -> str | None:
        """Why a connection that came back must not be used again."""
        if entry.doubt is not None:
            return entry.doubt
        if entry.broken_off:
            return "cancelled"
        wire = entry.wire
        if wire.due or (wire.touched and self.driver.has_unread(entry.raw)):
            return "unread result"
        if wire.doubt is not None or wire.spent is not None or not self.driver.is_heard(entry.raw, wire):
            return "not restorable"
        if self.closing:
            return "shutdown"
        if not self.config.pooling or (wire.touched and not self.workers.connector.resets):
            return "not pooled"
        if entry.expires_at <= now:
            return "lifetime"
        return None

    def offer(self, entry: Entry) -> None:
        """A clean connection and its permit: to whoever has waited longest for one, or to the idle ones."""
        if entry.state is State.CLOSED:
            return  # the pool was terminated while it was handed over
        if self.closing:
            self.retire(entry, "shutdown")
        elif self.permits.free < 0:
            self.retire(entry, "surplus")
        elif not self._hand_over(entry):
            entry.state = State.IDLE
            self.idle.put_nowait(entry)
            self.permits.release()

    def _hand_over(self, entry: Entry) -> bool:
        """To those in `wanted` first: they had their turn before all those in the queue."""
        entry.state = State.HANDED
        for waiter in self.wanted:
            if not waiter.done():
                del self.wanted[waiter]
                waiter.set_result(entry)
                return True
        return self.permits.hand_over(entry)

    # -- ending ---------------------------------------------------------------------------------------------------

    def retire(self, entry: Entry, reason: str) -> None:
        """Close a connection that has a permit: politely if it is in step with the server, else at once.

        The statement of a borrower that was cancelled is stopped on the server first.
        """
        if entry.under_way and entry.killable and self.config.kill_on_cancel and entry.doubt != "broken":
            entry.state = State.CLOSING
            self._abort(entry)
            self.workers.kill(entry, reason)
        elif entry.under_way or entry.doubt == "broken" or entry.wire.doubt is not None or self.is_dead(entry):
            self.gone(entry, reason)
        else:
            entry.state = State.CLOSING
            self.workers.close(entry, reason)

    def retire_idle(self, chosen: Callable[[Entry], bool], reason: str) -> None:
        """Close idle connections, each with a permit as everybody; the others stay in their order."""
        entries: list[Entry] = []
        going: list[Entry] = []
        doomed: set[Entry] = set()
        while not self.idle.empty():
            entries.append(self.idle.get_nowait())
        try:
            doomed.update([entry for entry in entries if chosen(entry)])
        finally:  # `chosen` may ask a driver, and that may raise
            for entry in reversed(entries):
                if entry in doomed and self.permits.take():
                    going.append(entry)
                else:
                    self.idle.put_nowait(entry)
        for entry in going:
            self.retire(entry, reason)

    def gone(self, entry: Entry, reason: str, keep_permit: bool = False) -> None:
        """A connection ends, whatever the road; its permit is free unless the caller goes on with it."""
        if entry.state is State.CLOSED:
            return
        opened = entry.state is not State.OPENING
        entry.state = State.CLOSED
        self.entries.discard(entry)
        try:
            self._abort(entry)
        except FOREIGN as exc:
            self.journal.driver_failed(exc)
        self.progress.set()
        if not keep_permit:
            self.permits.release()
        self.refill()
        if opened:
            self.journal.closed(entry, reason, self.loop.time() - entry.created_at)

    def _abort(self, entry: Entry) -> None:
        """Close its socket, and the one that its driver may have opened besides."""
        if entry.raw is not None:
            entry.wire.abort()
            self.driver.abort(entry.raw)

    def begin_closing(self) -> None:
        """No new connections; those that come back from now on are closed."""
        self.closing = True
        self.progress.set()
        self.workers.stop_opening()

    def cut_off(self) -> None:
        """Take back what borrowers still hold, and stop what they have under way."""
        for entry in list(self.entries):
            if entry.state is State.IN_USE:
                entry.take_back(self.loop.time(), State.CLEANING)
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
            if entry.raw is not None:
                self._abort(entry)

    # -- trouble --------------------------------------------------------------------------------------------------

    def note_failure(self, entry: Entry, error: BaseException) -> PoolError | None:
        """A call of the driver failed: is the connection in step, and are the others good? The pool's error, if any."""
        if entry.reset_error is not None and isinstance(error, Exception):
            return ResetFailedError(
                f"connection {entry.connection_id} could not be made clean after its last borrower "
                f"({entry.reset_error}); this statement may have run in the old session"
            )
        number = self.driver.error_number(error)
        if not entry.wire.in_step:
            entry.broken_off = not isinstance(error, Exception)  # what is cut off by the other side needs no KILL
        elif not entry.wire.sees:
            entry.broken_off = not isinstance(error, Exception)
        if not is_server_error(number):
            if number is not None or isinstance(error, asyncio.CancelledError):
                error.add_note("async_mysqlpool: a statement was under way; whether it took effect is not known")
            out_of_step = not entry.wire.in_step or self.driver.has_unread(entry.raw)
            if isinstance(error, Exception) and (number is not None or out_of_step):
                entry.doubt = "broken"
        if is_disconnect(number):
            entry.doubt = "broken"
            self.suspect_all()
        elif number == READ_ONLY_TRANSACTION:
            entry.suspect_role = not entry.wire.status & SERVER_STATUS_IN_TRANS_READONLY
        elif is_failover(number, str(error)):
            entry.doubt = "failover"
            self.expire("failover")
        return None

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

    def lease(self, entry: Entry) -> Lease:
        """Who holds it."""
        holder = entry.holder
        task = holder.get_name() if holder else "?"
        return Lease(entry.connection_id, self.loop.time() - entry.acquired_at, task, site_text(entry.site))
