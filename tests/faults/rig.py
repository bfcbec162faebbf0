"""Real servers with a fault proxy before them, and pools that must be whole again whatever happened.

`server` and `driver` are multiplied only where a test asks for it: `ALL` pairs each driver with each server.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kit import HANG, Account, Admin, eventually
from lab import DRIVERS

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from async_mysqlpool.testing import Server

__all__ = [
    "account",
    "accounts",
    "admin",
    "driver",
    "flavor",
    "no_hang",
    "pools",
    "proxy",
    "server",
    "whole",
]

_numbers = itertools.count(1)


@pytest.fixture
def flavor() -> str:
    """Which server, for tests that are not multiplied."""
    return "mariadb"


@pytest.fixture
def driver() -> str:
    """Which driver, for tests that are not multiplied."""
    return DRIVERS[0]


@pytest.fixture
def server(flavor: str, servers: Callable[[str], Server]) -> Server:
    """The server; it runs when the test begins, which may restart it as it likes."""
    return servers(f"{flavor}-broken")


@pytest.fixture
def admin(server: Server) -> Iterator[Admin]:
    """The test's second look at the server: synchronous, and not through the code under test."""
    with Admin(server) as admin:
        yield admin


@pytest.fixture
async def accounts(server: Server) -> AsyncIterator[Callable[..., Account]]:
    """A function that makes accounts of the test's own, so that the server can tell its connections from all others."""
    made: list[Account] = []

    def make(grant: str = "ALL PRIVILEGES ON *.*", more: str = "") -> Account:
        account = Account(f"fault{next(_numbers)}", "s3cret")
        with Admin(server) as admin:
            admin.create(account, grant, more)
        made.append(account)
        return account

    yield make
    server.thaw()
    server.start()
    with Admin(server) as admin:
        for account in made:
            left = await eventually(partial(admin.connection_ids, account.user), lambda ids: not ids)
            assert left == [], "the pool left connections on the server"
            admin.drop(account)


@pytest.fixture
def account(accounts: Callable[..., Account]) -> Account:
    """Who the test's pools are, to the server."""
    return accounts()


@pytest.fixture
async def proxy(account: Account, server: Server) -> AsyncIterator[Proxy]:
    """The way to the server; gone before anybody asks what is left there."""
    async with Proxy(server) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
async def no_hang() -> AsyncIterator[None]:
    """A test that hangs is cancelled, so that the others get their turn."""
    loop = asyncio.get_running_loop()
    ours = {"proxy", "pool task", "maintenance"}

    def give_up() -> None:
        for task in asyncio.all_tasks(loop):
            if task.get_name().rpartition(": ")[2] not in ours:
                task.cancel("this test hung")

    timer = loop.call_later(2 * HANG + float(os.environ.get("SOAK_SECONDS", "0")), give_up)
    yield
    timer.cancel()


@pytest.fixture
async def pools(account: Account, driver: str, proxy: Proxy, server: Server) -> AsyncIterator[Any]:
    """A function that opens a pool whose way leads through the proxy; at the end nothing of it may be left."""
    opened: list[ConnectionPool] = []

    async def open_pool(wait: bool = True, **options: Any) -> ConnectionPool:
        dsn = server.dsn(driver, user=account.user, password=account.password)
        pool = ConnectionPool(dsn, **{"host": proxy.host, "port": proxy.port, **options})
        opened.append(pool)
        await pool.open(wait=wait)
        return pool

    yield open_pool
    proxy.thaw()
    for pool in opened:
        await pool.close(timeout=5)
        assert pool.size == 0
    names = {f"{pool.name}: {kind}" for pool in opened for kind in ("pool task", "maintenance", "close")}
    assert [task for task in asyncio.all_tasks() if task.get_name() in names] == []
    assert await eventually(lambda: proxy.open, lambda count: count == 0) == 0, "sockets were left open"


@pytest.fixture
def whole(admin: Admin, account: Account) -> Callable[[ConnectionPool], Awaitable[None]]:
    """Whether a pool has all its capacity again: `max_size` borrowers at once, each with its own rows, and no more."""

    async def check(pool: ConnectionPool) -> None:
        everybody = asyncio.Barrier(pool.max_size)

        async def work(number: int) -> int:
            async with pool.acquire(timeout=HANG) as connection, connection.cursor() as cursor:
                await everybody.wait()
                await cursor.execute("SELECT %s", (number,))
                return int((await cursor.fetchone())[0])

        answers = await asyncio.gather(*(work(number) for number in range(pool.max_size)))
        assert answers == list(range(pool.max_size))
        stats = pool.stats()
        assert (stats.in_use, stats.waiting) == (0, 0)
        assert stats.size <= pool.max_size

    return check
