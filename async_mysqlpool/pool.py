"""The pool as its users see it: open, acquire, release, close. Where its capacity goes: `capacity/capacity.py`."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
import os
import warnings
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool import forks
from async_mysqlpool.capacity import maintenance
from async_mysqlpool.capacity.acquire import Acquire, check_timeout
from async_mysqlpool.capacity.capacity import Capacity
from async_mysqlpool.capacity.journal import logger
from async_mysqlpool.client_options import read_client
from async_mysqlpool.config import Options, build_config
from async_mysqlpool.connection.entry import caller
from async_mysqlpool.connection.opening import again
from async_mysqlpool.drivers import load_driver
from async_mysqlpool.errors import ForkedPoolError, PoolClosedError, ServerUnavailableError, WrongEventLoopError
from async_mysqlpool.lease.held import owner_of
from async_mysqlpool.stats import describe_holders
from async_mysqlpool.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self, Unpack

    from async_mysqlpool.config import Reset
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.lease.connection import PooledConnection

__all__ = ["ConnectionPool"]


class _Default(enum.Enum):
    TIMEOUT = "the pool's queue_timeout"


class _Life(enum.Enum):
    NEW = "not open yet: use `async with pool:` or `await pool.open()`"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    FORKED = "of the parent process"


_OPEN = _Life.OPEN
_LAST_CALL = 1.0  # seconds for stopping what borrowers left running when close() has run out of patience
_DEFAULT = _Default.TIMEOUT


class ConnectionPool(View):
    """A pool of connections to one MySQL or MariaDB server.

    Args:
        dsn: ``mysql+driver://user:password@host:port/database?option=value``; None when all options are keywords.
        **options: see `async_mysqlpool.config.PoolConfig` for each name, unit and default. They win over the DSN.

    Raises:
        ConfigurationError: an unknown option or an impossible value. Nothing is opened by the constructor.
    """

    def __init__(self, dsn: str | None = None, /, **options: Unpack[Options]) -> None:
        self._life = _Life.NEW
        self._config = build_config(dsn, options)
        self._scheme = "mariadb" if dsn is not None and dsn.startswith("mariadb") else "mysql"
        self._driver = load_driver(self._config.driver)
        self._name = self._config.pool_name
        self._min_size, self._max_size = self._config.min_size, self._config.max_size
        # Set by open(), together:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._capacity: Capacity = cast("Capacity", None)
        self._maintenance: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._close_by = math.inf  # the loop's time up to which close() waits for those who still hold a connection

    @classmethod
    def from_client_options(
        cls, connection: str | Mapping[str, Any], options: Mapping[str, Any] | str, **more: Unpack[Options]
    ) -> Self:
        """A pool from X DevAPI's two arguments.

        Args:
            connection: a DSN, or a dict of host, port, user, password, database (or schema).
            options: ``{"pooling": {"enabled", "max_size", "max_idle_time", "queue_timeout"}}``, a dict or JSON;
                times in **milliseconds**, 0 for no limit.
            **more: options of ours that X DevAPI does not know.

        Raises:
            ConfigurationError: as for the constructor.
        """
        dsn, translated = read_client(connection, options, more)
        return cls(dsn, **cast("Options", translated))

    # -- life -----------------------------------------------------------------------------------------------------

    async def open(self, wait: bool = True, timeout: float | None = None) -> None:
        """Start the pool; harmless when it is open already.

        Args:
            wait: until `min_size` connections are there. Otherwise they are opened in the background.
            timeout: seconds to go on trying when the server cannot be reached; None: the first failure is raised.

        Raises:
            ConnectError: the server refuses us; raised at once.
            ServerUnavailableError: the server could not be reached (within `timeout`).
            PoolClosedError: it was closed; a closed pool stays closed.

        The call that started the pool closes it when it fails or is cancelled; any other leaves it as it is.
        """
        starting = self._life is _Life.NEW
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
        """When `min_size` connections are there.

        Not by `asyncio.timeout`: in a task that was cancelled before, that of Python 3.11.2 ends in CancelledError.
        """
        capacity = self._capacity
        ends = math.inf if timeout is None else capacity.loop.time() + timeout
        alarm = None if timeout is None else capacity.loop.call_at(ends, capacity.progress.set)
        try:
            while self._ready().living < self._min_size:
                error = capacity.connect_error
                if error is not None and (timeout is None or not isinstance(error, ServerUnavailableError)):
                    raise again(error)
                if capacity.loop.time() >= ends:
                    raise ServerUnavailableError(
                        f"pool {self._name}: no {self._min_size} connections within open(timeout={timeout:g})"
                        + (f"; the last attempt failed: {error}" if error else "")
                    ) from error
                capacity.progress.clear()
                await capacity.progress.wait()
        finally:
            if alarm is not None:
                alarm.cancel()

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._capacity = Capacity(self._driver, self._config, self._name)
        self._life = _Life.OPEN
        self._maintenance = self._loop.create_task(
            maintenance.run(weakref.ref(self), self._capacity), name=f"{self._name}: maintenance"
        )
        self._capacity.refill()
        forks.watch(self, ConnectionPool._abandon)

    async def close(self, timeout: float | None = 10.0) -> None:
        """Close the pool: nobody gets a connection any more, waiters are sent away, borrowers may finish.

        Safe to call twice, and from several tasks. Cancelling it terminates the pool.

        Args:
            timeout: seconds to wait for borrowers; then their connections are cut, and the log says who held them. None
                waits for ever.
        """
        if self._life is _Life.NEW:
            self._life = _Life.CLOSED
        if self._life in {_Life.CLOSED, _Life.FORKED}:
            return
        self._check_loop()
        self._close_within(timeout)
        if asyncio.current_task() is self._maintenance:
            self._maintenance = None  # it comes to its end by itself
        if self._closing is None:
            self._life = _Life.CLOSING
            self._closing = asyncio.create_task(self._shut_down(), name=f"{self._name}: close")
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
            self._capacity.loop.call_at(self._close_by, self._capacity.progress.set)

    async def _shut_down(self) -> None:
        capacity, started = self._capacity, self._capacity.loop.time()
        capacity.begin_closing()
        capacity.fail_waiters(self._closed_error)
        self._stop_maintenance()
        if not await self._emptied():
            if leases := self.leases():
                logger.warning(
                    "%s: closed after %.1f s with %d connections still out, %s",
                    self._name, capacity.loop.time() - started, len(leases), describe_holders(leases, shown=10),
                    extra={"pool": self._name, "event": "closed_with_borrowers", "count": len(leases)},
                )  # fmt: skip
            capacity.cut_off()
            self._close_by = math.inf
            self._close_within(_LAST_CALL)
            await self._emptied()
        capacity.terminate()
        await capacity.workers.finished()
        await asyncio.sleep(0)  # lets the transports that were aborted close their sockets
        self._life = _Life.CLOSED

    async def _emptied(self) -> bool:
        """Wait until no connection is left, closing what becomes idle; False if the time for that ran out before."""
        capacity = self._capacity
        while capacity.entries:
            capacity.progress.clear()
            capacity.retire_idle(lambda _: True, "shutdown")
            if capacity.loop.time() >= self._close_by:
                return False
            if capacity.entries:
                await capacity.progress.wait()
        return True

    def terminate(self) -> None:
        """Cut every connection at once, the borrowed ones as well. Needs no await and no loop; harmless when closed."""
        if self._life in {_Life.OPEN, _Life.CLOSING} and self._capacity.loop.is_closed():
            self._life = _Life.CLOSED
            self._capacity.cut_sockets()
        elif self._life in {_Life.OPEN, _Life.CLOSING}:
            self._life = _Life.CLOSED
            self._stop_maintenance()
            if self._closing is not None:
                self._closing.cancel()
            self._capacity.fail_waiters(self._closed_error)
            self._capacity.terminate()
        elif self._life is _Life.NEW:
            self._life = _Life.CLOSED

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
        if self.__dict__.get("_life") is _Life.OPEN and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._capacity.terminate)
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2)

    # -- acquire and release --------------------------------------------------------------------------------------

    def acquire(self, timeout: float | _Default | None = _DEFAULT, *, site: object | None = None) -> Acquire:
        """Borrow a connection: ``async with pool.acquire() as conn``, or ``conn = await pool.acquire()`` and release.

        Args:
            timeout: seconds, one deadline over queueing, connecting and validating; None waits for ever; 0 does not
                wait at all (an idle connection is still checked). Default: the pool's `queue_timeout`.
            site: what errors, events and the log say of where it was acquired, for code that borrows on behalf of other
                code; its ``str()`` is asked for when needed. Default: the caller's file and line.

        Raises:
            AcquireTimeoutError: nothing came in time; says who holds the connections.
            QueueFullError: `max_waiting` tasks wait already.
            ConnectError: a new connection was needed, and could not be opened.
            PoolClosedError, WrongEventLoopError, ForkedPoolError: the pool cannot be used, here or at all.
            ConfigurationError: `timeout` is not a time.
        """
        if timeout is _DEFAULT:
            timeout = self._config.queue_timeout
        else:
            check_timeout(timeout)
        return Acquire(self, timeout, site or caller(1))

    def release(self, connection: PooledConnection) -> None:
        """Give a connection back. Harmless when it went back before.

        Raises:
            ValueError: it is not a connection of this pool.
        """
        if owner_of(connection) is not self._capacity:
            raise ValueError(f"{connection!r} was not acquired from pool {self._name}")
        connection.close()

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
        if self._life is _Life.FORKED:
            raise ForkedPoolError(
                f"pool {self._name} was opened in the parent process; open a pool of its own in process {os.getpid()}"
            )
        if self._loop is not None and asyncio.get_running_loop() is not self._loop:
            raise WrongEventLoopError(
                f"pool {self._name} was opened in another event loop; open a pool in each loop that uses one"
            )

    def _closed_error(self) -> PoolClosedError:
        return PoolClosedError(f"pool {self._name} is {self._life.value}")

    # -- looking and changing -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name given, or ``host:port/database``."""
        return self._name

    @property
    def driver(self) -> Driver:
        """The adapter of the driver in use."""
        return self._driver

    @property
    def reset(self) -> Reset:
        """How sessions are made clean."""
        return self._config.reset

    @property
    def closed(self) -> bool:
        """Whether no connection can be acquired any more, for good."""
        return self._life not in {_Life.NEW, _Life.OPEN}

    @property
    def min_size(self) -> int:
        """Connections kept open even when nobody needs them."""
        return self._min_size

    @property
    def max_size(self) -> int:
        """Connections open at most."""
        return self._max_size

    async def resize(self, min_size: int | None = None, max_size: int | None = None) -> None:
        """Change the limits of a running pool. What is too much is closed: idle ones now, borrowed ones on return.

        Raises:
            ConfigurationError: impossible sizes; nothing is changed.
        """
        capacity = self._ready()
        low = self._min_size if min_size is None else min_size
        high = self._max_size if max_size is None else max_size
        build_config(None, {"min_size": low, "max_size": high})
        self._min_size = capacity.min_size = low
        grown, self._max_size = high - self._max_size, high
        capacity.resize(grown)
        capacity.changed.set()

    def expire(self) -> None:
        """Replace every connection: idle ones now, borrowed ones as they come back."""
        self._ready().expire("expired")

    def _add_client_flag(self, flag: int) -> float:
        """Have connections opened with it from now on, the loop's time; those that are there are replaced.

        For an integration that needs it. The flag belongs to the handshake: no session can be given it later.
        """
        arguments = dict(self._config.connect_args)
        if arguments.get("client_flag", 0) & flag == flag:
            return -math.inf
        arguments["client_flag"] = arguments.get("client_flag", 0) | flag
        self._config = replace(self._config, connect_args=arguments)
        if self._life is not _OPEN:
            return -math.inf
        self._capacity.workers.connector.connect_args["client_flag"] = arguments["client_flag"]
        with contextlib.suppress(WrongEventLoopError, RuntimeError):  # called from elsewhere: as they are met
            self.expire()
        return self._capacity.loop.time()

    async def check(self) -> None:
        """Ping every idle connection now and replace those that do not answer within `validation_timeout`."""
        if checks := self._ready().workers.check_idle():
            await asyncio.wait(checks)  # which go on if this is cancelled

    def _abandon(self) -> None:
        """In a forked child: never touch the parent's sockets, not even to close them."""
        if self._life is _Life.OPEN:
            self._life = _Life.FORKED
            forks.keep_for_ever(self._capacity)

    def __repr__(self) -> str:
        state = str(self.stats()) if self._life is _Life.OPEN else self._life.name.lower()
        return f"<ConnectionPool {self._name} via {self._driver.name}: {state}>"
