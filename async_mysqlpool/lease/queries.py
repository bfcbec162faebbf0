"""One statement, one connection, no longer than the call; and transactions the same way."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from async_mysqlpool.connection.entry import caller
from async_mysqlpool.lease import statements, transaction
from async_mysqlpool.misuse import block
from async_mysqlpool.remedies import check_function

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from async_mysqlpool.connection.entry import Site
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.lease.connection import PooledConnection, PooledCursor
    from async_mysqlpool.lease.transaction import Isolation

T = TypeVar("T")


class Queries(ABC):
    """The pool's helpers. Each borrows for itself, and waits for a connection as `acquire` does."""

    _capacity: Any  # as leases know it

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
        return _cursor_block(self._lend(), cursor_class)

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

    def run_transaction(
        self,
        fn: Callable[[PooledConnection], Awaitable[T]],
        retries: int = 3,
        isolation: Isolation | None = None,
        read_only: bool = False,
    ) -> Coroutine[Any, Any, T]:
        """Run ``fn(conn)`` in a transaction; again, on a deadlock (1213) or a lock wait timeout (1205).

        Args:
            fn: must be safe to run more than once: each run is a transaction of its own.
            retries: how often to try again before the error goes to the caller.
            isolation: as for `transaction`.
            read_only: as for `transaction`.
        """
        check_function(fn, retries)
        begin = partial(self._transaction, caller(), isolation, read_only)
        return transaction.run_transaction(begin, fn, retries, self.driver.error_number)

    execute = statements.execute
    execute_many = statements.execute_many
    fetch_all = statements.fetch_all
    fetch_one = statements.fetch_one
    fetch_value = statements.fetch_value
    stream = statements.stream

    def _lend(self) -> Borrowed:
        """A connection for one statement."""
        site = caller()
        return Borrowed(lambda: self.acquire(site=site), self._capacity, site)


class Borrowed:
    """A connection for one statement, and given back; where autocommit is off, it ends in COMMIT or ROLLBACK.

    There, statements that commit by themselves are none of its business.
    """

    own = True

    def __init__(
        self, borrow: Callable[[], AbstractAsyncContextManager[PooledConnection]], owner: object, site: Site
    ) -> None:
        self._borrow = borrow  # when the block begins: it may never do
        self._owner = owner
        self._site = site
        self._ending: AbstractAsyncContextManager[None] | None = None

    async def __aenter__(self) -> PooledConnection:
        if transaction.inside:  # there are tasks in a transaction; perhaps this is one
            transaction.warn_inside(self._owner, self._site)
        self._borrowed = self._borrow()
        connection = await self._borrowed.__aenter__()
        baseline = connection._held.baseline
        if baseline is not None and not baseline.autocommit:
            block = transaction.Block(connection, strict=False)
            self._ending = transaction.committing(connection, block)
            await self._ending.__aenter__()  # which waits for nothing
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        try:
            if self._ending is not None:
                await self._ending.__aexit__(kind, exc, traceback)
        finally:
            await self._borrowed.__aexit__(kind, exc, traceback)


@block("async with pool.cursor() as cur")
async def _cursor_block(borrowed: Borrowed, cursor_class: Any) -> AsyncGenerator[PooledCursor]:
    chosen = () if cursor_class is None else (cursor_class,)
    async with borrowed as connection, connection.cursor(*chosen) as cursor:
        yield cursor
