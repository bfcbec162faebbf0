"""What the tests of bad days share: combinations of drivers and servers, tasks that ask, and what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kit import Admin

    from async_mysqlpool import ConnectionPool

FLAVORS = ["mariadb", "mysql"]
_MODULES = {"asyncmy": "asyncmy", "aiomysql": "aiomysql", "mysql.connector.aio": "mysql"}
DRIVERS = [name for name, module in _MODULES.items() if find_spec(module)]

ALL = pytest.mark.parametrize(("driver", "flavor"), [(d, f) for d in DRIVERS for f in FLAVORS])
EACH_DRIVER = pytest.mark.parametrize("driver", DRIVERS)
# Each driver and each server once or more, where the product would say nothing new.
SOME = pytest.mark.parametrize(
    ("driver", "flavor"), [(name, FLAVORS[number % 2]) for number, name in enumerate(DRIVERS)]
)


async def outcomes(work: list[Awaitable[Any]]) -> Counter[str]:
    """Wait for all; how many ended how, by the name of their error ("ok" for none)."""
    results = await asyncio.gather(*work, return_exceptions=True)
    return Counter("ok" if not isinstance(result, BaseException) else type(result).__name__ for result in results)


async def ask(pool: ConnectionPool, token: int, pause: float = 0.0) -> None:
    """Borrow, select a token of one's own, and get that and nothing else."""
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(f"SELECT {token}, SLEEP({pause})" if pause else f"SELECT {token}")
        rows = await cursor.fetchall()
        if [row[0] for row in rows] != [token]:
            raise AssertionError(f"wrong row: {rows} for {token}")


def running(admin: Admin, user: str) -> list[tuple[Any, ...]]:
    """The statements that the server works on for an account."""
    return admin.rows(
        "SELECT id, info FROM information_schema.processlist WHERE user = %s AND command <> 'Sleep'"
        " AND info IS NOT NULL",
        user,
    )


async def settled(pool: ConnectionPool, good: Callable[[Any], bool], patience: float = 20.0) -> Any:
    """The pool's numbers as soon as they are good; the last ones when patience is at its end."""
    deadline = asyncio.get_running_loop().time() + patience
    while not good(stats := pool.stats()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    return stats
