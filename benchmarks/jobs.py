"""What a worker is asked to do, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Job:
    """One round.

    Attributes:
        workload: a key of `workloads.WORKLOADS`.
        tasks: how many want to borrow at the same time, each again and again.
        seconds: how long it lasts,
        borrows: or, unless 0, after how many borrows it ends.
        before: borrows that are not counted: by then the queue is as long as it stays.
        pause: seconds that a task waits before it borrows again.
    """

    workload: str
    tasks: int
    seconds: float = 0.3
    borrows: int = 0
    before: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Of one round: borrows done, seconds that passed, seconds of CPU in the client, and seconds to the rows."""

    borrows: int
    seconds: float
    cpu: float
    p50: float
    p99: float


def outcome(seconds: float, cpu: float, done: list[float], under_way: Sequence[float] = ()) -> Outcome:
    """From the times that the requests took.

    Those under way at the end for longer than is usual count with the time they have taken so far: otherwise a pool
    that lets some tasks starve would look quick. The others tell nothing yet.
    """
    if not done:
        raise RuntimeError(f"not one borrow in {seconds:.2f} seconds: rounds must be longer")
    usual = median(done)
    times = sorted([*done, *(time for time in under_way if time > usual)])
    return Outcome(len(done), seconds, cpu, times[len(times) // 2], times[len(times) * 99 // 100])
