"""Which rounds are run, and what each is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contenders import RESETS, bare, others, ours, own
from jobs import Job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contenders import Contender

TASKS = (1, 10, 100, 1000, 10_000)
STATEMENTS = ("one", "ten", "thousand", "transaction")
LIGHT = Job("one", tasks=1, borrows=25, pause=0.005)
SERVED_PER_SECOND = 5000  # at least by the slowest: a round is long enough for each task to have its turn


@dataclass(frozen=True)
class Turn:
    """One contender with one job."""

    contender: Contender
    job: Job


@dataclass(frozen=True)
class Cell:
    """What is run side by side.

    Attributes:
        title: what is measured.
        driver: of all, or of those that they are compared with.
        base: the yardstick.
        others: compared with it.
        rounds: how many of each.
    """

    title: str
    driver: str
    base: Turn
    others: tuple[Turn, ...]
    rounds: int


@dataclass(frozen=True)
class Measure:
    """How long, and which forms of our pool.

    Attributes:
        rounds: how many of each.
        seconds: how long one lasts, or longer where many tasks want their turn.
        compiled: whether the installed package is; it is then measured interpreted as well.
        trees: names of other checkouts of it, and for each its folder and whether it is compiled.
    """

    rounds: int
    seconds: float
    compiled: bool
    trees: Mapping[str, tuple[str, bool]]

    def forms(self, driver: str, resets: Sequence[str] = RESETS) -> list[Contender]:
        """Our pool as it is installed, interpreted, and of other checkouts."""
        forms = [(False, "", "ours"), *((compiled, tree, name) for name, (tree, compiled) in self.trees.items())]
        if self.compiled:
            forms.insert(0, (True, "", "ours"))
        return [
            ours(driver, reset, compiled=compiled, tree=tree, name=name)
            for compiled, tree, name in forms
            for reset in resets
        ]

    def job(self, workload: str, tasks: int) -> Job:
        """One round of it."""
        return Job(workload, tasks, max(self.seconds, tasks / SERVED_PER_SECOND), before=tasks)


def full(measure: Measure, driver: str) -> list[Cell]:
    """Everything over one driver."""
    return [
        *chosen(measure, driver, ("one",), TASKS),
        *chosen(measure, driver, STATEMENTS[1:], TASKS[:-1]),  # the largest crowd would take an hour for these
        *special(measure, driver),
    ]


def chosen(measure: Measure, driver: str, workloads: Sequence[str], tasks: Sequence[int]) -> list[Cell]:
    """All contenders over one driver."""
    contenders = [bare(driver), *measure.forms(driver), *others(driver)]
    return [
        side_by_side(measure, workload, number, own(driver), contenders) for workload in workloads for number in tasks
    ]


def quick(measure: Measure, driver: str) -> list[Cell]:
    """What the aims speak of, over one driver."""
    contenders = measure.forms(driver, ("auto", "session"))
    cells = [side_by_side(measure, "one", number, own(driver), contenders) for number in (100, 1000)]
    return cells if driver == "aiomysql" else [*cells, *special(measure, driver)]


def side_by_side(measure: Measure, workload: str, tasks: int, base: Contender, contenders: Sequence[Contender]) -> Cell:
    """All contenders with the same job."""
    job = measure.job(workload, tasks)
    turns = tuple(Turn(contender, job) for contender in contenders)
    return Cell("under load", base.driver, Turn(base, job), turns, measure.rounds)


def special(measure: Measure, driver: str) -> list[Cell]:
    """Borrowing alone, light load, and a queue that is very long."""
    empty = side_by_side(measure, "nothing", 1, own(driver), measure.forms(driver, ("none", "session")))
    none, session = (measure.forms(driver, (reset,))[0] for reset in ("none", "session"))
    return [
        Cell("borrow and return alone", driver, empty.base, empty.others, measure.rounds),
        Cell("light load", driver, Turn(none, LIGHT), (Turn(session, LIGHT),), measure.rounds * 3),
        Cell(
            "a long queue",
            driver,
            Turn(session, Job("one", 100, measure.seconds)),
            (Turn(session, Job("one", 100_000, measure.seconds)),),
            max(3, measure.rounds // 2),
        ),
    ]
