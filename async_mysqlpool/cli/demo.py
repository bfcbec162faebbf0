"""The demo: X DevAPI's walk-through, a service under load, and a summary with the server's own figures."""

from __future__ import annotations

import asyncio
import contextlib
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING

from rich.table import Table

from async_mysqlpool import ConnectionPool, __version__
from async_mysqlpool.cli.display import display_for, milliseconds
from async_mysqlpool.cli.load import Load, Meter, Monitor, Service
from async_mysqlpool.cli.output import percentile
from async_mysqlpool.cli.walkthrough import walk_through

if TYPE_CHECKING:
    from rich.console import Console

    from async_mysqlpool import PoolStats

__all__ = ["Load", "run"]


async def run(console: Console, dsn: str, load: Load) -> None:
    """Both parts and the summary, on the server behind `dsn`."""
    driver = ConnectionPool(dsn, driver=load.driver).driver.name
    (distribution, *_) = packages_distributions()[driver.partition(".")[0]]
    console.print(f"async_mysqlpool {__version__} over {driver} {version(distribution)}\n")

    console.print("[bold]1. Two connections, and a third one wanted[/]", soft_wrap=True)
    await walk_through(console, dsn, driver)

    console.print(f"\n[bold]2. A service: {load.tasks} tasks, {load.connections} connections, {load.seconds:g} s[/]")
    console.print(
        "   Every tenth request leaves something behind in its session; now and then a client goes away\n"
        "   in the middle of its statement. Each request checks that its answer is its own.",
        soft_wrap=True,
    )
    meter = Meter()
    async with Monitor(dsn, driver) as monitor:
        aborted_before = await monitor.aborted_clients()
        pool = ConnectionPool(
            dsn, driver=driver, name="service", min_size=0, max_size=load.connections, observers=[meter]
        )
        async with pool:
            service = Service(pool)
            await _under_load(console, load, service, meter, monitor)
            stats = pool.stats()
            aborted_by_load = await monitor.aborted_clients() - aborted_before
        aborted_by_close = await monitor.aborted_clients() - aborted_before - aborted_by_load

    console.print("\n[bold]3. Summary[/]")
    figures = _waits(meter, service, load) + _promises(service, stats, monitor.peak)
    figures.append(("Aborted_clients", f"+{aborted_by_load} by those clients, +{aborted_by_close} by closing the pool"))
    table = Table.grid(padding=(0, 2))
    for name, figure in figures:
        table.add_row(f"  [dim]{name}[/]", figure)
    console.print(table)


async def _under_load(console: Console, load: Load, service: Service, meter: Meter, monitor: Monitor) -> None:
    """Run the service for the time given, and show what the pool does."""
    async with asyncio.TaskGroup() as group:
        group.create_task(service.run(load.tasks))
        with display_for(console, load) as display, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(load.seconds):
                while True:
                    await asyncio.sleep(display.interval)
                    display.show(meter.sample(service.pool.stats(), await monitor.connections()))
        service.stopping = True
    while service.pool.stats().closing:  # noqa: ASYNC110  a kill is under way, and there is nothing to await for it
        await asyncio.sleep(0.05)


def _waits(meter: Meter, service: Service, load: Load) -> list[tuple[str, str]]:
    waits = sorted(meter.waits)
    median, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    ratio = f" ({p99 / median:.1f} x the median)" if median else ""
    return [
        ("requests answered", f"[bold]{service.requests:,}[/], {service.requests / load.seconds:,.0f} per second"),
        ("wait for a connection", f"median {milliseconds(median)}, p99 [bold]{milliseconds(p99)}[/]{ratio}"),
    ]


def _promises(service: Service, stats: PoolStats, peak: int) -> list[tuple[str, str]]:
    limit = stats.max_size + 1
    return [
        (
            "connections on the server",
            f"{_verdict(peak, limit)} at most; max_size {stats.max_size}, and 1 to kill from",
        ),
        ("answers of somebody else", _verdict(service.wrong, 0)),
        ("sessions reset", f"{stats.resets:,}, {service.traces:,} of them were dirty"),
        ("traces found afterwards", _verdict(service.dirty, 0)),
        ("clients gone mid-statement", f"{service.deserted}; statements killed on the server: {stats.killed}"),
    ]


def _verdict(value: int, limit: int) -> str:
    return f"[bold {'green' if value <= limit else 'red'}]{value}[/]"
