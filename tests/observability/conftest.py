"""Pools whose doings are looked at through what people have: on real servers by every driver, or on a fake one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing.fake import FakeDriver, FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from async_mysqlpool.testing import Server

DRIVERS = ("asyncmy", "aiomysql", "mysql.connector.aio")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for a server here needs a real one."""
    for item in items:
        if item.path.parent.name == "observability" and "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)


@pytest.fixture(params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    """A real one."""
    return servers(request.param)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """The name of a driver."""
    pytest.importorskip(request.param.removesuffix(".aio"))
    return request.param


@pytest.fixture
async def real(server: Server, driver: str) -> AsyncIterator[Callable[..., ConnectionPool]]:
    """A function that makes a pool on a real server; to be opened by the test, closed when it is over."""
    async with contextlib.AsyncExitStack() as stack:

        def make(**options: Any) -> ConnectionPool:
            pool = ConnectionPool(server.dsn(driver), **{"name": "shop", **options})
            stack.push_async_callback(pool.close, timeout=5)
            return pool

        yield make


@pytest.fixture
def fake() -> FakeServer:
    """A server in memory, for what needs no real one."""
    return FakeServer()


@pytest.fixture
def make_pool(fake: FakeServer) -> Callable[..., ConnectionPool]:
    """A function that makes a pool on it."""

    def make(**options: Any) -> ConnectionPool:
        return ConnectionPool(driver=FakeDriver(fake), **{"name": "shop", "min_size": 0, "max_size": 2, **options})

    return make
