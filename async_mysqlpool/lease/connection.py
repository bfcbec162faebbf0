"""The borrowed connection and its cursors: what the driver's have, guarded, and given back by `close()`."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

from async_mysqlpool.connection.entry import caller
from async_mysqlpool.drivers.stand_in import StandIn, stand_in
from async_mysqlpool.lease import statements
from async_mysqlpool.lease.guard import Guarded, guarded
from async_mysqlpool.lease.held import Held
from async_mysqlpool.lease.statements import Here
from async_mysqlpool.lease.transaction import refuse_in_block, transaction
from async_mysqlpool.misuse import refusal
from async_mysqlpool.remedies import check_cursor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Generator, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import CoroutineType, TracebackType
    from typing import Self

    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.lease import declared
    from async_mysqlpool.lease.transaction import Isolation

__all__ = ["PooledConnection", "PooledCursor"]

# Private methods of the drivers' connections that an ORM calls (Tortoise, for savepoints): guarded like all others.
_LET_THROUGH = frozenset({"_execute_command", "_read_ok_packet"})


class _Done:
    """The result of what has happened already: it may be awaited or not, and costs nothing when it is."""

    def __await__(self) -> Iterator[Any]:
        return iter(())


Statement: TypeAlias = "str | bytes | bytearray"
DONE = cast("CoroutineType[Any, Any, None]", _Done())  # nobody does more with it than await it


class PooledConnection(Held):
    """A borrowed connection. Has everything that the driver's connection has; `close()` gives it back.

    After it went back, it and every cursor made from it raise `ConnectionReleasedError`.
    """

    __slots__ = ()

    @property
    def raw(self) -> Any:
        """The driver's own connection object, unguarded."""
        self._held.expose()  # any setting of it may be changed
        return self._held.raw

    def cursor(self, *args: Any, **kwargs: Any) -> PooledCursor:
        """A cursor; the arguments are the driver's. Use it with `async with`, or await it, or as it is."""
        entry = self._entry or self._held
        target = None if entry.reader is None or kwargs else stand_in(entry.reader, args)
        return PooledCursor(self, target or self._new_cursor(entry, args, kwargs))

    def _new_cursor(self, entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args or kwargs:
            check_cursor(self._owner.driver.name, args, kwargs)
        try:
            return self._owner.driver.new_cursor(entry.raw, args, kwargs)
        except Exception as exc:  # some drivers look whether the connection is still there
            error = self._owner.note_failure(entry, exc)
            if error is None:
                raise
            raise error from exc

    async def begin(self) -> None:
        """Start a transaction. In a transaction block: refused, as are the next two."""
        refuse_in_block(self._held, "begin()")
        await self._say("BEGIN")

    async def commit(self) -> None:
        """Commit the transaction."""
        refuse_in_block(self._held, "commit()")
        await self._commit()

    async def rollback(self) -> None:
        """Roll the transaction back."""
        refuse_in_block(self._held, "rollback()")
        await self._rollback()

    async def ping(self, reconnect: bool = False) -> None:
        """Ask the server for a sign of life. Never reconnects: that would be another session."""
        try:
            await self._run(self._owner.driver.ping(self._held.raw))
        except Exception as exc:
            if reconnect and self.closed:
                exc.add_note("async_mysqlpool: a borrowed connection never reconnects: leave its block, borrow another")
            raise

    execute = statements.execute
    execute_many = statements.execute_many
    fetch_all = statements.fetch_all
    fetch_one = statements.fetch_one
    fetch_value = statements.fetch_value
    stream = statements.stream

    def _lend(self) -> Here:
        return Here(self)

    def transaction(
        self, isolation: Isolation | None = None, read_only: bool = False
    ) -> AbstractAsyncContextManager[PooledConnection]:
        """A block inside BEGIN ... COMMIT, or ROLLBACK when it raises; in such a block, a savepoint of it.

        Raises:
            TransactionError: something else has ended the transaction, or given the connection back.
        """
        return transaction(self, isolation, read_only)

    @property
    def closed(self) -> bool:
        """Whether it went back to the pool, or lost the server."""
        return self._entry is None or self._owner.driver.is_dead(self._entry.raw)

    def close(self) -> Awaitable[None]:
        """Give the connection back. May be awaited or not, once or often."""
        entry = self._entry
        if entry is not None:
            if entry.block is not None:  # which will say so when it is left
                entry.block.given_back, entry.block = caller(), None
            self._entry = None
            self._owner.give_back(entry)
        return DONE

    ensure_closed = close  # what aiomysql and asyncmy call a polite close

    def discard(self) -> None:
        """Give the connection back, never to be used again."""
        entry = self._held
        entry.doubt = "discarded"
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    if not TYPE_CHECKING:
        __enter__ = refusal("a connection is async: `async with pool.acquire() as conn`")
        __exit__ = None

    def __copy__(self) -> NoReturn:
        raise TypeError("a borrowed connection cannot be copied: each one is given back once. Acquire another one")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__copy__()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a borrowed connection cannot be pickled: it belongs to this process")

    if TYPE_CHECKING:  # what the drivers have, and editors and type checkers know; all else is reached through `raw`
        # Of asyncmy and aiomysql:
        host = user = db = charset = cast("str", None)
        port = server_status = cast("int", None)
        select_db = declared.select_db
        autocommit = declared.autocommit
        get_autocommit = declared.get_autocommit
        set_charset = declared.set_charset
        thread_id = declared.thread_id
        get_server_info = declared.get_server_info
        escape = declared.escape
        show_warnings = declared.show_warnings
        # Of mysql.connector.aio:
        connection_id = cast("int", None)
        server_info = cast("str", None)
        start_transaction = declared.start_transaction
        is_connected = declared.is_connected
        set_autocommit = declared.set_autocommit
        set_database = declared.set_database
        get_database = declared.get_database
        cmd_query = declared.cmd_query

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") and name not in _LET_THROUGH:
                raise AttributeError(f"{name!r}: private parts of the driver's connection are reached through .raw")
            value = getattr(self._held.raw, name)
            if isinstance(value, (dict, list, set)):
                self._held.expose()  # a table of converters, say, whose contents can be changed
            return guarded(self, value)

    def __repr__(self) -> str:
        if self._entry is None:
            return f"<PooledConnection released, acquired at {self._site}>"
        return f"<PooledConnection {self._entry.connection_id} acquired at {self._site}>"


# Class of a cursor -> whether it is still to be awaited, whether it is buffered, whether it is somebody else's.
_kinds: dict[type, tuple[bool, bool, bool]] = {}


def _is_drivers(cursor_class: type, driver: Driver) -> bool:
    """Whether it comes with the driver, or with this package."""
    ours = (driver.name.partition(".")[0], __name__.partition(".")[0])
    return cursor_class.__module__.partition(".")[0] in ours


class PooledCursor(Guarded):
    """The driver's cursor. Usable as ``async with conn.cursor()``, ``await conn.cursor()``, or as it is."""

    __slots__ = ("_buffered", "_pending")
    _connection: PooledConnection

    def __init__(self, connection: PooledConnection, target: Any) -> None:
        self._connection = connection
        self._target = target
        self._look(target)

    def _look(self, target: Any) -> None:
        """What kind of cursor it is. One of a class that is not the driver's may change any setting of the driver's."""
        target_class = target.__class__
        kind = _kinds.get(target_class)
        if kind is None:
            pending = not hasattr(target, "execute")  # an awaitable of the cursor: one driver has it so
            driver = self._connection._owner.driver
            buffered = not pending and driver.is_buffered(target)
            kind = _kinds[target_class] = (pending, buffered, not pending and not _is_drivers(target_class, driver))
        self._pending, self._buffered, foreign = kind
        if foreign:
            self._connection._held.expose()

    def execute(self, query: Statement = "", args: Any = None, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Run one statement; ``%s`` and ``%(name)s`` in it are replaced by `args`. Other drivers' names are known."""
        if kwargs:
            query, args = kwargs.pop("operation", query), kwargs.pop("params", args)
        connection = self._connection
        entry = connection._entry or connection._held
        if entry.block is not None:
            entry.block.check_statement(query, entry)
        if self._pending:
            return self._call_when_ready("execute", query, args, **kwargs)
        return connection._run(self._target.execute(query, args, **kwargs))

    def executemany(self, query: Statement = "", args: Sequence[Any] = (), **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Run one statement with many sets of arguments."""
        if kwargs:
            query, args = kwargs.pop("operation", query), kwargs.pop("seq_params", args)
        return self._call("executemany", query, args, **kwargs)

    def callproc(self, procname: str, args: Sequence[Any] = ()) -> Coroutine[Any, Any, Any]:
        """Call a stored procedure."""
        return self._call("callproc", procname, args)

    def fetchone(self) -> Coroutine[Any, Any, Any]:
        """The next row, or None."""
        return self._fetch("fetchone")

    def fetchmany(self, size: int | None = None) -> Coroutine[Any, Any, Sequence[Any]]:
        """The next rows, `size` at most (default: the cursor's `arraysize`)."""
        return self._fetch("fetchmany", size or self._target.arraysize)

    def fetchall(self) -> Coroutine[Any, Any, Sequence[Any]]:
        """All remaining rows."""
        return self._fetch("fetchall")

    def nextset(self) -> Coroutine[Any, Any, bool | None]:
        """Go on to the next result set; None if there is none."""
        return self._call("nextset")

    async def scroll(self, value: int, mode: str = "relative") -> None:
        """Go to another row of the result; not with mysql.connector.aio."""
        self._connection._check_free()
        scrolled = self._target.scroll(value, mode)
        if inspect.isawaitable(scrolled):  # with some cursors it is not
            await self._connection._run(scrolled)

    async def close(self) -> None:
        """Close the cursor. After the connection went back there is nothing left to close."""
        connection = self._connection
        entry = connection._entry
        if entry is None or self._pending or entry.broken_off:
            return
        if self._buffered and not entry.wire.due and not connection._owner.driver.has_unread(entry.raw):
            await self._target.close()  # nothing to be read: no I/O
        else:
            await connection._run(self._target.close())

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        entry = self._connection._entry
        if entry is None or entry.broken_off:
            return DONE
        if exc_type is not None and entry.wire.due and self._connection._busy is None:
            # To read what is left, or to talk at all, would be in the way of the exception; of a stream it is not ours.
            entry.broken_off = entry.unread is None
            return DONE
        if isinstance(self._target, StandIn) and self._target.closed_at_once():
            return DONE
        return self.close()

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """A call that talks to the server."""
        if self._pending:
            return self._call_when_ready(method, *args, **kwargs)
        return self._connection._run(getattr(self._target, method)(*args, **kwargs))

    async def _call_when_ready(self, method: str, *args: Any, **kwargs: Any) -> Any:
        await self._ready()
        return await self._call(method, *args, **kwargs)

    def _fetch(self, method: str, *args: Any) -> Coroutine[Any, Any, Any]:
        """Rows of a buffered cursor are here already: reading them is no use of the connection."""
        if self._buffered and self._connection._entry is not None:
            return getattr(self._target, method)(*args)  # type: ignore[no-any-return]
        return self._call(method, *args)

    async def _ready(self) -> None:
        self._target = await self._connection._run(self._target)
        self._look(self._target)

    @property
    def connection(self) -> PooledConnection:
        """The connection that it was made from, as guarded as ever."""
        return self._connection

    @property
    def arraysize(self) -> int:
        """Rows that `fetchmany` gets unless told otherwise."""
        return int(self._plain("arraysize"))

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._target.arraysize = size

    @property
    def description(self) -> Any:
        """The columns of the result, as PEP 249 has them."""
        return self._plain("description")

    @property
    def rowcount(self) -> int:
        """Rows that the last statement returned or changed."""
        return int(self._plain("rowcount"))

    @property
    def lastrowid(self) -> int | None:
        """The AUTO_INCREMENT value of the last row inserted."""
        return self._plain("lastrowid")  # type: ignore[no-any-return]

    @property
    def rownumber(self) -> int | None:
        """Rows of the result that were fetched; not with mysql.connector.aio."""
        return self._plain("rownumber")  # type: ignore[no-any-return]

    @property
    def max_stmt_length(self) -> int:
        """Bytes that `executemany` sends at most at once; not with mysql.connector.aio."""
        return int(self._plain("max_stmt_length"))

    @max_stmt_length.setter
    def max_stmt_length(self, size: int) -> None:
        self.raw.max_stmt_length = size

    @property
    def raw(self) -> Any:
        """The driver's own cursor, unguarded."""
        self._connection._held.expose()  # any setting of the connection may be changed through it
        return self._target.raw if isinstance(self._target, StandIn) else self._target

    def _plain(self, name: str) -> Any:
        """An attribute of the driver's cursor that is no method."""
        self._connection._held  # noqa: B018  raises when the connection went back
        return getattr(self._target, name)

    @property
    def _result(self) -> Any:
        """Only the columns, which an ORM (Tortoise) reads: what else the driver has there leads past the guard."""
        self._connection._held  # noqa: B018  raises when the connection went back
        result = self._target._result
        return result and SimpleNamespace(fields=result.fields)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        row = await self.fetchone()
        if row is None:
            raise StopAsyncIteration
        return row

    def __await__(self) -> Generator[Any, None, Self]:
        if self._pending:
            yield from self._ready().__await__()
        return self

    async def __aenter__(self) -> Self:
        if self._pending:
            await self._ready()
        return self
