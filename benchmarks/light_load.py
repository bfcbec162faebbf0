"""One task that now and then borrows, says SELECT 1 and returns: what a reset costs a request that has no competitors.

    python benchmarks/light_load.py [--requests 2000] [--pause 0.005]

The pools take turns request by request, with a pause before each, so that all see the same machine. A reset is written
when a connection is returned, and answered during the pause: the time to the row shows none of it, the time with the
return shows one write to a socket.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from contenders import Contender, arguments, contenders, machine, print_table

from async_mysqlpool.testing import start_server

if TYPE_CHECKING:
    import argparse

BASE = "ours, reset='none'"


@dataclass
class Result:
    """Of one contender, for every request. Microseconds."""

    to_the_row: list[float] = field(default_factory=list[float])
    with_return: list[float] = field(default_factory=list[float])


async def request(pool: Any, result: Result) -> None:
    started = perf_counter()
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT 1")
        await cursor.fetchone()
        row = perf_counter()
    returned = perf_counter()
    result.to_the_row.append((row - started) * 1e6)
    result.with_return.append((returned - started) * 1e6)


async def measure(driver: str, dsn: str, options: argparse.Namespace) -> list[list[str]]:
    async with contenders(driver, dsn, 1) as pools:
        results = {pool.label: Result() for pool in pools}
        for pool in pools:
            await request(pool.pool, Result())  # warm up
        for _ in range(options.requests):
            for pool in pools:
                await asyncio.sleep(options.pause)
                await request(pool.pool, results[pool.label])
        return [row(driver, pool, results) for pool in pools]


def row(driver: str, pool: Contender, results: dict[str, Result]) -> list[str]:
    own, base = results[pool.label], results[BASE]
    columns = [f"{driver}, {pool.label}"]
    for mine, theirs in ((own.to_the_row, base.to_the_row), (own.with_return, base.with_return)):
        columns += [f"{median(mine):.0f} us", f"{median(mine) / median(theirs):.3f}"]
    return columns


def main() -> None:
    options = arguments("Borrow, SELECT 1, return, one at a time.", requests=2000, pause=0.005)
    with start_server(options.server) as server:
        print(f"\n## light load\n\n{machine(server)}; medians of {options.requests} requests\n")
        rows = [row for driver in options.drivers for row in asyncio.run(measure(driver, server.dsn(), options))]
        print_table(["pool", "to the row", "to none", "with the return", "to none"], rows)


if __name__ == "__main__":
    main()
