"""What observers are told. Every event is a frozen dataclass; times are seconds.

An observer is any object with an `on_event` method. It runs inside the pool's own bookkeeping, so it must not
block and cannot await; what it raises is logged and changes nothing.
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
    "Observer",
    "ReconnectFailed",
    "Released",
    "ResetFailed",
    "StatementKilled",
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
