"""The pool's figures as OpenTelemetry's instruments: one set for each provider, however many pools there are."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from async_mysqlpool import __version__, events
from async_mysqlpool.observability.figures import DURATIONS, FIGURES, POOL_NAME
from async_mysqlpool.observability.statement import in_few_words, operation, outcome, where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider

    from async_mysqlpool.observability.figures import Figure
    from async_mysqlpool.pool import ConnectionPool

__all__ = ["Borrows", "Instruments", "Operations", "instruments"]


class Instruments:
    """All instruments of one provider, and the pools that are read when it collects."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = metrics.get_meter("async_mysqlpool", __version__, meter_provider=provider)
        self._pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()
        for figure in FIGURES:
            create = meter.create_observable_counter if figure.monotonic else meter.create_observable_up_down_counter
            create(figure.name, [self._reader(figure)], figure.unit, figure.meaning)
        self.durations: dict[str, Histogram] = {
            item.source: meter.create_histogram(
                item.name, "s", item.meaning, explicit_bucket_boundaries_advisory=item.buckets
            )
            for item in DURATIONS
        }

    def watch(self, pool: ConnectionPool) -> Callable[[], None]:
        """Read this one, too, until the result is called or the pool is gone."""
        self._pools.add(pool)
        known = weakref.ref(pool)

        def stop() -> None:
            if (still := known()) is not None:
                self._pools.discard(still)

        return stop

    def _reader(self, figure: Figure) -> Callable[[CallbackOptions], Iterable[Observation]]:
        attribute = figure.attribute

        def read(_: CallbackOptions) -> Iterable[Observation]:
            for pool in [pool for pool in tuple(self._pools) if not pool.closed]:
                for value, number in figure.read(pool, pool.stats()):
                    attributes = {POOL_NAME: pool.name}
                    if attribute is not None:
                        attributes[attribute] = value
                    yield Observation(number, attributes)

        return read


class _Default:
    """Stands for the program's own provider, which may be set later."""


_default = _Default()
_known: weakref.WeakKeyDictionary[MeterProvider | _Default, Instruments] = weakref.WeakKeyDictionary()


def instruments(provider: MeterProvider | None) -> Instruments:
    """Those of a provider, made once: of two instruments of one name, an SDK reads only the first."""
    key = _default if provider is None or provider is metrics.get_meter_provider() else provider
    if key not in _known:
        _known[key] = Instruments(provider)
    return _known[key]


class Borrows:
    """An observer: waiting, holding and opening, one by one."""

    def __init__(self, meters: Instruments, name: str) -> None:
        durations = meters.durations
        self._waited, self._held, self._created = durations["waited"], durations["held"], durations["created"]
        self._attributes = {POOL_NAME: name}

    def on_wait(self, seconds: float) -> None:
        """Record it."""
        self._waited.record(seconds, self._attributes)

    def on_use(self, seconds: float) -> None:
        """Record it."""
        self._held.record(seconds, self._attributes)

    def on_event(self, event: events.Event) -> None:
        """Record it."""
        if isinstance(event, events.ConnectionOpened):
            self._created.record(event.took, self._attributes)


class Operations:
    """An observer: statements, one by one."""

    def __init__(self, meters: Instruments, pool: ConnectionPool) -> None:
        self._duration = meters.durations["operation"]
        self._pool = weakref.ref(pool)

    def on_event(self, event: events.Event) -> None:
        """Nothing of interest."""

    def on_wait(self, seconds: float) -> None:
        """Nor this; to be asked for it costs less than an event."""

    def on_use(self, seconds: float) -> None:
        """Nor this."""

    def on_statement(self, event: events.StatementEvent) -> None:
        """Record one that has ended."""
        pool = self._pool()
        if not isinstance(event, events.StatementEnded) or pool is None:
            return
        attributes: dict[str, str | int] = {**where(pool.server), **operation(event.started), **outcome(event)}
        words = in_few_words(event.started)
        if words:
            attributes["db.query.summary"] = words
        self._duration.record(event.took, attributes)
