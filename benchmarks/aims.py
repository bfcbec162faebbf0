"""What the pool is to reach on a small machine with two cores, and whether a run shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from figures import Line


@dataclass(frozen=True)
class Aim:
    """A limit for one figure, `figure` of `Line`; of any driver, server and number of tasks where none is named."""

    figure: str
    contender: str
    limit: float
    at_least: bool
    title: str = "under load"
    workload: str = "one"
    driver: str = ""
    server: str = ""
    tasks: int = 0

    def concerns(self, line: Line) -> bool:
        """Whether it says something of that line."""
        return (
            line.title == self.title
            and line.workload == self.workload
            and line.contender == self.contender
            and self.driver in {"", line.driver}
            and self.server in {"", line.server}
            and self.tasks in {0, line.tasks}
        )

    def holds(self, line: Line) -> bool:
        """Whether the line shows it."""
        found: float = getattr(line, self.figure)
        return found >= self.limit if self.at_least else found <= self.limit


def _faster(driver: str, server: str, contender: str, *limits: float) -> Iterator[Aim]:
    """Than the driver's own pool, with 100 and with 1000 tasks."""
    for tasks, limit in zip((100, 1000), limits, strict=True):
        yield Aim("rate_ratio", contender, limit, at_least=True, driver=driver, server=server, tasks=tasks)


def _tails() -> Iterator[Aim]:
    for reset in ("auto", "session"):
        for form in ("", ", interpreted"):
            for tasks in (100, 1000):
                yield Aim("tail", f"ours, {reset}{form}", 1.3, at_least=False, tasks=tasks)


def _specials() -> Iterator[Aim]:
    for form, microseconds in ("", 1.2), (", interpreted", 4.0):
        for reset in ("none", "session"):
            label = f"ours, {reset}{form}"
            yield Aim("cpu", label, microseconds, False, title="borrow and return alone", workload="nothing")
        yield Aim("time_ratio", f"ours, session{form}", 1.03, False, title="light load")
        yield Aim("cpu_ratio", f"ours, session{form}", 1.10, False, title="a long queue", tasks=100_000)


AIMS = (
    *_faster("asyncmy", "mariadb", "ours, session", 1.0, 1.1),
    *_faster("asyncmy", "mariadb", "ours, auto", 1.15, 1.3),
    *_faster("asyncmy", "mariadb", "ours, session, interpreted", 0.65, 0.65),
    *_faster("asyncmy", "mysql", "ours, session", 0.85, 0.9),
    *_faster("asyncmy", "mysql", "ours, auto", 1.05, 1.1),
    *_faster("asyncmy", "mysql", "ours, session, interpreted", 0.55, 0.55),
    *_faster("aiomysql", "", "ours, session", 2.5, 2.5),
    *_faster("aiomysql", "", "ours, auto", 3.0, 3.0),
    *_faster("aiomysql", "", "ours, session, interpreted", 1.2, 1.2),
    *_tails(),
    *_specials(),
)


def verdicts(lines: Iterable[Line]) -> list[tuple[Aim, Line]]:
    """Every aim with each line that it concerns."""
    lines = list(lines)
    return [(aim, line) for aim in AIMS for line in lines if aim.concerns(line)]
