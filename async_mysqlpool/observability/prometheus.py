"""Prometheus: `instrument(pool)`, and the pool's figures are in what the program exposes.

Needs ``async-mysqlpool[prometheus]``. The names are OpenTelemetry's, as its own exporter would spell them here: dots
become underscores, seconds say so, and what only grows ends in ``_total``. Buckets are counted by ourselves, so a
borrow pays little for them.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from async_mysqlpool import events
from async_mysqlpool.observability.figures import DURATIONS, FIGURES, POOL_NAME
from async_mysqlpool.observability.statement import error_type, in_few_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from async_mysqlpool.observability.figures import Duration, Figure
    from async_mysqlpool.pool import ConnectionPool

__all__ = ["PoolCollector", "instrument"]

_MOST_KINDS = 200  # of operations, each with buckets of its own
_OTHERS = ("", "")


def instrument(
    pool: ConnectionPool, *, registry: CollectorRegistry = REGISTRY, histograms: bool = True, operations: bool = True
) -> Callable[[], None]:
    """Expose a pool's figures, before it is opened or later.

    Args:
        pool: to be looked at. It is not kept alive.
        registry: what your program exposes.
        histograms: of waiting, use and opening.
        operations: of statements as well, by their summary and how they ended; up to 200 kinds.

    Returns:
        a function that ends it.
    """
    if registry not in _known:
        _known[registry] = PoolCollector()
        registry.register(_known[registry])
    return _known[registry].watch(pool, histograms, operations)


def spelled(name: str, unit: str = "", monotonic: bool = False) -> str:
    """OpenTelemetry's name in Prometheus' spelling."""
    return name.replace(".", "_") + ("_seconds" if unit == "s" else "") + ("_total" if monotonic else "")


class _Buckets:
    """Counts of seconds."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        counts, below = self.counts.copy(), 0
        found: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            below += count
            found.append((bound, below))
        return found


class _Borrows:
    """An observer: waiting, holding and opening."""

    def __init__(self) -> None:
        self.buckets = {item.source: _Buckets(item.buckets) for item in DURATIONS if item.source != "operation"}
        self.on_wait, self.on_use = self.buckets["waited"].add, self.buckets["held"].add

    def on_event(self, event: events.Event) -> None:
        """Count it."""
        if isinstance(event, events.ConnectionOpened):
            self.buckets["created"].add(event.took)


class _Operations:
    """An observer: statements, by summary and error."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.kinds: dict[tuple[str, str], _Buckets] = {}

    def on_event(self, event: events.Event) -> None:
        """Nothing of interest."""

    def on_wait(self, seconds: float) -> None:
        """Nor this; to be asked for it costs less than an event."""

    def on_use(self, seconds: float) -> None:
        """Nor this."""

    def on_statement(self, event: events.StatementEvent) -> None:
        """Count one that has ended."""
        if not isinstance(event, events.StatementEnded):
            return
        error = "" if event.error is None else error_type(event.error, event.number)
        kind = (in_few_words(event.started), error)
        buckets = self.kinds.get(kind)
        if buckets is None:
            kind = kind if len(self.kinds) < _MOST_KINDS else _OTHERS
            buckets = self.kinds.setdefault(kind, _Buckets(self._bounds))
        buckets.add(event.took)


class PoolCollector(Collector):
    """What a registry asks; one for all of its pools."""

    def __init__(self) -> None:
        self._pools: weakref.WeakKeyDictionary[ConnectionPool, tuple[_Borrows | None, _Operations | None]]
        self._pools = weakref.WeakKeyDictionary()

    def watch(self, pool: ConnectionPool, histograms: bool = True, operations: bool = True) -> Callable[[], None]:
        """Read this one, too, until the result is called or the pool is gone."""
        borrows = _Borrows() if histograms else None
        told = _Operations(DURATIONS[-1].buckets) if operations else None
        stops = [pool.observe(observer) for observer in (borrows, told) if observer is not None]
        self._pools[pool] = borrows, told
        known = weakref.ref(pool)

        def stop() -> None:
            if (still := known()) is not None:
                self._pools.pop(still, None)
            for end in stops:
                end()

        return stop

    def describe(self) -> Iterable[Metric]:
        """Names only: nothing is asked when it is registered."""
        yield from map(_empty, FIGURES)
        yield from map(_empty_histogram, DURATIONS)

    def collect(self) -> Iterable[Metric]:
        """All figures of all open pools."""
        pools = [(pool, *observers) for pool, observers in self._pools.copy().items() if not pool.closed]
        read = [(pool, pool.stats()) for pool, _, _ in pools]
        for figure in FIGURES:
            family = _empty(figure)
            for pool, stats in read:
                for value, number in figure.read(pool, stats):
                    family.add_metric([pool.name, *([value] if figure.attribute else [])], number)
            yield family
        for item in DURATIONS:
            yield _filled(item, pools)


_known: weakref.WeakKeyDictionary[CollectorRegistry, PoolCollector] = weakref.WeakKeyDictionary()


def _empty(figure: Figure) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if figure.monotonic else GaugeMetricFamily
    labels = [spelled(label) for label in (POOL_NAME, figure.attribute) if label]
    return kind(spelled(figure.name, figure.unit, figure.monotonic), figure.meaning, labels=labels)


def _empty_histogram(item: Duration) -> HistogramMetricFamily:
    labels = [POOL_NAME, *(("db.query.summary", "error.type") if item.source == "operation" else ())]
    return HistogramMetricFamily(spelled(item.name, "s"), item.meaning, labels=[spelled(label) for label in labels])


def _filled(
    item: Duration, pools: list[tuple[ConnectionPool, _Borrows | None, _Operations | None]]
) -> HistogramMetricFamily:
    family = _empty_histogram(item)
    for pool, borrows, operations in pools:
        if item.source == "operation":
            for kind, buckets in operations.kinds.copy().items() if operations else ():
                family.add_metric([pool.name, *kind], buckets.cumulated(), buckets.total)
        elif borrows is not None:
            buckets = borrows.buckets[item.source]
            family.add_metric([pool.name], buckets.cumulated(), buckets.total)
    return family
