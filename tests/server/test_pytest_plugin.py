"""The fixtures for users' own tests, in a pytest run of their own."""

from __future__ import annotations

import pytest

from async_mysqlpool.testing.cache import cache_folder

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest

from async_mysqlpool.testing.cache import cache_folder

pytest_plugins = ["async_mysqlpool.testing.pytest_plugin"]

@pytest.fixture
def mysql_pool_options():
    return {"max_size": 2}
"""
STRICT = ("-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")
TESTS = """
import pytest

seen = set()

@pytest.mark.asyncio
async def test_server_and_pool(mysql_server, mysql_dsn, mysql_pool):
    assert mysql_server.password in mysql_dsn
    assert mysql_pool.max_size == 2
    await mysql_pool.execute("CREATE TABLE users (name VARCHAR(20))")
    seen.add(mysql_server)

@pytest.mark.asyncio
async def test_change(mysql_server, mysql_transaction):
    async with mysql_transaction.cursor() as cursor:
        await cursor.execute("INSERT INTO users VALUES ('Ada')")
        await cursor.execute("SELECT name FROM users")
        assert list(await cursor.fetchall()) == [("Ada",)]
    assert mysql_server in seen

@pytest.mark.asyncio
async def test_change_given_back(mysql_transaction):
    async with mysql_transaction.cursor() as cursor:
        await cursor.execute("INSERT INTO users VALUES ('Bob')")
    mysql_transaction.close()

@pytest.mark.asyncio
async def test_change_in_a_block_of_the_program_under_test(mysql_transaction):
    async with mysql_transaction.transaction(), mysql_transaction.cursor() as cursor:
        await cursor.execute("INSERT INTO users VALUES ('Cid')")

@pytest.mark.asyncio
async def test_undone(mysql_pool):
    assert list(await mysql_pool.fetch_all("SELECT name FROM users")) == []
"""


CACHE = cache_folder().parent


@pytest.fixture(autouse=True)
def keep_the_cache(monkeypatch, pytester):
    """`pytester` has a home of its own, where all servers would have to be made anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE))


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_fixtures(mode, pytester):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(*STRICT, "-o", f"asyncio_mode={mode}")
    result.assert_outcomes(passed=5)


def test_nothing_is_started_unless_asked_for(pytester):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_without(request): assert 'mysql_server' not in request.fixturenames")
    pytester.runpytest_subprocess(*STRICT).assert_outcomes(passed=1)
