"""What a pool tells about itself: numbers, who holds what, and the sentences in its errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ConnectionInfo", "Counters", "Lease", "PoolStats", "describe_cut_off", "describe_holders"]


@dataclass(slots=True)
class Counters:
    """What happened since the pool was made. Times are seconds, summed up."""

    acquired: int = 0
    waited: int = 0
    wait_time: float = 0.0
    timeouts: int = 0
    cancelled: int = 0
    refused: int = 0
    opened: int = 0
    connect_time: float = 0.0
    connect_failures: int = 0
    resets: int = 0
    resets_failed: int = 0
    killed: int = 0
    left_behind: dict[str, int] = field(default_factory=dict[str, int])
    closed: dict[str, int] = field(default_factory=dict[str, int])

    def copy(self) -> dict[str, Any]:
        """All of them by name, as they are at this moment."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PoolStats:
    """One moment of a pool: ``idle + in_use + opening + cleaning + closing == size <= max_size``.

    Attributes:
        cleaning: given back and being reset or checked.
        closing: being closed or killed.
        waiting: tasks in the queue.
        acquired: borrows so far; `waited` of them had to wait, `wait_time` seconds altogether.
        held_time: how long connections were held, in seconds, summed up as they come back.
        opened: connections opened so far; `connect_time` is how long that took altogether, in seconds.
        timeouts: acquires that ended in `AcquireTimeoutError`.
        cancelled: acquires that were cancelled while waiting.
        refused: acquires turned away by `max_waiting`, a closed pool or a failed connect.
        killed: statements of borrowers that went away, stopped on the server.
        left_behind: what borrowers left open ("transaction", "result"): how often.
        closed: connections closed so far, by reason.
    """

    min_size: int
    max_size: int
    size: int
    idle: int
    in_use: int
    opening: int
    cleaning: int
    closing: int
    waiting: int
    held_time: float
    acquired: int
    waited: int
    wait_time: float
    timeouts: int
    cancelled: int
    refused: int
    opened: int
    connect_time: float
    connect_failures: int
    resets: int
    resets_failed: int
    killed: int
    left_behind: dict[str, int]
    closed: dict[str, int]

    def __str__(self) -> str:
        parts = [f"{self.in_use} in use", f"{self.idle} idle"]
        parts += [
            f"{count} {word}"
            for word, count in (
                ("opening", self.opening),
                ("cleaning", self.cleaning),
                ("closing", self.closing),
            )
            if count
        ]
        return f"{', '.join(parts)} of {self.max_size}, {self.waiting} waiting"


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """An idle connection, as `ConnectionPool.retain` shows it.

    Attributes:
        connection_id: the server's id.
        age: seconds since it was opened.
        idle: seconds since it came back.
        uses: borrows so far.
    """

    connection_id: int
    age: float
    idle: float
    uses: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a connection: since when (`age`, seconds), which task, acquired where (``file:line``)."""

    connection_id: int
    age: float
    task: str
    site: str

    def __str__(self) -> str:
        return f"task {self.task!r} for {self.age:.1f} s, acquired at {self.site} (connection {self.connection_id})"


def describe_holders(leases: Sequence[Lease], shown: int = 3) -> str:
    """The oldest leases as a sentence."""
    if not leases:
        return "nobody holds a connection"
    rest = f"; and {len(leases) - shown} more" if len(leases) > shown else ""
    return "held by " + "; ".join(map(str, leases[:shown])) + rest


def describe_cut_off(pool: str, connection_id: int) -> str:
    """What a borrower is told whose connection was cut when the pool was closed."""
    return (
        f"pool {pool} was closed while connection {connection_id} was borrowed, and did not wait for it any longer "
        "(close(timeout=...) says how long); what was under way on it may have taken effect"
    )
