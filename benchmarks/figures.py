"""From rounds to figures: each round of a contender is compared with a round of the yardstick right beside it.

The speed of a machine changes from second to second, and more so when it is shared: what two neighbours have in common
is the moment, so the median of their ratios stands where rates do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs import Outcome
    from plan import Cell, Turn


@dataclass(frozen=True)
class Line:
    """A contender in a cell: medians over the rounds, and of its ratios to the yardstick beside it.

    Attributes:
        title, server, driver, workload, tasks, contender: what was measured.
        rate: borrows per second.
        cpu: microseconds of client CPU per borrow.
        p50, p99: milliseconds from wanting a connection to having the rows.
        tail: p99 / p50 of the same round.
        rate_ratio: above 1 is faster than the yardstick; `rate_spread` the quartiles of it.
        cpu_ratio, time_ratio: of CPU per borrow and of p50; below 1 is less than the yardstick's.
    """

    title: str
    server: str
    driver: str
    workload: str
    tasks: int
    contender: str
    rate: float
    cpu: float
    p50: float
    p99: float
    tail: float
    rate_ratio: float
    rate_spread: tuple[float, float]
    cpu_ratio: float
    time_ratio: float


def measure(cell: Cell, server: str, ask: Callable[[Turn], Outcome]) -> list[Line]:
    """Run the rounds of a cell: yardstick, two others, yardstick, and so on; every second round backwards."""
    base: list[Outcome] = []
    beside: dict[Turn, list[tuple[Outcome, Outcome]]] = {turn: [] for turn in cell.others}
    for number in range(cell.rounds):
        turns = cell.others[:: -1 if number % 2 else 1]
        base.append(ask(cell.base))
        for first, *second in pairs(turns):
            beside[first].append((ask(first), base[-1]))
            for turn in second:
                outcome = ask(turn)
                base.append(ask(cell.base))
                beside[turn].append((outcome, base[-1]))
    own = [(outcome, outcome) for outcome in base]
    return [line(cell, server, turn, found) for turn, found in [(cell.base, own), *beside.items()]]


def pairs(turns: Sequence[Turn]) -> list[Sequence[Turn]]:
    """Two by two; the last may be alone."""
    return [turns[start : start + 2] for start in range(0, len(turns), 2)]


def line(cell: Cell, server: str, turn: Turn, found: list[tuple[Outcome, Outcome]]) -> Line:
    """The figures of one contender, from its rounds and those beside them."""
    outcomes = [own for own, _ in found]
    ratios = [rate(own) / rate(base) for own, base in found]
    low, _, high = quantiles(ratios, n=4)
    return Line(
        title=cell.title,
        server=server,
        driver=cell.driver,
        workload=turn.job.workload,
        tasks=turn.job.tasks,
        contender=turn.contender.label,
        rate=median(map(rate, outcomes)),
        cpu=median(map(cpu, outcomes)),
        p50=median(own.p50 for own in outcomes) * 1e3,
        p99=median(own.p99 for own in outcomes) * 1e3,
        tail=median(own.p99 / own.p50 for own in outcomes),
        rate_ratio=median(ratios),
        rate_spread=(low, high),
        cpu_ratio=median(cpu(own) / cpu(base) for own, base in found),
        time_ratio=median(own.p50 / base.p50 for own, base in found),
    )


def rate(outcome: Outcome) -> float:
    """Borrows per second."""
    return outcome.borrows / outcome.seconds


def cpu(outcome: Outcome) -> float:
    """Microseconds per borrow."""
    return outcome.cpu / outcome.borrows * 1e6
