"""`MySQLConnectionPool`: its sizes, its names, its errors, and what it never does here."""

from __future__ import annotations

import asyncio

import pytest

from async_mysqlpool import ConcurrentUseError
from async_mysqlpool.compat import mysql_connector
from async_mysqlpool.compat.mysql_connector import MySQLConnectionPool


class TestArguments:
    def test_defaults_are_those_of_the_original(self):
        pool = MySQLConnectionPool(host="db.example", port=3307, user="app", database="shop")
        assert (pool.pool_size, pool.pool_name, pool.reset_session) == (5, "db.example_3307_app_shop", True)
        assert (pool.pool.min_size, pool.pool.max_size) == (5, 5)

    def test_a_pool_without_a_name_needs_something_to_make_one_of(self):
        with pytest.raises(mysql_connector.PoolError, match="specify pool_name"):
            MySQLConnectionPool()

    @pytest.mark.parametrize("size", [0, -1])
    def test_a_pool_has_at_least_one_connection(self, size):
        with pytest.raises(AttributeError, match="higher than 0"):
            MySQLConnectionPool(pool_size=size, pool_name="p")

    async def test_a_pool_without_configuration_gives_nothing(self):
        pool = MySQLConnectionPool(pool_name="p")
        with pytest.raises(mysql_connector.PoolError, match="configuration not available"):
            await pool.get_connection()
        with pytest.raises(mysql_connector.PoolError, match="configuration not available"):
            await pool.add_connection()
        await pool.close()


@pytest.fixture
def make_pool(arguments, closing):
    async def make(**options):
        return closing(await MySQLConnectionPool(**{"pool_name": "mypool", **arguments, **options}))

    return make


async def value(connection, sql):
    async with connection.cursor() as cursor:
        await cursor.execute(sql)
        return (await cursor.fetchone())[0]


@pytest.mark.server
class TestBorrowing:
    async def test_all_connections_are_open_at_the_start(self, make_pool):
        pool = await make_pool(pool_size=3)
        assert pool.pool.size == 3

    async def test_an_exhausted_pool_says_so_at_once(self, make_pool):
        pool = await make_pool(pool_size=1)
        connection = await pool.get_connection()
        assert connection.pool_name == "mypool"
        with pytest.raises(mysql_connector.PoolError, match="pool exhausted"):
            await pool.get_connection()
        await connection.close()
        # It is being made clean: that is not exhaustion.
        async with pool.get_connection() as connection:
            assert await value(connection, "SELECT 1") == 1

    async def test_with_queue_timeout_it_waits(self, make_pool):
        pool = await make_pool(pool_size=1, queue_timeout=10)
        connection = await pool.get_connection()
        waiter = asyncio.create_task(pool.get_connection())
        await asyncio.sleep(0)
        await connection.close()
        await (await waiter).close()

    async def test_waiting_ends_in_the_same_error(self, make_pool):
        pool = await make_pool(pool_size=1, queue_timeout=0.01)
        async with pool.get_connection():
            with pytest.raises(mysql_connector.PoolError, match=r"pool exhausted: .*test_mysql_connector\.py:\d+"):
                await asyncio.create_task(pool.get_connection())

    async def test_is_connected(self, make_pool, admin):
        pool = await make_pool()
        connection = await pool.get_connection()
        assert await connection.is_connected()
        await admin.execute(f"KILL {await value(connection, 'SELECT CONNECTION_ID()')}")
        assert not await connection.is_connected()
        await connection.close()
        assert not await connection.is_connected()
        async with pool.get_connection() as connection:
            assert await connection.is_connected()

    async def test_a_connection_in_use_by_another_task_is_not_called_dead(self, make_pool):
        pool = await make_pool()
        async with pool.get_connection() as connection:
            cursor = connection.cursor()
            statement = asyncio.create_task(cursor.execute("SELECT SLEEP(0.05)"))
            await asyncio.sleep(0)
            with pytest.raises(ConcurrentUseError):
                await connection.is_connected()
            await statement

    @pytest.mark.parametrize(("reset", "left"), [(True, None), (False, 1)])
    async def test_the_session_is_reset_unless_told_otherwise(self, make_pool, reset, left):
        pool = await make_pool(pool_size=1, pool_reset_session=reset)
        async with pool.get_connection() as connection, connection.cursor() as cursor:
            await cursor.execute("SET @mine = 1")
        async with pool.get_connection() as connection:
            assert await value(connection, "SELECT @mine") == left

    @pytest.mark.parametrize("reset", [True, False])
    async def test_a_transaction_ends_with_the_borrow(self, make_pool, admin, reset):
        await admin.execute("DROP TABLE IF EXISTS compat_oracle")
        await admin.execute("CREATE TABLE compat_oracle (id INT)")
        pool = await make_pool(pool_size=1, pool_reset_session=reset)
        async with pool.get_connection() as connection, connection.cursor() as cursor:
            await connection.start_transaction()
            await cursor.execute("INSERT INTO compat_oracle VALUES (1)")
        async with pool.get_connection() as connection:
            await connection.commit()
        assert await admin.fetch_value("SELECT COUNT(*) FROM compat_oracle") == 0

    async def test_variables_of_the_connection_arguments_survive_the_reset(self, make_pool):
        pool = await make_pool(pool_size=1, time_zone="+03:00", sql_mode="ANSI_QUOTES")
        for _ in range(2):
            async with pool.get_connection() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT @@time_zone, @@sql_mode, @@autocommit")
                assert await cursor.fetchone() == ("+03:00", "ANSI_QUOTES", 0)
                await cursor.execute("SET time_zone = '+05:00'")

    async def test_configuring_a_connection_is_refused(self, make_pool):
        pool = await make_pool()
        async with pool.get_connection() as connection:
            with pytest.raises(mysql_connector.PoolError, match="through the pool itself"):
                connection.config(user="other")

    async def test_a_closed_pool_gives_nothing(self, make_pool):
        pool = await make_pool()
        await pool.close()
        with pytest.raises(mysql_connector.PoolError, match="closed"):
            await pool.get_connection()


@pytest.mark.server
class TestCursors:
    @pytest.fixture(params=["asyncmy", "aiomysql", "mysql.connector.aio"])
    async def connection(self, make_pool, request):
        async with (await make_pool(driver=request.param)).get_connection() as connection:
            yield connection

    async def test_rows_as_dicts(self, connection):
        async with connection.cursor(dictionary=True) as cursor:
            await cursor.execute("SELECT %s AS id, %s AS name", (1, "Ada"))
            assert cursor.column_names == ("id", "name")
            assert await cursor.fetchall() == [{"id": 1, "name": "Ada"}]

    async def test_rows_as_tuples(self, connection):
        async with connection.cursor(buffered=True) as cursor:
            await cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4")
            assert cursor.rowcount == 4
            assert await cursor.fetchone() == (1,)
            assert await cursor.fetchmany() == [(2,)]
            assert [row async for row in cursor] == [(3,), (4,)]

    async def test_many_rows_at_once(self, connection):
        async with connection.cursor() as cursor:
            await cursor.execute("CREATE TEMPORARY TABLE item (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT)")
            await cursor.executemany("INSERT INTO item (name) VALUES (%s)", [("a",), ("b",)])
            await cursor.execute("INSERT INTO item (name) VALUES (%(name)s)", {"name": "c"})
            assert cursor.lastrowid == 3

    async def test_what_a_driver_does_not_have_is_refused(self, make_pool):
        async with (await make_pool(driver="asyncmy")).get_connection() as connection:
            for option in ("raw", "prepared"):
                with pytest.raises(mysql_connector.NotSupportedError):
                    connection.cursor(**{option: True})

    async def test_oracles_own_driver_has_them(self, make_pool):
        async with (await make_pool(driver="mysql.connector.aio")).get_connection() as connection:
            async with connection.cursor(prepared=True) as cursor:
                await cursor.execute("SELECT %s", (7,))
                assert await cursor.fetchone() == (7,)
            async with connection.cursor(raw=True) as cursor:
                await cursor.execute("SELECT 7")
                assert await cursor.fetchone() == (b"7",)

    @pytest.mark.parametrize(
        ("sql", "error", "number"),
        [
            ("SELECT * FROM compat_no_such_table", mysql_connector.ProgrammingError, 1146),
            ("INSERT INTO item VALUES (1), (1)", mysql_connector.IntegrityError, 1062),
        ],
    )
    async def test_errors_have_the_originals_names_and_numbers(self, connection, sql, error, number):
        async with connection.cursor() as cursor:
            await cursor.execute("CREATE TEMPORARY TABLE item (id INT PRIMARY KEY)")
            with pytest.raises(error) as caught:
                await cursor.execute(sql)
        assert caught.value.errno == number
        assert isinstance(caught.value, mysql_connector.Error)
        assert str(caught.value) == f"{number}: {caught.value.msg}"


@pytest.mark.server
class TestChanging:
    async def test_connections_are_added_up_to_pool_size(self, arguments, closing):
        pool = closing(MySQLConnectionPool(pool_name="p", pool_size=2))
        await pool.set_config(**arguments)
        assert pool.pool.min_size == 0
        await pool.add_connection()
        await pool.add_connection()
        assert pool.pool.min_size == 2
        with pytest.raises(mysql_connector.PoolError, match="queue is full"):
            await pool.add_connection()
        with pytest.raises(mysql_connector.PoolError, match="opened by the pool"):
            await pool.add_connection(object())
        async with pool.get_connection() as connection:
            assert await value(connection, "SELECT 1") == 1

    async def test_a_new_configuration_is_for_those_who_come_next(self, make_pool, arguments):
        pool = await make_pool(pool_size=1)
        before = await pool.get_connection()
        await pool.set_config(**arguments, autocommit=True)
        async with pool.get_connection() as after:
            assert await value(after, "SELECT @@autocommit") == 1
        assert await value(before, "SELECT @@autocommit") == 0
        await before.close()
        await pool.set_config()

    async def test_closing_lets_the_borrowers_of_an_old_configuration_finish(self, make_pool, arguments):
        pool = await make_pool(pool_size=1)
        before = await pool.get_connection()
        await pool.set_config(**arguments)
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0.1)
        assert await value(before, "SELECT 1") == 1
        await before.close()
        await closing

    async def test_a_borrower_that_was_cut_off_is_told_so(self, make_pool):
        pool = await make_pool(pool_size=1)
        connection = await pool.get_connection()
        await pool.pool.close(timeout=0)
        with pytest.raises(mysql_connector.PoolError, match="was closed while"):
            await connection.commit()

    async def test_a_wrong_configuration_changes_nothing(self, make_pool, arguments):
        pool = await make_pool(pool_size=1)
        with pytest.raises(mysql_connector.PoolError, match="not valid"):
            await pool.set_config(**arguments | {"password": "wrong"})
        async with pool.get_connection() as connection:
            assert await value(connection, "SELECT 1") == 1

    async def test_the_name_of_the_async_original(self, arguments):
        pool = MySQLConnectionPool(pool_size=1, **arguments)
        await pool.initialize_pool()
        assert pool.pool.size == 1
        await pool.close_pool()

    async def test_a_wrong_password_is_an_interface_error_at_the_start(self, make_pool):
        with pytest.raises(mysql_connector.InterfaceError) as caught:
            await make_pool(password="wrong")
        assert caught.value.errno in {1045, 1698}

    async def test_an_unopened_pool_reports_it_at_the_first_borrow(self, arguments, closing):
        pool = closing(MySQLConnectionPool(pool_size=1, **arguments | {"port": 1, "host": "127.0.0.1"}))
        with pytest.raises(mysql_connector.InterfaceError, match="cannot connect"):
            await pool.get_connection()
        pool.pool.terminate()
