"""Side by side: the bare drivers, their own pools, ours in every form, and what else is in use.

    nox -s bench -- --quick          three minutes: what the aims speak of
    nox -s bench -- --json bench.json

Each contender has a process of its own, and they take turns round by round.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer
from contenders import DRIVERS
from figures import Line, measure
from plan import STATEMENTS, TASKS, Cell, Measure, chosen, full, quick
from processes import is_compiled, other_tree
from report import machine, save, show, show_aims
from rich.console import Console
from servers import Flavor, bench_server
from workers import Workers

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    quickly: Annotated[bool, typer.Option("--quick", help="Only what the aims speak of: three minutes.")] = False,
    server: Annotated[list[Flavor] | None, typer.Option(help="Default: both.")] = None,
    driver: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(DRIVERS)}.")] = None,
    workload: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(STATEMENTS)}.")] = None,
    tasks: Annotated[list[int] | None, typer.Option(help="How many want to borrow at the same time.")] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Of each contender.")] = 7,
    seconds: Annotated[float, typer.Option(min=0.05, help="Of one round.")] = 0.25,
    size: Annotated[int, typer.Option(min=1, help="Connections of each contender.")] = 10,
    tree: Annotated[list[str] | None, typer.Option(help="Another checkout of the pool, as NAME=FOLDER.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file, too.")] = None,
) -> None:
    """Compare pools.

    Options for a server, driver, workload, number of tasks or tree can be repeated. Where workloads or tasks are
    named, only those are run.
    """
    console = Console(width=150, highlight=False)
    how = Measure(rounds, seconds, is_compiled(), dict(map(other_tree, tree or [])))
    drivers = driver or (DRIVERS[:2] if quickly else DRIVERS)
    lines: list[Line] = []
    versions: dict[str, str] = {}
    for flavor in server or list(Flavor):
        with bench_server(flavor) as (account, version):
            versions[flavor] = version
            for name in drivers:
                cells = planned(how, name, quickly, workload, tasks)
                with Workers(account, size, console) as workers:
                    for cell in cells:
                        found = measure(workers.possible(cell), flavor, workers.ask)
                        show(console, found)
                        lines += found
                        if json:
                            save(json, machine(versions), lines)
    show_aims(console, lines)


def planned(
    how: Measure, driver: str, quickly: bool, workloads: list[str] | None, tasks: list[int] | None
) -> list[Cell]:
    """What the command line asks for."""
    if workloads or tasks:
        return chosen(how, driver, workloads or STATEMENTS, tasks or TASKS)
    return quick(how, driver) if quickly else full(how, driver)


if __name__ == "__main__":
    app()
