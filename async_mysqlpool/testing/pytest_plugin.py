"""Fixtures for the tests of programs that use a pool: a throwaway server, a pool on it, a transaction that is undone.

Loaded only where it is asked for, in the top-level ``conftest.py``:

    pytest_plugins = ["async_mysqlpool.testing.pytest_plugin"]

    @pytest.mark.asyncio  # not needed with asyncio_mode = "auto"
    async def test_users(mysql_transaction):
        async with mysql_transaction.cursor() as cursor:
            await cursor.execute("INSERT INTO users (name) VALUES ('Ada')")  # rolled back after the test

The async fixtures work with pytest-asyncio in either mode, and with anyio's plugin where that is all there is.
Override `mysql_server`, `mysql_dsn` or `mysql_pool_options` with a fixture of your own to change what they start from.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from async_mysqlpool.pool import ConnectionPool
from async_mysqlpool.testing.server import Server, start_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from async_mysqlpool.lease.connection import PooledConnection

try:
    from pytest_asyncio import fixture as _async_fixture
except ImportError:
    _async_fixture = pytest.fixture  # type: ignore[assignment]

__all__ = ["mysql_dsn", "mysql_pool", "mysql_pool_options", "mysql_server", "mysql_transaction"]


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[Server]:
    """A throwaway MariaDB or MySQL server for the whole run; `ASYNC_MYSQLPOOL_DSN` names one that exists already.

    Raises:
        ServerUnavailable: none can be had here; the message says what was tried.
    """
    with start_server() as server:
        yield server


@pytest.fixture(scope="session")
def mysql_dsn(mysql_server: Server) -> str:
    """The DSN of `mysql_server`, for a `ConnectionPool` or for the settings of the program under test."""
    return mysql_server.dsn()


@pytest.fixture
def mysql_pool_options() -> dict[str, Any]:
    """Keyword arguments for `mysql_pool`; none."""
    return {}


@_async_fixture
async def mysql_pool(mysql_dsn: str, mysql_pool_options: dict[str, Any]) -> AsyncIterator[ConnectionPool]:
    """An open pool for one test, in the test's event loop; closed afterwards."""
    async with ConnectionPool(mysql_dsn, **mysql_pool_options) as pool:
        yield pool


class _UndoError(Exception):
    """What rolls the transaction back."""


@_async_fixture
async def mysql_transaction(mysql_pool: ConnectionPool) -> AsyncIterator[PooledConnection]:
    """A connection of `mysql_pool` inside a transaction block that is rolled back after the test.

    `conn.transaction()` in it is a savepoint; what would end it (DDL, `commit()`) raises `TransactionError`.
    """
    with suppress(_UndoError):
        async with mysql_pool.transaction() as connection:
            yield connection
            raise _UndoError
