"""The rows of one statement as they come, and what becomes of those that nobody reads; the deadline of a statement.

To leave a stream needs no I/O, so it can be left in any way: by `break`, `return`, an exception or a cancellation. A
connection of its own is given back, and the statement stopped on the server. On a borrowed connection the rows that
are left are read before the next statement on it, or the connection ends with them.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import weakref
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from async_mysqlpool.connection.entry import site_text
from async_mysqlpool.errors import ConcurrentUseError, StatementTimeoutError
from async_mysqlpool.lease.held import has_more

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from async_mysqlpool.connection.entry import Entry

__all__ = ["Deadline", "Lent", "RowStream", "read_to_its_end"]

T = TypeVar("T")
_AT_ONCE = 500  # rows that are thrown away together
_TURN = 100  # rows, after which other tasks have a turn


class Lent(Protocol):
    """A connection for one statement: borrowed for it, or one that somebody has.

    Attributes:
        own: it was borrowed for it.
    """

    own: bool

    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class Deadline:
    """Ends what is in its block when the time is up, in each of its blocks; the statement is stopped on the server.

    `asyncio.timeout` of Python 3.11.2 ends in CancelledError in a task that was cancelled before.

    Args:
        seconds: from now on.
        connection: what the statement runs on; it is gone afterwards.

    Raises:
        StatementTimeoutError: the time is up.
    """

    def __init__(self, seconds: float, connection: Any) -> None:
        self._seconds = seconds
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + seconds

    def __enter__(self) -> None:
        if self._loop.time() >= self._ends:  # where nothing has to be waited for, no alarm would ring
            raise self._cut_off()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  there is a loop, and nothing is awaited outside of tasks
        self._task = task
        self._before = task.cancelling()
        self._rang = False
        self._alarm = self._loop.call_at(self._ends, self._ring)

    def _ring(self) -> None:
        self._rang = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        if self._rang and self._task.uncancel() <= self._before and exc is not None:
            raise self._cut_off() from exc

    def _cut_off(self) -> StatementTimeoutError:
        connection, seconds = self._connection, self._seconds
        what = f"a statement was not done within its timeout of {seconds:g} s"
        if connection.detached:
            return StatementTimeoutError(what, seconds)
        entry = connection._held
        if connection._owner.stops(entry):
            end = f"the server is told to stop it (KILL {entry.connection_id})"
        elif entry.under_way:
            end = "it may run on at the server (kill_on_cancel is off, or the connection's id is not the server's own)"
        else:
            end = "nothing was under way at that moment"
        connection._site = f"{site_text(entry.site)}; it ended when {what}"
        connection.discard()
        return StatementTimeoutError(
            f"{what}: {end}, and connection {entry.connection_id} is closed. Whether the statement took effect is not "
            "known; a transaction that it was part of is rolled back",
            seconds,
        )


class _Reading:
    """A result that is read row by row, as the connection knows it: `entry.Unread`."""

    __slots__ = ("_lease", "_target", "left")

    def __init__(self, lease: Any, target: Any) -> None:
        self.left = False
        self._lease = weakref.ref(lease)  # a lease that is forgotten must be found
        self._target = target

    def is_of(self, lease: object) -> bool:
        """Whether this borrower began it, and not one before."""
        return self._lease() is lease

    async def rest(self) -> None:
        """Read what was left."""
        while await self._target.fetchmany(_AT_ONCE):
            pass
        await read_to_its_end(self._target)
        await self._target.close()

    def refusal(self) -> Exception:
        """To whoever wants to use the connection meanwhile."""
        lease: Any = self._lease()
        return ConcurrentUseError(
            f"connection {lease._held.connection_id} is in the middle of a stream: read it to its end, or leave it (in "
            "a variable of yours it goes on: use `async with conn.stream(...) as rows`); or use another connection "
            f"meanwhile (this one was acquired at {lease._site})"
        )


async def read_to_its_end(cursor: Any) -> None:
    """Further results, such as those of a procedure; nobody has asked for them."""
    while await cursor.nextset():
        while cursor.description is not None and await cursor.fetchmany(_AT_ONCE):
            pass


class RowStream(Generic[T]):
    """The rows of one statement, in memory one at a time: ``async for row in pool.stream(sql)``.

    Leaving the loop leaves the stream; one that is kept in a variable is left by `aclose()`, or with ``async with``.

    Args:
        lent: the connection for it.
        sql: the statement.
        args: for it.
        make: makes of a cursor's description what makes rows of tuples; that is None for tuples.
        timeout: seconds from the first step to the last row; looked at whenever a row is asked for.
    """

    def __init__(
        self,
        lent: Lent,
        sql: str,
        args: Any,
        make: Callable[[Sequence[Any]], Callable[[Any], Any] | None],
        timeout: float | None,
    ) -> None:
        self._lent = lent
        self._statement = sql, args
        self._makers = make
        self._timeout = timeout
        self._ended = False
        self._asked = 0
        self._connection: Any = None
        self._cursor: Any = None
        self._reading: _Reading | None = None
        self._make: Callable[[Any], Any] | None = None
        self._limit: AbstractContextManager[None] = nullcontext()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self._asked += 1
        if self._asked % _TURN == 0:
            await asyncio.sleep(0)  # rows that have come are read without waiting, thousands in one turn of the loop
        if self._ended:
            raise StopAsyncIteration
        try:
            if self._connection is None:
                self._connection = await self._lent.__aenter__()
                if self._timeout is not None:
                    self._limit = Deadline(self._timeout, self._connection)
            with self._limit:
                row = await (self._begin() if self._cursor is None else self._fetch())
                if row is None:
                    await self._finish()
                else:
                    made: T = row if self._make is None else self._make(row)
                    return made
        except BaseException as exc:
            await self._end(exc)
            raise
        await self._end(None)
        raise StopAsyncIteration

    async def _begin(self) -> Any:
        """The first row, or None."""
        connection, (sql, args) = self._connection, self._statement
        self._cursor = cursor = connection.cursor(connection._owner.driver.cursors[1])
        await cursor.execute(sql, args)
        if cursor.description is None:
            return None
        self._make = self._makers(cursor.description)
        connection._held.unread = self._reading = _Reading(connection, cursor._target)
        return await self._fetch()

    async def _fetch(self) -> Any:
        """The next row, or None. Nobody else gets at the connection between two of them."""
        entry: Entry = self._connection._held
        entry.abandoned = False
        try:
            return await self._cursor.fetchone()
        finally:
            entry.abandoned = entry.unread is self._reading

    async def _finish(self) -> None:
        self._let_in()
        if has_more(self._connection):
            await read_to_its_end(self._cursor)
        await self._cursor.close()

    async def _end(self, error: BaseException | None) -> None:
        """The last row was read, or something has failed."""
        connection, self._ended = self._connection, True
        if connection is None:  # there was none to be had
            return
        self._leave_rows()
        self._connection = self._cursor = None
        if error is None:
            await self._lent.__aexit__(None, None, None)
        else:
            await self._lent.__aexit__(type(error), error, error.__traceback__)

    def _let_in(self) -> None:
        """Others may use the connection again."""
        entry: Entry = self._connection._held
        reading, self._reading = self._reading, None
        if reading is not None and entry.unread is reading:
            entry.unread, entry.abandoned = None, entry.block is None and entry.open_transaction

    def _leave_rows(self) -> None:
        """What was not read ends with the connection, unless that is used on; then it is read first."""
        connection, reading = self._connection, self._reading
        if reading is None or connection.detached:
            return
        entry: Entry = connection._held
        if entry.broken_off or (entry.wire.sees and not has_more(connection)):
            self._let_in()
        elif self._lent.own:
            entry.broken_off = True
        else:
            reading.left = True
            entry.doubt = entry.doubt or "cancelled"

    def _leave(self) -> None:
        connection, self._ended = self._connection, True
        if connection is None:
            return
        self._leave_rows()
        self._connection = self._cursor = None
        if self._lent.own:
            connection.close()

    async def aclose(self) -> None:
        """Leave the stream; harmless when it has ended. Sends nothing and waits for nothing."""
        self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def __del__(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            here = asyncio.get_running_loop() is connection._owner.loop
        except RuntimeError:  # the garbage collector, in another thread or when all is over
            here = False
        if here or not self._lent.own:
            self._leave()  # elsewhere a connection of its own says by itself that it was forgotten
