"""What the pool adds to a statement, by the length of its text: a constant, or little more than the driver's own work.

    python benchmarks/statement_texts.py [--rounds 15] [--length 100 --length 1000000 ...]

A bare connection of the driver and a borrowed one take turns with the same text, in autocommit and in a transaction
block, which looks at each statement. The texts are of kinds that are hard on whoever reads them: blanks and comments
that may be skipped, lists, a value that says nothing. Work that grows faster than the text shows as a ratio that grows.
"""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from contenders import Account, bare, ours
from pools import opened
from rich.console import Console
from rich.table import Table
from servers import Flavor, bench_server

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BYTES = 10_000_000  # that are sent for one figure, so that long texts have fewer rounds: three at least
KINDS: dict[str, Callable[[int], str]] = {
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


async def compare(connection: Any, pool: Any, text: str, rounds: int) -> list[float]:
    """Medians for the bare connection, a borrowed one, and a borrowed one in a block."""
    times: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        times[0].append(await once(connection, text))
        async with pool.acquire() as borrowed:
            times[1].append(await once(borrowed, text))
        async with pool.transaction() as borrowed:
            times[2].append(await once(borrowed, text))
    return [median(taken) for taken in times]


async def measure(driver: str, account: Account, rounds: int, lengths: list[int]) -> list[list[str]]:
    """A row of the table for each kind of text and each length."""
    rows: list[list[str]] = []
    alone, pooled = bare(driver), ours(driver, "session", compiled=False)
    async with (
        opened(alone, account, 1) as single,
        opened(pooled, account, 1) as pool,
        single.pool.acquire() as connection,
    ):
        for kind, text_of in KINDS.items():
            for length in lengths:
                text = text_of(length)
                turns = max(3, min(rounds, MOST_BYTES // length))
                figures = await compare(connection, pool.pool, text, turns)
                rows.append([f"{driver}, {kind}", f"{len(text):,}", *columns(figures)])
    return rows


def columns(figures: list[float]) -> list[str]:
    """Microseconds, and ratios to the first."""
    alone, borrowed, block = figures
    ratios = [(f"{figure:,.0f} us", f"{figure / alone:.2f}") for figure in (borrowed, block)]
    return [f"{alone:,.0f} us", *(text for pair in ratios for text in pair)]


def main(
    server: Annotated[Flavor, typer.Option(help="Which one to start.")] = Flavor.MARIADB,
    rounds: Annotated[int, typer.Option(help="Turns of each, fewer for long texts.")] = 15,
    length: Annotated[list[int], typer.Option(help="Bytes; again for more.")] = [100, 10_000, 1_000_000, 16_000_000],  # noqa: B006
) -> None:
    """What the pool adds to a statement, by the length of its text."""
    table = Table(title="statement texts; medians", title_justify="left")
    for head in ("statement", "bytes", "bare", "borrowed", "ratio", "in a block", "ratio"):
        table.add_column(head, justify="right")
    with bench_server(server, max_allowed_packet=64 * 1024 * 1024) as (account, _):
        for driver in ("asyncmy", "aiomysql"):
            for row in asyncio.run(measure(driver, account, rounds, length)):
                table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
