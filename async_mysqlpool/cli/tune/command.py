"""The command ``tune``: its options, and the report as a person reads it."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  typer looks at annotations when the program runs
from typing import TYPE_CHECKING, Annotated

import typer

from async_mysqlpool import ConnectionPool
from async_mysqlpool.cli.output import Exit, console, milliseconds, print_json, run, saying_which_statement
from async_mysqlpool.cli.tune.advice import Advice, advise
from async_mysqlpool.cli.tune.caution import look_around, refuse_unless, room_for
from async_mysqlpool.cli.tune.experiment import explore
from async_mysqlpool.cli.tune.levels import Level, steps
from async_mysqlpool.cli.tune.plot import draw
from async_mysqlpool.cli.tune.usl import Law, fit
from async_mysqlpool.config import build_config

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.console import Console

__all__ = ["tune"]

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}
_FITS = 0.7  # the R² from which on the law says something
_BAR = 30  # characters
_FORM = "{:>5} {:>10} {:>9} {:>9} {:>5}  {}"


@dataclass(frozen=True, slots=True)
class _Result:
    levels: list[Level]
    law: Law | None
    advice: Advice


def duration(text: str) -> float:
    """Seconds, from 20ms, 0.5s, 1min; a bare number is seconds."""
    found = re.fullmatch(r"\s*([\d.]+)\s*(us|ms|s|min)?\s*", text)
    if not found or not _is_positive(found[1]):
        raise typer.BadParameter(f"{text!r} is no time: say 20ms or 0.5s")
    return float(found[1]) * _UNITS[found[2] or "s"]


def rate(text: str) -> float:
    """Per second, from 500/s, 3000/min; a bare number is per second."""
    found = re.fullmatch(r"\s*([\d.]+)\s*(?:/\s*(s|min|h))?\s*", text)
    if not found or not _is_positive(found[1]):
        raise typer.BadParameter(f"{text!r} is no rate: say 500/s or 3000/min")
    return float(found[1]) / _PER[found[2] or "s"]


def _is_positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def tune(
    dsn: Annotated[
        str,
        typer.Argument(envvar="ASYNC_MYSQLPOOL_DSN", show_default=False, help="mysql://user:password@host/database"),
    ],
    query: Annotated[list[str], typer.Option("--query", "-q", help="A statement of yours; several: one by chance.")],
    latency_goal: Annotated[
        float | None, typer.Option(parser=duration, metavar="TIME", help="99 of 100 done within: 20ms, 0.5s.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(parser=rate, metavar="RATE", help="Requests that will come: 500/s. Default: any.")
    ] = None,
    max_size: Annotated[int, typer.Option(min=1, max=1000, help="Try no more connections than this.")] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="For each size, twice.")] = 2.0,
    plot: Annotated[Path | None, typer.Option(help="Draw it: FILE.png, .svg or .pdf.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, even where it looks like production.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The measurements and the advice as JSON.")] = False,
) -> None:
    """Find out how large the pool should be, by running your statements over more and more connections.

    Exit code 0: a size that does what was asked for; 1: there is none; 2: wrong arguments; 3: refused without --yes.
    """
    missing = [name for name in ("scipy", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        console(stderr=True).print(
            f"tune needs {' and '.join(missing)}: pip install 'async-mysqlpool[tune]'", markup=False
        )
        raise typer.Exit(Exit.FOUND)
    out = console(stderr=as_json)
    result = run(_tune(dsn, query, latency_goal, rate, max_size, seconds, yes, out))
    if plot is not None:
        _draw(plot, query, result, latency_goal)
    if as_json:
        print_json({"levels": result.levels, "law": result.law, "advice": result.advice})
    else:
        _show(out, result, rate, plot)
    if not result.advice.good:
        raise typer.Exit(Exit.FOUND)


async def _tune(
    dsn: str, statements: list[str], goal: float | None, rate: float | None, largest: int, seconds: float, yes: bool,
    out: Console,
) -> _Result:  # fmt: skip
    config = build_config(dsn, {})
    pool = ConnectionPool(dsn, name="tune", min_size=0, max_size=1, queue_timeout=None)
    with saying_which_statement(pool.driver):
        async with pool:
            where = await look_around(pool, config, statements)
            refuse_unless(yes, where)
            largest = room_for(where, largest)
            needed = round(2 * 1.3 * seconds * len(steps(largest)))
            if out.is_terminal or not out.stderr:
                out.print(f"up to {largest} connections, up and down again: {needed} s at most")
            with _progress() as tell:
                levels = await explore(pool, statements, largest, seconds, goal, tell)
    law = fit([level.size for level in levels], [level.throughput for level in levels])
    return _Result(levels, law, advise(levels, goal, rate))


@contextlib.contextmanager
def _progress() -> Generator[Callable[[Level], None]]:
    """What was measured last, on stderr, in a terminal."""
    err = console(stderr=True)
    if not err.is_terminal:
        yield lambda level: None
        return
    with err.status("one connection ...") as status:
        yield lambda level: status.update(
            f"{level.size} connections: {level.throughput:,.0f} per second, half within {milliseconds(level.p50)} ..."
        )


def _lines(out: Console, result: _Result) -> None:
    top = max(level.throughput for level in result.levels) or 1.0
    bar = "█" if out.is_terminal and out.encoding.startswith("utf") else "#"
    out.print(_FORM.format("size", "per s", "half in", "99 % in", "CPU", ""), style="dim")
    for level in result.levels:
        chosen = level.size == result.advice.size
        bars = bar * round(_BAR * level.throughput / top)
        cells = (level.size, f"{level.throughput:,.0f}", milliseconds(level.p50), milliseconds(level.p99))
        text = _FORM.format(*cells, f"{level.client:.0%}", f"[{'green' if chosen else 'blue'}]{bars}[/]")
        out.print(f"[bold]{text}[/]" if chosen else text)


def _show(out: Console, result: _Result, rate: float | None, plot: Path | None) -> None:
    advice = result.advice
    _lines(out, result)
    style, word = ("bold green", "max_size") if advice.good else ("bold yellow", "the nearest is max_size")
    out.print(f"\n[{style}]{word} {advice.size}[/]: {advice.reason}", soft_wrap=True)
    if rate is not None and advice.good:
        out.print(f"  99 of 100 requests done within {milliseconds(advice.response)}, waiting included")
    if (law := result.law) is not None:
        doubt = "" if law.r2 >= _FITS else "; it explains little: the machine is restless, measure longer (--seconds)"
        out.print(f"  [dim]{law} (Universal Scalability Law, R² {law.r2:.2f}{doubt})[/]", soft_wrap=True)
    for warning in advice.warnings:
        out.print(f"  [yellow]note:[/] {warning}", soft_wrap=True)
    if plot is not None:
        out.print(f"  drawn into {plot}", markup=False)


def _draw(plot: Path, statements: list[str], result: _Result, goal: float | None) -> None:
    title = " | ".join(" ".join(statement.split()) for statement in statements)
    try:
        draw(plot, title if len(title) <= 90 else title[:89] + "…", result.levels, result.law, result.advice, goal)
    except (ValueError, OSError) as error:
        console(stderr=True).print(f"[bold red]error:[/] the picture cannot be written: {error}", soft_wrap=True)
        raise typer.Exit(Exit.FOUND) from None
