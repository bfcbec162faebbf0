"""A driver of a version that the adapter was not tried with: slower, but right."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import logging
import ssl

import pytest

from async_mysqlpool import ConnectError, ConnectionPool

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
def future_version(monkeypatch):
    """Every driver claims to be a release of some later year."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "99.1")


@pytest.mark.parametrize("driver", OPTIONS)
async def test_sessions_stay_clean_without_the_drivers_private_parts(server, driver, future_version, caplog):
    with caplog.at_level(logging.WARNING, "async_mysqlpool"):
        async with ConnectionPool(server.dsn(driver), max_size=2, connect_args=OPTIONS[driver]) as pool:
            ids = []
            for _ in range(3):
                async with pool.acquire() as conn, conn.cursor() as cur:
                    await cur.execute("SELECT CONNECTION_ID(), @left_behind")
                    connection_id, left_behind = await cur.fetchone()
                    ids.append(connection_id)
                    assert left_behind is None
                    await cur.execute("SET @left_behind = 1")
            assert len(set(ids)) == 3
            # The documented ways to close do not wait until the server has hung up: it may count one more for a while.
            async with asyncio.timeout(10):
                while await pool.fetch_value(CONNECTED) > 2:
                    await asyncio.sleep(0.01)
    assert "none of the versions that this pool was tested with" in caplog.text or driver in _told
    _told.add(driver)


@pytest.mark.parametrize("driver", OPTIONS)
async def test_connects_that_are_cancelled_leave_no_socket(server, driver, future_version):
    """A socket left open is a ResourceWarning, which fails this test: see `filterwarnings`."""
    for ticks in range(0, 40, 3):
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


@pytest.mark.parametrize("choice", [True, ssl.create_default_context()], ids=["true", "context"])
@pytest.mark.parametrize("driver", OPTIONS)
async def test_tls_is_not_left_to_a_driver_that_may_do_without(driver, choice, future_version):
    """Whoever listens there is told nothing: nobody connects."""
    came = []
    listener = await asyncio.start_server(lambda _, writer: came.append(writer), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        pool = ConnectionPool(f"mysql+{driver}://app:secret@127.0.0.1:{port}/test", ssl=choice)
        with pytest.raises(ConnectError, match=r"ssl is given, .* install .*\.x"):
            await pool.open()
        await pool.close()
    assert came == []


@pytest.mark.parametrize("driver", OPTIONS)
async def test_false_is_plain_where_the_server_offers_tls(servers, driver, future_version):
    arguments = {key: value for key, value in OPTIONS[driver].items() if key != "ssl_disabled"}
    async with ConnectionPool(servers("mariadb-tls").dsn(driver), ssl=False, connect_args=arguments) as pool:
        assert await pool.fetch_one("SHOW SESSION STATUS LIKE 'Ssl_cipher'") == ("Ssl_cipher", "")


_told: set[str] = set()  # the log says it once in a process
