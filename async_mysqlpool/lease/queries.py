"""One statement, one connection, no longer than the call; and transactions the same way."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from async_mysqlpool.connection.entry import caller
from async_mysqlpool.lease import transaction
from async_mysqlpool.lease.connection import PooledCursor
from async_mysqlpool.misuse import block
from async_mysqlpool.remedies import check_function

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
    from contextlib import AbstractAsyncContextManager

    from async_mysqlpool.connection.entry import Site
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.lease.connection import PooledConnection
    from async_mysqlpool.lease.transaction import Isolation

T = TypeVar("T")


class Queries(ABC):
    """The pool's helpers. Each borrows for itself, and waits for a connection as `acquire` does."""

    @property
    @abstractmethod
    def driver(self) -> Driver:
        """The driver's adapter."""

    @abstractmethod
    def acquire(self, *, site: object | None = None) -> AbstractAsyncContextManager[PooledConnection]:
        """A connection for a block, acquired on behalf of `site`."""

    def cursor(self, cursor_class: Any = None) -> AbstractAsyncContextManager[PooledCursor]:
        """A cursor for a block, on a connection of its own.

        Where autocommit is off, the block ends with COMMIT, or with ROLLBACK when it raises.

        Args:
            cursor_class: one of the driver's cursor classes, such as its ``DictCursor``; None for the default.
        """
        site = caller()
        return _cursor_block(lambda: self.acquire(site=site), cursor_class)

    def transaction(
        self, isolation: Isolation | None = None, read_only: bool = False
    ) -> AbstractAsyncContextManager[PooledConnection]:
        """A connection inside BEGIN ... COMMIT, or ROLLBACK when the block raises.

        Args:
            isolation: for this transaction only; None for the session's.
            read_only: START TRANSACTION READ ONLY.
        """
        return self._transaction(caller(), isolation, read_only)

    @block("async with pool.transaction() as conn")
    async def _transaction(
        self, site: Site, isolation: Isolation | None = None, read_only: bool = False
    ) -> AsyncGenerator[PooledConnection]:
        async with self.acquire(site=site) as connection, connection.transaction(isolation, read_only):
            yield connection

    # The following are plain functions that return coroutines, so that the caller is still on the stack.

    def run_transaction(
        self, fn: Callable[[PooledConnection], Awaitable[T]], retries: int = 3
    ) -> Coroutine[Any, Any, T]:
        """Run ``fn(conn)`` in a transaction; again, on a deadlock (1213) or a lock wait timeout (1205).

        Args:
            fn: must be safe to run more than once: each run is a transaction of its own.
            retries: how often to try again before the error goes to the caller.
        """
        check_function(fn, retries)
        site = caller()
        return transaction.run_transaction(lambda: self._transaction(site), fn, retries, self.driver.error_number)

    def execute(self, sql: str, args: Any = None) -> Coroutine[Any, Any, int]:
        """Run one statement; the number of rows it changed."""
        return self._one_shot(caller(), sql, args, None, _row_count)

    def fetch_all(self, sql: str, args: Any = None, *, cursor_class: Any = None) -> Coroutine[Any, Any, Sequence[Any]]:
        """Run one statement; all of its rows."""
        return self._one_shot(caller(), sql, args, cursor_class, PooledCursor.fetchall)

    def fetch_one(self, sql: str, args: Any = None, *, cursor_class: Any = None) -> Coroutine[Any, Any, Any]:
        """Run one statement; its first row, or None."""
        return self._one_shot(caller(), sql, args, cursor_class, PooledCursor.fetchone)

    def fetch_value(self, sql: str, args: Any = None) -> Coroutine[Any, Any, Any]:
        """Run one statement; the first column of its first row, or None."""
        return self._one_shot(caller(), sql, args, None, _first_column)

    async def _one_shot(
        self, site: Site, sql: str, args: Any, cursor_class: Any, result: Callable[[PooledCursor], Awaitable[T]]
    ) -> T:
        async with _cursor_block(lambda: self.acquire(site=site), cursor_class) as cursor:
            await cursor.execute(sql, args)
            return await result(cursor)


@block("async with pool.cursor() as cur")
async def _cursor_block(
    borrow: Callable[[], AbstractAsyncContextManager[PooledConnection]], cursor_class: Any
) -> AsyncGenerator[PooledCursor]:
    """A cursor on a connection of its own; where autocommit is off, COMMIT or ROLLBACK at the end of the block.

    There, statements that commit by themselves are none of the block's business.
    """
    async with borrow() as connection:
        baseline = connection._held.baseline
        explicit = baseline is not None and not baseline.autocommit
        chosen = () if cursor_class is None else (cursor_class,)
        block = transaction.Block(connection, strict=False)
        ending = transaction.committing(connection, block) if explicit else nullcontext()
        async with ending, connection.cursor(*chosen) as cursor:
            yield cursor


async def _row_count(cursor: PooledCursor) -> int:
    return cursor.rowcount


async def _first_column(cursor: PooledCursor) -> Any:
    row = await cursor.fetchone()
    return None if row is None else row[0]
