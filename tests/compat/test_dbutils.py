"""`PooledDB`: its limits, and its connections."""

from __future__ import annotations

import asyncio

import aiomysql
import asyncmy
import pymysql
import pytest

from async_mysqlpool import AcquireTimeoutError
from async_mysqlpool.compat import dbutils
from async_mysqlpool.compat._shared import UNLIMITED
from async_mysqlpool.compat.dbutils import PooledDB


class TestArguments:
    def test_defaults_are_those_of_the_original(self):
        pool = PooledDB(aiomysql).pool
        assert (pool.min_size, pool.max_size, pool.driver.name) == (0, UNLIMITED, "aiomysql")

    @pytest.mark.parametrize(
        ("creator", "driver"), [(aiomysql, "aiomysql"), (asyncmy, "asyncmy"), ("pymysql", "aiomysql")]
    )
    def test_the_creator_is_the_module_of_the_driver(self, creator, driver):
        pool = PooledDB(creator)
        assert pool.pool.driver.name == driver
        assert PooledDB(pool.pool.driver).pool.driver is pool.pool.driver

    @pytest.mark.parametrize("creator", [aiomysql.connect, "sqlite3", None])
    def test_a_function_cannot_open_the_connections(self, creator):
        with pytest.raises(dbutils.NotSupportedError, match="creator"):
            PooledDB(creator)

    @pytest.mark.parametrize("name", ["failures", "isfatal"])
    def test_statements_are_not_repeated(self, name):
        with pytest.raises(dbutils.NotSupportedError, match="run_transaction"):
            PooledDB(aiomysql, **{name: Exception})

    @pytest.mark.parametrize(
        ("limits", "least", "most"),
        [
            ({"mincached": 2, "maxcached": 5, "maxconnections": 10}, 2, 10),
            ({"maxcached": 5, "maxconnections": 3}, 0, 5),
            ({"mincached": 4, "maxcached": 2, "maxconnections": 3}, 4, 4),
            ({"mincached": None, "maxcached": None, "maxconnections": None}, 0, UNLIMITED),
        ],
    )
    def test_a_limit_gives_way_to_a_greater_minimum(self, limits, least, most):
        pool = PooledDB(aiomysql, **limits).pool
        assert (pool.min_size, pool.max_size) == (least, most)


@pytest.fixture(params=[aiomysql, asyncmy], ids=["aiomysql", "asyncmy"])
def make_pool(request, arguments, closing):
    def make(**options):
        return closing(PooledDB(request.param, **arguments, **options))

    return make


async def value(connection, sql):
    async with connection.cursor() as cursor:
        await cursor.execute(sql)
        return (await cursor.fetchone())[0]


@pytest.mark.server
class TestBorrowing:
    async def test_mincached_connections_are_open_at_the_start(self, make_pool):
        pool = await make_pool(mincached=2)
        assert pool.pool.size == 2

    async def test_every_form_of_borrowing(self, make_pool):
        pool = make_pool(maxconnections=1)
        connection = await pool.connection()
        assert await value(connection, "SELECT 1") == 1
        await connection.close()
        await connection.close()
        async with pool.connection() as connection:
            assert await value(connection, "SELECT 2") == 2
        async with await pool.connection(shareable=False) as connection:
            assert await value(connection, "SELECT 3") == 3
        async with pool.dedicated_connection() as connection:
            assert await value(connection, "SELECT 4") == 4

    async def test_a_closed_connection_says_so(self, make_pool):
        connection = await make_pool().connection()
        await connection.close()
        with pytest.raises(dbutils.InvalidConnectionError):
            connection.cursor()

    async def test_without_blocking_the_next_one_is_too_many(self, make_pool):
        pool = make_pool(maxconnections=1)
        async with pool.connection():
            with pytest.raises(dbutils.TooManyConnections, match="blocking=True"):
                await pool.connection()
        async with pool.connection() as connection:
            assert await value(connection, "SELECT 1") == 1

    async def test_blocking_waits(self, make_pool):
        pool = make_pool(maxconnections=1, blocking=True)
        connection = await pool.connection()
        waiter = asyncio.create_task(pool.connection())
        await asyncio.sleep(0)
        await connection.close()
        await (await asyncio.wait_for(waiter, 10)).close()

    async def test_but_not_for_ever(self, make_pool):
        pool = make_pool(maxconnections=1, blocking=True, queue_timeout=0.5)  # connects within it
        async with pool.connection():
            with pytest.raises(AcquireTimeoutError, match=r"test_dbutils\.py:\d+"):
                await asyncio.create_task(pool.connection())

    async def test_transactions(self, make_pool, admin):
        await admin.execute("DROP TABLE IF EXISTS compat_db")
        await admin.execute("CREATE TABLE compat_db (id INT)")
        pool = make_pool(maxconnections=1)
        async with pool.connection() as connection:
            for finish in (connection.rollback, connection.commit):
                await connection.begin()
                async with connection.cursor() as cursor:
                    await cursor.execute("INSERT INTO compat_db VALUES (1)")
                await finish()
            await connection.ping()
        assert await admin.fetch_value("SELECT COUNT(*) FROM compat_db") == 1

    @pytest.mark.parametrize(("reset", "left"), [(True, None), (False, 1), (None, 1)])
    async def test_the_session_is_reset_unless_told_otherwise(self, make_pool, reset, left):
        pool = make_pool(maxconnections=1, reset=reset)
        async with pool.connection() as connection, connection.cursor() as cursor:
            await cursor.execute("SET @mine = 1")
        async with pool.connection() as connection:
            assert await value(connection, "SELECT @mine") == left

    async def test_setsession_holds_for_every_borrower(self, make_pool):
        pool = make_pool(maxconnections=1, setsession=["SET time_zone = '+03:00'", "SET @greeting = 'hello'"])
        for _ in range(2):
            async with pool.connection() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT @@time_zone, @greeting")
                assert await cursor.fetchone() == ("+03:00", "hello")
                await cursor.execute("SET time_zone = '+05:00', @greeting = 'bye'")


@pytest.mark.server
class TestLimits:
    async def test_connections_beyond_maxcached_are_closed_on_return(self, make_pool):
        pool = make_pool(maxcached=1)
        borrowed = [await pool.connection() for _ in range(3)]
        for connection in borrowed:
            await connection.close()
        stats = pool.pool.stats()
        assert stats.idle + stats.cleaning == 1

    async def test_a_connection_is_closed_after_maxusage_borrows(self, make_pool):
        pool = make_pool(maxconnections=1, maxusage=2, blocking=True)
        ids = []
        for _ in range(4):
            async with pool.connection() as connection:
                ids.append(await value(connection, "SELECT CONNECTION_ID()"))
        assert ids[0] == ids[1] != ids[2] == ids[3]

    async def test_a_connection_that_died_while_idle_is_not_given_out(self, make_pool, admin):
        pool = make_pool(maxconnections=1, ping=0, validate_after=0)
        async with pool.connection() as connection:
            number = await value(connection, "SELECT CONNECTION_ID()")
        await admin.execute(f"KILL {number}")
        async with pool.connection() as connection:
            assert await value(connection, "SELECT CONNECTION_ID()") != number


@pytest.mark.server
class TestTheOriginalsOwnWays:
    async def test_a_closed_pool_opens_again(self, make_pool):
        pool = await make_pool(maxconnections=1, mincached=1)
        for _ in range(2):
            async with pool.connection() as connection:
                assert await value(connection, "SELECT 1") == 1
            await pool.close()
            assert pool.pool.size == 0
        async with pool:
            assert pool.pool.size == 1

    async def test_a_borrower_that_the_close_has_outlived_may_still_return(self, make_pool):
        pool = make_pool(maxconnections=1)
        connection = await pool.connection()
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        async with pool.connection() as other:
            assert await value(other, "SELECT 1") == 1
        await connection.close()
        await closing

    async def test_what_a_connection_says_of_its_driver(self, make_pool, arguments):
        """The original's answers, with PyMySQL."""
        pooled_db = pytest.importorskip("dbutils.pooled_db", reason="DBUtils is not installed")
        original = pooled_db.PooledDB(pymysql, **arguments).connection()
        async with make_pool().connection() as connection:
            assert connection.dbapi().__name__ in {"aiomysql", "asyncmy"}
            for name in ("Error", "connect", "OperationalError"):
                assert hasattr(original.dbapi(), name)
                assert hasattr(connection.dbapi(), name)
            assert connection.threadsafety() == original.threadsafety() == 1
            original.cancel()
            await connection.cancel()
            assert await value(connection, "SELECT 1") == 1
        original.close()

    @pytest.mark.parametrize("creator", ["pymysql", "aiomysql"])
    async def test_a_creator_by_name(self, arguments, closing, creator):
        async with closing(PooledDB(creator, **arguments)).connection() as connection:
            assert connection.dbapi() is aiomysql
