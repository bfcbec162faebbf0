"""What the pool itself costs: borrow and return, with nothing sent to the server.

    python benchmarks/acquire_release.py [--rounds 9] [--calls 5000]

Every contender has one idle connection and one task. Rounds are interleaved, so that a busy machine is unfair to all
alike; the median round counts, and the best one shows what the machine can do when nobody disturbs it.
"""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from contenders import arguments, contenders, machine, print_table

from async_mysqlpool.testing import start_server

if TYPE_CHECKING:
    import argparse


async def one_round(pool: Any, calls: int) -> float:
    """Microseconds per borrow and return."""
    started = perf_counter()
    for _ in range(calls):
        async with pool.acquire():
            pass
    return (perf_counter() - started) / calls * 1e6


async def measure(driver: str, dsn: str, options: argparse.Namespace) -> list[list[str]]:
    async with contenders(driver, dsn, 1, resets=["none"]) as pools:
        times: list[list[float]] = [[] for _ in pools]
        for pool in pools:
            await one_round(pool.pool, options.calls // 10)  # warm up
        for _ in range(options.rounds):
            for pool, taken in zip(pools, times, strict=True):
                taken.append(await one_round(pool.pool, options.calls))
    return [
        [f"{driver}, {pool.label}", f"{median(taken):.2f} us", f"{min(taken):.2f} us"]
        for pool, taken in zip(pools, times, strict=True)
    ]


def main() -> None:
    options = arguments("Borrow and return without I/O.", rounds=9, calls=5000)
    with start_server(options.server) as server:
        print(f"\n## acquire + release\n\n{machine(server)}; {options.rounds} rounds of {options.calls} calls\n")
        rows = [row for driver in options.drivers for row in asyncio.run(measure(driver, server.dsn(), options))]
        print_table(["pool", "median", "best"], rows)


if __name__ == "__main__":
    main()
