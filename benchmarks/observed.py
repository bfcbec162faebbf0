"""What it costs to look: processor time per borrow and per statement, with each way to see what the pool does.

    python benchmarks/observed.py

On a driver in memory, so that nothing but the pool and who looks at it is measured. Of several rounds the best counts:
that one was disturbed least.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

import async_mysqlpool
from async_mysqlpool import ConnectionPool
from async_mysqlpool.observability import otel, prometheus
from async_mysqlpool.testing.fake import FakeDriver

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, BORROWS, STATEMENTS = 7, 3000, 600

WAYS: dict[str, tuple[dict[str, Any], Callable[[ConnectionPool], object]]] = {
    "nothing": ({}, lambda pool: None),
    "figures": ({}, lambda pool: prometheus.instrument(
        pool, registry=CollectorRegistry(), histograms=False, operations=False)),
    "slow_acquire": ({"slow_acquire": 1}, lambda pool: None),
    "slow_statement": ({"slow_statement": 1}, lambda pool: None),
    "Prometheus, borrows": ({}, lambda pool: prometheus.instrument(
        pool, registry=CollectorRegistry(), operations=False)),
    "Prometheus": ({}, lambda pool: prometheus.instrument(pool, registry=CollectorRegistry())),
    "OpenTelemetry, metrics": ({}, lambda pool: otel.instrument(
        pool, meter_provider=MeterProvider([InMemoryMetricReader()]), spans=False)),
    "OpenTelemetry, spans": ({}, lambda pool: otel.instrument(
        pool, tracer_provider=TracerProvider(), metrics=False)),
}  # fmt: skip


async def borrows(pool: ConnectionPool) -> float:
    """Microseconds for one."""
    started = time.process_time()
    for _ in range(BORROWS):
        async with pool.acquire():
            pass
    return (time.process_time() - started) / BORROWS * 1e6


async def statements(pool: ConnectionPool) -> float:
    """Microseconds for one, the driver in memory included."""
    async with pool.acquire() as connection, connection.cursor() as cursor:
        started = time.process_time()
        for _ in range(STATEMENTS):
            await cursor.execute("SELECT 1")
        return (time.process_time() - started) / STATEMENTS * 1e6


async def main() -> None:
    """Measure all ways in turn, round after round."""
    best: dict[str, tuple[float, float]] = {}
    pools: dict[str, ConnectionPool] = {}
    for name, (options, look) in WAYS.items():
        pools[name] = ConnectionPool(driver=FakeDriver(), reset="none", **options)
        look(pools[name])
        await pools[name].open()
    for _ in range(ROUNDS):
        for name, pool in pools.items():
            borrow, statement = best.get(name, (float("inf"), float("inf")))
            best[name] = min(borrow, await borrows(pool)), min(statement, await statements(pool))
    for pool in pools.values():
        await pool.close()
    print(f"microseconds per borrow and per statement, {'compiled' if async_mysqlpool.compiled else 'interpreted'}")
    none = best["nothing"]
    for name, (borrow, statement) in best.items():
        print(f"  {name:24}{borrow:7.1f} (+{borrow - none[0]:.1f}){statement:9.1f} (+{statement - none[1]:.1f})")


if __name__ == "__main__":
    asyncio.run(main())
