"""What the service under load looks like: a live table in a terminal, a line per second elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from async_mysqlpool.cli.output import sparkline

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console

    from async_mysqlpool.cli.load import Load, Sample

__all__ = ["Display", "display_for", "milliseconds"]

_WIDTH = 36  # of the bars, in characters


class Display(Protocol):
    """Shows samples as they come."""

    interval: float
    """Seconds between samples."""

    def show(self, sample: Sample) -> None:
        """The next one."""
        ...


def display_for(console: Console, load: Load) -> AbstractContextManager[Display]:
    """The live table where the terminal can redraw, else plain lines without control codes."""
    live = console.is_terminal and not console.is_dumb_terminal
    return _LiveTable(console, load) if live else _Lines(console)


def milliseconds(seconds: float) -> str:
    """Three digits that matter."""
    value = seconds * 1000
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


class _Lines:
    interval = 1.0
    _FORM = "  {:>6} {:>7} {:>5} {:>8} {:>8} {:>10} {:>10} {:>7}"

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        self._line("time", "in use", "idle", "waiting", "borrow/s", "wait p50", "wait p99", "server")
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def show(self, sample: Sample) -> None:
        stats = sample.stats
        self._line(
            f"{sample.elapsed:.1f} s", stats.in_use, stats.idle, stats.waiting, f"{sample.rate:,.0f}",
            milliseconds(sample.wait_p50), milliseconds(sample.wait_p99), sample.on_server,
        )  # fmt: skip

    def _line(self, *cells: object) -> None:
        self._console.print(self._FORM.format(*cells), soft_wrap=True)


class _LiveTable:
    interval = 0.2

    def __init__(self, console: Console, load: Load) -> None:
        self._load = load
        self._rates: list[float] = []
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, sample: Sample) -> None:
        self._rates.append(sample.rate)
        self._live.update(self._panel(sample), refresh=True)

    def _panel(self, sample: Sample) -> Panel:
        stats, size = sample.stats, self._load.connections
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="dim")
        table.add_column(width=_WIDTH)
        table.add_column()
        table.add_row("in use", _bar(stats.in_use, size, "green"), f"{stats.in_use} of {size}")
        table.add_row("idle", _bar(stats.idle, size, "blue"), f"{stats.idle}")
        table.add_row("waiting", _bar(stats.waiting, self._load.tasks, "yellow"), f"{stats.waiting} tasks")
        table.add_row("on the server", _bar(sample.on_server, size, "magenta"), f"{sample.on_server} connections")
        table.add_row("borrows/s", sparkline(self._rates[-_WIDTH:], "green"), f"[bold]{sample.rate:,.0f}[/]")
        table.add_row("wait", f"p50 {milliseconds(sample.wait_p50)}   p99 {milliseconds(sample.wait_p99)}", "")
        table.add_row("so far", f"{stats.acquired:,} borrows, {stats.resets:,} resets", "")
        clock = f"{min(sample.elapsed, self._load.seconds):.1f} of {self._load.seconds:g} s"
        title = f"{self._load.tasks} tasks over {size} connections"
        return Panel(table, title=title, subtitle=clock, border_style="dim", expand=False, padding=(0, 1))


def _bar(value: int, whole: int, style: str) -> Text:
    filled = min(_WIDTH, round(_WIDTH * value / whole))
    return Text("█" * filled, style) + Text("░" * (_WIDTH - filled), "bright_black")
