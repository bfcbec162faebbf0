"""X DevAPI's client, `mysqlx.get_client`, on ours: ``from async_mysqlpool.compat import mysqlx``.

Sessions run SQL over the classic protocol (port 3306, not 33060); collections and CRUD statements are not offered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool import (
    AcquireTimeoutError,
    ConfigurationError,
    ConnectError,
    ConnectionPool,
    PoolClosedError,
    PooledConnection,
    ServerUnavailableError,
)
from async_mysqlpool.compat import _oracle as errors
from async_mysqlpool.compat._oracle import InterfaceError, OptionError, PoolError, ProgrammingError, translated
from async_mysqlpool.compat._shared import TAKEN, Borrowing, ClosedAtEnd, ConstructedPool, Pending, read_arguments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from typing import Self

__all__ = [
    "Client",
    "InterfaceError",
    "PoolError",
    "ProgrammingError",
    "Row",
    "Session",
    "SqlResult",
    "SqlStatement",
    "errors",
    "get_client",
]

_X_PORT = 33060
_TAKEN = "pool max size has been reached"
_UNREACHABLE = "Unable to connect to any of the target hosts"


def get_client(connection: str | Mapping[str, Any], options: str | Mapping[str, Any]) -> Client:
    """A client: a pool of sessions. Nothing is opened before the first `get_session`.

    Args:
        connection: ``"mysqlx://user:password@host:port/schema"``, or a dict of `host`, `port`, `user`, `password`,
            `schema`, `connect-timeout` (milliseconds) and of options of `async_mysqlpool.ConnectionPool`.
        options: ``{"pooling": {"enabled", "max_size", "max_idle_time", "queue_timeout"}}``, a dict or JSON; times in
            milliseconds, 0 for no limit.

    Raises:
        OptionError: an InterfaceError and an AttributeError; an option is unknown or impossible.
    """
    try:
        if isinstance(connection, str):
            scheme, _, rest = connection.rpartition("://")
            dsn = f"mysql://{rest}" if scheme in {"", "mysqlx"} else connection
            return Client(ConnectionPool.from_client_options(dsn, options))
        return Client(ConnectionPool.from_client_options({}, options, **read_arguments(_settings(connection))))
    except ConfigurationError as exc:
        raise OptionError(str(exc)) from exc


def _settings(connection: Mapping[str, Any]) -> dict[str, Any]:
    """X DevAPI's names and units as the drivers have them."""
    given = {key.replace("-", "_"): value for key, value in connection.items()}
    if "schema" in given:
        given["database"] = given.pop("schema")
    if "socket" in given:
        given["unix_socket"] = given.pop("socket")
    if "connect_timeout" in given:
        given["connect_timeout"] /= 1000
    if str(given.get("ssl_mode")).lower() == "disabled":
        del given["ssl_mode"]
        given["ssl"] = False
    if any(key.startswith(("ssl_", "tls_")) for key in given):
        raise OptionError("TLS is configured by ssl=True, or ssl=an ssl.SSLContext, instead of ssl-mode, ssl-ca, ...")
    return given


class Client(ConstructedPool):
    """What `get_client` gives."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def get_session(self) -> Pending[Session]:
        """A session: await it and `close` it, or ``async with client.get_session() as session``.

        Raises:
            PoolError: all sessions were taken for the whole of `queue_timeout`, the server cannot be reached, or the
                client is closed.
            InterfaceError: the server refuses this account, schema or option.
        """
        return Pending(self._session(Borrowing(self._pool)), Session.close)

    async def _session(self, acquire: Awaitable[PooledConnection]) -> Session:
        try:
            await self._pool.open(wait=False)
            return Session(await acquire, self._pool)
        except TAKEN as exc:
            unreachable = isinstance(exc, AcquireTimeoutError) and exc.phase != "queueing"
            raise PoolError(f"{_UNREACHABLE if unreachable else _TAKEN}: {exc}") from exc
        except ServerUnavailableError as exc:
            raise PoolError(f"{_UNREACHABLE}: {exc}{self._hint()}") from exc
        except ConnectError as exc:
            number = self._pool.driver.error_number(exc.__cause__) if exc.__cause__ else None
            raise InterfaceError(f"{exc}{self._hint()}", number or -1) from exc
        except PoolClosedError as exc:
            raise PoolError(str(exc)) from exc

    def _hint(self) -> str:
        wrong = f":{_X_PORT}" in self._pool.name
        return f"; port {_X_PORT} is the X Protocol's, the classic one is at 3306" if wrong else ""


class Session(ClosedAtEnd):
    """A borrowed session. `close` gives it back, clean."""

    def __init__(self, connection: PooledConnection, pool: ConnectionPool) -> None:
        self._connection = connection
        self._pool = pool

    def sql(self, sql: str) -> SqlStatement:
        """A statement, with ``?`` where values go that `bind` gives."""
        return SqlStatement(self._connection, self._pool, sql)

    async def start_transaction(self) -> None:
        """Start a transaction."""
        await self._connection.begin()

    async def commit(self) -> None:
        """Commit it."""
        await self._connection.commit()

    async def rollback(self) -> None:
        """Roll it back."""
        await self._connection.rollback()

    def is_open(self) -> bool:
        """Whether it was not given back yet."""
        return not self._connection.detached

    async def close(self) -> None:
        """Give the session back to the client. Harmless when it went back before."""
        await self._connection.close()


# What a question mark in is no placeholder: texts, quoted names, comments.
_PLACEHOLDER = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*` | \#[^\n]* | --\s[^\n]* | /\*.*?\*/ | (?P<mark>\?)""",
    re.VERBOSE | re.DOTALL,
)


class SqlStatement:
    """One statement; `execute` runs it, and may run it again."""

    def __init__(self, connection: PooledConnection, pool: ConnectionPool, sql: str) -> None:
        self._connection = connection
        self._driver = pool.driver
        self._sql = sql
        self._values: tuple[Any, ...] = ()

    def bind(self, *values: Any) -> Self:
        """Values for the next question marks; a list or tuple stands for its items."""
        if len(values) == 1 and isinstance(values[0], (list, tuple)):
            values = tuple(cast("Sequence[Any]", values[0]))
        self._values += values
        return self

    async def execute(self) -> SqlResult:
        """Run the statement and fetch what it returns.

        Raises:
            Error: the server's, as one of `errors`.
        """
        sql, values = (_with_placeholders(self._sql), self._values) if self._values else (self._sql, None)
        with translated(self._driver):
            async with self._connection.cursor() as cursor:
                await cursor.execute(sql, values)
                result = SqlResult(cursor.rowcount, cursor.lastrowid or 0)
                while True:
                    names = [column[0] for column in cursor.description or ()]
                    result.add(names, await cursor.fetchall() if names else ())
                    if not await cursor.nextset():
                        return result


def _with_placeholders(sql: str) -> str:
    """The drivers' placeholder is ``%s``, and a percent sign of its own they want twice."""
    return _PLACEHOLDER.sub(lambda match: "%s" if match["mark"] else match[0], sql.replace("%", "%%"))


class Row:
    """A row: values by position, or by the name of the column."""

    def __init__(self, names: Sequence[str], values: Sequence[Any]) -> None:
        self._names = names
        self._values = values

    def __getitem__(self, index: int | str) -> Any:
        if isinstance(index, str):
            if index not in self._names:
                raise ValueError(f"Column name '{index}' not found")
            index = self._names.index(index)
        if not 0 <= index < len(self._values):
            raise IndexError("Index out of range")
        return self._values[index]

    def __repr__(self) -> str:
        return repr(self._values)


class SqlResult:
    """What a statement returned, all of it fetched already: nothing here needs the session any more."""

    def __init__(self, affected: int, generated: int) -> None:
        self._affected = affected
        self._generated = generated
        self._sets: list[tuple[list[str], list[Row]]] = []

    def add(self, names: list[str], rows: Sequence[Sequence[Any]]) -> None:
        """One more result set."""
        self._sets.append((names, [Row(names, row) for row in rows]))

    def has_data(self) -> bool:
        """Whether the current result set has columns."""
        return bool(self._sets[0][0])

    def fetch_one(self) -> Any:
        """The next `Row`, or None."""
        rows = self._sets[0][1]
        return rows.pop(0) if rows else None

    def fetch_all(self) -> list[Row]:
        """The remaining rows."""
        rows = self._sets[0][1]
        fetched, rows[:] = rows[:], []
        return fetched

    def next_result(self) -> bool:
        """Go on to the next result set, if there is one."""
        if len(self._sets) > 1:
            del self._sets[0]
            return True
        return False

    def get_affected_items_count(self) -> int:
        """Rows that the statement changed."""
        return self._affected

    def get_autoincrement_value(self) -> int:
        """The AUTO_INCREMENT value of the first row inserted; 0 where there is none."""
        return self._generated
