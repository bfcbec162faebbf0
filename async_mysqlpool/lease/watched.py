"""A lease whose statements are watched: each is announced, and told of when it has ended.

Only a pool that has somebody to tell lends such; all others know nothing of it.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, cast

from async_mysqlpool import events
from async_mysqlpool.lease.connection import PooledConnection, PooledCursor
from async_mysqlpool.lease.transaction import transaction
from async_mysqlpool.misuse import block
from async_mysqlpool.wire.packets import SERVER_STATUS_NO_BACKSLASH_ESCAPES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
    from contextlib import AbstractAsyncContextManager

    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.lease.held import Owner
    from async_mysqlpool.lease.transaction import Isolation

__all__ = ["Watch", "WatchedConnection", "WatchedCursor"]

_END_OF_COMMENT = re.compile(r"\*+/")
_SPECIAL = re.compile(r"M?!|[+/]")  # with which a comment would be run, or taken for a hint
_MOST_ROWS = 1 << 63  # some drivers have 2**64 - 1 for a number that they do not know


class Watch(Protocol):
    """Who is told."""

    pool: str

    def started(self, event: events.StatementStarted | events.TransactionStarted) -> str | None:
        """What begins; a comment to be sent with it."""
        ...

    def digest(self, text: Any, escapes: bool) -> str:
        """The statement without its values; `escapes`: a backslash in it does."""
        ...

    def statement_ended(
        self, started: events.StatementStarted, took: float, rows: int | None, error: BaseException | None,
        number: int | None,
    ) -> None:  # fmt: skip
        """It has ended."""
        ...

    def transaction_ended(self, started: events.TransactionStarted, took: float, error: BaseException | None) -> None:
        """A block was left."""
        ...


class WatchedConnection(PooledConnection):
    """A borrowed connection that tells of its statements.

    Args:
        owner: of the lease.
        entry: the physical connection.
        watch: is told.
        waited: seconds that its borrower waited for it.
    """

    __slots__ = ("_waited", "_watch")

    def __init__(self, owner: Owner, entry: Entry, watch: Watch, waited: float) -> None:
        super().__init__(owner, entry)
        self._watch = watch
        self._waited = waited

    def cursor(self, *args: Any, **kwargs: Any) -> PooledCursor:
        """As of any borrowed connection."""
        plain = super().cursor(*args, **kwargs)
        return WatchedCursor(self, plain._target)

    def transaction(
        self, isolation: Isolation | None = None, read_only: bool = False
    ) -> AbstractAsyncContextManager[PooledConnection]:
        """As of any borrowed connection."""
        return self._told_transaction(isolation, read_only)

    @block("async with conn.transaction()")
    async def _told_transaction(self, isolation: Isolation | None, read_only: bool) -> AsyncGenerator[PooledConnection]:
        entry, loop = self._held, self._owner.loop
        watch, since, error = self._watch, loop.time(), None
        started = events.TransactionStarted(watch.pool, entry.connection_id, entry.block is not None, entry.site)
        watch.started(started)
        try:
            async with transaction(self, isolation, read_only):
                yield self
        except BaseException as exc:
            error = exc
            raise
        finally:
            watch.transaction_ended(started, loop.time() - since, error)

    def _say(self, sql: str) -> Awaitable[Any]:
        return self._told(
            sql, "begin" if sql == "BEGIN" else "block", lambda _: super(WatchedConnection, self)._say(sql)
        )

    def _commit(self) -> Awaitable[Any]:
        return self._told("COMMIT", "commit", lambda _: super(WatchedConnection, self)._commit())

    def _rollback(self) -> Awaitable[Any]:
        return self._told("ROLLBACK", "rollback", lambda _: super(WatchedConnection, self)._rollback())

    async def _told(
        self,
        text: str | bytes,
        method: str,
        call: Callable[[str | bytes], Awaitable[Any]],
        cursor: PooledCursor | None = None,
        args: Any = None,
    ) -> Any:
        """Make one call of the driver's, and have it told of before and after."""
        entry, watch, loop = self._held, self._watch, self._owner.loop
        escapes = not entry.wire.status & SERVER_STATUS_NO_BACKSLASH_ESCAPES
        started = events.StatementStarted(
            watch.pool, entry.connection_id, text, watch.digest(text, escapes), method, args is not None,
            len(args) if method == "executemany" and hasattr(args, "__len__") else 0,
            entry.uses, self._waited, self._site,
        )  # fmt: skip
        comment = watch.started(started)
        said = text if comment is None or cursor is None else _with(text, comment, args is not None)
        since, rows, error = loop.time(), None, None
        try:
            result = await call(said)
            rows = None if cursor is None else _row_count(cursor)
        except BaseException as exc:
            error = exc
            raise
        finally:
            number = None if error is None else self._owner.driver.error_number(error)
            watch.statement_ended(started, loop.time() - since, rows, error, number)
        return result


def _row_count(cursor: PooledCursor) -> int | None:
    count = getattr(cursor._target, "rowcount", None)
    return count if isinstance(count, int) and 0 <= count < _MOST_ROWS else None


def _with(text: str | bytes, comment: str, filled_in: bool) -> str | bytes:
    """The statement with a comment at its end, in front of a semicolon. What would end the comment is left out."""
    comment = _END_OF_COMMENT.sub("", comment)
    if _SPECIAL.match(comment):
        comment = f" {comment}"
    if filled_in:
        comment = comment.replace("%", "%%")
    if isinstance(text, (bytes, bytearray)):
        return bytes(text).rstrip(b"; \t\r\n") + f" /*{comment}*/".encode()
    return text.rstrip("; \t\r\n") + f" /*{comment}*/"


class WatchedCursor(PooledCursor):
    """A cursor that tells of its statements."""

    __slots__ = ()
    _connection: Any  # a WatchedConnection

    def execute(self, query: Any = "", args: Any = None, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Run one statement; ``%s`` and ``%(name)s`` in it are replaced by `args`."""
        query, args = kwargs.pop("operation", query), kwargs.pop("params", args)

        def call(said: Any) -> Awaitable[Any]:
            return super(WatchedCursor, self).execute(said, args, **kwargs)

        return cast("Coroutine[Any, Any, Any]", self._connection._told(query, "execute", call, self, args))

    def executemany(self, query: Any = "", args: Sequence[Any] = (), **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Run one statement with many sets of arguments."""
        query, args = kwargs.pop("operation", query), kwargs.pop("seq_params", args)

        def call(said: Any) -> Awaitable[Any]:
            return super(WatchedCursor, self).executemany(said, args, **kwargs)

        return cast("Coroutine[Any, Any, Any]", self._connection._told(query, "executemany", call, self, args))

    def callproc(self, procname: str, args: Sequence[Any] = ()) -> Coroutine[Any, Any, Any]:
        """Call a stored procedure."""

        def call(_: Any) -> Awaitable[Any]:
            return super(WatchedCursor, self).callproc(procname, args)

        return cast("Coroutine[Any, Any, Any]", self._connection._told(f"CALL {procname}", "callproc", call, self))
