"""The Universal Scalability Law, fitted to throughput against size.

    throughput(n) = alone * n / (1 + serial * (n - 1) + crosstalk * n * (n - 1))

N. J. Gunther, http://www.perfdynamics.com/Manifesto/USLscalability.html
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Law", "fit"]

_NOTHING = 1e-7  # a crosstalk below it cannot be told from none


@dataclass(frozen=True, slots=True)
class Law:
    """The law's three numbers, and how much of what was measured it explains (`r2`, 1 for all of it).

    Attributes:
        alone: statements per second of one connection.
        serial: the share of the work that is done one after the other: a lock, a CPU, a log.
        crosstalk: what each pair of connections costs: caches, mutexes, agreement.
    """

    alone: float
    serial: float
    crosstalk: float
    r2: float

    def throughput(self, size: float) -> float:
        """Statements per second at a size."""
        return self.alone * size / (1 + self.serial * (size - 1) + self.crosstalk * size * (size - 1))

    @property
    def knee(self) -> float | None:
        """The size from which on more connections make the whole slower; None if there is none."""
        return max(1.0, math.sqrt((1 - self.serial) / self.crosstalk)) if self.crosstalk > _NOTHING else None

    @property
    def ceiling(self) -> float | None:
        """Throughput that no size exceeds; None if there is no limit in sight."""
        if self.knee is not None:
            return self.throughput(self.knee)
        return self.alone / self.serial if self.serial > _NOTHING else None

    def __str__(self) -> str:
        """As a sentence."""
        if self.serial < 0.02 and self.knee is None:
            return f"one connection does {self.alone:,.0f}/s, and others take nothing away from it"
        return (
            f"one connection does {self.alone:,.0f}/s; {self.serial:.0%} of the work waits for its turn"
            + (f"; beyond {self.knee:,.0f} connections the whole gets slower" if (self.knee or 0.0) >= 1.5 else "")
        )  # fmt: skip


def fit(sizes: Sequence[float], throughputs: Sequence[float]) -> Law | None:
    """The law through these points; None with fewer than four, or where none can be found.

    Raises:
        ModuleNotFoundError: scipy is not installed.
    """
    if len(sizes) < 4 or min(throughputs) <= 0:
        return None
    optimize: Any = importlib.import_module("scipy.optimize")
    alone = throughputs[0] / sizes[0]

    def relative(numbers: Sequence[float]) -> list[float]:
        law = Law(numbers[0] * alone, numbers[1], numbers[2], 0.0)
        return [law.throughput(size) / seen - 1 for size, seen in zip(sizes, throughputs, strict=True)]

    found = optimize.least_squares(relative, (1.0, 0.1, 1e-3), bounds=((0.2, 0.0, 0.0), (5.0, 1.0, 1.0)))
    if not found.success:
        return None
    law = Law(float(found.x[0]) * alone, float(found.x[1]), float(found.x[2]), 0.0)
    return Law(law.alone, law.serial, law.crosstalk, _explained(law, sizes, throughputs))


def _explained(law: Law, sizes: Sequence[float], throughputs: Sequence[float]) -> float:
    mean = sum(throughputs) / len(throughputs)
    spread = sum((seen - mean) ** 2 for seen in throughputs)
    left = sum((law.throughput(size) - seen) ** 2 for size, seen in zip(sizes, throughputs, strict=True))
    return 1 - left / spread if spread > (1e-6 * mean) ** 2 else 1.0
