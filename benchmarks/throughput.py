"""Borrow, SELECT 1, return: requests per second and what each one took, with ever more tasks over 10 connections.

    python benchmarks/throughput.py [--tasks 1 10 100 1000] [--rounds 15] [--seconds 0.3] [--size 10]

Rounds are short and interleaved, and each is compared with the round of the driver's own pool just before it: the
median of those ratios stands even on a machine whose speed changes from second to second. A request that is still
under way when its round ends counts with the time it has taken so far: otherwise a pool that lets some tasks starve
would look quick.
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


@dataclass
class Result:
    """Of one contender with one number of tasks, over all rounds. Seconds."""

    rates: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])

    def percentile(self, part: float) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * part)]


async def one_round(pool: Any, tasks: int, seconds: float, result: Result) -> None:
    done, under_way = [], {}

    async def client(number: int) -> None:
        while True:
            under_way[number] = started = perf_counter()
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT 1")
                await cursor.fetchone()
            done.append(perf_counter() - started)

    started = perf_counter()
    clients = [asyncio.create_task(client(number)) for number in range(tasks)]
    await asyncio.sleep(seconds)
    ended = perf_counter()
    result.rates.append(len(done) / (ended - started))
    result.latencies += done + [ended - began for began in under_way.values()]
    for task in clients:
        task.cancel()
    await asyncio.wait(clients)


async def measure(driver: str, dsn: str, options: argparse.Namespace) -> None:
    async with contenders(driver, dsn, options.size) as pools:
        for tasks in options.tasks:
            results = [Result() for _ in pools]
            for _ in range(options.rounds):
                for pool, result in zip(pools, results, strict=True):
                    await settled(pool, options.size)
                    await one_round(pool.pool, tasks, options.seconds, result)
            print(f"\n### {driver}, {tasks} {'task' if tasks == 1 else 'tasks'} over {options.size} connections\n")
            report(pools, results)


async def settled(contender: Contender, size: int) -> None:
    """A round begins with warm connections: cancelling the clients of the round before has cost some."""
    all_out = asyncio.Barrier(size)

    async def touch() -> None:
        async with contender.pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT 1")
            await cursor.fetchall()
            await all_out.wait()

    await asyncio.gather(*(touch() for _ in range(size)))


def report(pools: list[Contender], results: list[Result]) -> None:
    rows = []
    for pool, result in zip(pools, results, strict=True):
        ratio = median(own / base for own, base in zip(result.rates, results[0].rates, strict=True))
        rate, p50, p99 = median(result.rates), result.percentile(0.5) * 1000, result.percentile(0.99) * 1000
        rows.append(
            [pool.label, f"{rate:,.0f}/s", f"{ratio:.2f}", f"{p50:.3f} ms", f"{p99:.3f} ms", f"{p99 / p50:.1f}"]
        )
    print_table(["pool", "throughput", "ratio", "p50", "p99", "p99 / p50"], rows)


def main() -> None:
    options = arguments("Borrow, SELECT 1, return.", tasks=[1, 10, 100, 1000], rounds=15, seconds=0.3, size=10)
    with start_server(options.server) as server:
        print(f"\n## borrow + SELECT 1 + return\n\n{machine(server)}; {options.rounds} rounds of {options.seconds:g} s")
        for driver in options.drivers:
            asyncio.run(measure(driver, server.dsn(), options))


if __name__ == "__main__":
    main()
