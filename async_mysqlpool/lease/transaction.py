"""Transactions: the block, and running a function in one until it gets through."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import random
import re
import warnings
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from async_mysqlpool.drivers.base import is_server_error
from async_mysqlpool.errors import ConfigurationError, TransactionError
from async_mysqlpool.misuse import block
from async_mysqlpool.remedies import awaitable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from contextlib import AbstractAsyncContextManager

    from async_mysqlpool.connection.entry import Entry, Site
    from async_mysqlpool.lease.held import Held

C = TypeVar("C", bound="Held")
T = TypeVar("T")
Isolation: TypeAlias = Literal["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
# The server rolled the transaction back (1213, deadlock) or a statement of it (1205, lock wait timeout), and says so.
_RETRYABLE = {1205, 1213}
# Statements that begin or end a transaction, after spaces and comments; BEGIN NOT ATOMIC is a compound statement.
_CONTROL = re.compile(
    r"(?:\s|/\*(?!!)[^*]*\*/|(?:--\s|#)[^\n]*\n)*"
    r"(begin\b(?!\s+not\b)|start\s+transaction\b|commit\b|rollback\b(?!\s+(?:work\s+)?to\b))",
    re.IGNORECASE,
)
_LOOKED_AT = 500  # characters of a statement
_FIRST_PAUSE = 0.01  # seconds; doubled by each attempt, jittered


class Block:
    """What is known of the transaction of a block, and of the blocks in it, which are savepoints of it.

    Attributes:
        strict: the transaction began with the block, so whatever ends it sooner breaks the block.
        seen: the server has said that a transaction is open.
        ended: it has said since then that there is none.
        failure: the error of the last statement that failed; an error does not say whether the transaction goes on.
        unsure: so that has to be asked.
        depth: blocks in the block.
        undo: the savepoint of one that was left by an exception; to be rolled back to before anything else.
        given_back: where the connection was given back, in the middle of the block.
    """

    __slots__ = ("_connection", "depth", "ended", "failure", "given_back", "seen", "strict", "undo", "unsure")

    def __init__(self, connection: Held, strict: bool) -> None:
        self._connection = connection
        self.strict = strict
        self.seen = self.ended = self.unsure = False
        self.failure: Exception | None = None
        self.depth = 0
        self.undo: str | None = None
        self.given_back: object | None = None

    def unsettled(self) -> bool:
        """Whether `settle` has something to do or to say."""
        return self.unsure or self.undo is not None or (self.strict and self._has_ended())

    async def settle(self) -> None:
        """Before anything else is sent: undo an inner block that failed, and find out whether the transaction goes on.

        Raises:
            TransactionError: it does not.
        """
        undo, self.undo = self.undo, None
        unsure, self.unsure = self.unsure, False
        self.heard()
        if undo is not None:
            await self._undo(undo)
        elif unsure:
            await _ping(self._connection)
        self.failure = None

    async def _undo(self, savepoint: str) -> None:
        connection, failure = self._connection, self.failure
        driver = connection._owner.driver
        try:
            await connection._say(f"ROLLBACK TO SAVEPOINT {savepoint}")
        except Exception as exc:
            if not is_server_error(driver.error_number(exc)):
                raise
            self.failure, self.ended = failure or exc, True  # there is no such savepoint any more
            raise self._broken() from self.failure

    def heard(self) -> None:
        """A call has come back: is the transaction still open?

        Raises:
            TransactionError: that call, or one that failed before it, has ended it.
        """
        self.seen = self.seen or in_transaction(self._connection)
        self.ended = self._has_ended()
        if self.ended and self.strict:
            raise self._broken() from self.failure

    def _has_ended(self) -> bool:
        """As long as results are still to come, they must be read first: the end of the last one says it again."""
        connection = self._connection
        if self.ended or not self.seen or in_transaction(self._connection):
            return self.ended
        return not connection._held.wire.due and not connection._owner.driver.has_unread(connection._held.raw)

    def failed(self, error: BaseException) -> None:
        """A call has ended in an error."""
        if isinstance(error, Exception):
            self.failure, self.unsure = error, True

    def check_statement(self, query: str | bytes | bytearray, entry: Entry) -> None:
        """Refuse what the server's flag would not show: after BEGIN, or COMMIT AND CHAIN, a transaction is open again.

        Raises:
            TransactionError: the statement says that it begins or ends a transaction.
        """
        start = query[:_LOOKED_AT]
        match = _CONTROL.match(start if isinstance(start, str) else bytes(start).decode("latin-1"))
        if match is not None:
            refuse_in_block(entry, " ".join(match[1].upper().split()))

    def _broken(self) -> TransactionError:
        how = "when a statement failed" if self.failure else "by this call or one before it"
        return TransactionError(
            f"the transaction ended before its block did, {how}: by COMMIT or ROLLBACK, by a statement that commits by "
            "itself (DDL, LOCK TABLES, a procedure that does), or because the server rolled it back. Nothing more is "
            "sent in this block, and leaving it does not count as success"
        )


def in_transaction(connection: Held) -> bool:
    """Whether a transaction is open, as the server has last said. The one place where that is asked."""
    return connection._held.wire.in_transaction


async def _ping(connection: Held) -> None:
    """Its reply says whether a transaction is open: drivers learn nothing from errors."""
    await connection._run(connection._owner.driver.ping(connection._held.raw))


def refuse_in_block(entry: Entry, what: str) -> None:
    """Only the block itself begins and ends its transaction.

    Raises:
        TransactionError: there is a block.
    """
    if entry.block is not None:
        raise TransactionError(
            f"{what} inside a transaction block on connection {entry.connection_id}: nothing was sent. The block sends "
            "COMMIT when it is left and ROLLBACK when it raises; for a part of it use `async with conn.transaction()` "
            f"in it, a savepoint (this connection was acquired at {entry.site})"
        )


@block("async with conn.transaction()")
async def transaction(connection: C, isolation: Isolation | None = None, read_only: bool = False) -> AsyncGenerator[C]:
    """BEGIN, the block, then COMMIT; ROLLBACK when the block raises. In such a block: a savepoint.

    A cancelled block gets no ROLLBACK of its own: release does that, where no second cancellation can reach it.

    Raises:
        ConfigurationError: no such isolation level; or one for a block in a block.
        TransactionError: the block was left without COMMIT and without an exception; or a transaction that was not
            begun by a block is open already.
    """
    entry = connection._held
    if entry.block is not None:
        if isolation is not None or read_only:
            raise ConfigurationError("isolation and read_only are for the outermost block: this one is a savepoint")
        async with _savepoint(connection, cast("Block", entry.block)):
            yield connection
        return
    level = None if isolation is None else _level(isolation)
    await _check_none_is_open(connection)
    if level is not None:
        await connection._say(f"SET TRANSACTION ISOLATION LEVEL {level}")
    await connection._say("START TRANSACTION READ ONLY" if read_only else "START TRANSACTION")
    block = Block(connection, strict=True)
    block.heard()
    with _known(connection):
        async with committing(connection, block):
            yield connection


inside: dict[asyncio.Task[Any] | None, Held] = {}  # who is in a transaction block, and on which connection
_warned: dict[Any, Any] = {}


@contextmanager
def _known(connection: Held) -> Generator[None]:
    task = asyncio.current_task()
    outer = inside.get(task)  # of another pool, say
    inside[task] = connection
    try:
        yield
    finally:
        del inside[task]
        if outer is not None:
            inside[task] = outer


def warn_inside(owner: object, site: Site) -> None:
    """Say, once for each line, that a helper of the pool is not part of the transaction that its caller is in.

    Args:
        owner: whose connection the helper borrows.
        site: where it was called.
    """
    connection = inside.get(asyncio.current_task())
    if connection is None or connection._owner is not owner:
        return
    file, _, line = str(site).rpartition(":")
    message = (
        f"a helper of the pool was called inside a transaction block of the same task (begun at {connection._site}): "
        "it borrows another connection, does not see what is not committed yet, and may wait for its locks. "
        "Call it on the connection of the block; or, where that is meant, on one of your own (pool.acquire())"
    )
    warnings.warn_explicit(message, RuntimeWarning, file, int(line), registry=_warned)


def _level(isolation: object) -> str:
    level = re.sub("[_-]", " ", isolation).upper() if isinstance(isolation, str) else ""
    if level not in _LEVELS:
        advice = ": that is read_only=True" if isolation is True or level == "READ ONLY" else ""
        raise ConfigurationError(f"isolation must be one of {', '.join(_LEVELS)}, not {isolation!r}{advice}")
    return level


async def _check_none_is_open(connection: Held) -> None:
    """START TRANSACTION would commit it. Without autocommit any SELECT has opened one, and that is what is wanted."""
    baseline = connection._held.baseline
    if baseline is None or not baseline.autocommit or not in_transaction(connection):
        return
    await _ping(connection)  # a deadlock may have ended it
    if in_transaction(connection):
        raise TransactionError(
            f"a transaction is open on connection {connection._held.connection_id} that no block has begun, and "
            "START TRANSACTION would commit it: commit() or rollback() first, or begin it with "
            "`async with conn.transaction()`, in which another such block is a savepoint"
        )


@asynccontextmanager
async def committing(connection: Held, block: Block) -> AsyncGenerator[None]:
    """COMMIT at the end of the block, ROLLBACK when it raises."""
    entry = connection._held
    entry.block, entry.open_transaction = block, True
    try:
        try:
            yield
        except Exception as exc:
            # The connection may be gone, which rolls back as well; the block's own error is what the caller must see.
            gone = connection.detached or entry.under_way or entry.doubt
            if not gone and not connection._owner.driver.has_unread(entry.raw):
                await _roll_back(connection, block, exc)
            raise
        await _commit(connection, block)
    finally:
        if not connection.detached:
            entry.block = None
            entry.abandoned = entry.open_transaction


@asynccontextmanager
async def _savepoint(connection: Held, block: Block) -> AsyncGenerator[None]:
    """A block in a block. What it did is undone later, if at all: a cancelled task must not wait for a reply."""
    block.depth += 1
    name = f"async_mysqlpool_{block.depth}"
    try:
        await connection._say(f"SAVEPOINT {name}")
        try:
            yield
            _check_still_held(connection, block)
            await connection._say(f"RELEASE SAVEPOINT {name}")
        except BaseException:
            block.undo = name
            raise
    finally:
        block.depth -= 1


async def _commit(connection: Held, block: Block) -> None:
    _check_still_held(connection, block)
    entry = connection._held
    if entry.abandoned or block.unsettled():  # rows of a stream are to be read, say
        await connection._catch_up(entry)
    entry.block = None
    await connection._commit()
    entry.open_transaction = False


def _check_still_held(connection: Held, block: Block) -> None:
    if connection.detached:
        raise TransactionError(
            "the connection was given back in the middle of its transaction block"
            + (f", at {block.given_back}" if block.given_back else "")
            + ": nothing was committed. The block gives it back by itself; leave it before close() or release()"
        )


async def _roll_back(connection: Held, block: Block, error: Exception) -> None:
    """Never raises: the error of the block is what the caller must see."""
    entry = connection._held
    block.undo = None
    try:
        if block.unsure and connection._owner.driver.error_number(error) not in _RETRYABLE:
            with suppress(TransactionError):
                await block.settle()
        entry.block = None
        await connection._rollback()
        entry.open_transaction = False
    except Exception as exc:  # noqa: BLE001
        entry.doubt = f"ROLLBACK failed: {exc}"
    if block.ended and not isinstance(error, TransactionError):
        error.add_note(
            "async_mysqlpool: the transaction had ended before its block did (see TransactionError): what a COMMIT in "
            "it, or a statement that commits by itself, had made permanent is not rolled back"
        )


async def run_transaction(
    begin: Callable[[], AbstractAsyncContextManager[C]],
    fn: Callable[[C], Awaitable[T]],
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
                return cast("T", await awaitable(fn(connection), "run_transaction: the function"))
        except Exception as exc:
            if error_number(exc) not in _RETRYABLE or attempt > retries:
                if attempt > 1:
                    exc.add_note(f"run_transaction: gave up after {attempt} attempts")
                raise
        await asyncio.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311
        attempt += 1
