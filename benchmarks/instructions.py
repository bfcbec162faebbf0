"""How many instructions of the processor a borrow takes in the client: a figure that no other load disturbs.

    nox -s instructions -- --server mariadb --keep profiles

Valgrind's callgrind runs a contender twice, with few borrows and with more: what the difference took is theirs, and not
that of starting and connecting. First the pool alone, on a driver in memory; then with SELECT 1 on a real server.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from contenders import Account, Contender, own
from jobs import Job
from plan import Measure
from processes import Worker, is_compiled, other_tree
from rich.console import Console
from servers import Flavor, bench_server

FEW, MANY = 400, 1200  # borrows
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
IN_MEMORY = Account("localhost", 3306, "app", "", "test")


class Callgrind:
    """Runs contenders under valgrind; the profiles are kept in `folder`, for kcachegrind or callgrind_annotate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def per_borrow(self, contender: Contender, account: Account, workload: str, tasks: int) -> float:
        """Thousands of instructions."""
        few, many = (self._run(contender, account, Job(workload, tasks, borrows=n)) for n in (FEW, MANY))
        return (many - few) / (MANY - FEW) / 1000

    def _run(self, contender: Contender, account: Account, job: Job) -> int:
        name = re.sub(r"\W+", "-", f"{contender.driver} {contender.label} {job.workload} {job.borrows}")
        profile = self._folder / f"{name}.callgrind"
        under = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
        worker = Worker(contender, account, min(job.tasks, 10), under)
        worker.ask(job)
        worker.close()
        collected = re.search(r"Collected : (\d+)", worker.errors())
        if collected is None:
            raise RuntimeError(f"valgrind says nothing of instructions:\n{worker.errors()}")
        return int(collected[1])


@app.command()
def main(
    server: Annotated[Flavor, typer.Option(help="For SELECT 1.")] = Flavor.MARIADB,
    alone: Annotated[bool, typer.Option("--alone", help="Only the pool alone, without a server.")] = False,
    driver: Annotated[list[str] | None, typer.Option(help="Can be repeated; default: asyncmy.")] = None,
    tasks: Annotated[int, typer.Option(min=1, help="How many borrow from the server's pools at the same time.")] = 100,
    tree: Annotated[list[str] | None, typer.Option(help="Another checkout of the pool, as NAME=FOLDER.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep callgrind's profiles in this folder.")] = None,
) -> None:
    """Count instructions per borrow."""
    console = Console(width=120, highlight=False)
    if not shutil.which("valgrind"):
        console.print("Nothing counted: valgrind is not installed (Debian and Ubuntu: apt install valgrind).")
        return
    measure = Measure(1, 1.0, is_compiled(), dict(map(other_tree, tree or [])))
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        count = Callgrind(folder.resolve())
        console.print("Thousands of instructions per borrow and return: with nothing between")
        for contender in measure.forms("fake", ("none", "session")):
            show(console, contender, count.per_borrow(contender, IN_MEMORY, "nothing", 1))
        if alone:
            return
        account, version = stack.enter_context(bench_server(server))
        for name in driver or ["asyncmy"]:
            show(console, own(name), count.per_borrow(own(name), account, "nothing", 1))
            console.print(f"and with SELECT 1: {name}, {server} {version}, {tasks} tasks")
            for contender in [own(name), *measure.forms(name)]:
                show(console, contender, count.per_borrow(contender, account, "one", tasks))


def show(console: Console, contender: Contender, thousands: float) -> None:
    """One line."""
    console.print(f"  {contender.label:40}{thousands:8.1f}")


if __name__ == "__main__":
    app()
