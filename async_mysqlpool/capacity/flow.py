"""The way round: a connection is taken, lent, given back, made clean, and offered to the next one.

A permit of the semaphore is held for every connection that is not idle: being opened, borrowed, cleaned, closed. Idle
connections lie in a LIFO queue and hold none, and nobody takes from the queue without a permit; so idle connections
never outnumber free permits, physical connections never exceed max_size, and whoever waited longest is served first.

`give_back` (from a borrower) ends in `offer`, the connection stays, or in `retire`, it goes. All of this is bookkeeping
without an await; what needs the server is done by `workers.py`, and what is not on this way stands in `capacity.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from async_mysqlpool.capacity.idle import IdleStack
from async_mysqlpool.capacity.journal import Journal
from async_mysqlpool.capacity.permits import Deadlines
from async_mysqlpool.capacity.semaphore import FairSemaphore
from async_mysqlpool.connection import session
from async_mysqlpool.connection.baseline import resets_all
from async_mysqlpool.connection.entry import CLOSED, HANDED, IDLE, IN_USE, Entry, site_text
from async_mysqlpool.lease.held import Owner
from async_mysqlpool.stats import Lease

if TYPE_CHECKING:
    from async_mysqlpool.capacity.workers import Workers
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.drivers import Connected, Driver

__all__ = ["FOREIGN", "Flow"]

# What foreign code (a driver, an observer) may raise where nothing is awaited: a cancellation of no task of ours, too.
FOREIGN = (Exception, asyncio.CancelledError)


class Flow(Owner):
    """The physical connections of one pool, as far as they go round.

    Its state is touched in one event loop only, and never across an await: a method without `await` is a critical
    section. `entries` holds every connection, `idle` those that wait for a borrower, `wanted` the acquirers that have
    a permit no more but a worker opening a connection for them: never more of them than such workers.
    """

    workers: Workers  # set by who derives from this

    def __init__(self, driver: Driver, config: PoolConfig, name: str) -> None:
        self.driver = driver
        self.config = config
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.entries: set[Entry] = set()
        self.deadlines = Deadlines()
        self.permits: FairSemaphore[Entry] = FairSemaphore(config.max_size, self.deadlines, self.offer)
        self.idle: IdleStack[Entry] = IdleStack()
        self.wanted: dict[asyncio.Future[Entry], None] = {}
        self.holders: dict[asyncio.Task[Any] | None, int] = {}  # how many connections a task holds, or uses
        self.journal = Journal(name, config)
        self.held_time = 0.0  # seconds, of all borrows that are over
        self.closing = False
        self._hooked = config.on_connect is not None and resets_all(config.reset)

    # -- taking ---------------------------------------------------------------------------------------------------

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
        """As far as the wire knows, or its driver; one that cannot tell is of no use either."""
        wire = entry.wire
        return wire.lost or wire.doubt is not None if wire.sees else self.has_given_up(entry)

    def has_given_up(self, entry: Entry) -> bool:
        """Whether its driver holds it for dead: if it has closed it itself, the wire hears of that a little later."""
        try:
            return self.driver.is_dead(entry.raw)
        except FOREIGN as exc:
            self.journal.driver_failed(exc)
            return True

    def lend(self, entry: Entry, now: float, site: object, task: asyncio.Task[Any] | None) -> None:
        """A borrower has it from now on."""
        self.journal.counters.acquired += 1
        self.holders[task] = self.holders.get(task, 0) + 1
        entry.lend(now, site, task)

    def handed_on(self, entry: Entry, task: asyncio.Task[Any] | None) -> None:
        """Another task than before uses it."""
        if entry.state is not IN_USE:
            return  # a hook of the pool's own has it
        if entry.user is not entry.task:
            self._let_go(entry.user)
        if task is not entry.task:
            self.holders[task] = self.holders.get(task, 0) + 1
        entry.user = task

    def _take_back(self, entry: Entry, now: float) -> None:
        """Its borrower is done with it."""
        self.held_time += now - entry.acquired_at
        self._let_go(entry.task)
        if entry.user is not entry.task:
            self._let_go(entry.user)
        entry.take_back(now)

    def _let_go(self, task: asyncio.Task[Any] | None) -> None:
        held = self.holders.pop(task, 0)
        if held > 1:
            self.holders[task] = held - 1

    # -- giving back ----------------------------------------------------------------------------------------------

    def give_back(self, entry: Entry) -> None:
        """A borrower is done. Its connection and permit move first; who is told of it comes afterwards."""
        if entry.state is not IN_USE:
            return  # the lease of a hook, or the pool was terminated meanwhile
        now, told = self.loop.time(), None
        try:
            reason = self._unfit(entry, now)
            what = "result" if reason == "unread result" else session.left_open(entry)
            if what is not None or self.journal.observed or entry.warned:
                told = _Return(entry, now, what)
            self._take_back(entry, now)
            self._sort(entry, reason)
        except FOREIGN as exc:
            self.journal.driver_failed(exc)
            if entry.state is IN_USE:
                self._take_back(entry, now)
            self.gone(entry, "broken")
        if told is not None:
            told.tell(self.journal)

    def _sort(self, entry: Entry, reason: str | None) -> None:
        """To the next borrower, to be made clean, or to its end."""
        if reason is not None:
            self.retire(entry, reason)
        elif entry.needs_look:
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

    def _begin_reset(self, entry: Entry) -> bool:
        """Locks and transactions end now; the replies will be read before that of the next borrower's first command.

        If that borrower is waiting already, the reset travels with its first command, should that come at once.
        """
        if self._hooked:
            return False
        somebody_waits = bool(self.wanted) or bool(self.permits.queue)
        begun = session.begin_reset(self.driver, entry, self.config.reset, somebody_waits)
        if begun and somebody_waits:
            self.workers.flush_soon(entry)
        return begun

    def _unfit(self, entry: Entry, now: float) -> str | None:
        """Why a connection that came back must not be used again."""
        if entry.doubt is not None:
            return entry.doubt
        if entry.broken_off:
            return "cancelled"
        wire = entry.wire
        if (wire.touched or entry.exposed) and (reason := self._misused(entry, wire)) is not None:
            return reason
        if self.closing:
            return "shutdown"
        if not self.config.pooling:
            return "not pooled"
        if entry.expires_at <= now:
            return "lifetime"
        return None

    def unfit(self, entry: Entry) -> str | None:
        """The same of a connection that a hook has had meanwhile."""
        return self._unfit(entry, self.loop.time())

    def _misused(self, entry: Entry, wire: Connected) -> str | None:
        """Whether its borrower has left it in a state from which no reset leads back."""
        if wire.due or self.driver.has_unread(entry.raw):
            return "unread result"
        if wire.doubt is not None or wire.spent is not None:
            return "not restorable"
        if (entry.exposed or wire.lost) and not self.driver.is_heard(entry.raw, wire):
            return "not restorable"
        if entry.exposed and self.driver.is_dead(entry.raw):
            return "broken"  # closed by the borrower itself
        return None if self.workers.connector.resets else "not pooled"

    def offer(self, entry: Entry) -> None:
        """A clean connection and its permit: to whoever has waited longest for one, or to the idle ones."""
        if entry.state is CLOSED:
            return  # the pool was terminated while it was handed over
        if self.closing:
            self.retire(entry, "shutdown")
        elif self.permits.free < 0:
            self.retire(entry, "surplus")
        elif not self._hand_over(entry):
            entry.state = IDLE
            self.idle.put_nowait(entry)
            self.permits.release()

    def _hand_over(self, entry: Entry) -> bool:
        """To those in `wanted` first: they had their turn before all those in the queue."""
        entry.state = HANDED
        for waiter in self.wanted:
            if not waiter.done():
                del self.wanted[waiter]
                waiter.set_result(entry)
                return True
        return self.permits.hand_over(entry)

    # -- off this way -----------------------------------------------------------------------------------------------

    def retire(self, entry: Entry, reason: str) -> None:
        """A connection that has a permit is to end."""
        raise NotImplementedError

    def gone(self, entry: Entry, reason: str, keep_permit: bool = False) -> None:
        """A connection has ended."""
        raise NotImplementedError


class _Return:
    """What is told of a connection that came back, noted while it was still its borrower's."""

    def __init__(self, entry: Entry, now: float, what: str | None) -> None:
        self._entry, self._now, self._what = entry, now, what
        self._site, self._holder, self._since, self._warned = entry.site, entry.holder, entry.acquired_at, entry.warned

    def tell(self, journal: Journal) -> None:
        """Observers and the log; what it was acquired for is put in words no sooner."""
        if self._what is not None:
            journal.left_behind(self._lease(), self._what)
        late = self._lease() if self._warned else None
        journal.came_back(self._entry.connection_id, self._now - self._since, late)

    def _lease(self) -> Lease:
        task = self._holder.get_name() if self._holder else "?"
        return Lease(self._entry.connection_id, self._now - self._since, task, site_text(self._site))
