"""The lease: who may use a physical connection, one call at a time, until it goes back.

Every call that talks to the server goes through `Held._run`: it refuses a connection that went back, refuses a second
task before a byte is written, and notes when a statement's reply may not have been read.
"""

# The files of this room share what is inside their objects; borrowers see none of it.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from async_mysqlpool.errors import ConcurrentUseError, ConnectionReleasedError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from async_mysqlpool.connection.entry import Entry, Unread
    from async_mysqlpool.drivers import Driver

__all__ = ["Held", "Owner", "end", "entry_of", "has_more", "owner_of"]

T = TypeVar("T")


class Owner:
    """The side of the pool that a lease sees; see `capacity/flow.py`."""

    __slots__ = ("driver", "loop")

    driver: Driver
    loop: asyncio.AbstractEventLoop

    def handed_on(self, entry: Entry, task: asyncio.Task[Any] | None) -> None:
        """Another task than before uses the connection."""
        raise NotImplementedError

    def give_back(self, entry: Entry) -> None:
        """The borrower is done."""
        raise NotImplementedError

    def forgotten(self, entry: Entry) -> None:
        """The lease was dropped without being given back."""
        raise NotImplementedError

    def stops(self, entry: Entry) -> bool:
        """Whether the statement under way on it will be stopped on the server, once it is given back."""
        raise NotImplementedError

    def note_failure(self, entry: Entry, error: BaseException) -> Exception | None:
        """A call of the driver failed; what the borrower shall see instead, if anything."""
        raise NotImplementedError


def _drop(operation: object) -> None:
    """A coroutine that never ran shall not complain that nobody awaited it."""
    close = getattr(operation, "close", None)
    if close is not None:
        close()


class Held:
    """One lease of a physical connection."""

    __slots__ = ("__weakref__", "_busy", "_entry", "_owner", "_site")

    def __init__(self, owner: Owner, entry: Entry) -> None:
        self._owner = owner
        self._entry: Entry | None = entry
        self._site = entry.site
        self._busy: asyncio.Task[Any] | None = None

    @property
    def detached(self) -> bool:
        """Whether it went back to the pool."""
        return self._entry is None

    @property
    def _held(self) -> Entry:
        """The physical connection.

        Raises:
            ConnectionReleasedError: it went back to the pool.
        """
        if self._entry is None:
            raise ConnectionReleasedError(
                f"this connection was given back to the pool (it was acquired at {self._site}): read rows and "
                "lastrowid in the block that borrows it; and pass the pool, not the connection, to whatever runs later"
            )
        return self._entry

    async def _run(self, operation: Awaitable[T]) -> T:
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
        if entry.abandoned or (block is not None and block.unsettled()):
            try:
                await self._catch_up(entry)
            except BaseException:
                _drop(operation)
                raise
        self._busy = task = asyncio.current_task(self._owner.loop)
        if task is not entry.user:
            self._owner.handed_on(entry, task)
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
        if entry.reset_error is not None:  # the reset before it failed, though this went through
            raise self._owner.note_failure(entry, entry.reset_error) or entry.reset_error
        if block is not None:
            block.heard()
        return result

    # What is said on behalf of the borrower, in one place each, so that a lease can be watched.

    def _say(self, sql: str) -> Awaitable[Any]:
        return self._run(self._owner.driver.execute(self._held.raw, sql))

    def _commit(self) -> Awaitable[Any]:
        return self._run(self._held.raw.commit())

    def _rollback(self) -> Awaitable[Any]:
        return self._run(self._held.raw.rollback())

    def _check_free(self) -> None:
        """Before a call of the driver's that may write at once.

        Raises:
            ConnectionReleasedError, ConcurrentUseError: as for `_run`.
        """
        if self._entry is None or self._busy is not None or self._entry.broken_off:
            raise self._refusal()

    def _refusal(self) -> Exception:
        try:
            entry = self._held
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

    async def _catch_up(self, entry: Entry) -> None:
        """A block was cancelled, something in it failed, or rows were left: none of that may get into what follows.

        Raises:
            TransactionError: nothing can follow, the transaction of the block has ended.
            ConcurrentUseError: the rows have not been left, they are being read.
        """
        if entry.unread is not None and entry.unread.is_of(self):
            await self._read_out(entry, entry.unread)
        if entry.block is not None:
            await entry.block.settle()
        elif entry.open_transaction:
            entry.abandoned = entry.open_transaction = False
            await self._say("ROLLBACK")

    async def _read_out(self, entry: Entry, unread: Unread) -> None:
        """The rows of a stream that was left come first; whatever its block has to say comes after them."""
        if not unread.left:
            raise unread.refusal()
        entry.unread, entry.abandoned = None, False
        if entry.doubt == "cancelled":  # as long as nothing else was said
            entry.doubt = None
        block, entry.block = entry.block, None
        try:
            await self._run(unread.rest())
        finally:
            entry.block = block
        entry.abandoned = block is None and entry.open_transaction

    def __del__(self) -> None:
        if self._entry is not None:
            self._owner.forgotten(self._entry)


def entry_of(lease: Held) -> Entry:
    """The physical connection under a lease, for parts of the pool outside this room.

    Raises:
        ConnectionReleasedError: it went back to the pool.
    """
    return lease._held


def owner_of(lease: object) -> Owner | None:
    """Which pool's lease it is; None for anything else."""
    return lease._owner if isinstance(lease, Held) else None


def has_more(lease: Held) -> bool:
    """Whether a reply is not read to its end."""
    return lease._held.wire.due > 0 or lease._owner.driver.has_unread(lease._held.raw)


def end(lease: Held) -> None:
    """Part the borrower from the connection, without giving it back."""
    lease._entry = None
