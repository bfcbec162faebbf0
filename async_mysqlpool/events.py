"""What observers are told. Every event is a frozen dataclass; times are seconds.

An observer is any object with an `on_event` method. It runs inside the pool's own bookkeeping, so it must not
block and cannot await; what it raises is logged and changes nothing. One that has an `on_statement` method as well is
told of every statement and every transaction block, in the task and the context of whoever sends it. One that has the
methods of `Meter` is given the times of borrows as numbers, which costs less than `Acquired` and `Released`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

__all__ = [
    "AcquireFailed",
    "Acquired",
    "CloseReason",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionOpened",
    "Event",
    "HeldTooLong",
    "LateReturn",
    "LeftBehind",
    "Meter",
    "Observer",
    "ReconnectFailed",
    "Released",
    "ResetFailed",
    "StatementEnded",
    "StatementEvent",
    "StatementKilled",
    "StatementObserver",
    "StatementStarted",
    "TransactionEnded",
    "TransactionStarted",
]

# Why a connection ended: "idle", "lifetime", "expired", "broken", "cancelled", "unread result", "discarded",
# "reset failed", "forgotten", "not pooled", "surplus", "shutdown", "uses", "on_acquire", "on_release",
# "not restorable", "failover", "not retained".
CloseReason: TypeAlias = str


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A physical connection is ready. `took` covers TCP to session set-up."""

    pool: str
    connection_id: int
    took: float


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A physical connection is gone."""

    pool: str
    connection_id: int
    reason: CloseReason
    age: float


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """An attempt to connect failed."""

    pool: str
    error: Exception


@dataclass(frozen=True, slots=True)
class ReconnectFailed:
    """The pool had connections, has none left, and failed to get another one. `ConnectFailed` came before.

    It goes on trying as long as somebody waits or `min_size` is missing. This is attempt number `attempts` since there
    was one, and the first of them failed `lasting` seconds ago.
    """

    pool: str
    error: Exception
    attempts: int
    lasting: float


@dataclass(frozen=True, slots=True)
class Acquired:
    """A borrower got a connection after waiting for `waited`."""

    pool: str
    connection_id: int
    waited: float


@dataclass(frozen=True, slots=True)
class AcquireFailed:
    """A borrower got none: the error that it sees, or `CancelledError`."""

    pool: str
    error: BaseException
    waited: float


@dataclass(frozen=True, slots=True)
class Released:
    """A borrower gave a connection back after `held`."""

    pool: str
    connection_id: int
    held: float


@dataclass(frozen=True, slots=True)
class ResetFailed:
    """A session could not be made clean; its connection is thrown away."""

    pool: str
    connection_id: int
    error: BaseException


@dataclass(frozen=True, slots=True)
class StatementKilled:
    """The statement of a borrower that went away was stopped on the server (`killed`), or could not be."""

    pool: str
    connection_id: int
    killed: bool


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A borrower gave a connection back with a ``"transaction"`` or a ``"result"`` open."""

    pool: str
    connection_id: int
    what: str
    site: str
    task: str


@dataclass(frozen=True, slots=True)
class HeldTooLong:
    """A connection is out for longer than `hold_warning`."""

    pool: str
    connection_id: int
    held: float
    site: str
    task: str


@dataclass(frozen=True, slots=True)
class LateReturn:
    """A connection that was reported as held too long came back."""

    pool: str
    connection_id: int
    held: float
    site: str
    task: str


Event: TypeAlias = (
    ConnectionOpened
    | ConnectionClosed
    | ConnectFailed
    | ReconnectFailed
    | Acquired
    | AcquireFailed
    | Released
    | ResetFailed
    | StatementKilled
    | LeftBehind
    | HeldTooLong
    | LateReturn
)


class Observer(Protocol):
    """Whoever wants to know what the pool does."""

    def on_event(self, event: Event, /) -> None:
        """Take note of an event. Must not block."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StatementStarted:
    """A borrower is about to send a statement through a cursor, or to begin or end a transaction.

    Attributes:
        text: as the borrower wrote it, without its arguments; of `callproc`, ``CALL name``.
        digest: that without values (`async_mysqlpool.digest`).
        method: how: ``"execute"``, ``"executemany"``, ``"callproc"``, ``"begin"``, ``"commit"``, ``"rollback"``, or
            ``"block"`` for what a transaction block says besides.
        parameterized: arguments come with it, so there need be no values in the text.
        batch: sets of arguments, of `executemany`; 0 for all else.
        borrow: the how-manieth borrow of this connection it belongs to.
        waited: how long that one had waited for the connection.
        site: where it was acquired; ``str(site)`` says it.
    """

    pool: str
    connection_id: int
    text: str | bytes
    digest: str
    method: str
    parameterized: bool
    batch: int
    borrow: int
    waited: float
    site: object


@dataclass(frozen=True, slots=True, eq=False)
class StatementEnded:
    """Its reply has come, or its first rows where a cursor reads row by row; or it has failed, or was cancelled.

    Attributes:
        started: how it was announced, the same object.
        took: from the call to its end.
        rows: returned or changed; None if that is not known.
        error: what the borrower sees.
        number: the server's number of that error, if it sent one.
    """

    pool: str
    started: StatementStarted
    took: float
    rows: int | None
    error: BaseException | None
    number: int | None


@dataclass(frozen=True, slots=True, eq=False)
class TransactionStarted:
    """A borrower enters a transaction block, or one in it (`savepoint`)."""

    pool: str
    connection_id: int
    savepoint: bool
    site: object


@dataclass(frozen=True, slots=True, eq=False)
class TransactionEnded:
    """It has left the block: committed, or rolled back with the error that ended it."""

    pool: str
    started: TransactionStarted
    took: float
    error: BaseException | None


StatementEvent: TypeAlias = StatementStarted | StatementEnded | TransactionStarted | TransactionEnded


class StatementObserver(Observer, Protocol):
    """Whoever wants to know of statements, too."""

    def on_statement(self, event: StatementEvent, /) -> str | None:
        """Take note of it. Must not block.

        Returns:
            of a `StatementStarted`: a comment to be sent with the statement, if any. A text that is another one each
            time is never a statement seen before, so with a comment that changes, the driver reads every result.
        """
        ...


class Meter(Observer, Protocol):
    """Whoever wants no more of borrows than their times, in seconds; `Acquired` and `Released` are not told to it."""

    def on_wait(self, seconds: float, /) -> None:
        """A borrower got a connection after waiting for so long."""
        ...

    def on_use(self, seconds: float, /) -> None:
        """A borrower gave a connection back after so long."""
        ...
