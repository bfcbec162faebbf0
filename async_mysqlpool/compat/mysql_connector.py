"""`mysql.connector.pooling.MySQLConnectionPool` on ours: ``from async_mysqlpool.compat import mysql_connector``."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, NoReturn

from async_mysqlpool import (
    AcquireTimeoutError,
    ConnectError,
    ConnectionPool,
    PoolClosedError,
    PooledConnection,
    ServerUnavailableError,
)
from async_mysqlpool import errors as pool_errors
from async_mysqlpool.compat import _oracle as errors
from async_mysqlpool.compat._oracle import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PoolError,
    ProgrammingError,
    kind_of,
    translated,
)
from async_mysqlpool.compat._shared import (
    TAKEN,
    Borrowing,
    ClosedAtEnd,
    ConstructedPool,
    Pending,
    is_exhausted,
    read_arguments,
)
from async_mysqlpool.drivers.base import is_server_error
from async_mysqlpool.lease.transaction import in_transaction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Self

    from async_mysqlpool import PooledCursor
    from async_mysqlpool.drivers import Driver

__all__ = [
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "MySQLConnectionPool",
    "MySQLCursor",
    "NotSupportedError",
    "OperationalError",
    "PoolError",
    "PooledMySQLConnection",
    "ProgrammingError",
    "errors",
]

_UNREACHABLE = 2003  # CR_CONN_HOST_ERROR
_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


class MySQLConnectionPool(ConstructedPool):
    """A pool of `pool_size` connections.

    Args:
        pool_size: connections, and borrowers, at most.
        pool_name: default: host, port, user and database, as far as they are given.
        pool_reset_session: False: only a transaction that is still open is rolled back when a connection returns.
        **kwargs: for the driver's connect function (`host`, `user`, `database`, ...), or options of
            `async_mysqlpool.ConnectionPool`. With `queue_timeout` (seconds), `get_connection` waits that long;
            otherwise it fails at once when all are out, as the original does.

    Raises:
        AttributeError: `pool_size` is not positive.
        PoolError: there is nothing to make a name of.
        ConfigurationError: an option of the pool is impossible.
    """

    def __init__(
        self, pool_size: int = 5, pool_name: str | None = None, pool_reset_session: bool = True, **kwargs: Any
    ) -> None:
        if pool_size <= 0:
            raise AttributeError(f"Pool size should be higher than 0, not {pool_size}")
        self._pool_size = pool_size
        self._pool_name = pool_name or _generated_name(kwargs)
        self._reset_session = pool_reset_session
        self._retired: dict[asyncio.Task[None], ConnectionPool] = {}
        self._configured: ConnectionPool | None = self._make(kwargs, pool_size) if kwargs else None

    def _make(self, arguments: dict[str, Any], min_size: int) -> ConnectionPool:
        self._waits = "queue_timeout" in arguments
        return ConnectionPool(
            **read_arguments(
                arguments,
                name=self._pool_name,
                min_size=min_size,
                max_size=self._pool_size,
                reset="session" if self._reset_session else "rollback",
                autocommit=False,
            )
        )

    @property
    def _pool(self) -> ConnectionPool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        if self._configured is None:
            raise PoolError("Connection configuration not available: call set_config() first")
        return self._configured

    @property
    def pool_name(self) -> str:
        """Its name."""
        return self._pool_name

    @property
    def pool_size(self) -> int:
        """Connections at most."""
        return self._pool_size

    @property
    def reset_session(self) -> bool:
        """Whether a connection that returns gets a clean session."""
        return self._reset_session

    async def _open(self) -> Self:
        try:
            await self._pool.open()
        except ConnectError as exc:
            raise _refused(self._pool, exc) from exc
        return self

    async def initialize_pool(self) -> None:
        """Open it: the name that this has in `mysql.connector.aio`."""
        await self._open()

    async def set_config(self, **kwargs: Any) -> None:
        """Connect in another way from now on. Borrowers keep what they have; it is closed when they return it.

        Raises:
            PoolError: no connection can be opened with these arguments; the old ones stay in force.
        """
        if not kwargs:
            return
        old = self._configured
        new = self._make(kwargs, old.min_size if old else 0)
        try:
            await new.open()
        except ConnectError as exc:
            raise PoolError(f"Connection configuration not valid: {exc}") from exc
        self._configured = new
        if old is not None:
            task = asyncio.create_task(old.close(timeout=None), name=f"{self._pool_name}: close")
            self._retired[task] = old
            task.add_done_callback(self._retired.pop)

    async def add_connection(self, cnx: None = None) -> None:
        """Keep one connection more open, up to `pool_size`; it is opened in the background.

        Raises:
            PoolError: there are `pool_size` already, no configuration, or `cnx` is given: the pool opens its own.
        """
        pool = self._pool
        if cnx is not None:
            raise PoolError("Connections are opened by the pool: call add_connection() without an argument")
        if pool.min_size >= self._pool_size:
            raise PoolError(f"Failed adding connection; queue is full (pool_size={self._pool_size})")
        await pool.open(wait=False)
        await pool.resize(min_size=pool.min_size + 1)

    def get_connection(self) -> Pending[PooledMySQLConnection]:
        """A connection: await it and `close` it, or ``async with pool.get_connection() as cnx``.

        Raises:
            PoolError: all connections are out (see `queue_timeout`), the pool is closed or has no configuration.
            InterfaceError: the server cannot be reached.
        ProgrammingError: it refuses the account or the schema.
        """
        pool = self._pool
        return Pending(self._get_connection(pool, Borrowing(pool)), PooledMySQLConnection.close)

    async def _get_connection(
        self, pool: ConnectionPool, acquire: Awaitable[PooledConnection]
    ) -> PooledMySQLConnection:
        try:
            await pool.open(wait=False)
            if not self._waits and is_exhausted(pool):
                raise PoolError(f"Failed getting connection; pool exhausted: {pool!r}; queue_timeout= lets it wait")
            return PooledMySQLConnection(self, pool.driver, await acquire)
        except TAKEN as exc:
            slow = isinstance(exc, AcquireTimeoutError) and exc.phase != "queueing"
            raise PoolError(f"Failed getting connection{'' if slow else '; pool exhausted'}: {exc}") from exc
        except ConnectError as exc:
            raise _refused(pool, exc) from exc
        except PoolClosedError as exc:
            raise PoolError(str(exc)) from exc

    async def close(self) -> None:
        """Close the pool; borrowers have ten seconds to finish, those of an old configuration too."""
        pools = [*self._retired.values(), *([self._configured] if self._configured is not None else [])]
        await asyncio.gather(*(pool.close() for pool in pools))

    close_pool = close  # the name in mysql.connector.aio


class PooledMySQLConnection(ClosedAtEnd):
    """A borrowed connection, with everything that the driver's connection has; `close` gives it back."""

    def __init__(self, pool: MySQLConnectionPool, driver: Driver, connection: PooledConnection) -> None:
        self._cnx_pool = pool
        self._driver = driver
        self._connection = connection

    @property
    def pool_name(self) -> str:
        """The name of its pool."""
        return self._cnx_pool.pool_name

    def cursor(
        self,
        buffered: bool | None = None,
        raw: bool | None = None,
        prepared: bool | None = None,
        cursor_class: Any = None,
        dictionary: bool | None = None,
    ) -> MySQLCursor:
        """A cursor; with `dictionary`, rows are dicts. Results are always buffered.

        Args:
            buffered: makes no difference.
            raw: values as the server sent them; only with the driver mysql.connector.aio.
            prepared: run statements as prepared ones; only with the driver mysql.connector.aio.
            cursor_class: one of the driver's own classes.
            dictionary: rows as dicts instead of tuples.

        Raises:
            NotSupportedError: `raw` or `prepared` with another driver.
        """
        if self._driver.name == "mysql.connector.aio":
            options = {"raw": raw, "prepared": prepared, "cursor_class": cursor_class, "dictionary": dictionary}
            return MySQLCursor(self._driver, self._connection.cursor(buffered=not prepared, **options))
        if raw or prepared:
            raise NotSupportedError(f"cursor(raw, prepared): the driver {self._driver.name} has no such cursors")
        if dictionary and cursor_class is None:
            cursor_class = importlib.import_module(f"{self._driver.name}.cursors").DictCursor
        chosen = () if cursor_class is None else (cursor_class,)
        return MySQLCursor(self._driver, self._connection.cursor(*chosen))

    async def is_connected(self) -> bool:
        """Whether it is borrowed and the server answers."""
        if self._connection.detached:
            return False
        try:
            await self._connection.ping()
        except pool_errors.PoolError:  # another task is using it
            raise
        except Exception:  # noqa: BLE001  whatever the driver calls it
            return False
        return True

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as the server has last said."""
        return in_transaction(self._connection)

    async def start_transaction(
        self, consistent_snapshot: bool = False, isolation_level: str | None = None, readonly: bool | None = None
    ) -> None:
        """Start a transaction.

        Args:
            consistent_snapshot: what it sees is what was there now, not at its first look.
            isolation_level: such as "READ COMMITTED"; None: the session's.
            readonly: True or False: READ ONLY or READ WRITE; None: the session's.

        Raises:
            ProgrammingError: one is open already.
            ValueError: no such isolation level.
        """
        if self.in_transaction:
            raise ProgrammingError("Transaction already in progress")
        statements = [] if isolation_level is None else [f"SET TRANSACTION ISOLATION LEVEL {_level(isolation_level)}"]
        how = ["WITH CONSISTENT SNAPSHOT"] if consistent_snapshot else []
        how += [] if readonly is None else ["READ ONLY" if readonly else "READ WRITE"]
        with translated(self._driver):
            async with self._connection.cursor() as cursor:
                for statement in (*statements, f"START TRANSACTION {', '.join(how)}"):
                    await cursor.execute(statement)

    async def commit(self) -> None:
        """Commit it."""
        with translated(self._driver):
            await self._connection.commit()

    async def rollback(self) -> None:
        """Roll it back."""
        with translated(self._driver):
            await self._connection.rollback()

    async def close(self) -> None:
        """Give it back. Harmless when it went back before."""
        await self._connection.close()

    @staticmethod
    def config(**_kwargs: Any) -> NoReturn:
        """Not for a pooled connection.

        Raises:
            PoolError: always.
        """
        raise PoolError("Configuration for pooled connections should be done through the pool itself")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class MySQLCursor(ClosedAtEnd):
    """The driver's cursor, with the errors of this module."""

    def __init__(self, driver: Driver, cursor: PooledCursor) -> None:
        self._driver = driver
        self._cursor = cursor

    async def execute(self, operation: str, params: Any = ()) -> None:
        """Run one statement; ``%s`` and ``%(name)s`` in it are replaced by `params`."""
        with translated(self._driver):
            await self._cursor.execute(operation, params or None)

    async def executemany(self, operation: str, seq_params: Sequence[Any]) -> None:
        """Run one statement with many sets of values."""
        with translated(self._driver):
            await self._cursor.executemany(operation, seq_params)

    async def fetchone(self) -> Any:
        """The next row, or None."""
        with translated(self._driver):
            return await self._cursor.fetchone()

    async def fetchmany(self, size: int = 1) -> list[Any]:
        """The next rows, `size` at most."""
        with translated(self._driver):
            return list(await self._cursor.fetchmany(size))

    async def fetchall(self) -> list[Any]:
        """All remaining rows."""
        with translated(self._driver):
            return list(await self._cursor.fetchall())

    async def close(self) -> None:
        """Close it. Harmless after its connection went back."""
        await self._cursor.close()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns of the result."""
        return tuple(column[0] for column in self._cursor.description or ())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        row = await self.fetchone()
        if row is None:
            raise StopAsyncIteration
        return row


def _level(name: str) -> str:
    level = name.strip().replace("-", " ").upper()
    if level not in _LEVELS:
        raise ValueError(f"Unknown isolation level {name!r}: known are {', '.join(_LEVELS)}")
    return level


def _generated_name(arguments: dict[str, Any]) -> str:
    parts = [str(arguments[key]) for key in ("host", "port", "user", "database") if key in arguments]
    if not parts:
        raise PoolError("Failed generating pool name; specify pool_name")
    return "_".join(parts)


def _refused(pool: ConnectionPool, error: ConnectError) -> Error:
    """What the server said; or that it cannot be reached, which is 2003 here, as the original has it."""
    number = pool.driver.error_number(error.__cause__) if error.__cause__ else None
    if number is not None and is_server_error(number):
        return kind_of(number)(str(error), number)
    if number is None and isinstance(error, ServerUnavailableError):
        number = _UNREACHABLE
    return InterfaceError(str(error), number or -1)
