"""How large the pool should be, from what its last minutes say. Pure: numbers in, a number and its reason out.

Advice only: nobody acts on it but a person. It goes by the time that statements were under way, not by how long
connections were held; by the throughput that each size really had; and it never asks for more where more brought none.
Every `EVERY` seconds one look is taken, by the maintenance and not by borrowers.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

__all__ = ["EVERY", "Advisor", "Look", "Suggestion"]

EVERY = 5.0  # seconds between looks
_LOOKS = 12  # in a period, over which figures are means
_PERIODS = 30  # that are remembered
_WAITS = 0.5  # tasks waiting on the mean, from which on connections are short
_HELD = 0.5  # share of the time held in which a statement has to run, or the size is not the matter
_WORTH = 0.1  # of throughput: what twice the connections have to bring
_ROOM = 1.25  # times what was needed: for bursts
_STEP = 1.5  # times the size, in one suggestion
_COUNTS = 40  # of statements seen under way, from which on their mean time is known well enough
_CROWDED = 0.6  # of the speed that statements had when there were few of them


@dataclass(frozen=True, slots=True)
class Look:
    """The pool at one moment. `busy` connections have a statement under way; `full`: the server has no more for us."""

    at: float
    max_size: int
    size: int
    in_use: int
    busy: int
    waiting: int
    acquired: int
    full: bool


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A max_size, and why."""

    size: int
    because: str


@dataclass(frozen=True, slots=True)
class _Period:
    """A minute: means, but for `peak`. `rate` is borrows per second."""

    max_size: int
    size: int
    in_use: float
    busy: float
    waiting: float
    peak: int
    rate: float
    full: bool

    @property
    def short(self) -> bool:
        """Whether there were too few connections all the time, so that the rate is what this size can do."""
        return self.waiting >= _WAITS

    @property
    def statement(self) -> float:
        """Seconds in statements for each borrow: by Little's law, from how many are under way."""
        return self.busy / self.rate if self.rate else 0.0


class Advisor:
    """Of one pool. `suggestion` is None as long as there is nothing to go by."""

    def __init__(self) -> None:
        self.suggestion: Suggestion | None = None
        self._looks: list[Look] = []
        self._periods: deque[_Period] = deque(maxlen=_PERIODS)

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        return not self._looks or now - self._looks[-1].at >= EVERY

    def note(self, look: Look) -> None:
        """Another look."""
        if self._looks and look.max_size != self._looks[-1].max_size:
            self._looks.clear()  # half a minute of each size says nothing of either
        self._looks.append(look)
        if len(self._looks) > _LOOKS:
            self._periods.append(_period(self._looks))
            self._looks = self._looks[-1:]
            self.suggestion = _suggest(list(self._periods))


def _period(looks: list[Look]) -> _Period:
    first, last, count = looks[0], looks[-1], len(looks)
    return _Period(
        max_size=last.max_size,
        size=last.size,
        in_use=sum(look.in_use for look in looks) / count,
        busy=sum(look.busy for look in looks) / count,
        waiting=sum(look.waiting for look in looks) / count,
        peak=max(look.in_use for look in looks),
        rate=(last.acquired - first.acquired) / (last.at - first.at),
        full=any(look.full for look in looks),
    )


def _suggest(periods: list[_Period]) -> Suggestion | None:
    now = periods[-1]
    refused = [period for period in periods if period.full]
    if refused:
        had = max(1, min(period.size for period in refused))
        return Suggestion(had, f"the server had no connection left (1040, 1203 or 1226) when there were {had}")
    if not now.rate:
        return None
    if not now.short:
        return _enough(periods)
    if now.busy < _HELD * now.in_use:
        idle = 1 - now.busy / now.in_use
        because = (
            f"connections are held without a statement under way for {idle:.0%} of the time: give them back sooner"
        )
        return Suggestion(now.max_size, because)
    return _by_throughput(periods)


def _enough(periods: list[_Period]) -> Suggestion:
    """Nobody waits: as many as were in use at once, and some for bursts."""
    now = periods[-1]
    since = [period for period in periods if period.max_size == now.max_size]
    peak = max(period.peak for period in since)
    wanted = min(now.max_size, math.ceil(peak * _ROOM))
    because = f"at most {peak} of {now.max_size} were in use in {_minutes(len(since))}, and hardly anybody waited"
    return Suggestion(max(1, wanted), because)


def _by_throughput(periods: list[_Period]) -> Suggestion:
    """Tasks wait: the smallest size that had the best rate; or one that nobody has tried."""
    now = periods[-1]
    rates = {period.max_size: period.rate for period in periods if period.short}  # the latest of each size
    fit = min(size for size in rates if _is_enough(size, rates))
    if fit < now.max_size:
        said = f"{now.max_size} do {now.rate:,.0f} borrows a second, and {fit} did {rates[fit]:,.0f}"
        return Suggestion(fit, f"{said}: more brought no throughput")
    if fit > now.max_size:
        return Suggestion(fit, f"{fit} did {rates[fit]:,.0f} borrows a second, {now.max_size} do {now.rate:,.0f}")
    return _beside(now, rates, _quick(periods))


def _is_enough(size: int, rates: dict[int, float]) -> bool:
    """Whether no other size that was tried brings what its connections cost."""
    return all(rate <= rates[size] * (1 + _WORTH) ** math.log2(max(2.0, other / size)) for other, rate in rates.items())


def _quick(periods: list[_Period]) -> tuple[float, float] | None:
    """What statements took when half as many ran at once, or fewer, and the best rate then; None: not enough was seen.

    A look that finds a statement under way is one count, and few counts say nothing: all of these minutes are one.
    """
    light = [period for period in periods if period.rate and period.busy <= periods[-1].busy / 2]
    busy = sum(period.busy for period in light)
    if busy * _LOOKS < _COUNTS:
        return None
    return busy / sum(period.rate for period in light), max(period.rate for period in light)


def _beside(now: _Period, rates: dict[int, float], quick: tuple[float, float] | None) -> Suggestion:
    """The best size so far is in use: what to try next, if anything."""
    larger, smaller = [n for n in rates if n > now.max_size], [n for n in rates if n < now.max_size]
    times, crowded = f"{now.statement * 1000:.1f} ms in statements for each borrow", False
    if quick is not None:
        fastest, best = quick
        times += f", {fastest * 1000:.1f} ms when fewer ran at once"
        crowded = now.statement * _CROWDED > fastest
        if crowded and now.rate <= best * (1 + _WORTH):
            because = f"statements became slower, and no more are done: look at the server; {times}"
            return Suggestion(now.max_size, because)
        needed = max(1, math.ceil(now.rate * fastest * _ROOM))  # if statements were as fast as they have been
        if crowded and needed < now.max_size and needed not in rates:
            return Suggestion(needed, f"the server is crowded, {times}: {needed} can do the same")
    if not larger and not crowded:
        bigger = max(now.max_size + 1, math.floor(now.max_size * _STEP))
        return Suggestion(bigger, f"{now.waiting:.0f} tasks wait, and nothing says that the server is crowded: {times}")
    if not smaller and now.max_size > 1:
        less = min(now.max_size - 1, math.ceil(now.max_size / _STEP))
        return Suggestion(less, f"more than {now.max_size} brought no throughput; fewer may do the same, and faster")
    return Suggestion(now.max_size, f"{now.max_size} do as much as any size that was tried; the server is the limit")


def _minutes(periods: int) -> str:
    count = max(1, round(periods * _LOOKS * EVERY / 60))
    return "a minute" if count == 1 else f"{count} minutes"
