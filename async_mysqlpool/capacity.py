"""Who gets a connection, how it comes back, and what happens when that goes wrong.

A permit of the semaphore is held for every connection that is not idle: being opened, borrowed, cleaned, closed. Idle
connections lie in a LIFO queue and hold none, and nobody takes from the queue without a permit; so idle connections
never outnumber free permits, physical connections never exceed max_size, and whoever waited longest is served first.

A permit goes where its connection goes. An acquirer that got one but finds no idle connection hands it to a task that
opens one, and waits in `wanted`, where it is served by whatever comes first: that connection or a returned one.

The roads back: `give_back` (from a borrower) ends in `_offer`, the connection stays, or in `retire`, it goes; and
whatever goes passes `_gone`, the one place where capacity comes back. Nothing here is awaited by a borrower except its
own turn: cleaning, closing and connecting are done by tasks of the pool's own, each within its own time.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool import events, session
from async_mysqlpool.drivers.base import is_disconnect, is_failover, is_server_error
from async_mysqlpool.entry import Entry, State
from async_mysqlpool.errors import ConnectError, PoolClosedError, ServerUnavailableError
from async_mysqlpool.lease import PooledConnection
from async_mysqlpool.opening import Backoff, Connector
from async_mysqlpool.semaphore import FairSemaphore
from async_mysqlpool.stats import Counters, Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.drivers import Driver

__all__ = ["Capacity", "Turn"]

_CLOSE_TIMEOUT = 1.0  # seconds for a polite goodbye
_LIVING = {State.IDLE, State.HANDED, State.IN_USE, State.CLEANING}

logger = logging.getLogger("async_mysqlpool")


class Turn:
    """What an acquirer waits for at the moment; the timeout error says it."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = "queueing"


class Capacity:
    """The physical connections of one pool. All of its state is touched in one event loop, never across an await."""

    def __init__(self, driver: Driver, config: PoolConfig, name: str) -> None:
        self.driver = driver
        self.config = config
        self.name = name
        self.min_size = config.min_size
        self.entries: set[Entry] = set()
        self.permits = FairSemaphore(config.max_size)
        self.idle: asyncio.LifoQueue[Entry] = asyncio.LifoQueue()
        self.wanted: dict[asyncio.Future[Entry], None] = {}
        self.counters = Counters()
        self.progress = asyncio.Event()  # set whenever a connection came, went, or could not be opened
        self.backoff = Backoff()
        self.connect_error: ConnectError | None = None  # of the last attempt; None once one succeeded
        self.closing = False
        self._connector = Connector(driver, config)
        self._connecting = asyncio.Semaphore(config.max_connecting)
        self._openers: set[asyncio.Task[None]] = set()  # each has a permit
        self._dialling = 0  # how many of them are connecting at this moment
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()

    # -- taking ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Acquirers that have no connection yet."""
        return self.permits.waiting + len(self.wanted)

    def take_now(self, now: float) -> Entry | None:
        """An idle connection that needs no look at it; None if there is none, or if others wait."""
        if not self.permits.take():
            return None
        while not self.idle.empty():
            entry = self.idle.get_nowait()
            if self._is_useless(entry):
                self._gone(entry, "broken", keep_permit=True)
            elif self._needs_ping(entry, now):
                self.idle.put_nowait(entry)
                break
            else:
                return entry
        self.permits.release()
        return None

    async def take(self, turn: Turn) -> Entry:
        """Wait for a turn, then take an idle connection that proves to be alive, or the next one to come."""
        await self.permits.acquire()
        if self.closing:
            self.permits.release()
            self.progress.set()
            raise PoolClosedError(f"pool {self.name} is closed")
        entry = await self._checked_idle(turn)
        if entry is not None:
            return entry
        turn.phase = "connecting"
        waiter: asyncio.Future[Entry] = self.loop.create_future()
        self.wanted[waiter] = None
        self._spawn_opener()
        try:
            return await waiter
        except BaseException:
            # The connection may have been handed over in the very tick in which this task was cancelled.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._offer(waiter.result())
            raise
        finally:
            self.wanted.pop(waiter, None)

    async def take_without_waiting(self, turn: Turn) -> Entry | None:
        """An idle connection or none; then one is opened for whoever comes next, if there is room."""
        if not self.permits.take():
            return None
        entry = await self._checked_idle(turn)
        if entry is None:
            self._spawn_opener(unconditional=True)
        return entry

    async def _checked_idle(self, turn: Turn) -> Entry | None:
        """The caller has a permit; it goes with the connection, and comes back if the caller is cancelled here."""
        while not self.idle.empty():
            entry = self.idle.get_nowait()
            if self._is_useless(entry):
                self._gone(entry, "broken", keep_permit=True)
            elif not self._needs_ping(entry, self.loop.time()):
                return entry
            else:
                turn.phase = "validating"
                if await self._answers(entry):
                    return entry
                self._gone(entry, "broken", keep_permit=True)
        return None

    def _is_useless(self, entry: Entry) -> bool:
        """Told without I/O. Mere old age is the maintenance's business; an expired connection must not be lent."""
        return entry.expires_at == 0.0 or bool(self.driver.is_dead(entry.raw))

    def _needs_ping(self, entry: Entry, now: float) -> bool:
        return entry.suspect or now - entry.released_at > self.config.validate_after

    async def _answers(self, entry: Entry) -> bool:
        entry.state = State.CLEANING
        try:
            async with asyncio.timeout(self.config.validation_timeout):
                await self.driver.ping(entry.raw)
        except Exception as exc:  # noqa: BLE001  a dead connection may raise anything at all
            logger.debug("%s: connection %d failed its check: %r", self.name, entry.connection_id, exc)
            self._suspect_others()
            return False
        except BaseException:
            self._gone(entry, "cancelled")
            raise
        entry.suspect = False
        return True

    # -- opening --------------------------------------------------------------------------------------------------

    def refill(self) -> None:
        """Have connections opened until there are `min_size`."""
        while len(self._openers) < self._needed() and self.permits.take():
            self._spawn_opener()

    def _needed(self) -> int:
        if self.closing:
            return 0
        return len(self.wanted) + max(0, self.min_size - self.living)

    @property
    def living(self) -> int:
        """Connections that are there to be lent, now or later."""
        return sum(entry.state in _LIVING for entry in self.entries)

    def _spawn_opener(self, unconditional: bool = False) -> None:
        self._openers.add(self._spawn(self._open_one(unconditional)))

    async def _open_one(self, unconditional: bool) -> None:
        """Holds one permit, which ends up with the connection or is given back."""
        try:
            async with self._connecting:
                while unconditional or self._needed() > self._dialling:
                    if self.backoff.pausing(self.loop.time()):
                        await self.backoff.wait()
                        continue  # by now nobody may want a connection any more
                    entry = await self._connected()
                    if entry is not None:
                        self._offer(entry)
                        return
                    if not isinstance(self.connect_error, ServerUnavailableError):
                        break  # it would fail again
                    unconditional = False
            self.permits.release()
        except BaseException:
            self.permits.release()
            raise
        finally:
            self._openers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _connected(self) -> Entry | None:
        """One attempt. A failure goes to those who wait for nothing else."""
        started = self.loop.time()
        entry = Entry(started)
        self.entries.add(entry)
        self._dialling += 1
        try:
            await self._connector.connect(entry)
            await self._run_hook(entry)
        except ConnectError as exc:
            self._gone(entry, "broken", keep_permit=True)
            self._connect_failed(exc, started)
            return None
        except BaseException:
            self._gone(entry, "shutdown", keep_permit=True)
            raise
        finally:
            self._dialling -= 1
        if self.connect_error is not None:
            logger.warning("%s: the server is back", self.name)
        self.connect_error = None
        self.backoff.succeeded()
        self.counters.opened += 1
        now = entry.released_at = self.loop.time()
        self.emit(lambda: events.ConnectionOpened(self.name, entry.connection_id, now - started))
        return entry

    async def _run_hook(self, entry: Entry) -> None:
        """`on_connect`, with a connection that is the hook's for the time it runs."""
        if self.config.on_connect is None:
            return
        lease = PooledConnection(self, entry)
        try:
            async with asyncio.timeout(self.config.connect_timeout):
                await self.config.on_connect(lease)
        except Exception as exc:
            raise ConnectError(f"on_connect failed: {exc!r}") from exc
        finally:
            lease.detach()
        if entry.in_flight or self.driver.has_unread(entry.raw):
            raise ConnectError("on_connect left a result unread or a statement unfinished")

    def _connect_failed(self, exc: ConnectError, started: float) -> None:
        if self.connect_error is None:
            logger.warning("%s: %s", self.name, exc)
        self.connect_error = exc
        self.counters.connect_failures += 1
        self.backoff.failed(started, self.loop.time())
        self.progress.set()
        self.emit(lambda: events.ConnectFailed(self.name, exc))
        others = self.living > 0
        if others and isinstance(exc, ServerUnavailableError):
            return  # those who wait may be served by a connection that is still out
        self.fail_waiters(lambda: _again(exc), queued=not others)

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
        """A borrower is done. Bookkeeping only: what needs the server is done by a task of the pool's."""
        now = self.loop.time()
        if entry.state is not State.IN_USE:
            return  # the lease of a hook, or the pool was terminated meanwhile
        reason = self._unfit(entry, now)
        if self.config.observers or entry.warned:
            self._tell_return(entry, now - entry.acquired_at)
        entry.take_back(now, State.CLEANING)
        if reason is not None:
            self.retire(entry, reason)
        elif self.config.reset == "none" and not entry.open_transaction:
            self._offer(entry)
        else:
            self._spawn(self._clean(entry))

    def _unfit(self, entry: Entry, now: float) -> str | None:
        """Why a connection that came back must not be used again."""
        if entry.doubt is not None:
            return entry.doubt
        if entry.in_flight:
            return "cancelled"
        if self.driver.is_dead(entry.raw):
            return "broken"
        if self.driver.has_unread(entry.raw):
            return "unread result"
        if self.closing:
            return "shutdown"
        if not self.config.pooling:
            return "not pooled"
        if entry.expires_at <= now:
            return "lifetime"
        return None

    async def _clean(self, entry: Entry) -> None:
        try:
            async with asyncio.timeout(self.config.connect_timeout):
                if self.config.reset == "session" and entry.baseline is not None:
                    await session.reset(self.driver, entry.raw, entry.baseline)
                    await self._run_hook(entry)
                else:
                    await session.rollback(self.driver, entry.raw)
        except Exception as exc:  # noqa: BLE001  whatever it was, the session is not clean
            self._reset_failed(entry, exc)
        except BaseException:
            self._gone(entry, "shutdown")
            raise
        else:
            self.counters.resets += 1
            entry.open_transaction = False
            if self.closing:
                self.retire(entry, "shutdown")
            else:
                self._offer(entry)

    def _reset_failed(self, entry: Entry, exc: Exception) -> None:
        self.counters.resets_failed += 1
        logger.warning("%s: connection %d could not be reset: %r", self.name, entry.connection_id, exc)
        self.emit(lambda: events.ResetFailed(self.name, entry.connection_id, exc))
        entry.in_flight = True
        self.retire(entry, "reset failed")

    def _offer(self, entry: Entry) -> None:
        """A clean connection and its permit: to whoever has waited longest for one, or to the idle ones."""
        self.progress.set()
        for waiter in self.wanted:
            if not waiter.done():
                entry.state = State.HANDED
                del self.wanted[waiter]
                waiter.set_result(entry)
                return
        if self.closing:
            self.retire(entry, "shutdown")
            return
        entry.state = State.IDLE
        self.idle.put_nowait(entry)
        self.permits.release()

    # -- ending ---------------------------------------------------------------------------------------------------

    def retire(self, entry: Entry, reason: str) -> None:
        """Close a connection that has a permit: politely if it is in step with the server, else at once."""
        if entry.in_flight or self.driver.is_dead(entry.raw):
            self._gone(entry, reason)
            return
        entry.state = State.CLOSING
        self._spawn(self._close(entry, reason))

    def retire_idle(self, chosen: Callable[[Entry], bool], reason: str) -> None:
        """Close idle connections, each with a permit as everybody; the others stay in their order."""
        kept: list[Entry] = []
        going: list[Entry] = []
        while not self.idle.empty():
            entry = self.idle.get_nowait()
            (going if chosen(entry) and self.permits.take() else kept).append(entry)
        for entry in reversed(kept):
            self.idle.put_nowait(entry)
        for entry in going:
            self.retire(entry, reason)

    async def _close(self, entry: Entry, reason: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self.driver.close(entry.raw)
        except Exception as exc:  # noqa: BLE001  it is going anyway
            logger.debug("%s: closing connection %d: %r", self.name, entry.connection_id, exc)
        finally:
            self._gone(entry, reason)

    def _gone(self, entry: Entry, reason: str, keep_permit: bool = False) -> None:
        """A connection ends, whatever the road; its permit is free unless the caller goes on with it."""
        if entry.state is State.CLOSED:
            return
        opened = entry.state is not State.OPENING
        entry.state = State.CLOSED
        self.entries.discard(entry)
        if entry.raw is not None:
            self.driver.abort(entry.raw)
        if opened:
            self.counters.closed[reason] = self.counters.closed.get(reason, 0) + 1
            age = self.loop.time() - entry.created_at
            self.emit(lambda: events.ConnectionClosed(self.name, entry.connection_id, reason, age))
        self.progress.set()
        if not keep_permit:
            self.permits.release()
        self.refill()

    def begin_closing(self) -> None:
        """No new connections; those that come back from now on are closed."""
        self.closing = True
        for task in self._openers:
            task.cancel()

    def terminate(self) -> None:
        """Close everything at once."""
        self.closing = True
        for task in self._tasks:
            task.cancel()
        while not self.idle.empty():
            self._gone(self.idle.get_nowait(), "shutdown", keep_permit=True)
        for entry in list(self.entries):
            if entry.state is not State.OPENING:
                self._gone(entry, "shutdown")

    # -- trouble --------------------------------------------------------------------------------------------------

    def note_failure(self, entry: Entry, error: BaseException) -> None:
        """A call of the driver failed: is the connection still in step, and are the others still good?"""
        number = self.driver.error_number(error)
        if is_server_error(number):
            entry.in_flight = False
        elif isinstance(error, Exception):
            entry.doubt = (
                "broken"  # lost, out of step, or an error of the caller's that came before any byte: who knows
            )
        if is_disconnect(number):
            entry.doubt = "broken"
            self._suspect_others()
        elif is_failover(number, str(error)):
            entry.doubt = "failover"
            self.expire("failover")

    def _suspect_others(self) -> None:
        for entry in self.entries:
            entry.suspect = True

    def expire(self, reason: str) -> None:
        """Every connection that is open now will not be lent again."""
        for entry in self.entries:
            entry.expires_at = 0.0
        self.retire_idle(lambda _: True, reason)

    def resize(self, grown: int) -> None:
        """More permits, or fewer: then idle connections that are too many go, and borrowed ones as they come back."""
        if grown >= 0:
            self.permits.grow(grown)
            return
        self.permits.shrink(-grown)
        surplus = self.idle.qsize() - max(0, self.permits.free)
        for _ in range(surplus):
            entry = self.idle.get_nowait()
            self.permits.shrink(1)  # it holds one while it is being closed, free or not
            self.retire(entry, "surplus")

    async def check(self) -> None:
        """Ping all idle connections at once; the pool's own tasks do it, so cancelling the caller loses none."""
        tasks: list[asyncio.Task[None]] = []
        while not self.idle.empty() and self.permits.take():
            tasks.append(self._spawn(self._check(self.idle.get_nowait())))
        if tasks:
            await asyncio.wait(tasks)

    async def _check(self, entry: Entry) -> None:
        if not self._is_useless(entry) and await self._answers(entry):
            self._offer(entry)
        else:
            self._gone(entry, "broken")

    def forgotten(self, entry: Entry) -> None:
        """A lease was dropped without being given back; called by the garbage collector, in whatever thread."""
        if entry.state is not State.IN_USE:
            return
        site = entry.site
        try:
            self.loop.call_soon_threadsafe(self._recover, entry)
        except RuntimeError:  # the loop is closed
            self.driver.abort(entry.raw)
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

    def warn_of_holder(self, entry: Entry) -> None:
        """A connection is out for longer than `hold_warning`."""
        entry.warned = True
        lease = self.lease(entry)
        logger.warning("%s: still held by %s", self.name, lease)
        self.emit(lambda: events.HeldTooLong(self.name, lease.connection_id, lease.age, lease.site, lease.task))

    def _tell_return(self, entry: Entry, held: float) -> None:
        self.emit(lambda: events.Released(self.name, entry.connection_id, held))
        if entry.warned:
            lease = self.lease(entry)
            logger.warning("%s: came back after %.1f s from %s", self.name, held, lease.site)
            self.emit(lambda: events.LateReturn(self.name, lease.connection_id, held, lease.site, lease.task))

    def lease(self, entry: Entry) -> Lease:
        """Who holds it."""
        task = entry.task.get_name() if entry.task else "?"
        return Lease(entry.connection_id, self.loop.time() - entry.acquired_at, task, str(entry.site))

    # -- housekeeping ---------------------------------------------------------------------------------------------

    def emit(self, make_event: Callable[[], events.Event]) -> None:
        """Tell the observers; nobody listening costs a look at an empty tuple."""
        if not self.config.observers:
            return
        event = make_event()
        for observer in self.config.observers:
            try:
                observer.on_event(event)
            except Exception:
                logger.exception("%s: an observer failed on %r", self.name, event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The pool keeps its tasks alive; the loop alone would not."""
        task = self.loop.create_task(work, name=f"{self.name}: pool task")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finished(self) -> None:
        """When all tasks of the pool's own have ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)


def _again(exc: ConnectError) -> ConnectError:
    """The same error for one more waiter: an exception that is raised twice would carry both tracebacks."""
    copy = type(exc)(*exc.args)
    copy.__cause__ = exc.__cause__
    return copy
