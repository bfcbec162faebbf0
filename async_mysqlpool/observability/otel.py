"""OpenTelemetry: `instrument(pool)`, and the pool's figures and statements are in your metrics and traces.

Needs ``async-mysqlpool[otel]``, which is OpenTelemetry's API: where the program sets up no SDK, nothing is recorded.
The names are those of the semantic conventions; docs/observability.md lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from async_mysqlpool.observability.otel_metrics import Borrows, Operations, instruments
from async_mysqlpool.observability.otel_spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from async_mysqlpool.pool import ConnectionPool

__all__ = ["QueryText", "instrument"]

QueryText: TypeAlias = Literal["off", "sanitized", "full"]


def instrument(
    pool: ConnectionPool,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    spans: bool = True,
    metrics: bool = True,
    histograms: bool = True,
    query_text: QueryText = "sanitized",
    sqlcommenter: bool = False,
) -> Callable[[], None]:
    """Have a pool's figures and statements recorded, before it is opened or later.

    Args:
        pool: to be looked at. It is not kept alive.
        tracer_provider: default: the program's own.
        meter_provider: default: the program's own.
        spans: for statements, transaction blocks, and acquires that had to wait or that failed.
        metrics: what is read from `stats()`, whenever metrics are collected.
        histograms: of waiting, use, opening and statements: recorded one by one, which the SDK takes its time for.
        query_text: what spans have of a statement: nothing, its digest, or all of it, values included.
        sqlcommenter: send a comment with the span's ``traceparent`` along with each statement. The server then sees
            another text each time, and so does the pool, which leaves all results to the driver.

    Returns:
        a function that ends it: of spans and histograms at once, of what is read with the pool.
    """
    stops: list[Callable[[], None]] = []
    if metrics:
        meters = instruments(meter_provider)
        stops.append(meters.watch(pool))
        if histograms:
            stops.append(pool.observe(Borrows(meters, pool.name)))
            stops.append(pool.observe(Operations(meters, pool)))
    if spans:
        stops.append(pool.observe(Spans(pool, tracer_provider, query_text, sqlcommenter)))

    def stop() -> None:
        for end in stops:
            end()

    return stop
