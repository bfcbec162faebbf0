"""Servers whose best size is known, because they are formulas: throughput and times at every number of connections."""

from __future__ import annotations

from dataclasses import dataclass

from async_mysqlpool.cli.tune.levels import Level


@dataclass(frozen=True)
class Theory:
    """A closed system without pauses: `size` connections, each statement after the other on each.

    `cpus` are shared, work that takes `cpu` seconds of one; `lock` seconds go one after the other for all;
    `sleep` seconds disturb nobody; `crosstalk` is what each further connection adds to the work of all, as a share.
    """

    cpus: int = 64
    cpu: float = 0.0
    lock: float = 0.0
    sleep: float = 0.0
    crosstalk: float = 0.0

    def throughput(self, size: int) -> float:
        cpu = self.cpu * (1 + self.crosstalk * (size - 1))
        limits = [size / (cpu + self.lock + self.sleep)]
        if cpu:
            limits.append(self.cpus / cpu)
        if self.lock:
            limits.append(1 / self.lock)
        return min(limits)

    def level(self, size: int, noise: float = 1.0, client: float = 0.0) -> Level:
        throughput = self.throughput(size) * noise
        return Level(size, throughput, size / throughput, size / throughput, 1.3 * size / throughput, client)


THEORIES = {
    "CPU-bound, 4 CPUs": (Theory(cpus=4, cpu=0.01), 4),
    "CPU-bound, 16 CPUs": (Theory(cpus=16, cpu=0.01), 16),
    "CPU-bound, CPUs in each other's way": (Theory(cpus=8, cpu=0.01, crosstalk=0.02), 8),
    "all behind one lock": (Theory(lock=0.01), 1),
    "a lock for a quarter of it": (Theory(cpu=0.03, lock=0.01), 4),
    "waits for something else": (Theory(sleep=0.02), 64),
    "waits, then a lock": (Theory(sleep=0.03, lock=0.002), 16),
}
