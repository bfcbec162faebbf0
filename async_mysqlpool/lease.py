"""What the borrower holds: the driver's connection and its cursors, guarded and revocable.

Every call that talks to the server goes through `PooledConnection.run`: it refuses a connection that went back, refuses
a second task before a byte is written, and notes when a statement's reply may not have been read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from async_mysqlpool.entry import caller
from async_mysqlpool.errors import ConcurrentUseError, ConnectionReleasedError
from async_mysqlpool.guard import Guarded, guarded
from async_mysqlpool.transaction import catch_up, refuse_in_block, transaction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.entry import Entry
    from async_mysqlpool.transaction import Isolation

__all__ = ["Owner", "PooledConnection", "PooledCursor"]

T = TypeVar("T")


class Owner(Protocol):
    """The side of the pool that a lease sees."""

    driver: Driver

    def give_back(self, entry: Entry) -> None:
        """The borrower is done."""
        ...

    def forgotten(self, entry: Entry) -> None:
        """The lease was dropped without being given back."""
        ...

    def note_failure(self, entry: Entry, error: BaseException) -> Exception | None:
        """A call of the driver failed; what the borrower shall see instead, if anything."""
        ...


def _drop(operation: object) -> None:
    """A coroutine that never ran shall not complain that nobody awaited it."""
    close = getattr(operation, "close", None)
    if close is not None:
        close()


class _Done:
    """The result of `close()`: it has happened already, and may be awaited or not."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield  # what makes this a generator


_DONE = _Done()


class PooledConnection:
    """A borrowed connection. Has everything that the driver's connection has; `close()` gives it back.

    After it went back, it and every cursor made from it raise `ConnectionReleasedError`.
    """

    __slots__ = ("__weakref__", "_busy", "_entry", "_owner", "_site")

    def __init__(self, owner: Owner, entry: Entry) -> None:
        self._owner = owner
        self._entry: Entry | None = entry
        self._site = entry.site
        self._busy: asyncio.Task[Any] | None = None

    # -- the pool's side ------------------------------------------------------------------------------------------

    def detach(self) -> Entry | None:
        """Part the borrower from the connection; None if that has happened already."""
        entry, self._entry = self._entry, None
        return entry

    @property
    def detached(self) -> bool:
        """Whether it went back to the pool."""
        return self._entry is None

    @property
    def owner(self) -> Owner:
        """The pool that it was borrowed from."""
        return self._owner

    @property
    def entry(self) -> Entry:
        """The physical connection.

        Raises:
            ConnectionReleasedError: it went back to the pool.
        """
        if self._entry is None:
            raise ConnectionReleasedError(
                f"this connection was given back to the pool (it was acquired at {self._site}): pass the pool, not "
                "the connection, to whatever runs later"
            )
        return self._entry

    async def run(self, operation: Awaitable[T]) -> T:
        """Await one call of the driver as the only one on this connection.

        Raises:
            ConnectionReleasedError: it went back to the pool; nothing was sent.
            ConcurrentUseError: another task is in the middle of a call; nothing was sent.
        """
        entry = self._entry
        if entry is None or self._busy is not None or entry.broken_off:
            _drop(operation)
            raise self._refusal()
        block = entry.block
        if entry.abandoned or (block is not None and block.unsettled(self)):
            try:
                await catch_up(self)
            except BaseException:
                _drop(operation)
                raise
        self._busy = entry.user = asyncio.current_task()  # it may have been handed on since it was acquired
        try:
            result = await operation
        except BaseException as exc:
            error = self._owner.note_failure(entry, exc)
            if block is not None:
                block.failed(exc)
            if error is not None:
                raise error from exc
            raise
        finally:
            self._busy = None
        if block is not None:
            block.heard(self)
        return result

    def check_free(self) -> None:
        """Before a call of the driver's that may write at once.

        Raises:
            ConnectionReleasedError, ConcurrentUseError: as for `run`.
        """
        if self._entry is None or self._busy is not None or self._entry.broken_off:
            raise self._refusal()

    def _refusal(self) -> Exception:
        try:
            entry = self.entry
        except ConnectionReleasedError as exc:
            return exc
        if self._busy is None:
            return ConcurrentUseError(
                f"the last statement on connection {entry.connection_id} was cancelled, so it may still run and its "
                f"rows may still come: borrow another connection (this one was acquired at {self._site})"
            )
        current = asyncio.current_task()
        return ConcurrentUseError(
            f"connection {entry.connection_id} is in use by task {self._busy.get_name()!r}; task "
            f"{current.get_name() if current else '?'!r} must borrow one of its own (acquired at {self._site})"
        )

    def __del__(self) -> None:
        if self._entry is not None:
            self._owner.forgotten(self._entry)

    # -- the borrower's side --------------------------------------------------------------------------------------

    @property
    def raw(self) -> Any:
        """The driver's own connection object, unguarded."""
        self.entry.exposed = True  # any setting of it may be changed
        return self.entry.raw

    def cursor(self, *args: Any, **kwargs: Any) -> PooledCursor:
        """A cursor; the arguments are the driver's. Use it with `async with`, or await it, or as it is."""
        entry = self._entry or self.entry
        return PooledCursor(self, self._owner.driver.new_cursor(entry.raw, args, kwargs))

    async def begin(self) -> None:
        """Start a transaction. In a transaction block: refused, as are the next two."""
        refuse_in_block(self.entry, "begin()")
        await self.run(self._owner.driver.execute(self.entry.raw, "BEGIN"))

    async def commit(self) -> None:
        """Commit the transaction."""
        refuse_in_block(self.entry, "commit()")
        await self.run(self.entry.raw.commit())

    async def rollback(self) -> None:
        """Roll the transaction back."""
        refuse_in_block(self.entry, "rollback()")
        await self.run(self.entry.raw.rollback())

    async def ping(self, reconnect: bool = False) -> None:
        """Ask the server for a sign of life. Never reconnects: that would be another session."""
        await self.run(self._owner.driver.ping(self.entry.raw))

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
        return _DONE

    ensure_closed = close  # what aiomysql and asyncmy call a polite close

    def discard(self) -> None:
        """Give the connection back, never to be used again."""
        entry = self.entry
        entry.doubt = "discarded"
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __copy__(self) -> NoReturn:
        raise TypeError("a borrowed connection cannot be copied: each one is given back once. Acquire another one")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__copy__()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a borrowed connection cannot be pickled: it belongs to this process")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{name!r}: private parts of the driver's connection are reached through .raw")
        return guarded(self, getattr(self.entry.raw, name))

    def __repr__(self) -> str:
        if self._entry is None:
            return f"<PooledConnection released, acquired at {self._site}>"
        return f"<PooledConnection {self._entry.connection_id} acquired at {self._site}>"


# A cursor looks into its connection: both are one lease.
# pyright: reportPrivateUsage=false

# Class of a driver's cursor -> whether it is still to be awaited, whether it is buffered.
_kinds: dict[type, tuple[bool, bool]] = {}


class PooledCursor(Guarded):
    """The driver's cursor. Usable as ``async with conn.cursor()``, ``await conn.cursor()``, or as it is."""

    __slots__ = ("_buffered", "_pending")
    _connection: PooledConnection

    def __init__(self, connection: PooledConnection, target: Any) -> None:
        self._connection = connection
        self._target = target
        target_class = target.__class__
        kind = _kinds.get(target_class)
        if kind is None:
            pending = not hasattr(target, "execute")  # an awaitable of the cursor: one driver has it so
            kind = _kinds[target_class] = (pending, not pending and connection.owner.driver.is_buffered(target))
        self._pending, self._buffered = kind

    def execute(self, query: str, args: Any = None, **kwargs: Any) -> Awaitable[Any]:
        """Run one statement; ``%s`` and ``%(name)s`` in it are replaced by `args`."""
        connection = self._connection
        entry = connection._entry or connection.entry
        if entry.block is not None:
            entry.block.check_statement(query, entry)
        if self._pending:
            return self._call_when_ready("execute", query, args, **kwargs)
        return connection.run(self._target.execute(query, args, **kwargs))

    def executemany(self, query: str, args: Sequence[Any], **kwargs: Any) -> Awaitable[Any]:
        """Run one statement with many sets of arguments."""
        return self._call("executemany", query, args, **kwargs)

    def callproc(self, procname: str, args: Sequence[Any] = ()) -> Awaitable[Any]:
        """Call a stored procedure."""
        return self._call("callproc", procname, args)

    def fetchone(self) -> Awaitable[Any]:
        """The next row, or None."""
        return self._fetch("fetchone")

    def fetchmany(self, size: int | None = None) -> Awaitable[Any]:
        """The next rows, `size` at most (default: the cursor's `arraysize`)."""
        return self._fetch("fetchmany", size or self._target.arraysize)

    def fetchall(self) -> Awaitable[Any]:
        """All remaining rows."""
        return self._fetch("fetchall")

    def nextset(self) -> Awaitable[Any]:
        """Go on to the next result set; None if there is none."""
        return self._call("nextset")

    async def close(self) -> None:
        """Close the cursor. After the connection went back there is nothing left to close."""
        connection = self._connection
        entry = connection._entry
        if entry is None or self._pending or entry.broken_off:
            return
        if self._buffered and not entry.wire.due and not connection._owner.driver.has_unread(entry.raw):
            await self._target.close()  # nothing to be read: no I/O
        else:
            await connection.run(self._target.close())

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        entry = self._connection._entry
        if exc_type is not None and entry is not None and entry.wire.due and self._connection._busy is None:
            entry.broken_off = True  # to read what is left, or to talk at all, would be in the way of the exception
        else:
            await self.close()

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """A call that talks to the server."""
        if self._pending:
            return self._call_when_ready(method, *args, **kwargs)
        return self._connection.run(getattr(self._target, method)(*args, **kwargs))

    async def _call_when_ready(self, method: str, *args: Any, **kwargs: Any) -> Any:
        await self._ready()
        return await self._call(method, *args, **kwargs)

    def _fetch(self, method: str, *args: Any) -> Awaitable[Any]:
        """Rows of a buffered cursor are here already: reading them is no use of the connection."""
        if self._buffered and self._connection._entry is not None:
            return getattr(self._target, method)(*args)  # type: ignore[no-any-return]
        return self._call(method, *args)

    async def _ready(self) -> None:
        self._target = await self._connection.run(self._target)
        self._pending = False
        self._buffered = self._connection.owner.driver.is_buffered(self._target)

    @property
    def connection(self) -> PooledConnection:
        """The connection that it was made from, as guarded as ever."""
        return self._connection

    @property
    def arraysize(self) -> int:
        """Rows that `fetchmany` gets unless told otherwise."""
        return int(self.__getattr__("arraysize"))

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._target.arraysize = size

    @property
    def description(self) -> Any:
        """The columns of the result, as PEP 249 has them."""
        return self.__getattr__("description")

    @property
    def rowcount(self) -> int:
        """Rows that the last statement returned or changed."""
        return int(self.__getattr__("rowcount"))

    @property
    def lastrowid(self) -> int | None:
        """The AUTO_INCREMENT value of the last row inserted."""
        return self.__getattr__("lastrowid")  # type: ignore[no-any-return]

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
