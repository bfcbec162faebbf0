"""What the pool does with the server on its own account: open, clean, check and close connections.

Each job is a task of the pool's own, within its own time, holding the permit of the connection it works on; so no
cancellation of a borrower can stop it half-way. What becomes of the connection afterwards `capacity.py` decides.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from async_mysqlpool.capacity.hooks import ask_on_release, run_on_connect
from async_mysqlpool.capacity.journal import logger
from async_mysqlpool.connection import session
from async_mysqlpool.connection.baseline import resets_all
from async_mysqlpool.connection.entry import Entry, State
from async_mysqlpool.connection.killer import Killer, Victim
from async_mysqlpool.connection.opening import Backoff, Connector, is_to_end
from async_mysqlpool.drivers.base import is_server_error, is_server_full, is_unavailable
from async_mysqlpool.errors import ConnectError, ServerUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from async_mysqlpool.capacity.idle import IdleStack
    from async_mysqlpool.capacity.journal import Journal
    from async_mysqlpool.capacity.semaphore import FairSemaphore
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.drivers import Connected, Driver

__all__ = ["Workers"]

_KILL_PAUSE = 0.1  # seconds between two attempts to stop a statement, at first; up to
_LONG_KILL_PAUSE = 1.0
_CLOSE_TIMEOUT = 1.0  # seconds for a polite goodbye


_released_at = attrgetter("released_at")


class Bookkeeping(Protocol):
    """What `capacity.py` keeps, as the tasks here need it; its methods are documented there."""

    driver: Driver
    name: str
    config: PoolConfig
    entries: set[Entry]
    idle: IdleStack[Entry]
    permits: FairSemaphore[Entry]
    journal: Journal
    connect_error: ConnectError | None

    def needed(self) -> int: ...
    def connected(self, entry: Entry, took: float) -> None: ...
    def connect_failed(self, error: ConnectError, hope: bool) -> None: ...
    def is_dead(self, entry: Entry) -> bool: ...
    def unfit(self, entry: Entry) -> str | None: ...
    def suspect_all(self) -> None: ...
    def expire(self, reason: str) -> None: ...
    def take_now(self, now: float) -> Entry | None: ...
    def take_idle(self, chosen: Callable[[Entry], bool]) -> list[Entry]: ...
    def offer(self, entry: Entry) -> None: ...
    def retire(self, entry: Entry, reason: str) -> None: ...
    def gone(self, entry: Entry, reason: str, keep_permit: bool = False) -> None: ...


class Workers:
    """The tasks of one pool, and what they share: the backoff and the limit of connects under way."""

    def __init__(self, capacity: Bookkeeping) -> None:
        self._capacity = capacity
        self._driver = capacity.driver
        self._config = capacity.config
        self._loop = asyncio.get_running_loop()
        self.connector = Connector(self._driver, self._config)
        self._connecting = asyncio.Semaphore(self._config.max_connecting)
        self._backoff = Backoff()
        self._killer = Killer(self._driver, self._spare_connection, self._spawn)
        self._killing: set[Entry] = set()
        self._terminated = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._corked: list[Connected] = []
        self._due: list[Connected] = []
        self.openers: set[asyncio.Task[Any]] = set()
        self.dialling = 0  # openers that are connecting at this moment

    # -- opening --------------------------------------------------------------------------------------------------

    def open_one(self, unconditional: bool = False) -> None:
        """Open a connection, with the caller's permit, if it is still needed when its turn to connect has come."""
        task = self._spawn(self._open_one(unconditional), self._capacity.permits.release)
        self.openers.add(task)
        task.add_done_callback(self.openers.discard)  # for one that is cancelled before it begins

    async def _open_one(self, unconditional: bool) -> None:
        capacity = self._capacity
        try:
            async with self._connecting:
                while unconditional or capacity.needed() > self.dialling:
                    if self._backoff.pausing(self._loop.time()):
                        await self._backoff.wait()
                        continue  # by now nobody may want a connection any more
                    entry = await self._connected()
                    if entry is not None and entry.expires_at == 0.0:
                        capacity.gone(entry, "expired", keep_permit=True)  # expire() came while it was opened
                        continue
                    if entry is not None:
                        capacity.offer(entry)
                        return
                    if not isinstance(capacity.connect_error, ServerUnavailableError):
                        break  # it would fail again
                    unconditional = False
            capacity.permits.release()
        except BaseException:
            capacity.permits.release()
            raise
        finally:
            task = asyncio.current_task()
            if task is not None:
                self.openers.discard(task)

    async def _connected(self) -> Entry | None:
        """One attempt; None when it failed."""
        capacity, started = self._capacity, self._loop.time()
        entry = Entry(started)
        capacity.entries.add(entry)
        self.dialling += 1
        try:
            await self.connector.connect(entry, persistent=not self._backoff.failing)
            await run_on_connect(capacity, entry)
            if capacity.is_dead(entry):
                raise ServerUnavailableError("the connection was lost as soon as it was opened")
        except BaseException as exc:
            if is_to_end(exc):
                capacity.gone(entry, "shutdown", keep_permit=True)
                raise
            # It is no ConnectError where the driver fails at a mere question.
            error = exc if isinstance(exc, ConnectError) else ConnectError(f"the driver failed: {exc!r}")
            capacity.gone(entry, "broken", keep_permit=True)
            self._backoff.failed(started, self._loop.time())
            under_way = (other.created_at for other in capacity.entries if other.state is State.OPENING)
            capacity.connect_failed(error, self._backoff.hope(under_way))
            return None
        finally:
            self.dialling -= 1
        self._backoff.succeeded()
        entry.released_at = self._loop.time()
        capacity.connected(entry, entry.released_at - started)
        return entry

    # -- resetting, cleaning, checking, closing -------------------------------------------------------------------

    def flush_soon(self, entry: Entry) -> None:
        """Write a corked reset two ticks of the loop from now: its borrower, woken in the next one, comes first."""
        if not self._corked and not self._due:
            self._loop.call_soon(self._flush)
        self._corked.append(entry.wire)

    def _flush(self) -> None:
        """Those corked before the last call; one handle of the loop for all connections, not one for each."""
        due, self._due, self._corked = self._due, self._corked, []
        if self._due:
            self._loop.call_soon(self._flush)
        for wire in due:
            wire.flush()

    def clean(self, entry: Entry) -> None:
        """Make the session clean and offer the connection again."""
        self._spawn(self._clean(entry), partial(self._capacity.gone, entry, "shutdown"))

    async def _clean(self, entry: Entry) -> None:
        capacity = self._capacity
        try:
            looked, entry.needs_look = entry.needs_look, False
            if looked and (reason := await ask_on_release(capacity, entry)) is not None:
                capacity.retire(entry, reason)
            elif looked and not entry.suspect_role and session.is_clean(entry, self._config.reset):
                capacity.offer(entry)
            else:
                await self._reset(entry)
        except BaseException:
            capacity.gone(entry, "shutdown")
            raise

    async def _reset(self, entry: Entry) -> None:
        capacity = self._capacity
        try:
            async with asyncio.timeout(self._config.connect_timeout):
                if entry.suspect_role and await self._is_read_only(entry):
                    capacity.expire("failover")
                await session.reset(self._driver, entry, self._config.reset)
                if resets_all(self._config.reset):
                    await run_on_connect(capacity, entry)
        except session.NotRestorableError:
            capacity.retire(entry, "not restorable")
        except Exception as exc:  # noqa: BLE001  whatever it was, the session is not clean
            capacity.journal.reset_failed(entry, exc)
            capacity.gone(entry, "reset failed")
        else:
            capacity.journal.counters.resets += 1
            if entry.expires_at == 0.0:
                capacity.retire(entry, "failover")
            else:
                capacity.offer(entry)

    async def _is_read_only(self, entry: Entry) -> bool:
        """Whether the server refuses to write, or only what its borrower had asked to be read only."""
        entry.suspect_role = False
        for name in ("read_only", "transaction_read_only", "tx_read_only"):
            try:
                rows = await self._driver.execute(entry.raw, f"SELECT @@GLOBAL.{name}")
            except Exception as exc:
                if not is_server_error(self._driver.error_number(exc)):
                    raise
            else:
                if int(rows[0][0]):
                    return True
        return False

    def check_idle(self, chosen: Callable[[Entry], bool] = lambda _: True) -> list[asyncio.Task[None]]:
        """Ping idle connections, all at once; those that answer are offered again."""
        entries = self._capacity.take_idle(chosen)
        return [self._check(entry, self._config.validation_timeout, None) for entry in entries]

    def checked(self, entry: Entry, timeout: float) -> asyncio.Future[bool]:
        """Whether it answers a ping within `timeout` seconds.

        If nobody waits for the future any more when that is known, the connection is offered to others, or it ends.
        """
        asked: asyncio.Future[bool] = self._loop.create_future()
        self._check(entry, timeout, asked)
        return asked

    def _check(self, entry: Entry, timeout: float, asked: asyncio.Future[bool] | None) -> asyncio.Task[None]:
        entry.state = State.CLEANING
        return self._spawn(self._ping(entry, timeout, asked), partial(self._answered, entry, False, asked))

    async def _ping(self, entry: Entry, timeout: float, asked: asyncio.Future[bool] | None) -> None:
        answers = False
        try:
            async with asyncio.timeout(timeout):
                await self._driver.ping(entry.raw)
            answers, entry.suspect, entry.pinged_at = True, False, self._loop.time()
        except Exception as exc:  # noqa: BLE001  a dead connection may raise anything at all
            logger.debug(
                "%s: connection %d failed its check: %r", self._capacity.name, entry.connection_id, exc,
                extra={"pool": self._capacity.name, "event": "check_failed", "connection_id": entry.connection_id},
            )  # fmt: skip
            self._capacity.suspect_all()
        finally:
            self._answered(entry, answers, asked)

    def _answered(self, entry: Entry, answers: bool, asked: asyncio.Future[bool] | None) -> None:
        if asked is not None and not asked.done():
            asked.set_result(answers)
        else:
            self.was_checked(entry, answers)

    def was_checked(self, entry: Entry, answers: bool) -> None:
        """Nobody waits for this connection in particular."""
        if answers:
            self._capacity.offer(entry)
            if entry.state is State.IDLE:  # a ping is no use: those that nobody needs go on growing old at the bottom
                self._capacity.idle.sort(_released_at)
        else:
            self._capacity.gone(entry, "broken")

    def close(self, entry: Entry, reason: str) -> None:
        """Say goodbye to the server and wait a little for it to hang up."""
        self._spawn(self._close(entry, reason), partial(self._capacity.gone, entry, reason))

    async def _close(self, entry: Entry, reason: str) -> None:
        try:
            await self._say_goodbye(entry.raw, f"connection {entry.connection_id}")
        finally:
            self._capacity.gone(entry, reason)

    async def _say_goodbye(self, raw: Any, what: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._driver.close(raw)
        except Exception as exc:  # noqa: BLE001  it is going anyway
            fields = {"pool": self._capacity.name, "event": "close_failed"}
            logger.debug("%s: closing %s: %r", self._capacity.name, what, exc, extra=fields)

    def kill(self, entry: Entry, reason: str, until: float | None = None) -> None:
        """Have the statement under way stopped on the server; until then the connection counts as open.

        Args:
            entry: the connection; its socket is closed.
            reason: why it ends.
            until: when to give up, in the loop's time; default: after `connect_timeout`.
        """
        if until is None:
            until = self._loop.time() + self._config.connect_timeout
        self._killing.add(entry)
        self._spawn(self._kill(entry, reason, until), partial(self._kill_again, entry, reason, until))

    async def _kill(self, entry: Entry, reason: str, until: float) -> None:
        capacity = self._capacity
        try:
            killed = await self._stopped(entry, until)
        except asyncio.CancelledError:
            self._kill_again(entry, reason, until)
            raise
        except Exception as exc:  # noqa: BLE001  the server is gone, full, or another one
            self._killing.discard(entry)
            capacity.gone(entry, reason)
            capacity.journal.kill_failed(entry, exc)
        else:
            self._killing.discard(entry)
            capacity.gone(entry, reason)
            if killed:
                capacity.journal.killed(entry)

    def _kill_again(self, entry: Entry, reason: str, until: float) -> None:
        """The task that was at it was cancelled: by `terminate`, or with all others at the end of `asyncio.run`."""
        if self._terminated:
            self._capacity.gone(entry, reason)
        else:
            self.kill(entry, reason, until)

    async def _stopped(self, entry: Entry, until: float) -> bool:
        """Whether there was something to stop. Tries again while there is time, if that may help."""
        server = entry.baseline.server if entry.baseline else ""
        victim = Victim(entry.connection_id, entry.local_port, entry.peer, server, entry.created_at)
        error: Exception = TimeoutError("no time was left")
        pause = _KILL_PAUSE
        while (now := self._loop.time()) < until:
            try:
                async with asyncio.timeout_at(until):
                    return await self._killer.kill(victim)
            except LookupError:
                raise
            except Exception as exc:
                number = self._driver.error_number(exc)
                if is_server_error(number) and not (is_server_full(number) or is_unavailable(number)):
                    raise
                if not (isinstance(exc, TimeoutError) and self._loop.time() >= until):
                    error = exc  # it tells more
            await asyncio.sleep(max(0.0, min(pause, until - now)))
            pause = min(2 * pause, _LONG_KILL_PAUSE)
        raise error

    @asynccontextmanager
    async def _spare_connection(self, peer: tuple[str, int] | None) -> AsyncGenerator[Any]:
        """A connection besides `max_size`; where the server is full an idle one, or as soon as can be."""
        idle: Entry | None = None
        async with asyncio.timeout(self._config.connect_timeout):
            while True:
                try:
                    raw = await self.connector.connect_plainly(peer)
                    break
                except Exception as exc:
                    if not is_server_full(self._driver.error_number(exc)):
                        raise
                idle = self._capacity.take_now(-math.inf)  # however long idle: its next statement will show
                if idle is not None:
                    idle.state, raw = State.CLEANING, idle.raw
                    break
                await asyncio.sleep(_KILL_PAUSE)
        try:
            yield raw
        except BaseException:
            if idle is None:
                self.connector.cut(raw)
            else:
                self._capacity.gone(idle, "broken")
            raise
        if idle is not None:
            self._capacity.offer(idle)
            return
        try:
            await self._say_goodbye(raw, "the connection that killed")
        finally:
            self.connector.cut(raw)

    # -- the tasks themselves -------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], undone: Callable[[], object]) -> asyncio.Task[None]:
        """The pool keeps its tasks alive; the loop alone would not.

        They begin in the next turn of the loop, whatever its task factory: what starts them is a critical section. If
        one is cancelled before that, `undone` is called instead.
        """
        begun = False

        async def run() -> None:
            nonlocal begun
            begun = True
            await work

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not begun:
                work.close()
                undone()

        task = asyncio.Task(run(), loop=self._loop, name=f"{self._capacity.name}: pool task")
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    def stop_opening(self) -> None:
        """Break off every connect under way."""
        for task in self.openers:
            task.cancel()

    def cancel(self) -> None:
        """Break off everything. What runs on the server may run on then, and the log says so."""
        self._terminated = True
        left = [e for e in self._capacity.entries if e in self._killing or (e.state is State.IN_USE and e.under_way)]
        if left and self._config.kill_on_cancel:
            self._capacity.journal.left_running(len(left))
        for task in self._tasks:
            task.cancel()

    async def finished(self) -> None:
        """When all tasks have ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
