"""Figures for the eye, and as JSON for whoever makes pages of them."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from aims import verdicts
from rich.table import Table
from workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from figures import Line
    from rich.console import Console

PACKAGES = ("async-mysqlpool", "asyncmy", "aiomysql", "mysql-connector-python", "sqlalchemy", "mysqlclient", "dbutils")


def machine(servers: dict[str, str]) -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "servers": servers,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def show(console: Console, lines: Sequence[Line]) -> None:
    """A table of what ran side by side; the first line is the yardstick."""
    base = lines[0]
    tasks = f"{base.tasks} {'task' if base.tasks == 1 else 'tasks'}"
    title = f"{base.title}: {WORKLOADS[base.workload].title}; {base.server}, {base.driver}, {tasks}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for head in ("borrows/s", "ratio", "quartiles", "CPU us", "ratio", "p50 ms", "ratio", "p99 ms", "p99/p50"):
        table.add_column(head, justify="right")
    for line in lines:
        low, high = line.rate_spread
        table.add_row(
            line.contender if line.tasks == base.tasks else f"{line.contender}, {line.tasks:,} tasks",
            f"{line.rate:,.0f}",
            f"{line.rate_ratio:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{line.cpu:.2f}",
            f"{line.cpu_ratio:.2f}",
            f"{line.p50:.3f}",
            f"{line.time_ratio:.2f}",
            f"{line.p99:.3f}",
            f"{line.tail:.2f}",
        )
    console.print(table)


def show_aims(console: Console, lines: Sequence[Line]) -> None:
    """Whether each aim that was measured holds."""
    table = Table(title="aims", title_justify="left")
    for head in ("", "server", "driver", "tasks", "figure", "aim", "found", ""):
        table.add_column(head)
    for aim, line in verdicts(lines):
        verdict = "[green]holds[/]" if aim.holds(line) else "[red]missed[/]"
        limit = f"{'>=' if aim.at_least else '<='} {aim.limit:g}"
        found = f"{getattr(line, aim.figure):.2f}"
        table.add_row(
            f"{line.title}: {line.contender}", line.server, line.driver, f"{line.tasks:,}", aim.figure, limit, found,
            verdict,
        )  # fmt: skip
    console.print(table)


def save(path: Path, where: dict[str, Any], lines: Sequence[Line]) -> None:
    """Everything measured so far: `Line` and `Aim` say what the names mean."""
    aims = [{**asdict(aim), "found": asdict(line), "holds": aim.holds(line)} for aim, line in verdicts(lines)]
    path.write_text(json.dumps({"machine": where, "lines": [asdict(line) for line in lines], "aims": aims}, indent=1))
