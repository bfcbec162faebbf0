"""The command ``bench``: its options, and the table as a person reads it."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path  # noqa: TC003  typer looks at annotations when the program runs
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.table import Table

from async_mysqlpool import ConnectionPool
from async_mysqlpool.cli.bench.measure import Case, Outcome, measure
from async_mysqlpool.cli.bench.plot import draw
from async_mysqlpool.cli.output import Exit, console, milliseconds, print_json, run, saying_which_statement, working
from async_mysqlpool.cli.tune.caution import look_around, refuse_unless
from async_mysqlpool.config import Reset, build_config
from async_mysqlpool.drivers import load_driver

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["bench"]

_BUSY = 0.9  # of one CPU


def numbers(text: str) -> list[int]:
    """From 4,10,25."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) <= 10_000 for part in parts):
        raise typer.BadParameter(f"{text!r} are no numbers: say 4,10,25")
    return [int(part) for part in parts]


def words(text: str) -> list[str]:
    """From session,auto."""
    return [part.strip() for part in text.split(",") if part.strip()]


def bench(
    dsn: Annotated[
        str,
        typer.Argument(envvar="ASYNC_MYSQLPOOL_DSN", show_default=False, help="mysql://user:password@host/database"),
    ],
    query: Annotated[list[str], typer.Option("--query", "-q", help="A statement of yours; several: one by chance.")],
    sizes: Annotated[str, typer.Option(help="Connections.")] = "10",
    tasks: Annotated[str, typer.Option(help="Tasks that want one, all the time.")] = "50",
    drivers: Annotated[str, typer.Option(help="Of those installed; default: that of the DSN, or the first.")] = "",
    resets: Annotated[str, typer.Option(help=f"Of {', '.join(get_args(Reset))}.")] = "session",
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="For each combination.")] = 2.0,
    plot: Annotated[Path | None, typer.Option(help="Draw it: FILE.png, .svg or .pdf.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, even where it looks like production.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The outcomes as JSON.")] = False,
) -> None:
    """Run your statements over every combination of sizes, tasks, drivers and resets, and see where the time goes.

    Exit code 0: done; 1: a statement fails, or there is no server; 2: wrong arguments; 3: refused without --yes.
    """
    if plot is not None and importlib.util.find_spec("matplotlib") is None:
        console(stderr=True).print("--plot needs matplotlib: pip install 'async-mysqlpool[tune]'", markup=False)
        raise typer.Exit(Exit.FOUND)
    if wrong := [reset for reset in words(resets) if reset not in get_args(Reset)]:
        raise typer.BadParameter(f"--resets: {wrong[0]!r} is none of {', '.join(get_args(Reset))}")
    shape = (words(resets), numbers(sizes), numbers(tasks))
    outcomes = run(_bench(dsn, query, words(drivers), shape, seconds, yes))
    if plot is not None:
        _draw(plot, " | ".join(query), outcomes)
    if as_json:
        print_json(outcomes)
    else:
        _show(console(), outcomes)


async def _bench(
    dsn: str, statements: list[str], drivers: list[str], shape: tuple[list[str], list[int], list[int]],
    seconds: float, yes: bool,
) -> list[Outcome]:  # fmt: skip
    config = build_config(dsn, {})
    names = [load_driver(name).name for name in drivers or [load_driver(config.driver).name]]
    pool = ConnectionPool(dsn, name="bench", min_size=0, max_size=1)
    outcomes: list[Outcome] = []
    with saying_which_statement(pool.driver):
        async with pool:
            refuse_unless(yes, await look_around(pool, config, statements))
    for name, reset, size, count in itertools.product(names, *shape):
        case = Case(name, cast("Reset", reset), size, count)
        with working(f"{case} ..."), saying_which_statement(load_driver(name)):
            outcomes.append(await measure(dsn, case, statements, seconds))
    return outcomes


def _show(out: Console, outcomes: list[Outcome]) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in ("driver", "reset"):
        table.add_column(name, no_wrap=True, min_width=max(len(getattr(one.case, name)) for one in outcomes))
    for name in ("size", "tasks", "per s", "half in", "99 % in", "waiting", "server", "Python"):
        table.add_column(name, justify="right")
    best = max(outcome.throughput for outcome in outcomes)
    for outcome in outcomes:
        case = outcome.case
        table.add_row(
            case.driver, case.reset, str(case.size), str(case.tasks), f"{outcome.throughput:,.0f}",
            milliseconds(outcome.p50), milliseconds(outcome.p99), f"{outcome.waiting:.0%}", f"{outcome.server:.0%}",
            f"{outcome.python:.0%}", style="bold" if outcome.throughput == best else None,
        )  # fmt: skip
    out.print(table)
    if busy := [outcome for outcome in outcomes if outcome.client >= _BUSY]:
        most = max(outcome.client for outcome in busy)
        out.print(
            f"\n[yellow]note:[/] {len(busy)} of {len(outcomes)} took up to {most:.0%} of a CPU here: "
            "this program was the limit, and part of the server's share is waiting for it",
            soft_wrap=True,
        )


def _draw(plot: Path, title: str, outcomes: list[Outcome]) -> None:
    try:
        draw(plot, title if len(title) <= 90 else title[:89] + "…", outcomes)
    except (ValueError, OSError) as error:
        console(stderr=True).print(f"[bold red]error:[/] the picture cannot be written: {error}", soft_wrap=True)
        raise typer.Exit(Exit.FOUND) from None
