"""``async-mysqlpool top``: what live pages say, in a terminal; several processes at once."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from async_mysqlpool.cli.output import Exit, console, milliseconds, print_json, sparkline

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["top"]

_WIDTH, _CURVE = 24, 40  # characters
_KEPT = 300  # samples
_PATIENCE = 5.0  # seconds for an answer
_COLOURS = {"good": "green", "busy": "yellow", "bad": "bold red"}
_WORDS = {"good": "calm", "busy": "busy", "bad": "full"}


@dataclass
class _Process:
    """One page, what it said last, and why it said nothing the last time."""

    url: str
    headers: dict[str, str]
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, "list[dict[str, Any]]"])
    error: str | None = None

    def ask(self) -> None:
        """What has happened since the last time."""
        address = f"{self.url.rstrip('/')}/data?after={self.state.get('position', '')}"
        try:
            request = urllib.request.Request(address)  # noqa: S310  checked by `top`
            for name, value in self.headers.items():
                request.add_unredirected_header(name, value)  # a key is for nobody else
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
                state = _printable(json.load(answer))
            same = self.state.get("process") == state["process"]
            for pool in state["pools"]:
                known = self.samples.get(pool["name"], []) if same else []
                self.samples[pool["name"]] = [*known, *pool["samples"]][-_KEPT:]
            self.state, self.error = state, None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.error = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)


def _printable(value: Any) -> Any:
    """The same without what a terminal would take for a command: names of tasks may come from anywhere."""
    match value:
        case str():
            return "".join(character if character.isprintable() else "?" for character in value)
        case list():
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]  of JSON
            return [_printable(item) for item in items]
        case dict():
            named: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return {key: _printable(item) for key, item in named.items()}
        case _:
            return value


def top(
    urls: Annotated[list[str], typer.Argument(help="Where live pages are mounted: http://127.0.0.1:8000/pool")],
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="For who may look: 'Authorization: Bearer ...'.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One look; the default where the output is no terminal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One look as JSON.")] = False,
) -> None:
    """Watch live pages in a terminal. Ctrl-C ends it.

    Exit code 0: all answered in the end; 1: some did not; 2: wrong arguments.
    """
    headers = dict(_header(text) for text in header or [])
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise typer.BadParameter(f"{url!r} is no address of a page: say http://host:port/pool")
    processes = [_Process(url, headers) for url in urls]
    out = console()
    if once or as_json or not out.is_terminal:
        _ask(processes)
        if as_json:
            print_json([{"url": one.url, "error": one.error, **one.state} for one in processes])
        else:
            out.print(_screen(processes, leases=20))
    else:
        _watch(out, processes, every)
    if any(process.error for process in processes):
        raise typer.Exit(Exit.FOUND)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise typer.BadParameter("a header is said as 'Name: value'")
    return name.strip(), value.strip()


def _ask(processes: list[_Process]) -> None:
    with ThreadPoolExecutor(max_workers=len(processes)) as threads:
        for asked in [threads.submit(process.ask) for process in processes]:
            asked.result()


def _watch(out: Console, processes: list[_Process], every: float) -> None:
    try:
        with Live(console=out, auto_refresh=False, screen=True) as live:
            while True:
                began = time.monotonic()
                _ask(processes)
                live.update(_screen(processes, leases=max(3, (out.height - 4) // len(processes) - 12)), refresh=True)
                time.sleep(max(0.0, every - (time.monotonic() - began)))
    except KeyboardInterrupt:
        pass


def _screen(processes: list[_Process], leases: int) -> RenderableType:
    parts: list[RenderableType] = []
    for process in processes:
        about = process.state.get("process", {})
        title = f"{process.url}  process {about['pid']} on {about['host']}" if about else process.url
        parts.append(Text(title, "bold"))
        if process.error:
            parts.append(Text(f"  no answer: {process.error}", "red"))
        parts += [_pool(pool, process.samples[pool["name"]], leases) for pool in process.state.get("pools", [])]
        parts.append(Text())
    return Group(*parts)


def _pool(pool: dict[str, Any], samples: list[dict[str, Any]], leases: int) -> RenderableType:
    stats, level = pool["stats"], pool["verdict"]["level"]
    last: dict[str, Any] = samples[-1] if samples else {"waiting": 0, "rate": 0.0, "wait": 0.0, "hold": 0.0}
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim")
    table.add_column(min_width=_CURVE)
    table.add_column()
    table.add_row(Text(pool["name"]), Text(f"{_WORDS[level]}  {pool['verdict']['text']}", _COLOURS[level]), "")
    used = f"[bold]{stats['in_use']}[/] of {stats['max_size']}, {stats['idle']} idle"
    table.add_row("in use", _bar(stats["in_use"], stats["idle"], stats["max_size"]), used)
    for name, key, text in (
        ("waiting", "waiting", f"{stats['waiting']} tasks"),
        ("borrows", "rate", f"{last['rate']:,.0f}/s"),
        ("mean wait", "wait", milliseconds(last["wait"])),
        ("mean hold", "hold", milliseconds(last["hold"])),
    ):
        table.add_row(name, _curve([sample[key] for sample in samples]), text)
    for number, lease in enumerate(pool["leases"][:leases]):
        who = Text(f"{lease['task']}  {lease['site']}", overflow="ellipsis", no_wrap=True)
        table.add_row("" if number else "held by", who, f"{lease['age']:.1f} s")
    for number, incident in enumerate(pool["incidents"][:3]):
        when = time.strftime("%H:%M:%S", time.localtime(incident["at"]))
        table.add_row("" if number else "lately", Text(incident["text"], "yellow"), when)
    return table


def _bar(in_use: int, idle: int, whole: int) -> Text:
    used, ready = (round(_WIDTH * value / max(whole, 1)) for value in (in_use, idle))
    return Text("█" * used, "blue") + Text("█" * ready, "bright_blue") + Text("░" * (_WIDTH - used - ready), "dim")


def _curve(values: list[float]) -> Text:
    """The last values, as many as there is room for; each stands for several, when there are more: the highest."""
    each = max(1, -(-len(values) // _CURVE))
    highest = [max(values[at : at + each]) for at in range(0, len(values), each)]
    return sparkline(highest, "cyan")
