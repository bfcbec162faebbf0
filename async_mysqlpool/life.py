"""The life of a pool: opened, used in one event loop, closed or terminated; and what it is in a forked child."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
import os
import warnings
import weakref
from typing import TYPE_CHECKING, cast

from async_mysqlpool import forks
from async_mysqlpool.capacity import maintenance
from async_mysqlpool.capacity.acquire import check_timeout
from async_mysqlpool.capacity.hooked import make_capacity
from async_mysqlpool.capacity.journal import logger
from async_mysqlpool.connection.opening import again
from async_mysqlpool.errors import ForkedPoolError, PoolClosedError, ServerUnavailableError, WrongEventLoopError
from async_mysqlpool.remedies import check_wait
from async_mysqlpool.stats import describe_holders

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from async_mysqlpool.capacity.capacity import Capacity
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.drivers import Driver

__all__ = ["Life", "Stage"]


class Stage(enum.Enum):
    """How far it is, in the words of an error."""

    NEW = "not open yet: use `async with pool:` or `await pool.open()`"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed, and stays closed: make another ConnectionPool"
    FORKED = "of the parent process"


_OPEN = Stage.OPEN
_LAST_CALL = 1.0  # seconds for stopping what borrowers left running when close() has run out of patience


class Life:
    """The part of a pool that opens and closes it.

    Args:
        config: its options.
        driver: the adapter of its driver.
    """

    def __init__(self, config: PoolConfig, driver: Driver) -> None:
        self._life = Stage.NEW
        self._config = config
        self._driver = driver
        self._name = config.pool_name
        # Set by open(), together:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._capacity: Capacity = cast("Capacity", None)
        self._maintenance: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._close_by = math.inf  # the loop's time up to which close() waits for those who still hold a connection
        self._alarm: asyncio.TimerHandle | None = None  # for that time
        self._out_of_patience = False  # that time has come, by the alarm: some loops' ring a little before their clock

    async def open(self, wait: bool = True, timeout: float | None = None) -> None:
        """Start the pool; harmless when it is open already.

        Args:
            wait: until `min_size` connections, and `min_idle`, are there. Otherwise they are opened in the background.
            timeout: seconds to go on trying when the server cannot be reached; None: the first failure is raised.

        Raises:
            ConnectError: the server refuses us; raised at once.
            ServerUnavailableError: the server could not be reached (within `timeout`).
            PoolClosedError: it was closed; a closed pool stays closed.

        The call that started the pool closes it when it fails or is cancelled; any other leaves it as it is.
        """
        check_wait(wait)
        check_timeout(timeout)
        starting = self._life is Stage.NEW
        if starting:
            self._start()
        self._ready()
        if not wait:
            return
        try:
            await self._filled(timeout)
        except PoolClosedError:  # by somebody else
            raise
        except BaseException:
            if starting:
                self.terminate()
            raise

    async def _filled(self, timeout: float | None) -> None:
        """When as many connections are there as shall be when nobody has one.

        Not by `asyncio.timeout`: in a task that was cancelled before, that of Python 3.11.2 ends in CancelledError.
        """
        capacity = self._capacity
        rung: list[bool] = []  # by the alarm, not by the clock: some loops' alarms ring a little early, and only once

        def ring() -> None:
            rung.append(True)
            capacity.progress.set()

        alarm = None if timeout is None else capacity.loop.call_later(timeout, ring)
        try:
            while self._ready().living < capacity.at_rest:
                error = capacity.connect_error
                if error is not None and (timeout is None or not isinstance(error, ServerUnavailableError)):
                    raise again(error)
                if rung:
                    raise ServerUnavailableError(
                        f"pool {self._name}: no {capacity.at_rest} connections within open(timeout={timeout:g})"
                        + (f"; the last attempt failed: {error}" if error else "")
                    ) from error
                capacity.progress.clear()
                await capacity.progress.wait()
        finally:
            if alarm is not None:
                alarm.cancel()

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._capacity = make_capacity(self._driver, self._config, self._name)
        self._life = Stage.OPEN
        self._maintenance = self._loop.create_task(
            maintenance.run(weakref.ref(self), self._capacity), name=f"{self._name}: maintenance"
        )
        self._capacity.refill()
        forks.watch(self, Life._abandon)

    async def close(self, timeout: float | None = 10.0) -> None:
        """Close the pool: nobody gets a connection any more, waiters are sent away, borrowers may finish.

        Safe to call twice, and from several tasks. Cancelling it terminates the pool.

        Args:
            timeout: seconds to wait for borrowers; then their connections are cut, and the log says who held them. None
                waits for ever.
        """
        check_timeout(timeout)
        if self._life is Stage.NEW:
            self._life = Stage.CLOSED
        if self._life in {Stage.CLOSED, Stage.FORKED}:
            return
        self._check_loop()
        self._close_within(timeout)
        if asyncio.current_task() is self._maintenance:
            self._maintenance = None  # it comes to its end by itself
        if self._closing is None:
            self._life = Stage.CLOSING
            self._closing = asyncio.create_task(self._shut_down(), name=f"{self._name}: close")
            self._closing.add_done_callback(self._turn_off)
        try:
            await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            self.terminate()
            raise

    def _close_within(self, seconds: float | None) -> None:
        """A second close() may be in more of a hurry than the first one."""
        now = self._capacity.loop.time()
        if seconds is not None and now + seconds < self._close_by:
            self._close_by = now + seconds
            self._turn_off()
            self._alarm = self._capacity.loop.call_at(self._close_by, self._lose_patience)

    def _lose_patience(self) -> None:
        self._out_of_patience = True
        self._capacity.progress.set()

    def _turn_off(self, _: object = None) -> None:
        """An alarm that is to ring keeps the pool alive."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _shut_down(self) -> None:
        capacity, started = self._capacity, self._capacity.loop.time()
        capacity.begin_closing()
        capacity.fail_waiters(self._closed_error)
        self._stop_maintenance()
        if not await self._emptied():
            if leases := capacity.leases():
                logger.warning(
                    "%s: closed after %.1f s with %d connections still out, %s",
                    self._name, capacity.loop.time() - started, len(leases), describe_holders(leases, shown=10),
                    extra={"pool": self._name, "event": "closed_with_borrowers", "count": len(leases)},
                )  # fmt: skip
            capacity.cut_off()
            self._close_by, self._out_of_patience = math.inf, False
            self._close_within(_LAST_CALL)
            await self._emptied()
        capacity.terminate()
        await capacity.workers.finished()
        await asyncio.sleep(0)  # lets the transports that were aborted close their sockets
        self._life = Stage.CLOSED

    async def _emptied(self) -> bool:
        """Wait until no connection is left, closing what becomes idle; False if the time for that ran out before."""
        capacity = self._capacity
        while capacity.entries:
            capacity.progress.clear()
            capacity.retire_idle(lambda _: True, "shutdown")
            if self._out_of_patience:
                return False
            if capacity.entries:
                await capacity.progress.wait()
        return True

    def terminate(self) -> None:
        """Cut every connection at once, the borrowed ones as well. Needs no await and no loop; harmless when closed."""
        if self._life in {Stage.OPEN, Stage.CLOSING} and self._capacity.loop.is_closed():
            self._life = Stage.CLOSED
            self._capacity.cut_sockets()
        elif self._life in {Stage.OPEN, Stage.CLOSING}:
            self._life = Stage.CLOSED
            self._stop_maintenance()
            if self._closing is not None:
                self._closing.cancel()
            self._capacity.fail_waiters(self._closed_error)
            self._capacity.terminate()
        elif self._life is Stage.NEW:
            self._life = Stage.CLOSED

    def _stop_maintenance(self) -> None:
        if self._maintenance is not None and self._maintenance is not asyncio.current_task(self._loop):
            self._maintenance.cancel()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if self.__dict__.get("_life") is Stage.OPEN and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._capacity.terminate)
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2)

    @property
    def closed(self) -> bool:
        """Whether no connection can be acquired any more, for good."""
        return self._life not in {Stage.NEW, Stage.OPEN}

    def _ready(self, borrowing: bool = False) -> Capacity:
        """The pool's inside, for those who build on it; a borrower that is refused is counted.

        Raises:
            PoolClosedError, WrongEventLoopError, ForkedPoolError: it cannot be used, here or at all.
        """
        if self._life is not _OPEN or asyncio.get_running_loop() is not self._loop:
            self._check_loop()
            if borrowing and self._capacity:
                self._capacity.journal.counters.refused += 1
            raise self._closed_error()
        return self._capacity

    def _check_loop(self) -> None:
        if self._life is Stage.FORKED:
            raise ForkedPoolError(
                f"pool {self._name} was opened in the parent process; open a pool of its own in process {os.getpid()}"
            )
        if self._loop is not None and asyncio.get_running_loop() is not self._loop:
            raise WrongEventLoopError(
                f"pool {self._name} was opened in another event loop; open a pool in each loop that uses one"
            )

    def _closed_error(self) -> PoolClosedError:
        return PoolClosedError(f"pool {self._name} is {self._life.value}")

    def _abandon(self) -> None:
        """In a forked child: never touch the parent's sockets, not even to close them."""
        if self._life is Stage.OPEN:
            self._life = Stage.FORKED
            forks.keep_for_ever(self._capacity)
