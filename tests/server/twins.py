"""The same statements through a pool and through the bare driver, and whatever a cursor shows of them."""

from __future__ import annotations

import dataclasses
import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool import ConnectionPool, PooledConnection
    from async_mysqlpool.drivers import ConnectParams, Driver

# What each driver calls its default cursors.
CURSORS = {"asyncmy": "asyncmy.cursors", "aiomysql": "aiomysql.cursors"}


def cursor_class(driver: str, name: str) -> Any:
    return getattr(importlib.import_module(CURSORS[driver]), name)


def typed(value: Any) -> Any:
    """A value with its type, all the way down: 1 and True are not the same here, nor are a list and a tuple."""
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(item) for item in value]
    if isinstance(value, dict):
        return "dict", [(typed(key), typed(item)) for key, item in value.items()]
    return type(value).__name__, repr(value)


def shown(cursor: Any) -> Any:
    """The attributes that every cursor has."""
    return typed([cursor.description, cursor.rowcount, cursor.lastrowid, cursor.rownumber, cursor.arraysize])


async def observed(cursor: Any, query: Any, args: Any = None) -> Any:
    """All that can be seen of one statement on a cursor: results, errors and warnings."""
    seen: list[Any] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            seen.append(typed(await cursor.execute(query, args)))
            while True:
                seen += [shown(cursor), typed(await cursor.fetchall()), shown(cursor), typed(await cursor.fetchone())]
                if not await cursor.nextset():
                    break
        except Exception as error:
            seen.append((type(error).__name__, error.args))
    return [*seen, *((item.category.__name__, str(item.message)) for item in caught)]


class Twins:
    """A borrowed connection, and a bare one in the same state."""

    def __init__(self, driver: Driver, connection: PooledConnection, bare: Any) -> None:
        self.driver = driver
        self.connection = connection
        self.bare = bare

    def cursors(self, name: str | None) -> tuple[Any, Any]:
        """One of the default cursors, of each."""
        args = () if name is None else (cursor_class(self.driver.name, name),)
        return self.connection.cursor(*args), self.driver.new_cursor(self.bare, args, {})

    async def agree(self, query: Any, args: Any = None, name: str | None = None, times: int = 3) -> None:
        """Both show the same, from the first time on, when nothing is known of the statement."""
        for _ in range(times):
            if self.driver.is_dead(self.bare):  # after what it could not read
                assert self.connection.closed
                return
            ours, theirs = self.cursors(name)
            expected = await observed(theirs, query, args)
            assert await observed(ours, query, args) == expected
            await theirs.close()
            await ours.close()

    async def both(self, query: str) -> None:
        """Run it, on both."""
        for cursor in self.cursors(None):
            await cursor.execute(query)
            await cursor.close()


class Pairs:
    """Makes twins: a pool's connection, and a bare one with the same options."""

    def __init__(self, driver: Driver, params: ConnectParams, open_pool: Callable[..., Any]) -> None:
        self._driver = driver
        self._params = params
        self._open_pool = open_pool
        self._opened: list[Any] = []

    async def __call__(self, **options: Any) -> Twins:
        """With options of the pool's that are the driver's as well."""
        pool: ConnectionPool = await self._open_pool(max_size=1, **options)
        given = {key: options[key] for key in ("charset", "connect_args") if key in options}
        bare = await self._driver.connect(dataclasses.replace(self._params, **given))
        await self._driver.execute(bare, f"SET NAMES {options.get('charset', 'utf8mb4')}")
        connection = await pool.acquire()
        self._opened += [connection, bare]
        return Twins(self._driver, connection, bare)

    async def close(self) -> None:
        """All of them."""
        while self._opened:
            await self._driver.close(self._opened.pop())
            self._opened.pop().close()
