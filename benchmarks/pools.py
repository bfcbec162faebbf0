"""How each contender is opened. Nothing is encrypted: TLS costs all of them the same, and would hide the difference."""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from sys import maxsize
from typing import TYPE_CHECKING, Any

from simple_pools import Bare, Engine, Queued
from workloads import Work, Workload, by_awaited_cursor, by_cursor, by_engine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from contenders import Account, Contender

CONNECTOR = "mysql.connector.aio"


@dataclass(frozen=True)
class Opened:
    """A pool with an `acquire()` for `async with`, and how one works with its connections."""

    pool: Any
    work: Callable[[Workload], Work]
    most_tasks: int = maxsize


def opened(contender: Contender, account: Account, size: int) -> Any:
    """For `async with`: the contender's pool, full of `size` open connections."""
    return KINDS[contender.kind](contender, account, size)


@asynccontextmanager
async def _bare(contender: Contender, account: Account, size: int) -> AsyncGenerator[Opened]:
    connect = importlib.import_module(contender.driver).connect
    connections = [await connect(**_settings(contender.driver, account)) for _ in range(size)]
    yield Opened(Bare(connections[:]), _work(contender.driver), most_tasks=size)
    for connection in connections:
        closing = connection.close()
        if closing is not None:
            await closing


@asynccontextmanager
async def _own(contender: Contender, account: Account, size: int) -> AsyncGenerator[Opened]:
    settings = _settings(contender.driver, account)
    if contender.driver == CONNECTOR:
        from mysql.connector.aio import MySQLConnectionPool

        pool = MySQLConnectionPool(size, "bench", **settings)
        await pool.initialize_pool()
        yield Opened(Queued(pool, size), by_awaited_cursor)
        await pool.close_pool()
    else:
        pool = await importlib.import_module(contender.driver).create_pool(minsize=size, maxsize=size, **settings)
        yield Opened(pool, by_cursor)
        pool.close()
        await pool.wait_closed()


@asynccontextmanager
async def _ours(contender: Contender, account: Account, size: int) -> AsyncGenerator[Opened]:
    from async_mysqlpool import ConnectionPool

    options: dict[str, Any] = {"driver": contender.driver, "reset": contender.reset}
    if contender.driver == "fake":
        from async_mysqlpool.testing.fake import FakeDriver

        options["driver"] = FakeDriver()
    else:
        options |= vars(account)
    pool = ConnectionPool(**options, min_size=size, max_size=size, queue_timeout=None, ssl=False)
    async with pool:
        yield Opened(pool, _work(contender.driver))


@asynccontextmanager
async def _sqlalchemy(contender: Contender, account: Account, size: int) -> AsyncGenerator[Opened]:
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import create_async_engine

    url = URL.create(
        f"mysql+{contender.driver}", account.user, account.password, account.host, account.port, account.database
    )
    engine = create_async_engine(url, pool_size=size, max_overflow=0, pool_timeout=3600)
    yield Opened(Engine(engine), by_engine)
    await engine.dispose()


KINDS: dict[str, Callable[[Contender, Account, int], Any]] = {
    "bare": _bare,
    "own": _own,
    "ours": _ours,
    "sqlalchemy": _sqlalchemy,
}


def _work(driver: str) -> Callable[[Workload], Work]:
    return by_awaited_cursor if driver == CONNECTOR else by_cursor


def _settings(driver: str, account: Account) -> dict[str, Any]:
    """The driver's own arguments."""
    settings = vars(account) | {"autocommit": True}
    if driver == CONNECTOR:
        # Its own default collation is one that MariaDB does not know.
        return settings | {"ssl_disabled": True, "collation": "utf8mb4_general_ci"}
    settings["db"] = settings.pop("database")
    return settings
