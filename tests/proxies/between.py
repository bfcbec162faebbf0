"""Ways to a server that are not the server's own port, and crowds of borrowers that come along them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kit import HANG, Admin, on_demand, rows

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing import start_server
from async_mysqlpool.testing.relays import start_haproxy, start_router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from async_mysqlpool import PooledConnection
    from async_mysqlpool.testing import Server
    from async_mysqlpool.testing.mysql_proxy import MySQLProxy

    Servers = Callable[[str], Server]

__all__ = ["admin", "no_hang", "pool_at", "relay", "relays", "servers", "warnings"]

# Name -> what starts it, and before which server.
RELAYS = {
    "haproxy": (start_haproxy, "mysql"),
    "haproxy, mariadb": (start_haproxy, "mariadb"),
    "router": (start_router, "mysql"),
    "router, mariadb": (start_router, "mariadb"),
    "router with TLS": (partial(start_router, tls="own"), "mysql"),
    "router passing TLS through": (partial(start_router, tls="passthrough"), "mysql"),
    "router sharing": (partial(start_router, connection_sharing=True), "mysql"),
    "router sharing, with TLS": (partial(start_router, connection_sharing=True, tls="own"), "mysql"),
}
RESETS = ["session", "auto", "rollback"]
# Bytes of a borrower's first statement: shorter and longer than what restores a session, and than what is read at once.
LENGTHS = (0, 40, 90, 400, 5_000, 40_000)
BORROWS, TASKS, CONNECTIONS = 60, 12, 3


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A server by its flavor, started when first asked for."""
    with on_demand(start_server) as get:
        for flavor in ("mariadb", "mysql"):
            with Admin(get(flavor)) as admin:
                admin.rows("CREATE TABLE IF NOT EXISTS other.probe LIKE test.probe")
        yield get


@pytest.fixture(scope="session")
def relays(servers: Servers) -> Iterator[Servers]:
    """A relay by its name, started when first asked for."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def get(name: str) -> Server:
            if name not in running:
                start, flavor = RELAYS[name]
                running[name] = stack.enter_context(start(servers(flavor)))
            return running[name]

        yield get


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest, relays: Servers) -> Server:
    """Each in turn."""
    return relays(request.param)


@pytest.fixture
def admin(servers: Servers, flavor: str) -> Iterator[Admin]:
    """A connection to the server itself."""
    with Admin(servers(flavor)) as admin:
        yield admin


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """A function that gives what the pool has warned of so far."""
    caplog.set_level(logging.WARNING, "async_mysqlpool")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("async_mysqlpool")]


@pytest.fixture
def pool_at() -> Any:
    """A function that opens a pool for a block: to a server or a relay, or through a proxy before it."""

    @asynccontextmanager
    async def open_pool(
        server: Server, driver: str, proxy: MySQLProxy | None = None, **more: Any
    ) -> AsyncIterator[ConnectionPool]:
        options: dict[str, Any] = {"max_size": CONNECTIONS, "queue_timeout": 20.0, "validation_timeout": 0.5}
        if proxy is not None:
            options |= {"port": proxy.port}
        if proxy is not None or getattr(server, "tls", "") == "none":
            options |= {"ssl": False}  # there is none, and the password is told all the same
        async with ConnectionPool(server.dsn(driver), **options | more) as pool:
            yield pool

    return open_pool


@pytest.fixture(autouse=True)
async def no_hang() -> AsyncIterator[None]:
    """A test that hangs is cancelled, so that the others get their turn."""
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(HANG, task.cancel, "this test hung")
    yield
    timer.cancel()


async def crowd(pool: ConnectionPool, reset: str, borrows: int = BORROWS) -> Counter[str]:
    """All borrows by how they ended: "ok", or what was wrong. Each leaves something behind that none may find."""

    async def borrower(first: int) -> list[str]:
        return [await _borrow(pool, reset, number) for number in range(first, borrows, TASKS)]

    async with asyncio.timeout(HANG / 2):
        results = await asyncio.gather(*(borrower(first) for first in range(TASKS)))
    return Counter(result for some in results for result in some)


async def _borrow(pool: ConnectionPool, reset: str, number: int) -> str:
    try:
        async with pool.acquire() as connection:
            found = await _look(connection, number)
            if reset == "rollback":
                found = (*found[:1], *found[-1:])
            clean = (number, 0) if reset == "rollback" else (number, None, "test", 0, 0)
            for sql in _DIRT[reset][number % len(_DIRT[reset])]:
                await rows(connection, sql)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok" if found == clean else f"borrow {number} found {found}"


async def _look(connection: PooledConnection, number: int) -> tuple[Any, ...]:
    """Of several lengths, and what all of them bring: the number, a variable, the schema, a setting, unsaved rows."""
    padding = "." * LENGTHS[number % len(LENGTHS)]
    [first] = await rows(connection, f"SELECT {number}, @dirty, DATABASE(), @@SESSION.sql_safe_updates /* {padding} */")
    [[unsaved]] = await rows(connection, "SELECT COUNT(*) FROM test.items WHERE note = 'uncommitted'")
    return (*first, unsaved)


_UNSAVED = ("BEGIN", "INSERT INTO test.items (note) VALUES ('uncommitted')")
_CHANGED = ("SET @dirty = 1, sql_safe_updates = 1",)
_ALL_KINDS: tuple[tuple[str, ...], ...] = ((), _CHANGED, _UNSAVED, ("USE other",), (*_CHANGED, "USE other", *_UNSAVED))
_DIRT: dict[str, tuple[tuple[str, ...], ...]] = {"session": _ALL_KINDS, "auto": _ALL_KINDS, "rollback": ((), _UNSAVED)}
