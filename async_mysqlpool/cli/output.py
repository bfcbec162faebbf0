"""What the commands have in common: consoles, exit codes, one way to say that something went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import sys
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar, cast

import typer
from rich.console import Console
from rich.text import Text

from async_mysqlpool import PoolError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from async_mysqlpool.drivers import Driver

__all__ = [
    "Exit",
    "console",
    "errors_in_one_line",
    "milliseconds",
    "percentile",
    "print_json",
    "run",
    "saying_which_statement",
    "sparkline",
    "working",
]

T = TypeVar("T")
_BARS = "▁▂▃▄▅▆▇█"


class Exit(IntEnum):
    """What the commands say to scripts. 2 is what typer says of wrong arguments."""

    FINE = 0
    FOUND = 1  # it did its work, and the answer is no; or there is no server
    REFUSED = 3  # it would not do that without --yes
    INTERRUPTED = 130


def console(*, stderr: bool = False) -> Console:
    """Plain text in a pipe, colours in a terminal; numbers are not painted by themselves."""
    return Console(stderr=stderr, highlight=False)


def print_json(value: Any) -> None:
    """A dataclass, a dict or a list, as JSON on stdout."""
    sys.stdout.write(json.dumps(value, default=_plain, indent=2) + "\n")


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else str(value)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work. Ctrl-C cancels it, so that it can stop on the server what it has begun there.

    Raises:
        typer.Exit: `Exit.INTERRUPTED` after Ctrl-C, `Exit.FOUND` when the pool says what is wrong.
    """
    logging.getLogger("async_mysqlpool").addHandler(logging.NullHandler())  # what it says is raised or shown as well
    with errors_in_one_line():
        try:
            return asyncio.run(work)
        except KeyboardInterrupt:
            console(stderr=True).print("interrupted; what was begun on the server is stopped", style="yellow")
            raise typer.Exit(Exit.INTERRUPTED) from None


@contextlib.contextmanager
def errors_in_one_line() -> Generator[None]:
    """An error of the pool as one line on stderr, without a traceback."""
    try:
        yield
    except PoolError as error:
        console(stderr=True).print(f"[bold red]error:[/] {error}", soft_wrap=True)
        raise typer.Exit(Exit.FOUND) from None


@contextlib.contextmanager
def saying_which_statement(driver: Driver) -> Generator[None]:
    """What the server says of a statement of the user's is an error of theirs: one line, no traceback.

    Raises:
        PoolError: with it.
    """
    try:
        yield
    except PoolError:
        raise
    except Exception as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):  # the same from many tasks
            several = cast("BaseExceptionGroup[BaseException]", first)
            first = several.exceptions[0]
        if isinstance(first, PoolError):
            raise first from None
        if driver.error_number(first) is None:
            raise
        raise PoolError(f"the statement fails: {first}") from None


@contextlib.contextmanager
def working(text: str) -> Generator[None]:
    """Say on stderr, in a terminal, what takes its time."""
    shown = console(stderr=True)
    with shown.status(text) if shown.is_terminal else contextlib.nullcontext():
        yield


def milliseconds(seconds: float) -> str:
    """Three digits that matter."""
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def sparkline(values: list[float], style: str) -> Text:
    """A curve in one line of text, the highest value at the top."""
    most = max(values, default=0.0) or 1.0
    return Text("".join(_BARS[round((len(_BARS) - 1) * value / most)] for value in values), style)


def percentile(ordered: list[float], part: float) -> float:
    """The value below which that part of an ordered list lies; 0 for an empty one."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
