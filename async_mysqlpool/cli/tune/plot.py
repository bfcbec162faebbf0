"""The picture: throughput and times against size, the law through them, the knee, and the size that is advised."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from async_mysqlpool.cli.tune.advice import Advice
    from async_mysqlpool.cli.tune.levels import Level
    from async_mysqlpool.cli.tune.usl import Law

__all__ = ["draw"]

_INK, _FAINT, _BLUE, _ORANGE, _GREEN = "#1f2933", "#9aa5b1", "#2563eb", "#d97706", "#0f9d58"
_POINTS = 200


def draw(
    file: Path, title: str, levels: Sequence[Level], law: Law | None, advice: Advice, goal: float | None
) -> None:  # fmt: skip
    """Write it; the ending of the name says in which format (png, svg, pdf).

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        ValueError: it knows no such format.
    """
    figures: Any = importlib.import_module("matplotlib.figure")
    figure = figures.Figure(figsize=(9, 6.4), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    upper.set_title(title, loc="left", color=_INK, fontsize=11, fontweight="bold")
    _throughput(upper, levels, law, advice)
    _times(lower, levels, advice, goal)
    for axes in (upper, lower):
        _plain(axes)
    lower.set_xticks(_ticks([level.size for level in levels]))
    lower.set_xlabel("connections, all of them busy", color=_INK)
    figure.savefig(file)


def _throughput(axes: Any, levels: Sequence[Level], law: Law | None, advice: Advice) -> None:
    sizes, seen = [level.size for level in levels], [level.throughput for level in levels]
    top = max(seen)
    if law is not None:
        curve = [sizes[0] + (sizes[-1] - sizes[0]) * step / _POINTS for step in range(_POINTS + 1)]
        label = f"Universal Scalability Law, R² = {law.r2:.2f}"
        axes.plot(curve, [law.throughput(size) for size in curve], color=_BLUE, alpha=0.45, linewidth=2, label=label)
        alone = [size for size in curve if law.alone * size <= top * 1.1]
        axes.plot(
            alone, [law.alone * size for size in alone], color=_FAINT, linestyle=":", label="if nobody were in the way"
        )
        if law.knee is not None and sizes[0] <= law.knee <= sizes[-1]:
            axes.axvline(law.knee, color=_ORANGE, linestyle="--", linewidth=1.2, label=f"knee: {law.knee:.0f}")
    axes.plot(sizes, seen, "o", color=_BLUE, markersize=6, label="measured")
    axes.axvline(advice.size, color=_GREEN, linewidth=6, alpha=0.2)
    axes.annotate(
        f"max_size {advice.size}", (advice.size, top * 1.13), color=_GREEN, fontweight="bold", ha="center", va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip
    axes.set_ylim(0, top * 1.22)
    axes.set_ylabel("statements per second", color=_INK)
    axes.legend(frameon=False, fontsize=9, loc="lower right", labelcolor=_INK)


def _times(axes: Any, levels: Sequence[Level], advice: Advice, goal: float | None) -> None:
    sizes = [level.size for level in levels]
    axes.plot(
        sizes, [level.p99 * 1000 for level in levels], "o-", color=_ORANGE, markersize=4, label="99 of 100 within"
    )
    axes.plot(sizes, [level.p50 * 1000 for level in levels], "o-", color=_BLUE, markersize=4, label="half within")
    if goal is not None:
        axes.axhline(goal * 1000, color=_INK, linestyle="--", linewidth=1, label=f"goal: {goal * 1000:g} ms")
    axes.axvline(advice.size, color=_GREEN, linewidth=6, alpha=0.2)
    axes.set_ylim(0, max(level.p99 for level in levels) * 1100)
    axes.set_ylabel("milliseconds", color=_INK)
    axes.legend(frameon=False, fontsize=9, loc="upper left", labelcolor=_INK)


def _ticks(sizes: Sequence[int]) -> list[int]:
    """Those that have room beside each other, the largest first."""
    shown: list[int] = []
    for size in reversed(sizes):
        if not shown or shown[-1] - size >= sizes[-1] / 25:
            shown.append(size)
    return shown[::-1]


def _plain(axes: Any) -> None:
    axes.grid(visible=True, axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
