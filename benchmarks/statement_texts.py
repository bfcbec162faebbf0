"""What the pool adds to a statement, by the length of its text: a constant, or little more than the driver's own work.

    python benchmarks/statement_texts.py [--rounds 15] [--lengths 100 10000 1000000 16777216]

A bare connection of the driver and a borrowed one take turns with the same text, in autocommit and in a transaction
block, which looks at each statement. The texts are of kinds that are hard on whoever reads them: blanks and comments
that may be skipped, lists, a value that says nothing. Work that grows faster than the text shows as a ratio that grows.
"""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from contenders import arguments, machine, own_pool, print_table

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing import start_server

if TYPE_CHECKING:
    import argparse

MOST_BYTES = 10_000_000  # that are sent for one figure, so that long texts have fewer rounds: three at least
KINDS = {
    "a value": lambda length: "SELECT LENGTH('" + "x" * (length - 17) + "')",
    "a list": lambda length: "SELECT 1 IN (1" + ",1" * ((length - 15) // 2) + ")",
    "blanks": lambda length: "SELECT" + " " * (length - 7) + "1",
    "comments": lambda length: "/*x*/ " * ((length - 8) // 6) + "SELECT 1",
}


async def once(connection: Any, text: str) -> float:
    """Microseconds from the text to its row."""
    started = perf_counter()
    async with connection.cursor() as cursor:
        await cursor.execute(text)
        await cursor.fetchone()
    return (perf_counter() - started) * 1e6


async def compare(bare: Any, pool: ConnectionPool, text: str, rounds: int) -> list[float]:
    """Medians for the bare connection, a borrowed one, and a borrowed one in a block."""
    times: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        times[0].append(await once(bare, text))
        async with pool.acquire() as connection:
            times[1].append(await once(connection, text))
        async with pool.transaction() as connection:
            times[2].append(await once(connection, text))
    return [median(taken) for taken in times]


async def measure(driver: str, dsn: str, options: argparse.Namespace) -> list[list[str]]:
    own = await own_pool(driver, dsn, 1)
    rows = []
    async with own.acquire() as bare, ConnectionPool(dsn, driver=driver, max_size=1, ssl=False) as pool:
        for kind, text_of in KINDS.items():
            for length in options.lengths:
                text = text_of(length)
                rounds = max(3, min(options.rounds, MOST_BYTES // length))
                rows.append([f"{driver}, {kind}", f"{len(text):,}", *columns(await compare(bare, pool, text, rounds))])
    own.close()
    await own.wait_closed()
    return rows


def columns(figures: list[float]) -> list[str]:
    bare, ours, block = figures
    return [f"{bare:,.0f} us", f"{ours:,.0f} us", f"{ours / bare:.2f}", f"{block:,.0f} us", f"{block / bare:.2f}"]


def main() -> None:
    options = arguments("One statement, by length.", rounds=15, lengths=[100, 10_000, 1_000_000, 16 * 1024 * 1024])
    with start_server(options.server, options={"max_allowed_packet": 64 * 1024 * 1024}) as server:
        print(f"\n## statement texts\n\n{machine(server)}; medians\n")
        rows = [row for driver in options.drivers for row in asyncio.run(measure(driver, server.dsn(), options))]
        print_table(["statement", "bytes", "bare", "borrowed", "ratio", "in a block", "ratio"], rows)


if __name__ == "__main__":
    main()
