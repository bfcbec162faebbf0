"""The figures of a pool, once: their names, units, meanings, and how they are read from `stats()`.

The names are those of OpenTelemetry's semantic conventions; what these lack has a part of its own in its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from async_mysqlpool.pool import ConnectionPool
    from async_mysqlpool.stats import PoolStats

__all__ = ["BUCKETS", "DURATIONS", "FIGURES", "OPERATION_BUCKETS", "POOL_NAME", "Duration", "Figure"]

POOL_NAME = "db.client.connection.pool.name"
_STATE = "db.client.connection.state"
_OURS = "db.client.connection.async_mysqlpool"
_RESULT = "async_mysqlpool.result"

# Seconds. Those of operations are the conventions' own; of borrows they say nothing.
OPERATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that can be read at any moment.

    Attributes:
        name: OpenTelemetry's.
        unit: OpenTelemetry's.
        meaning: in one sentence.
        monotonic: it only grows.
        attribute: what tells its values apart, if there are several.
        read: pairs of that attribute's value and the number.
    """

    name: str
    unit: str
    meaning: str
    monotonic: bool
    attribute: str | None
    read: Callable[[ConnectionPool, PoolStats], Iterable[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Duration:
    """A distribution of seconds. `source` says of which event, or of statements, it is made."""

    name: str
    meaning: str
    source: Literal["created", "waited", "held", "operation"]
    buckets: tuple[float, ...]


def _one(name: str) -> Callable[[ConnectionPool, PoolStats], Iterable[tuple[str, float]]]:
    return lambda _, stats: [("", getattr(stats, name))]


def _states(_: ConnectionPool, stats: PoolStats) -> Iterable[tuple[str, float]]:
    return [("idle", stats.idle), ("used", stats.size - stats.idle)]


def _connects(_: ConnectionPool, stats: PoolStats) -> Iterable[tuple[str, float]]:
    return [("ok", stats.opened), ("failed", stats.connect_failures)]


def _resets(_: ConnectionPool, stats: PoolStats) -> Iterable[tuple[str, float]]:
    return [("ok", stats.resets), ("failed", stats.resets_failed)]


def _borrows(_: ConnectionPool, stats: PoolStats) -> Iterable[tuple[str, float]]:
    return [
        ("at_once", stats.acquired + stats.timeouts - stats.waited),
        ("waited", stats.waited - stats.timeouts),
        ("timed_out", stats.timeouts),
        ("cancelled", stats.cancelled),
        ("refused", stats.refused),
    ]


def _left_behind(_: ConnectionPool, stats: PoolStats) -> Iterable[tuple[str, float]]:
    """From 0 on: the first one would be no increase."""
    return {"transaction": 0, "result": 0, **stats.left_behind}.items()


def _timeout(pool: ConnectionPool, _: PoolStats) -> Iterable[tuple[str, float]]:
    return [] if pool.queue_timeout is None else [("", pool.queue_timeout)]


def _suggested(_: ConnectionPool, stats: PoolStats) -> Iterable[tuple[str, float]]:
    return [] if stats.suggested_size is None else [("", stats.suggested_size)]


FIGURES = (
    Figure("db.client.connection.count", "{connection}",
           "Connections, those being opened, cleaned or closed among the used ones", False, _STATE, _states),
    Figure("db.client.connection.max", "{connection}", "Connections open at most", False, None, _one("max_size")),
    Figure("db.client.connection.idle.max", "{connection}", "Idle connections at most", False, None, _one("max_size")),
    Figure("db.client.connection.idle.min", "{connection}", "Connections kept open even when nobody needs them",
           False, None, _one("min_size")),
    Figure("db.client.connection.pending_requests", "{request}", "Tasks that wait for a connection",
           False, None, _one("waiting")),
    Figure("db.client.connection.timeouts", "{timeout}", "Acquires that ended in a timeout",
           True, None, _one("timeouts")),
    Figure(f"{_OURS}.acquires", "{request}", "Acquires, by how they ended", True, _RESULT, _borrows),
    Figure(f"{_OURS}.acquire_time", "s", "Time that acquires have waited, summed up", True, None, _one("wait_time")),
    Figure(f"{_OURS}.acquire_timeout", "s", "Time that an acquire waits at most", False, None, _timeout),
    Figure(f"{_OURS}.connects", "{connection}", "Attempts to connect, by how they ended", True,
           _RESULT, _connects),
    Figure(f"{_OURS}.closed", "{connection}", "Connections closed, by the reason", True, "async_mysqlpool.reason",
           lambda _, stats: stats.closed.items()),
    Figure(f"{_OURS}.resets", "{reset}", "Sessions made clean, or not", True, _RESULT, _resets),
    Figure(f"{_OURS}.killed", "{statement}", "Statements of borrowers that went away, stopped on the server",
           True, None, _one("killed")),
    Figure(f"{_OURS}.left_behind", "{borrow}", "Borrowers that left a transaction or a result open", True,
           "async_mysqlpool.what", _left_behind),
    Figure(f"{_OURS}.suggested_size", "{connection}", "Connections that the last minutes speak for",
           False, None, _suggested),
)  # fmt: skip

DURATIONS = (
    Duration("db.client.connection.create_time", "Time to open a connection, session set-up included",
             "created", BUCKETS),
    Duration("db.client.connection.wait_time", "Time that a borrower waited for its connection", "waited", BUCKETS),
    Duration("db.client.connection.use_time", "Time that a borrower held its connection", "held", BUCKETS),
    Duration("db.client.operation.duration", "Time from the call of a statement to its reply",
             "operation", OPERATION_BUCKETS),
)  # fmt: skip
