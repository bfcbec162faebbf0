"""Goes through the sizes: up as far as that tells anything, and down again, because machines have moods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from async_mysqlpool.cli.tune.levels import best_of, steps, still_worth_it
from async_mysqlpool.cli.tune.load import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from async_mysqlpool import ConnectionPool
    from async_mysqlpool.cli.tune.levels import Level

__all__ = ["explore"]


async def explore(
    pool: ConnectionPool,
    statements: Sequence[str],
    largest: int,
    seconds: float,
    goal: float | None,
    show: Callable[[Level], None],
) -> list[Level]:
    """What each size does, the better of two measurements each.

    Args:
        pool: is resized.
        statements: one of them, by chance, each time.
        largest: size to try.
        seconds: for each measurement.
        goal: seconds; sizes far beyond it are not tried.
        show: is told of each measurement.

    Raises:
        PoolError: the server has no connection for us at all.
        ExceptionGroup: with what the driver says of a statement that fails.
    """
    up: list[Level] = []
    for size in steps(largest):
        level = await measure(pool, size, statements, seconds)
        if up and pool.size < size:
            break  # the server has no more for us; the pool goes on with those that it has
        up.append(level)
        show(level)
        if not still_worth_it(up, goal):
            break
    down: list[Level] = []
    for level in reversed(up):
        down.append(await measure(pool, level.size, statements, seconds))
        show(down[-1])
    return best_of([*up, *down])
