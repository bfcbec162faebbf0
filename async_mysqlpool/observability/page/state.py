"""A pool's state as the page shows it: plain data for JSON. No parameter of a statement, no part of a DSN."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from async_mysqlpool import ConnectionPool, PoolStats
    from async_mysqlpool.observability.page.history import History
    from async_mysqlpool.stats import Lease

__all__ = ["describe", "verdict"]

_LEASES, _STATEMENTS, _INCIDENTS = 50, 15, 30  # shown at most
_LONG = 5.0  # seconds: a holder to be named
_LONGEST_DIGEST = 400  # characters
_LATELY = 60  # samples


def describe(pools: list[tuple[ConnectionPool, History]], after: int) -> dict[str, Any]:
    """Everything that the page shows.

    Args:
        pools: each with its history.
        after: the number of the last sample that the reader has; 0 for all of them.
    """
    return {
        "process": {"pid": os.getpid(), "host": socket.gethostname()},
        "now": time.time(),
        "pools": [_pool(pool, history, after) for pool, history in pools],
    }


def _pool(pool: ConnectionPool, history: History, after: int) -> dict[str, Any]:
    stats, leases = pool.stats(), pool.leases()
    lately = history.since(0)[-_LATELY:]
    slow = max((sample.wait for sample in lately), default=0.0)
    level, text = verdict(stats, leases, slow, pool.closed)
    return {
        "name": pool.name,
        "driver": pool.driver.name,
        "reset": pool.reset,
        "closed": pool.closed,
        "verdict": {"level": level, "text": text},
        "stats": dataclasses.asdict(stats),
        "leases": [dataclasses.asdict(lease) for lease in leases[:_LEASES]],
        "statements": _statements(pool),
        "incidents": [dataclasses.asdict(incident) for incident in history.incidents[:_INCIDENTS]],
        "samples": [dataclasses.asdict(sample) for sample in history.since(after)],
    }


def verdict(stats: PoolStats, leases: list[Lease], slowest_wait: float, closed: bool) -> tuple[str, str]:
    """``"good"``, ``"busy"`` or ``"bad"``, and why, in a sentence.

    Args:
        stats: of this moment.
        leases: who holds what, the longest first.
        slowest_wait: of the last minute's seconds, the mean wait of a borrow, in seconds, in the worst one.
        closed: whether the pool is.
    """
    if closed:
        return "bad", "The pool is closed."
    holder = f" The longest holder is {leases[0]}." if leases and leases[0].age > _LONG else ""
    if stats.waiting and stats.in_use >= stats.max_size:
        return "bad", f"{_tasks(stats.waiting)} for a connection, and all {stats.max_size} are out.{holder}"
    if stats.waiting:
        return "busy", f"{_tasks(stats.waiting)} for a connection that is being opened or made clean.{holder}"
    if holder:
        return "busy", f"Nobody waits.{holder}"
    if slowest_wait > 0.1:
        return "busy", f"Nobody waits now; in the last minute borrows waited for up to {slowest_wait:.1f} s."
    if stats.in_use >= stats.max_size:
        return "busy", f"All {stats.max_size} connections are out; nobody waits yet."
    return "good", "Nobody waits for a connection."


def _tasks(count: int) -> str:
    return f"{count} tasks wait" if count > 1 else "1 task waits"


def _statements(pool: ConnectionPool) -> list[dict[str, Any]]:
    """The slowest by digest, where the pool keeps them: without their values, so there is nothing to hide."""
    read = getattr(pool, "statements", None)
    found = sorted(read(), key=lambda one: -one.total)[:_STATEMENTS] if read is not None else []
    return [
        {
            "digest": one.digest[:_LONGEST_DIGEST] or "(others)",
            "count": one.count,
            "errors": one.errors,
            "total": one.total,
            "mean": one.total / one.count if one.count else 0.0,
            "longest": one.longest,
        }
        for one in found
    ]
