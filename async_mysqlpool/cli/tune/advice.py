"""Which size, and why. Pure: measurements in, a sentence out.

The measurements decide, not the law that is drawn through them: a server with two cores has a corner in its curve where
the law has a bend, and the corner is what one wants to know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from async_mysqlpool.cli.output import milliseconds
from async_mysqlpool.cli.tune.queueing import wait_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.cli.tune.levels import Level

__all__ = ["Advice", "advise"]

_WORTH = 0.1  # of throughput: what twice the connections have to bring
_FULL = 0.8  # of what a size can do: with random arrivals, queues grow fast beyond it
_CLIENT_IS_BUSY = 0.9  # of one CPU
_GROWING = 0.8  # of what twice the connections would bring if nothing limited them


@dataclass(frozen=True, slots=True)
class Advice:
    """A size for the pool of one process.

    Attributes:
        good: it does what was asked for; otherwise it is the nearest to that.
        response: seconds, 99 of 100 requests within, the wait for a connection included.
        reason: what speaks for it.
        warnings: what to know about the measurement.
    """

    size: int
    good: bool
    throughput: float
    response: float
    reason: str
    warnings: tuple[str, ...]


def advise(levels: Sequence[Level], goal: float | None = None, rate: float | None = None) -> Advice:
    """Choose the smallest size beyond which twice the connections bring less than a tenth more.

    Args:
        levels: what was measured, by size; at least one.
        goal: seconds within which 99 of 100 statements shall be done; with `rate`, the wait included.
        rate: requests per second that will come, at random; None: as many as the server can do.
    """
    chosen = _for_rate(levels, goal, rate) if rate is not None else _for_most(levels, goal)
    return Advice(*chosen, warnings=tuple(_warnings(levels, chosen[0], rate)))


def _for_most(levels: Sequence[Level], goal: float | None) -> tuple[int, bool, float, float, str]:
    fast = [level for level in levels if goal is None or level.p99 <= goal]
    if not fast:
        level = min(levels, key=lambda level: level.p99)
        reason = f"no size keeps the goal: even at {level.size}, one in a hundred takes {milliseconds(level.p99)}"
        return level.size, False, level.throughput, level.p99, reason
    level = next(level for level in fast if _is_enough(level, fast))
    return level.size, True, level.throughput, level.p99, _why_this(levels, fast, level, goal)


def _is_enough(level: Level, others: Sequence[Level]) -> bool:
    """Whether no larger size brings what its connections cost. One odd measurement far away decides nothing."""
    return all(
        other.throughput <= level.throughput * (1 + _WORTH) ** math.log2(other.size / level.size)
        for other in others
        if other.size > level.size
    )


def _why_this(levels: Sequence[Level], fast: Sequence[Level], level: Level, goal: float | None) -> str:
    does = f"{level.size} do {level.throughput:,.0f}/s, {milliseconds(level.p99)} for 99 of 100"
    larger = [other for other in levels if other.size > level.size]
    if not larger:
        return f"{does}, and the throughput still grows: the limit lies beyond the largest size that was tried"
    later = min(larger, key=lambda other: abs(other.size - 2 * level.size))
    gain = later.throughput / level.throughput - 1
    if goal is not None and later not in fast and gain > _WORTH:
        return f"{does}; {later.size} do {gain:.0%} more, but take {milliseconds(later.p99)}, longer than the goal"
    change = f"{gain:.0%} more" if gain > 0.005 else "no more" if gain > -0.02 else f"{-gain:.0%} less"
    return f"{does}; {later.size} do {change}, and take {milliseconds(later.p99)}"


def _for_rate(levels: Sequence[Level], goal: float | None, rate: float) -> tuple[int, bool, float, float, str]:
    for level in levels:
        response = level.p99 + wait_of(0.99, level.size, rate, level.mean)
        if rate <= _FULL * level.throughput and response <= (goal or math.inf):
            busy = rate / level.throughput
            reason = f"{rate:,.0f}/s keep {level.size} busy for {busy:.0%} of the time; the rest is for bursts"
            return level.size, True, level.throughput, response, reason
    size, _, throughput, p99, _ = _for_most(levels, goal)
    able = f"the most that {size} connections do" + (" within the goal" if goal is not None else "")
    reason = f"{rate:,.0f}/s is too much: {able} is {throughput:,.0f}/s, and {_FULL:.0%} of that is safe"
    return size, False, throughput, p99, reason


def _warnings(levels: Sequence[Level], size: int, rate: float | None) -> list[str]:
    found: list[str] = []
    top = max(levels, key=lambda level: level.throughput)
    if top.client >= _CLIENT_IS_BUSY:
        found.append(
            f"at {top.size} connections this program itself took {top.client:.0%} of a CPU: it is the limit and not "
            "the server, which can do more for several processes with this size each"
        )
    elif size == levels[-1].size and rate is None and len(levels) > 1 and _grows(levels):
        found.append(
            "the server was not the limit: say --rate for the size that your requests need, or --max-size for more"
        )
    if failed := sum(level.failed for level in levels):
        found.append(f"{failed} statements failed against others (deadlocks, lock waits); they count for nothing")
    return found


def _grows(levels: Sequence[Level]) -> bool:
    before, last = levels[-2:]
    return last.throughput / before.throughput >= 1 + _GROWING * (last.size / before.size - 1)
