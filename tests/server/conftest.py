"""Real servers, and pools on them that must leave nothing behind.

`server` and `driver` multiply every test that uses them; a test that wants other servers says
``@pytest.mark.parametrize("server", ALL_SERVERS, indirect=True)``.
"""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from certificates import Authority
from kit import HANG, Account, Admin, eventually, on_demand

from async_mysqlpool import ConfigurationError, ConnectionPool
from async_mysqlpool.drivers import ConnectParams, load_driver
from async_mysqlpool.testing import start_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.testing import Server

_OPTIONS: dict[str, dict[str, object]] = {
    "": {},
    "latin1": {"character_set_server": "latin1"},
    "broken": {},
    "tls": {},  # `authority` signs its certificate
    "plain": {"tls_version": ""},  # of MySQL; MariaDB has no certificate unless given one
}
_numbers = itertools.count(1)


def _installed(name: str) -> bool:
    try:
        load_driver(name)
    except ConfigurationError:
        return False
    return True


DRIVERS = [name for name in ("asyncmy", "aiomysql", "mysql.connector.aio") if _installed(name)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a server, but for what is compared with one."""
    for item in items:
        if item.path.parent.name == "server" and "fake" not in item.path.name:
            item.add_marker(pytest.mark.server)
            # aiomysql turns what SHOW WARNINGS says into Python warnings; provoking those is not our mistake.
            item.add_marker(pytest.mark.filterwarnings("ignore::pymysql.err.Warning"))


@pytest.hookimpl(tryfirst=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's own loop; a test or module marked with `kit.BOTH_LOOPS` runs in uvloop's as well."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of servers that are called "-tls"."""
    return Authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="session")
def servers(authority: Authority) -> Iterator[Callable[[str], Server]]:
    """A server by name ("mysql", "mysql-latin1", ...), started when first asked for, and ours until the end."""

    def start(name: str) -> Server:
        flavor, _, variant = name.partition("-")
        options = _OPTIONS[variant]
        if variant == "tls":
            certificate, key = authority.certificate("127.0.0.1", "localhost")
            options = {"ssl_cert": certificate, "ssl_key": key, "ssl_ca": authority.file}
        return start_server(flavor, options=options)

    with on_demand(start) as get:
        yield get


@pytest.fixture(params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    """A server that all tests share: leave it as it was."""
    return servers(request.param)


@pytest.fixture
def admin(server: Server) -> Iterator[Admin]:
    """The test's second look at the shared server: synchronous, and not through the code under test."""
    with Admin(server) as admin:
        yield admin


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """The name of a driver."""
    return request.param


@pytest.fixture
def adapter(driver: str) -> Driver:
    """The driver's adapter."""
    return load_driver(driver)


@pytest.fixture
async def accounts(admin: Admin) -> AsyncIterator[Callable[..., Account]]:
    """A function that makes accounts of the test's own, so that the server can tell its connections from all others."""
    made: list[Account] = []

    def make(grant: str = "ALL PRIVILEGES ON *.*", more: str = "") -> Account:
        account = Account(f"test{next(_numbers)}", "s3cret")
        admin.create(account, grant, more)
        made.append(account)
        return account

    yield make
    for account in made:
        assert await eventually(partial(admin.connection_ids, account.user), lambda ids: not ids) == []
        admin.drop(account)


@pytest.fixture
def account(accounts: Callable[..., Account]) -> Account:
    """Who the test's pools are, to the server."""
    return accounts()


@pytest.fixture
def params(server: Server, account: Account) -> ConnectParams:
    """What a `Driver` needs to connect as `account`."""
    return ConnectParams(
        host=server.host,
        port=server.port,
        user=account.user,
        password=account.password,
        database=server.database,
        unix_socket=None,
        charset="utf8mb4",
        autocommit=True,
        ssl=None,
        connect_timeout=10.0,
        track_session=False,
        connect_args={},
    )


@pytest.fixture(autouse=True)
async def no_hang() -> AsyncIterator[None]:
    """A test that hangs is cancelled, so that the others get their turn."""
    loop = asyncio.get_running_loop()

    def give_up() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel(f"this test hung for {HANG} s")

    timer = loop.call_later(HANG, give_up)
    yield
    timer.cancel()


@pytest.fixture
async def pools(account: Account, driver: str, server: Server) -> Any:
    """A function that opens a pool as `account`; when the test is over, nothing of these pools may be left."""
    before = asyncio.all_tasks()
    opened: list[ConnectionPool] = []

    async def open_pool(**options: Any) -> ConnectionPool:
        pool = ConnectionPool(server.dsn(driver, user=account.user, password=account.password), **options)
        opened.append(pool)
        await pool.open()
        return pool

    yield open_pool
    for pool in opened:
        await pool.close(timeout=5)
        assert pool.closed
        assert pool.size == 0
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert [task for task in left if task.get_name() != "proxy"] == []
