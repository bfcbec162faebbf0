"""`dbutils.pooled_db.PooledDB` on ours: ``from async_mysqlpool.compat.dbutils import PooledDB``."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from async_mysqlpool import ConnectionPool, ConnectionReleasedError, PooledConnection, PooledCursor, PoolError
from async_mysqlpool.compat._shared import (
    UNLIMITED,
    Borrowing,
    ClosedAtEnd,
    ConstructedPool,
    Pending,
    is_exhausted,
    read_arguments,
    unused,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Self

__all__ = [
    "InvalidConnection",
    "InvalidConnectionError",
    "NotSupportedError",
    "PooledDB",
    "PooledDBError",
    "PooledDedicatedDBConnection",
    "TooManyConnections",
    "TooManyConnectionsError",
]

# The drivers of the DB-API that people pair with PooledDB, and the async one that raises the same errors.
_DRIVERS = {"pymysql": "aiomysql", "aiomysql": "aiomysql", "asyncmy": "asyncmy"}


class PooledDBError(PoolError):
    """Base of the errors of this module."""


class NotSupportedError(PooledDBError):
    """An argument that makes no sense here; the message says what to do instead."""


class TooManyConnectionsError(PooledDBError):
    """`maxconnections` are out, and `blocking` is off."""


TooManyConnections = TooManyConnectionsError
# What a connection says that was closed, that is given back.
InvalidConnection = InvalidConnectionError = ConnectionReleasedError


class PooledDB(ConstructedPool):
    """A pool of connections. The positions of the arguments are those of the original.

    Args:
        creator: the module ``aiomysql`` or ``asyncmy`` (or its name, or a `Driver`); ``pymysql`` means aiomysql.
        mincached: connections opened at the start, and kept.
        maxcached: idle connections at most; one that returns beyond it is closed. 0 or None: no limit.
        maxshared: no difference: a connection is never shared, as with the original on any driver for MySQL.
        maxconnections: connections at most, or `maxcached` if that is more. 0 or None: no limit.
        blocking: wait for a connection, for `queue_timeout` seconds (30), instead of failing at once.
        maxusage: a connection is closed after so many borrows. 0 or None: no limit.
        setsession: SQL commands for each new session, run again after each reset.
        reset: False or None: only a transaction that is still open is rolled back when a connection returns.
        failures: not supported; a statement is never repeated behind the user's back.
        ping: no difference: a connection that died while idle is never given out.
        isfatal: not supported, as `failures`.
        **kwargs: for the driver's connect function (`host`, `user`, `database`, ...), or options of
            `async_mysqlpool.ConnectionPool`.

    Raises:
        NotSupportedError: `creator`, `failures` or `isfatal` cannot be used here.
        ConfigurationError: an option of the pool is impossible.
    """

    def __init__(
        self,
        creator: Any,
        mincached: int | None = 0,
        maxcached: int | None = 0,
        maxshared: int | None = 0,
        maxconnections: int | None = 0,
        blocking: bool = False,
        maxusage: int | None = None,
        setsession: Sequence[str] | None = None,
        reset: bool | None = True,
        failures: Any = None,
        ping: Any = 1,
        isfatal: Any = None,
        **kwargs: Any,
    ) -> None:
        if failures is not None or isfatal is not None:
            raise NotSupportedError("failures, isfatal: no statement is repeated here; use pool.run_transaction()")
        least = mincached or 0
        self._maxcached = max(maxcached, least) if maxcached else UNLIMITED
        self._blocking = blocking
        self._maxusage = maxusage or float("inf")
        self._used: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._setsession = tuple(setsession or ())
        self._creator = creator
        self._options = read_arguments(
            kwargs,
            driver=_driver(creator),
            min_size=least,
            max_size=max(maxconnections, maxcached or 0, least) if maxconnections else UNLIMITED,
            max_idle_time=None,
            reset="session" if reset else "rollback",
            on_connect=self._prepare if self._setsession else None,
            autocommit=False,
        )
        self._pool = ConnectionPool(**self._options)

    def _current(self) -> ConnectionPool:
        """The pool; another one when it was closed, because the original's `close` closes only what is there."""
        if self._pool.closed:
            self._pool = ConnectionPool(**self._options)
        return self._pool

    async def _open(self) -> Self:
        await self._current().open()
        return self

    def dbapi(self) -> Any:
        """The module of the driver: the one that was given as `creator`, or that of the driver it stands for."""
        return self._creator if inspect.ismodule(self._creator) else importlib.import_module(self._pool.driver.name)

    async def _prepare(self, connection: PooledConnection) -> None:
        async with connection.cursor() as cursor:
            for sql in self._setsession:
                await cursor.execute(sql)

    def connection(self, shareable: bool = True) -> Pending[PooledDedicatedDBConnection]:
        """A connection: await it and `close` it, or ``async with pool.connection() as db``.

        Args:
            shareable: makes no difference.

        Raises:
            TooManyConnectionsError: all are out, and `blocking` is off.
            AcquireTimeoutError: `blocking`, but none came within `queue_timeout`.
            ConnectError: a connection had to be opened, and could not be.
        """
        pool = self._current()
        return Pending(self._connection(pool, Borrowing(pool)), PooledDedicatedDBConnection.close)

    def dedicated_connection(self) -> Pending[PooledDedicatedDBConnection]:
        """A connection, as `connection()` gives it: they differ only where threads share connections."""
        return self.connection()

    async def _connection(
        self, pool: ConnectionPool, acquire: Awaitable[PooledConnection]
    ) -> PooledDedicatedDBConnection:
        await pool.open(wait=False)
        if not self._blocking and is_exhausted(pool):
            raise TooManyConnectionsError(f"all connections are out: {pool!r}; blocking=True waits for one")
        connection = await acquire
        return PooledDedicatedDBConnection(self, connection)

    def take_back(self, connection: PooledConnection) -> None:
        """A borrower is done: keep the connection, or close it if there are enough, or if it was used enough."""
        if connection.detached:
            return
        used = self._used[connection.raw] = self._used.get(connection.raw, 0) + 1
        if used >= self._maxusage or unused(self._pool) >= self._maxcached:
            connection.discard()
        else:
            connection.close()


class PooledDedicatedDBConnection(ClosedAtEnd):
    """A borrowed connection, with everything that the driver's connection has; `close` gives it back."""

    def __init__(self, pool: PooledDB, connection: PooledConnection) -> None:
        self._pool = pool
        self._connection = connection

    def cursor(self, *args: Any, **kwargs: Any) -> PooledCursor:
        """A cursor; the arguments are the driver's."""
        return self._connection.cursor(*args, **kwargs)

    async def begin(self) -> None:
        """Start a transaction."""
        await self._connection.begin()

    async def commit(self) -> None:
        """Commit it."""
        await self._connection.commit()

    async def rollback(self) -> None:
        """Roll it back."""
        await self._connection.rollback()

    async def cancel(self) -> None:
        """Nothing: none of these drivers has something to cancel, and an open transaction ends when this goes back."""

    def dbapi(self) -> Any:
        """The module of the driver."""
        return self._pool.dbapi()

    def threadsafety(self) -> int:
        """What that module says of itself, as PEP 249 has it; 1, where it says nothing: no connection is shared."""
        return int(getattr(self.dbapi(), "threadsafety", 1))

    async def close(self) -> None:
        """Give it back. Harmless when it went back before."""
        self._pool.take_back(self._connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _driver(creator: Any) -> Any:
    """The driver that a creator stands for."""
    name = creator if isinstance(creator, str) else getattr(creator, "__name__", None)
    if name in _DRIVERS:
        return _DRIVERS[name]
    if isinstance(creator, str) or not hasattr(creator, "new_cursor"):
        raise NotSupportedError(
            f"creator must be one of the modules {', '.join(_DRIVERS)}, not {creator!r}: connections are opened by the "
            "pool; for passwords that change pass a function as password="
        )
    return creator
