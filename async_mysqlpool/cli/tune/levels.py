"""Which sizes are tried, and what was measured at one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Level", "best_of", "steps", "still_worth_it"]

_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_FALLEN = 0.8  # of the best throughput so far: below it, larger sizes are not worth trying
_TOO_SLOW = 4.0  # times the goal


@dataclass(frozen=True, slots=True)
class Level:
    """What `size` connections did when all of them were busy. Times are seconds; `throughput` is statements per second.

    Attributes:
        client: the share of one CPU that this program itself took. Near 1, it and not the server is the limit.
        failed: statements that lost against others (a deadlock, a lock wait timeout).
    """

    size: int
    throughput: float
    mean: float
    p50: float
    p99: float
    client: float = 0.0
    failed: int = 0


def steps(largest: int) -> list[int]:
    """The sizes to try, each about a third more than the one before, up to `largest`, which is the last one."""
    return [size for size in _STEPS if size < largest] + [largest]


def best_of(levels: Iterable[Level]) -> list[Level]:
    """One for each size: the best of each figure, because what disturbs a measurement only makes it worse."""
    best: dict[int, Level] = {}
    for level in levels:
        known = best.get(level.size, level)
        fastest = max(known, level, key=lambda one: one.throughput)
        best[level.size] = replace(
            fastest,
            mean=min(known.mean, level.mean),
            p50=min(known.p50, level.p50),
            p99=min(known.p99, level.p99),
            failed=max(known.failed, level.failed),
        )
    return [best[size] for size in sorted(best)]


def still_worth_it(levels: list[Level], goal: float | None) -> bool:
    """Whether a larger size may tell anything new: not after two in a row that fell far behind or missed the goal."""
    if len(levels) < 2:
        return True
    best = max(level.throughput for level in levels)
    latest = levels[-2:]
    fallen = all(level.throughput < _FALLEN * best for level in latest)
    slow = goal is not None and all(level.p50 > _TOO_SLOW * goal for level in latest)
    return not (fallen or slow)
