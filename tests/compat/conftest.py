"""Real servers for the pools that people have today, and what their arguments are there."""

from __future__ import annotations

import contextlib

import pytest

from async_mysqlpool import ConnectionPool


@pytest.fixture(scope="session", params=["mariadb", "mysql"])
def server(request, servers):
    return servers(request.param)


@pytest.fixture
def arguments(server):
    """What every one of the originals calls host, port, user, password, database."""
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "database": server.database,
    }


@pytest.fixture
async def admin(server):
    """A pool of its own, to look at the server and to do things to it."""
    async with ConnectionPool(server.dsn()) as pool:
        yield pool


@pytest.fixture
async def closing():
    """Closes every pool that a test made, whatever became of it."""
    async with contextlib.AsyncExitStack() as stack:

        def close_later(pool):
            stack.push_async_exit(pool)
            return pool

        yield close_later
