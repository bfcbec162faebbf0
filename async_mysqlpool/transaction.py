"""Transactions: the block, and running a function in one until it gets through."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from async_mysqlpool.errors import ConfigurationError, PoolError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from async_mysqlpool.lease import PooledConnection, PooledCursor

T = TypeVar("T")
Isolation: TypeAlias = Literal["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
# The server rolled the transaction back (1213, deadlock) or a statement of it (1205, lock wait timeout), and says so.
_RETRYABLE = {1205, 1213}
_FIRST_PAUSE = 0.01  # seconds; doubled by each attempt, jittered


@asynccontextmanager
async def transaction(
    connection: PooledConnection, isolation: Isolation | None = None, read_only: bool = False
) -> AsyncGenerator[PooledConnection]:
    """BEGIN, the block, then COMMIT; ROLLBACK when the block raises.

    A cancelled block gets no ROLLBACK of its own: release does that, where no second cancellation can reach it.

    Raises:
        ConfigurationError: no such isolation level.
        PoolError: the connection is in such a block already.
    """
    entry = connection.entry
    if entry.open_transaction and not entry.abandoned:
        raise PoolError(
            f"connection {entry.connection_id} is in a transaction already, which MySQL would commit here: "
            f"use SAVEPOINT, or another connection (this one was acquired at {entry.site})"
        )
    execute, raw = connection.owner.driver.execute, entry.raw
    entry.dirty = True
    entry.read_only = read_only
    if isolation is not None:
        level = isolation.replace("_", " ").upper()
        if level not in _LEVELS:
            raise ConfigurationError(f"isolation must be one of {', '.join(_LEVELS)}, not {isolation!r}")
        await connection.run(execute(raw, f"SET TRANSACTION ISOLATION LEVEL {level}"))
    await connection.run(execute(raw, "START TRANSACTION READ ONLY" if read_only else "START TRANSACTION"))
    async with _committing(connection):
        yield connection


@asynccontextmanager
async def cursor_block(
    borrowed: AbstractAsyncContextManager[PooledConnection], cursor_class: Any
) -> AsyncGenerator[PooledCursor]:
    """A cursor on a connection of its own; where autocommit is off, COMMIT or ROLLBACK at the end of the block."""
    async with borrowed as connection:
        baseline = connection.entry.baseline
        explicit = baseline is not None and not baseline.autocommit
        chosen = () if cursor_class is None else (cursor_class,)
        async with _committing(connection) if explicit else nullcontext(), connection.cursor(*chosen) as cursor:
            yield cursor


@asynccontextmanager
async def _committing(connection: PooledConnection) -> AsyncGenerator[None]:
    entry = connection.entry
    entry.open_transaction = True
    try:
        try:
            yield
        except Exception:
            # The connection may be gone, which rolls back as well; the block's own error is what the caller must see.
            if not (connection.detached or entry.in_flight or entry.doubt):
                await _roll_back(connection)
            raise
        if not connection.detached:
            await connection.commit()
            entry.open_transaction = False
    finally:
        if not connection.detached:
            entry.abandoned = entry.open_transaction


async def _roll_back(connection: PooledConnection) -> None:
    try:
        await connection.rollback()
        connection.entry.open_transaction = False
    except Exception as exc:  # noqa: BLE001
        connection.entry.doubt = f"ROLLBACK failed: {exc}"


async def run_transaction(
    begin: Callable[[], AbstractAsyncContextManager[PooledConnection]],
    fn: Callable[[PooledConnection], Awaitable[T]],
    retries: int,
    error_number: Callable[[BaseException], int | None],
) -> T:
    """Run `fn` in a transaction of its own, again when the server reports a deadlock or a lock wait timeout.

    Only errors that the server itself sent are reasons to try again: after those the transaction is known not to
    have been committed. A lost connection during COMMIT is not: its outcome is unknown.
    """
    attempt = 1
    while True:
        try:
            async with begin() as connection:
                return await fn(connection)
        except Exception as exc:
            if error_number(exc) not in _RETRYABLE or attempt > retries:
                if attempt > 1:
                    exc.add_note(f"run_transaction: gave up after {attempt} attempts")
                raise
        await asyncio.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311
        attempt += 1
