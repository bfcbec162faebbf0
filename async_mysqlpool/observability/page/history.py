"""The last minutes of a pool: differences of its counters, once a second, and what went wrong in between.

Nothing here is on the way of a borrow. Whoever samples calls `take`; what the pool logs is read along.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_mysqlpool import ConnectionPool, PoolStats

__all__ = ["EVERY", "KEPT", "History", "Incident", "Sample"]

EVERY = 1.0  # seconds between samples
KEPT = 300  # samples
_INCIDENTS = 50
_LONGEST_TEXT = 400  # characters
_ENDED_BADLY = {"broken", "cancelled", "forgotten", "unread result", "not restorable", "reset failed"}
_LOGGER = logging.getLogger("async_mysqlpool")


@dataclass(frozen=True, slots=True)
class Sample:
    """One second. `at` is Unix time; `rate` is borrows per second, `wait` and `hold` mean seconds of one borrow."""

    number: int
    at: float
    in_use: int
    idle: int
    waiting: int
    max_size: int
    rate: float
    wait: float
    hold: float


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that should not happen often."""

    at: float
    level: str
    text: str


class History:
    """One pool's. `start` before the first `take`, `stop` after the last one."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._incidents: deque[Incident] = deque(maxlen=_INCIDENTS)
        self._before: PoolStats | None = None
        self._taken_at = 0.0
        self._number = 0

    def start(self) -> None:
        """Read along what the pool logs as a warning. A filter sees all and changes nothing; a handler would."""
        _LOGGER.addFilter(self._read_along)

    def stop(self) -> None:
        """Read no more."""
        _LOGGER.removeFilter(self._read_along)

    @property
    def incidents(self) -> list[Incident]:
        """The latest first."""
        return list(reversed(self._incidents))

    @property
    def latest(self) -> int:
        """The number of the last sample; 0 before the first."""
        return self._number

    def since(self, number: int) -> list[Sample]:
        """The samples after that one."""
        return [sample for sample in self._samples if sample.number > number]

    def take(self) -> None:
        """One sample: how it is, and what has changed since the last one."""
        now, at, stats = time.monotonic(), time.time(), self._pool.stats()
        before, took = self._before or stats, max(now - self._taken_at, 1e-3)
        self._before, self._taken_at = stats, now
        self._number += 1
        borrows = stats.acquired - before.acquired
        self._samples.append(
            Sample(
                number=self._number,
                at=at,
                in_use=stats.in_use,
                idle=stats.idle,
                waiting=stats.waiting,
                max_size=stats.max_size,
                rate=borrows / took,
                wait=(stats.wait_time - before.wait_time) / borrows if borrows else 0.0,
                hold=(stats.held_time - before.held_time) / borrows if borrows else 0.0,
            )
        )
        for text in _went_wrong(before, stats):
            self._incidents.append(Incident(at, "warning", text))

    def _read_along(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            try:
                name, _, text = record.getMessage().partition(": ")
            except Exception:  # noqa: BLE001  whoever handles the record will say so
                return True
            if name == self._pool.name:
                self._incidents.append(Incident(record.created, record.levelname.lower(), text[:_LONGEST_TEXT]))
        return True


def _went_wrong(before: PoolStats, stats: PoolStats) -> Iterator[str]:
    """What the log does not say: it is the borrowers who are told."""
    if (count := stats.timeouts - before.timeouts) > 0:
        yield f"{_times(count, 'borrower')} got no connection in time"
    if (count := stats.refused - before.refused) > 0:
        yield f"{_times(count, 'borrower')} turned away: a full queue, a closed pool, or no way to connect"
    if (killed := stats.killed - before.killed) > 0:
        yield f"{_times(killed, 'statement')} stopped on the server: borrowers went away"
    for reason in sorted(_ENDED_BADLY & stats.closed.keys()):
        count = stats.closed[reason] - before.closed.get(reason, 0)
        if count > (killed if reason == "cancelled" else 0):
            yield f"{_times(count, 'connection')} closed: {reason}"


def _times(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
