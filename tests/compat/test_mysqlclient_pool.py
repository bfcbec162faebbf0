"""`mysqlclient_pool.ConnectionPool`: fetch, capacity, and the two errors of its own."""

from __future__ import annotations

import asyncmy
import asyncmy.errors
import pytest
from asyncmy.cursors import DictCursor

from async_mysqlpool import ConnectionPool as OurPool
from async_mysqlpool.compat._shared import UNLIMITED
from async_mysqlpool.compat.mysqlclient_pool import ConnectionPool
from async_mysqlpool.testing import start_server

NOWHERE = {"driver": "asyncmy", "host": "127.0.0.1", "port": 1}


def test_defaults_are_those_of_the_original():
    pool = ConnectionPool({})
    assert (pool.size, pool.pool.min_size, pool.pool.max_size) == (10, 10, UNLIMITED)
    assert ConnectionPool({}, fillup=False).pool.min_size == 0
    assert (pool.capacity, pool.closed) == (0, False)


@pytest.mark.parametrize(
    ("error", "base"),
    [(ConnectionPool.DrainedError, ConnectionError), (ConnectionPool.OverflowError, ConnectionRefusedError)],
)
def test_its_errors_are_what_they_were(error, base):
    assert issubclass(error, base)


async def test_filling_up_gives_in_after_the_timeout():
    with pytest.raises(TimeoutError, match=r"Unable to fill up the connection pool .* after 0\.05 seconds"):
        await ConnectionPool(NOWHERE, timeout=0.05)


async def test_a_pool_that_is_not_filled_up_starts_without_a_server():
    async with ConnectionPool(NOWHERE, fillup=False) as pool:
        with pytest.raises(ConnectionPool.DrainedError, match="cannot connect"):
            async with pool.fetch():
                pass


@pytest.fixture
def make_pool(arguments, closing):
    def make(size=2, fillup=True, **options):
        return closing(ConnectionPool({"driver": "asyncmy", **arguments, **options}, size=size, fillup=fillup))

    return make


@pytest.fixture
async def table(admin):
    await admin.execute("DROP TABLE IF EXISTS compat_client")
    await admin.execute("CREATE TABLE compat_client (id INT)")

    async def count():
        return await admin.fetch_value("SELECT COUNT(*) FROM compat_client")

    return count


@pytest.mark.server
class TestFetch:
    async def test_a_cursor_for_a_block(self, make_pool):
        async with make_pool() as pool, pool.fetch() as cursor:
            await cursor.execute("SELECT 1")
            assert await cursor.fetchone() == (1,)

    async def test_the_kind_of_cursor_can_be_chosen(self, make_pool):
        async with make_pool().fetch(cursor_type=DictCursor) as cursor:
            await cursor.execute("SELECT 1 AS one")
            assert await cursor.fetchone() == {"one": 1}

    async def test_the_block_is_committed(self, make_pool, table):
        async with make_pool().fetch() as cursor:
            await cursor.execute("INSERT INTO compat_client VALUES (1)")
        assert await table() == 1

    async def test_a_block_that_raises_is_rolled_back(self, make_pool, table):
        pool = make_pool()
        with pytest.raises(ZeroDivisionError):
            async with pool.fetch() as cursor:
                await cursor.execute("INSERT INTO compat_client VALUES (1)")
                raise ZeroDivisionError
        assert await table() == 0

    async def test_without_auto_manage_the_user_commits(self, make_pool, table):
        pool = make_pool(size=1)
        for statement in ("ROLLBACK", "COMMIT"):
            async with pool.fetch(auto_manage=False) as cursor:
                await cursor.execute("INSERT INTO compat_client VALUES (1)")
                await cursor.execute(statement)
        async with pool.fetch(auto_manage=False) as cursor:
            await cursor.execute("INSERT INTO compat_client VALUES (1)")
        assert await table() == 1

    async def test_errors_of_the_statement_are_the_drivers(self, make_pool):
        pool = make_pool()
        with pytest.raises(asyncmy.errors.ProgrammingError):
            async with pool.fetch() as cursor:
                await cursor.execute("SELECT * FROM compat_no_such_table")

    async def test_a_lost_connection_costs_one_block(self, make_pool, admin):
        pool = make_pool(size=1)
        with pytest.raises(asyncmy.errors.OperationalError):
            async with pool.fetch() as cursor:
                await cursor.execute("SELECT CONNECTION_ID()")
                await admin.execute(f"KILL {(await cursor.fetchone())[0]}")
                await cursor.execute("SELECT 1")
        async with pool.fetch() as cursor:
            await cursor.execute("SELECT 1")


@pytest.mark.server
class TestCapacity:
    async def test_filled_up_or_not(self, make_pool):
        assert (await make_pool()).capacity == 2
        assert (await make_pool(fillup=False)).capacity == 0

    async def test_the_pool_grows_and_keeps_size_connections(self, make_pool):
        pool = make_pool(size=1, fillup=False)
        async with pool.fetch(), pool.fetch(), pool.fetch():
            assert pool.pool.size == 3
        assert pool.capacity == 1

    async def test_a_closed_pool_gives_nothing(self, make_pool):
        pool = await make_pool()
        await pool.close()
        assert pool.closed
        with pytest.raises(RuntimeError, match="The connection pool is closed"):
            async with pool.fetch():
                pass

    async def test_more_than_max_size_is_an_overflow(self, make_pool):
        pool = make_pool(size=1, max_size=1, queue_timeout=0.5)  # connects within it
        async with pool.fetch():
            with pytest.raises(ConnectionPool.OverflowError, match=r"test_mysqlclient_pool\.py:\d+"):
                async with pool.fetch():
                    pass

    async def test_a_wrong_password_is_the_drivers_error(self, make_pool):
        for pool in (make_pool(fillup=False, password="wrong"), make_pool(password="wrong")):
            with pytest.raises(asyncmy.errors.OperationalError) as caught:
                async with pool.fetch():
                    pass
            assert caught.value.args[0] in {1045, 1698}
        with pytest.raises(asyncmy.errors.OperationalError):
            await make_pool(password="wrong")


@pytest.mark.server
async def test_a_full_server_is_an_overflow_and_a_stopped_one_drains():
    with start_server("mariadb", options={"max_connections": 10}) as server:
        async with OurPool(server.dsn(), min_size=0, max_size=20) as hog:
            held = []
            try:
                while True:
                    held.append(await hog.acquire(timeout=1))
            except Exception:
                assert held
            pool = ConnectionPool(
                {"driver": "asyncmy", "host": server.host, "port": server.port, "user": server.user,
                 "password": server.password, "queue_timeout": 1, "validate_after": 0},
                fillup=False,
            )  # fmt: skip
            with pytest.raises(ConnectionPool.OverflowError):
                async with pool.fetch():
                    pass
            for connection in held:
                connection.close()
        async with pool.fetch() as cursor:
            await cursor.execute("SELECT 1")
        server.kill()
        with pytest.raises(ConnectionPool.DrainedError):
            async with pool.fetch():
                pass
        await pool.close()
