"""`MySQLConnectionPool`: its sizes, its names, its errors, and what it never does here."""

from __future__ import annotations

import asyncio
import functools
import itertools

import mysql.connector
import mysql.connector.pooling
import pytest

from async_mysqlpool import ConcurrentUseError, ConnectionPool, TransactionError
from async_mysqlpool.compat import mysql_connector
from async_mysqlpool.compat._oracle import kind_of
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


class Original:
    """Oracle's own pool, which is not async, with the same few steps."""

    names = itertools.count()

    def __init__(self, arguments):
        self._make = functools.partial(
            mysql.connector.pooling.MySQLConnectionPool,
            pool_name=f"original{next(self.names)}", pool_size=1, use_pure=True, collation="utf8mb4_general_ci",
            **arguments,
        )  # fmt: skip

    async def get(self):
        return self._make().get_connection()

    async def begin(self, connection, **options):
        connection.start_transaction(**options)

    async def run(self, connection, sql):
        with connection.cursor(buffered=True) as cursor:
            cursor.execute(sql)
            return cursor.rowcount

    async def rollback(self, connection):
        connection.rollback()

    async def give_back(self, connection):
        connection.close()


class Ours:
    """The same steps on ours."""

    def __init__(self, arguments):
        self._pool = MySQLConnectionPool(pool_name="ours", pool_size=1, **arguments)

    async def get(self):
        return await self._pool.get_connection()

    async def begin(self, connection, **options):
        await connection.start_transaction(**options)

    async def run(self, connection, sql):
        async with connection.cursor() as cursor:
            await cursor.execute(sql)
            return cursor.rowcount

    async def rollback(self, connection):
        await connection.rollback()

    async def give_back(self, connection):
        await connection.close()
        await self._pool.close()


@pytest.mark.server
class TestSideBySide:
    """The same steps on Oracle's pool and on ours with each driver: the same classes, numbers and states."""

    @pytest.fixture(params=["the original", "asyncmy", "aiomysql", "mysql.connector.aio"])
    def open_with(self, request, arguments):
        def make(**over):
            if request.param == "the original":
                return Original({**arguments, **over})
            return Ours({**arguments, **over, "driver": request.param})

        return make

    @pytest.fixture
    async def at_work(self, open_with):
        steps = open_with()
        connection = await steps.get()
        yield steps, connection
        await steps.give_back(connection)

    @pytest.fixture
    async def side_table(self, admin):
        await admin.execute("DROP TABLE IF EXISTS side_by_side")
        await admin.execute("CREATE TABLE side_by_side (id INT)")
        return "side_by_side"

    @pytest.mark.parametrize(
        ("over", "kind", "numbers"),
        [
            ({"password": "wrong"}, "ProgrammingError", {1045, 1698}),
            ({"user": "nobody"}, "ProgrammingError", {1045, 1698}),
            ({"database": "no_such"}, "ProgrammingError", {1044, 1049}),
            ({"host": "127.0.0.1", "port": 1}, "InterfaceError", {2003}),
            ({"host": "no-such-host.invalid"}, "InterfaceError", {2003}),
        ],
        ids=str,
    )
    async def test_a_connect_that_fails(self, open_with, over, kind, numbers):
        with pytest.raises((mysql_connector.Error, mysql.connector.Error)) as caught:
            await open_with(**over).get()
        assert type(caught.value).__name__ == kind
        assert caught.value.errno in numbers

    @pytest.mark.parametrize(
        ("sql", "kind", "number"),
        [
            ("SELECT no_such FROM side", "ProgrammingError", 1054),
            ("SELECT * FROM no_such", "ProgrammingError", 1146),
            ("NONSENSE", "ProgrammingError", 1064),
            ("INSERT INTO side VALUES (1, 1), (1, 1)", "IntegrityError", 1062),
            ("INSERT INTO side VALUES (NULL, 1)", "IntegrityError", 1048),
            ("INSERT INTO side VALUES (1, 1e9)", "DataError", 1264),
            ("SELECT 1 UNION SELECT 1, 2", "DataError", 1222),
            ("USE no_such", "ProgrammingError", {1044, 1049}),
            ("KILL 4294967295", "DatabaseError", 1094),
            ("SIGNAL SQLSTATE '45000'", "DatabaseError", 1644),
        ],
        ids=str,
    )
    async def test_a_statement_that_fails(self, at_work, sql, kind, number):
        steps, connection = at_work
        await steps.run(connection, "CREATE TEMPORARY TABLE side (id INT PRIMARY KEY, n SMALLINT)")
        with pytest.raises((mysql_connector.Error, mysql.connector.Error)) as caught:
            await steps.run(connection, sql)
        assert type(caught.value).__name__ == kind
        assert caught.value.errno in (number if isinstance(number, set) else {number})

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"isolation_level": "READ COMMITTED"},
            {"isolation_level": " read-uncommitted "},
            {"isolation_level": "REPEATABLE READ", "consistent_snapshot": True},
            {"consistent_snapshot": True},
            {"readonly": True},
            {"readonly": False, "isolation_level": "REPEATABLE READ"},
        ],
        ids=str,
    )
    async def test_a_transaction(self, at_work, side_table, options, server):
        steps, connection = at_work
        if "readonly" in options and isinstance(steps, Original) and server.flavor == "mariadb":
            pytest.skip("the original takes MariaDB for a version that has no such transactions")
        assert connection.in_transaction is False
        await steps.begin(connection, **options)
        assert connection.in_transaction is True
        with pytest.raises((mysql_connector.ProgrammingError, mysql.connector.ProgrammingError), match="in progress"):
            await steps.begin(connection)
        if options.get("readonly"):
            with pytest.raises((mysql_connector.ProgrammingError, mysql.connector.ProgrammingError), match="1792"):
                await steps.run(connection, f"INSERT INTO {side_table} VALUES (1)")
        else:
            await steps.run(connection, f"INSERT INTO {side_table} VALUES (1)")
        await steps.rollback(connection)
        assert connection.in_transaction is False

    async def test_no_such_isolation(self, at_work):
        steps, connection = at_work
        with pytest.raises(ValueError, match="Unknown isolation level"):
            await steps.begin(connection, isolation_level="CHAOS")
        assert connection.in_transaction is False

    @pytest.mark.parametrize(
        ("options", "seen"),
        [
            ({"isolation_level": "READ UNCOMMITTED"}, 2),
            ({"isolation_level": "READ COMMITTED"}, 1),
            ({"isolation_level": "REPEATABLE READ", "consistent_snapshot": True}, 0),
            ({"isolation_level": "REPEATABLE READ"}, 1),
        ],
        ids=str,
    )
    async def test_what_a_transaction_sees_is_what_it_was_begun_with(self, at_work, side_table, admin, options, seen):
        """Another one commits a row after it has begun, and one more is not committed yet."""
        steps, connection = at_work
        await steps.begin(connection, **options)
        await admin.execute(f"INSERT INTO {side_table} VALUES (1)")
        async with admin.transaction() as other, other.cursor() as cursor:
            await cursor.execute(f"INSERT INTO {side_table} VALUES (2)")
            assert await steps.run(connection, f"SELECT id FROM {side_table}") == seen
        await steps.rollback(connection)

    async def test_no_transaction_begins_in_a_block(self, make_pool):
        async with (await make_pool(autocommit=True)).get_connection() as connection:
            with pytest.raises((TransactionError, mysql_connector.ProgrammingError)):
                async with connection.transaction():
                    await connection.start_transaction()


@pytest.mark.server
async def test_every_error_of_the_server_has_the_originals_class(servers):
    """MySQL lists its errors with their SQLSTATE, of which Oracle's connector makes a class."""
    server = servers("mysql-observed")
    async with ConnectionPool(server.dsn("asyncmy")) as pool:
        rows = await pool.fetch_all(
            "SELECT error_number, sql_state FROM performance_schema.events_errors_summary_global_by_error "
            "WHERE error_number NOT BETWEEN 2000 AND 2999 AND error_number NOT BETWEEN 4000 AND 4999"
        )
    assert len(rows) > 1000
    for number, state in rows:
        if number is None or number == 1366:
            continue
        original = mysql.connector.errors.get_mysql_exception(number, "", state)
        kind = "DatabaseError" if number >= 10_000 else type(original).__name__  # those go to the log, to no client
        assert kind_of(number).__name__ == kind, number


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

    async def test_an_unopened_pool_reports_it_at_the_first_borrow(self, arguments, closing):
        pool = closing(MySQLConnectionPool(pool_size=1, **arguments | {"port": 1, "host": "127.0.0.1"}))
        with pytest.raises(mysql_connector.InterfaceError, match="cannot connect"):
            await pool.get_connection()
        pool.pool.terminate()
