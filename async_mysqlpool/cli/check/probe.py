"""Asks: each installed driver opens a pool as a program would, and the server is asked what it is."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any

from async_mysqlpool import ConnectionPool, PoolError, compiled
from async_mysqlpool.cli.check.facts import DriverFacts, Plans, Report
from async_mysqlpool.cli.check.server import Questions, ask_server
from async_mysqlpool.cli.output import percentile
from async_mysqlpool.config import build_config
from async_mysqlpool.drivers import installed, load_driver
from async_mysqlpool.drivers.public import PublicDriver
from async_mysqlpool.lease.held import entry_of

if TYPE_CHECKING:
    from async_mysqlpool import PooledConnection

__all__ = ["probe"]

_ROUND_TRIPS = 100
_PATIENCE = 10.0  # seconds for a killed statement to be seen to end


async def probe(dsn: str, size: int | None, processes: int) -> Report:
    """Everything that can be known without leaving anything behind.

    Args:
        dsn: as for `ConnectionPool`; a driver named in it is the only one that is tried.
        size: max_size of the pool to be; None: that of the DSN, or its default.
        processes: that will have such a pool.

    Raises:
        ConfigurationError: the DSN makes no sense, or no driver is installed.
    """
    config = build_config(dsn, {})
    names = [load_driver(config.driver).name] if config.driver else installed() or [load_driver(None).name]
    report = Report(Plans(size or config.max_size, processes, config.max_idle_time, compiled), [], None)
    for name in names:
        facts = DriverFacts(name, version(packages_distributions()[name.partition(".")[0]][0]))
        facts.tested = not isinstance(load_driver(name), PublicDriver)
        report.drivers.append(facts)
        pool = ConnectionPool(dsn, driver=name, name="check", min_size=0, max_size=2)
        try:
            async with pool:
                await _ask_driver(pool, facts)
                if report.server is None:
                    report.server = await ask_server(pool, config)
        except PoolError as error:
            facts.error = str(error)
    return report


async def _ask_driver(pool: ConnectionPool, facts: DriverFacts) -> None:
    started = time.perf_counter()
    async with pool.acquire() as first:
        facts.connect_time = time.perf_counter() - started
        await _look_at(Questions(pool.driver, entry_of(first).raw), first, facts)
        async with pool.acquire() as second:
            facts.servers += [await _identity(first), await _identity(second)]
        times = sorted([await _round_trip(first) for _ in range(_ROUND_TRIPS)])
        facts.round_trip, facts.round_trip_p99 = percentile(times, 0.5), percentile(times, 0.99)
    opened = pool.stats().opened
    async with pool.acquire() as connection:
        await _rows(connection, "SELECT 1")
    if pool.stats().opened > opened or pool.stats().closed.get("not pooled"):
        facts.reset = "connections are used once"
    else:
        facts.reset = "written ahead" if facts.pipelining else "waited for"
    facts.killed_in = await _time_to_kill(pool)


async def _look_at(ask: Questions, connection: PooledConnection, facts: DriverFacts) -> None:
    entry = entry_of(connection)
    facts.pipelining, facts.reads_results = entry.pipelines, entry.reader is not None
    if entry.baseline is not None:
        facts.hears_schema, facts.hears_changes = entry.baseline.hears_schema, entry.wire.hears
        if not entry.baseline.knows_id:
            facts.between.append("CONNECTION_ID() is not the server's id of this connection")
    seen = {int(row[0]): str(row[2]) for row in await ask.rows("SHOW PROCESSLIST")}
    port = re.fullmatch(r".*:(\d+)", seen.get(int(await ask.value("SELECT CONNECTION_ID()")), ""))
    if port and entry.local_port is not None and int(port[1]) != entry.local_port:
        facts.between.append(f"the server sees port {port[1]}, ours is {entry.local_port}: something stands in between")


async def _round_trip(connection: PooledConnection) -> float:
    started = time.perf_counter()
    await _rows(connection, "SELECT 1")
    return time.perf_counter() - started


async def _identity(connection: PooledConnection) -> str:
    (row,) = await _rows(connection, "SELECT @@hostname, @@port")
    return f"{row[0]}:{row[1]}"


async def _time_to_kill(pool: ConnectionPool) -> float | None:
    """Cancel a statement as a timeout does, and see whether it is stopped on the server."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1), pool.acquire() as connection:
            await _rows(connection, f"SELECT SLEEP({_PATIENCE})")
    started = time.perf_counter()
    while time.perf_counter() - started < _PATIENCE and not pool.stats().killed:
        if not pool.stats().closing:
            return None
        await asyncio.sleep(0.01)
    return time.perf_counter() - started if pool.stats().killed else None


async def _rows(connection: PooledConnection, sql: str) -> list[Any]:
    async with connection.cursor() as cursor:
        await cursor.execute(sql)
        return list(await cursor.fetchall())
