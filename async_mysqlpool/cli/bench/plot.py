"""The picture: one bar for each combination, as long as a statement takes, in the colours of where the time goes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from async_mysqlpool.cli.bench.measure import Outcome

__all__ = ["draw"]

_INK = "#1f2933"
_PARTS = (("waiting", "waits for a connection", "#d97706"), ("server", "server, and the way there", "#2563eb"),
          ("python", "this program's CPU", "#0f9d58"))  # fmt: skip


def draw(file: Path, title: str, outcomes: Sequence[Outcome]) -> None:
    """Write it; the ending of the name says in which format (png, svg, pdf).

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        ValueError: it knows no such format.
    """
    figures: Any = importlib.import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(9, 1.4 + 0.45 * len(outcomes)), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", color=_INK, fontsize=11, fontweight="bold")
    names = [str(outcome.case) for outcome in outcomes]
    means = [outcome.case.tasks / outcome.throughput * 1000 if outcome.throughput else 0.0 for outcome in outcomes]
    left = [0.0] * len(outcomes)
    for part, label, color in _PARTS:
        widths = [mean * getattr(outcome, part) for mean, outcome in zip(means, outcomes, strict=True)]
        axes.barh(names, widths, left=left, color=color, height=0.6, label=label)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    for number, (outcome, end) in enumerate(zip(outcomes, left, strict=True)):
        axes.text(end, number, f"  {outcome.throughput:,.0f}/s", va="center", color=_INK, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, max(left) * 1.15)
    axes.set_xlabel("milliseconds of one statement, on the mean", color=_INK)
    axes.tick_params(colors=_INK, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.legend(frameon=False, fontsize=9, loc="outside lower right", ncols=len(_PARTS), labelcolor=_INK)
    figure.savefig(file)
