"""What the tests have in common: an application on the throwaway server, and a client of it."""

from collections.abc import AsyncGenerator

import httpx
import pytest
from accounts import create_tables
from service import create_app

from async_mysqlpool import ConnectionPool

pytest_plugins = ["async_mysqlpool.testing.pytest_plugin"]


@pytest.fixture(autouse=True)
async def tables(mysql_pool: ConnectionPool) -> None:
    await create_tables(mysql_pool)
    for table in ("account", "transfer"):
        await mysql_pool.execute(f"TRUNCATE {table}")


@pytest.fixture
async def client(tables: None, mysql_dsn: str) -> AsyncGenerator[httpx.AsyncClient]:
    app = create_app(ConnectionPool(mysql_dsn, max_size=4), page_token="for the test")
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://it") as http:
        yield http
