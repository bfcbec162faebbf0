"""A driver of a version that nobody has tried: it is tried out; where the adapter does not fit, slower, but right."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import logging
import ssl
import sys
from types import SimpleNamespace

import pytest

from async_mysqlpool import ConfigurationError, ConnectError, ConnectionPool, drivers
from async_mysqlpool.drivers import load_driver
from async_mysqlpool.drivers.aiomysql import AiomysqlDriver
from async_mysqlpool.drivers.asyncmy import AsyncmyDriver

pytestmark = pytest.mark.server

# What the drivers' own connect needs here.
OPTIONS = {
    "asyncmy": {},
    "aiomysql": {},
    "mysql.connector.aio": {"ssl_disabled": True, "collation": "utf8mb4_general_ci"},
}
CONNECTED = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'test'"


@pytest.fixture(scope="module")
def server(servers):
    return servers("mariadb")


@pytest.fixture
def of_version(monkeypatch):
    """Every driver claims to be of that version, None: that nobody knows it; and nobody has tried one so far."""

    def claim(version):
        def say(name):
            if version is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return version

        drivers._adapter.cache_clear()
        monkeypatch.setattr(importlib.metadata, "version", say)

    yield claim
    drivers._adapter.cache_clear()


async def borrow(pool, times=3):
    """The ids of the connections that were lent, one after the other; each is left dirty."""
    ids = []
    for _ in range(times):
        async with pool.acquire() as conn, conn.cursor() as cur:
            await cur.execute("SELECT CONNECTION_ID(), @left_behind")
            connection_id, left_behind = await cur.fetchone()
            ids.append(connection_id)
            assert left_behind is None
            await cur.execute("SET @left_behind = 1")
    return ids


@pytest.mark.parametrize("version", ["99.1", "0.0.1", None], ids=["newer", "older", "another distribution"])
@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
@pytest.mark.parametrize("driver", OPTIONS)
async def test_another_version_works_like_any_other_once_it_is_proved(
    servers, flavor, driver, version, of_version, caplog
):
    of_version(version)
    with caplog.at_level(logging.WARNING, "async_mysqlpool"):
        async with ConnectionPool(servers(flavor).dsn(driver), max_size=1, connect_timeout=60) as pool:
            assert len(set(await borrow(pool))) == 1
    assert caplog.text == ""


def _gone(*_, **__):
    raise AttributeError("'Connection' object has no attribute '_this'")


def _nobody_reads_along(adapter, monkeypatch):
    if adapter.name == "mysql.connector.aio":
        for step in ("_do_handshake", "_do_auth"):
            own = sys.modules[type(adapter).__module__]._Connection
            monkeypatch.setattr(own, step, getattr(own.__base__, step))
    else:
        monkeypatch.setattr(sys.modules[AiomysqlDriver.__module__], "oversee", lambda *_: lambda: None)
        monkeypatch.setattr(sys.modules[AsyncmyDriver.__module__], "oversee", lambda *_: lambda: None)


async def _no_rows(*_):
    return ()


# What a driver's next release may have changed, as its adapter meets it.
CHANGES = {
    "the login calls other methods": _nobody_reads_along,
    "it writes to something else": lambda adapter, patch: patch.setattr(
        adapter, "output", lambda _: (SimpleNamespace(output=SimpleNamespace(is_closing=bool)), "output")
    ),
    "its transport has another name": lambda adapter, patch: patch.setattr(adapter, "transport", _gone),
    "its flags have another name": lambda adapter, patch: patch.setattr(adapter, "capabilities", _gone),
    "its settings have another name": lambda adapter, patch: patch.setattr(adapter, "snapshot", _gone),
    "its settings cannot be set": lambda adapter, patch: patch.setattr(adapter, "restore", _gone),
    "rows are elsewhere": lambda adapter, patch: patch.setattr(adapter, "execute", _no_rows),
    "errors are others": lambda adapter, patch: patch.setattr(adapter, "error_number", lambda _: None),
    "cursors are others": lambda adapter, patch: patch.setattr(adapter, "is_buffered", lambda _: False),
    "its buffer has another name": lambda adapter, patch: patch.setattr(adapter, "has_unread", _gone),
    "it does not know when it is closed": lambda adapter, patch: patch.setattr(adapter, "is_dead", lambda _: False),
}


@pytest.fixture(params=CHANGES)
def changed(request, of_version, monkeypatch):
    """A driver that the adapter does not fit any more. What it documents is as ever."""

    def change(driver):
        adapter = load_driver(driver)
        of_version("99.1")
        CHANGES[request.param](adapter, monkeypatch)

    return change


@pytest.mark.parametrize("driver", OPTIONS)
async def test_sessions_stay_clean_without_the_drivers_private_parts(server, driver, changed, caplog):
    changed(driver)
    with caplog.at_level(logging.WARNING, "async_mysqlpool"):
        options = {"connect_args": OPTIONS[driver], "connect_timeout": 60}
        async with ConnectionPool(server.dsn(driver), max_size=2, **options) as pool:
            assert len(set(await borrow(pool))) == 3
            # The documented ways to close do not wait until the server has hung up: it may count one more for a while.
            async with asyncio.timeout(10):
                while await pool.fetch_value(CONNECTED) > 2:
                    await asyncio.sleep(0.01)
    assert caplog.text.count("differs where it matters") == 1


@pytest.mark.parametrize("changed", ["its flags have another name"], indirect=True)
@pytest.mark.parametrize("driver", OPTIONS)
async def test_connects_that_are_cancelled_leave_no_socket(server, driver, changed):
    """A socket left open is a ResourceWarning, which fails this test: see `filterwarnings`."""
    changed(driver)
    for ticks in range(0, 60, 3):
        pool = ConnectionPool(server.dsn(driver), connect_args=OPTIONS[driver])
        opening = asyncio.create_task(pool.open())
        for _ in range(ticks):
            await asyncio.sleep(0.0003)
        opening.cancel()
        await asyncio.wait([opening])
        await pool.close()
        gc.collect()
    async with ConnectionPool(server.dsn()) as observer, asyncio.timeout(10):
        while await observer.fetch_value(CONNECTED) > 1:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("changed", ["the login calls other methods"], indirect=True)
@pytest.mark.parametrize("choice", [True, ssl.create_default_context()], ids=["true", "context"])
@pytest.mark.parametrize("driver", OPTIONS)
async def test_tls_is_not_left_to_a_driver_that_may_do_without(driver, choice, changed):
    """Whoever listens there is told nothing: nobody connects."""
    changed(driver)
    came = []
    listener = await asyncio.start_server(lambda _, writer: came.append(writer), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        pool = ConnectionPool(f"mysql+{driver}://app:secret@127.0.0.1:{port}/test", ssl=choice)
        with pytest.raises(ConnectError, match=r"ssl is given, .* install .* before"):
            await pool.open()
        await pool.close()
    assert came == []


@pytest.mark.parametrize("changed", ["its flags have another name"], indirect=True)
@pytest.mark.parametrize("driver", OPTIONS)
async def test_false_is_plain_where_the_server_offers_tls(servers, driver, changed):
    changed(driver)
    arguments = {key: value for key, value in OPTIONS[driver].items() if key != "ssl_disabled"}
    async with ConnectionPool(servers("mariadb-tls").dsn(driver), ssl=False, connect_args=arguments) as pool:
        assert await pool.fetch_one("SHOW SESSION STATUS LIKE 'Ssl_cipher'") == ("Ssl_cipher", "")


@pytest.mark.parametrize("driver", OPTIONS)
async def test_a_server_that_cannot_be_reached_decides_nothing(server, driver, of_version, caplog):
    of_version("99.1")
    with caplog.at_level(logging.WARNING, "async_mysqlpool.nothing"):
        with pytest.raises(ConnectError):
            await ConnectionPool(f"mysql+{driver}://app:secret@127.0.0.1:1/test").open()
        with pytest.raises(ConnectError):
            await ConnectionPool(server.dsn(driver), password="wrong").open()
        async with ConnectionPool(server.dsn(driver), max_size=1) as pool:
            assert len(set(await borrow(pool))) == 1
    assert "differs where it matters" not in caplog.text


@pytest.mark.parametrize("driver", OPTIONS)
async def test_a_proof_is_one_connection_and_gone_before_the_real_one(server, driver, of_version):
    async with ConnectionPool(server.dsn("asyncmy"), max_size=1) as observer:
        of_version("99.1")
        before = int((await observer.fetch_one("SHOW GLOBAL STATUS LIKE 'Connections'"))[1])
        async with ConnectionPool(server.dsn(driver), max_size=1, min_size=1):
            assert int((await observer.fetch_one("SHOW GLOBAL STATUS LIKE 'Connections'"))[1]) == before + 2
            assert await observer.fetch_value(CONNECTED) == 2


def test_a_driver_that_is_another_one_altogether_is_refused(of_version, monkeypatch):
    of_version("99.1")
    monkeypatch.setitem(sys.modules, "async_mysqlpool.drivers.asyncmy", None)
    with pytest.raises(ConfigurationError, match=r"asyncmy 99\.1 lacks what the pool needs .* install asyncmy from"):
        ConnectionPool("mysql+asyncmy://app@db/shop")
