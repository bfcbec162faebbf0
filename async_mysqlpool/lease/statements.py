"""One statement and what comes of it: the same functions are methods of a borrowed connection and of the pool.

Each is a plain function that returns a coroutine, so that the caller is still on the stack. `rows` says what a row
becomes, alike with every driver and whatever cursor class its connections have by default:

- `tuple`, the default;
- `dict`: by the names of the columns; of two of one name the last one counts;
- a dataclass, a named tuple, any callable: called with the columns as keyword arguments, once for each row.

`timeout` is the statement's own: seconds from when its connection is there. Then it is stopped on the server, the
connection is closed, and the call ends in `StatementTimeoutError`. None: no limit.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, overload

from async_mysqlpool.errors import ConfigurationError
from async_mysqlpool.lease.held import has_more
from async_mysqlpool.lease.stream import Deadline, RowStream, read_to_its_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from async_mysqlpool.lease.stream import Lent

__all__ = ["Here", "Host", "execute", "execute_many", "fetch_all", "fetch_one", "fetch_value", "stream"]

T = TypeVar("T")
TupleT = TypeVar("TupleT", bound="tuple[Any, ...]")
Args: TypeAlias = "Sequence[Any] | Mapping[str, Any] | None"
Make: TypeAlias = "Callable[[Any], Any] | None"


class Host(Protocol):
    """What has these functions as methods."""

    def _lend(self) -> Lent: ...


class Here:
    """The connection that somebody has, for one statement."""

    own = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def __aenter__(self) -> Any:
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """It goes on."""


def execute(host: Host, sql: str, args: Args = None, *, timeout: float | None = None) -> Coroutine[Any, Any, int]:
    """Run one statement; the number of rows it changed.

    Args:
        host: the pool, or a borrowed connection.
        sql: with ``%s`` or ``%(name)s`` where arguments go.
        args: a sequence, or a mapping by name.
        timeout: seconds for this statement.

    Raises:
        StatementTimeoutError: it was not done by then; it is stopped on the server, and the connection is closed.
    """
    return _run(host._lend(), sql, args, _checked(timeout), _row_count)


def execute_many(
    host: Host, sql: str, args: Iterable[Sequence[Any] | Mapping[str, Any]], *, timeout: float | None = None
) -> Coroutine[Any, Any, int]:
    """Run one statement with many sets of arguments; the number of rows changed. INSERT is sent for many rows at once.

    Args:
        host: the pool, or a borrowed connection.
        sql: as for `execute`.
        args: the sets of arguments; none at all are no statement.
        timeout: seconds for all of them.

    Raises:
        StatementTimeoutError: as for `execute`.
    """
    return _run(host._lend(), sql, list(args), _checked(timeout), _row_count, many=True)


@overload
def fetch_all(
    host: Host, sql: str, args: Args = None, *, timeout: float | None = None
) -> Coroutine[Any, Any, list[tuple[Any, ...]]]: ...
@overload
def fetch_all(
    host: Host, sql: str, args: Args = None, *, rows: type[dict[str, Any]], timeout: float | None = None
) -> Coroutine[Any, Any, list[dict[str, Any]]]: ...
@overload
def fetch_all(
    host: Host, sql: str, args: Args = None, *, rows: type[TupleT], timeout: float | None = None
) -> Coroutine[Any, Any, list[TupleT]]: ...
@overload
def fetch_all(
    host: Host, sql: str, args: Args = None, *, rows: Callable[..., T], timeout: float | None = None
) -> Coroutine[Any, Any, list[T]]: ...
def fetch_all(
    host: Host, sql: str, args: Args = None, *, rows: Callable[..., Any] = tuple, timeout: float | None = None
) -> Coroutine[Any, Any, list[Any]]:
    """Run one statement; all of its rows, in a list.

    Args:
        host: the pool, or a borrowed connection.
        sql: as for `execute`.
        args: as for `execute`.
        rows: `tuple`, `dict`, or what is called with the columns as keyword arguments, such as a dataclass.
        timeout: seconds for this statement.

    Raises:
        StatementTimeoutError: as for `execute`.
    """
    return _run(host._lend(), sql, args, _checked(timeout), partial(_all_rows, rows))


@overload
def fetch_one(
    host: Host, sql: str, args: Args = None, *, timeout: float | None = None
) -> Coroutine[Any, Any, tuple[Any, ...] | None]: ...
@overload
def fetch_one(
    host: Host, sql: str, args: Args = None, *, rows: type[dict[str, Any]], timeout: float | None = None
) -> Coroutine[Any, Any, dict[str, Any] | None]: ...
@overload
def fetch_one(
    host: Host, sql: str, args: Args = None, *, rows: type[TupleT], timeout: float | None = None
) -> Coroutine[Any, Any, TupleT | None]: ...
@overload
def fetch_one(
    host: Host, sql: str, args: Args = None, *, rows: Callable[..., T], timeout: float | None = None
) -> Coroutine[Any, Any, T | None]: ...
def fetch_one(
    host: Host, sql: str, args: Args = None, *, rows: Callable[..., Any] = tuple, timeout: float | None = None
) -> Coroutine[Any, Any, Any]:
    """Run one statement; its first row, or None. Arguments and errors are those of `fetch_all`."""
    return _run(host._lend(), sql, args, _checked(timeout), partial(_first_row, rows))


def fetch_value(host: Host, sql: str, args: Args = None, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
    """Run one statement; the first column of its first row, or None. Arguments and errors are those of `execute`."""
    return _run(host._lend(), sql, args, _checked(timeout), _first_column)


@overload
def stream(host: Host, sql: str, args: Args = None, *, timeout: float | None = None) -> RowStream[tuple[Any, ...]]: ...
@overload
def stream(
    host: Host, sql: str, args: Args = None, *, rows: type[dict[str, Any]], timeout: float | None = None
) -> RowStream[dict[str, Any]]: ...
@overload
def stream(
    host: Host, sql: str, args: Args = None, *, rows: type[TupleT], timeout: float | None = None
) -> RowStream[TupleT]: ...
@overload
def stream(
    host: Host, sql: str, args: Args = None, *, rows: Callable[..., T], timeout: float | None = None
) -> RowStream[T]: ...
def stream(
    host: Host, sql: str, args: Args = None, *, rows: Callable[..., Any] = tuple, timeout: float | None = None
) -> RowStream[Any]:
    """Run one statement; its rows one after the other as they come: ``async for row in pool.stream(sql)``.

    Left early, by `break` or an exception or a cancellation: on the pool the statement is stopped on the server; on a
    borrowed connection the rest is read, and thrown away, before its next statement. Until then the connection refuses
    all others.

    Args:
        host: the pool, or a borrowed connection.
        sql: as for `execute`.
        args: as for `execute`.
        rows: as for `fetch_all`.
        timeout: seconds from the first row asked for to the last one read, your own time in between included.

    Raises:
        StatementTimeoutError: when a row is asked for after that, or does not come by then.
    """
    return RowStream(host._lend(), sql, args, partial(_maker, rows), _checked(timeout))


def _checked(timeout: Any) -> float | None:
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise ConfigurationError(f"timeout must be a number of seconds above 0, or None, not {timeout!r}")
    seconds: float | None = timeout
    return seconds


async def _run(
    lent: Lent,
    sql: str,
    args: Any,
    timeout: float | None,
    outcome: Callable[[Any], Awaitable[T]],
    many: bool = False,
) -> T:
    async with lent as connection:
        limit: AbstractContextManager[None] = nullcontext() if timeout is None else Deadline(timeout, connection)
        with limit:
            async with connection.cursor(connection._owner.driver.cursors[0]) as cursor:
                await (cursor.executemany(sql, args) if many else cursor.execute(sql, args))
                result = await outcome(cursor)
                if has_more(connection):
                    await read_to_its_end(cursor)
                return result


async def _row_count(cursor: Any) -> int:
    return max(0, int(cursor.rowcount))


async def _all_rows(rows: Callable[..., Any], cursor: Any) -> list[Any]:
    if cursor.description is None:
        return []
    found, make = await cursor.fetchall(), _maker(rows, cursor.description)
    return list(found) if make is None else [make(row) for row in found]


async def _first_row(rows: Callable[..., Any], cursor: Any) -> Any:
    if cursor.description is None or (row := await cursor.fetchone()) is None:
        return None
    make = _maker(rows, cursor.description)
    return row if make is None else make(row)


async def _first_column(cursor: Any) -> Any:
    row = None if cursor.description is None else await cursor.fetchone()
    return None if row is None else row[0]


def _maker(rows: Callable[..., Any], description: Sequence[Any]) -> Make:
    """What makes of a tuple what is wanted; None if that is the tuple."""
    if rows is tuple:
        return None
    names = [column[0] for column in description]
    if rows is dict:
        return lambda row: dict(zip(names, row, strict=True))

    def make(row: Any) -> Any:
        try:
            return rows(**dict(zip(names, row, strict=True)))
        except TypeError as exc:
            exc.add_note(f"async_mysqlpool: rows={rows!r} was called with the columns as keywords: {', '.join(names)}")
            raise

    return make
