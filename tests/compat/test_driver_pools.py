"""What aiomysql and asyncmy test about `create_pool`, said in our words, and what ours does better.

`docs/migration/aiomysql.md` lists what of theirs cannot be so here, with the reason.
"""

from __future__ import annotations

import asyncio
import importlib

import pytest

from async_mysqlpool import AcquireTimeoutError, ConcurrentUseError, ConfigurationError, ConnectionReleasedError
from async_mysqlpool.compat import aiomysql, asyncmy

pytestmark = pytest.mark.server

# For waits that end at once unless something hangs.
SOON = 10


@pytest.fixture(params=[aiomysql, asyncmy], ids=["aiomysql", "asyncmy"])
def compat(request):
    return request.param


@pytest.fixture
def create_pool(compat, arguments, closing):
    async def create(**options):
        return closing(await compat.create_pool(**arguments, **options))

    return create


async def value(connection, sql, *args):
    async with connection.cursor() as cursor:
        await cursor.execute(sql, args or None)
        return (await cursor.fetchone())[0]


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


class TestSizes:
    async def test_defaults_are_one_to_ten_connections(self, create_pool):
        pool = await create_pool()
        assert (pool.minsize, pool.maxsize, pool.size, pool.freesize) == (1, 10, 1, 1)
        assert not pool.echo

    async def test_minsize_connections_are_open_at_once(self, create_pool):
        pool = await create_pool(minsize=4, maxsize=6)
        assert (pool.minsize, pool.maxsize, pool.size, pool.freesize) == (4, 6, 4, 4)

    async def test_an_empty_pool_opens_what_is_asked_for(self, create_pool):
        pool = await create_pool(minsize=0)
        assert (pool.size, pool.freesize) == (0, 0)
        async with pool.acquire():
            assert (pool.size, pool.freesize) == (1, 0)
        assert (pool.size, pool.freesize) == (1, 1)
        first, second = await pool.acquire(), await pool.acquire()
        assert (pool.size, pool.freesize) == (2, 0)
        pool.release(first)
        assert (pool.size, pool.freesize) == (2, 1)
        pool.release(second)
        assert (pool.size, pool.freesize) == (2, 2)

    async def test_peewee_async_asks_how_many_are_used(self, create_pool):
        pool = await create_pool()
        assert len(pool._used) == 0
        async with pool.acquire():
            assert len(pool._used) == 1
        assert len(pool._used) == 0

    async def test_a_second_borrower_gets_a_second_connection(self, create_pool):
        pool = await create_pool(minsize=1)
        async with pool.acquire():
            second = await asyncio.wait_for(pool.acquire(), SOON)
            assert (pool.size, pool.freesize) == (2, 0)
            pool.release(second)
            assert (pool.size, pool.freesize) == (2, 1)
        assert (pool.size, pool.freesize) == (2, 2)

    @pytest.mark.parametrize("size", [2, 3])
    async def test_connections_are_opened_for_all_who_ask_together(self, create_pool, size):
        pool = await create_pool(minsize=0, maxsize=size)
        connections = await asyncio.gather(*(pool.acquire() for _ in range(size)))
        ids = {await value(connection, "SELECT CONNECTION_ID()") for connection in connections}
        assert len(ids) == size
        for free, connection in enumerate(connections, start=1):
            pool.release(connection)
            assert (pool.size, pool.freesize) == (size, free)
        async with pool.acquire() as again:
            assert await value(again, "SELECT CONNECTION_ID()") in ids

    async def test_one_connection_serves_two_tasks_in_turn(self, create_pool):
        pool = await create_pool(minsize=0, maxsize=1)
        seen = []

        async def borrow():
            connection = await pool.acquire()
            seen.append((pool.size, pool.freesize))
            await asyncio.sleep(0)
            pool.release(connection)

        await asyncio.wait_for(asyncio.gather(borrow(), borrow()), SOON)
        assert seen == [(1, 0), (1, 0)]

    @pytest.mark.parametrize(("minsize", "maxsize"), [(-1, 10), (5, 2)])
    async def test_impossible_sizes_are_a_value_error(self, create_pool, minsize, maxsize):
        with pytest.raises(ValueError, match=r"minsize|maxsize"):
            await create_pool(minsize=minsize, maxsize=maxsize)

    @pytest.mark.parametrize("minsize", [0, 1])
    async def test_aiomysql_takes_maxsize_0_for_no_limit(self, arguments, closing, minsize):
        pool = closing(await aiomysql.create_pool(minsize=minsize, maxsize=0, **arguments))
        assert pool.maxsize is None
        connections = [await pool.acquire() for _ in range(12)]
        assert pool.size == 12
        for connection in connections:
            pool.release(connection)

    async def test_asyncmy_does_not(self, arguments):
        with pytest.raises(ConfigurationError):
            await asyncmy.create_pool(minsize=0, maxsize=0, **arguments)


class TestBorrowing:
    async def test_a_connection_runs_statements(self, create_pool):
        pool = await create_pool()
        connection = await pool.acquire()
        cursor = connection.cursor()
        await cursor.execute("SELECT 1")
        assert await cursor.fetchone() == (1,)
        await cursor.close()
        pool.release(connection)

    async def test_a_cursor_may_be_awaited_as_aiomysqls(self, create_pool):
        pool = await create_pool()
        async with pool.acquire() as connection:
            cursor = await connection.cursor()
            await cursor.execute("SELECT 1")
            assert await cursor.fetchone() == (1,)
            await cursor.close()

    async def test_the_driver_says_that_the_connection_is_open(self, create_pool, compat):
        pool = await create_pool()
        async with pool.acquire() as connection:
            assert connection.connected if compat is asyncmy else not connection.closed

    async def test_the_rest_of_the_module_is_the_drivers(self, compat):
        driver = importlib.import_module(compat.__name__.rpartition(".")[2])
        assert compat.connect is driver.connect
        with pytest.raises(AttributeError):
            compat.no_such_name  # noqa: B018

    async def test_acquire_works_in_every_form_of_the_original(self, create_pool):
        pool = await create_pool(maxsize=1)
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT 1") == 1
        async with await pool.acquire() as connection:
            assert await value(connection, "SELECT 2") == 2
        connection = await asyncio.create_task(pool.acquire())
        assert await value(connection, "SELECT 3") == 3
        await pool.release(connection)
        assert (pool.size, pool.freesize) == (1, 1)

    async def test_release_may_be_awaited_or_not_and_repeated(self, create_pool):
        pool = await create_pool()
        connection = await pool.acquire()
        await pool.release(connection)
        pool.release(connection)
        assert pool.freesize == 1

    async def test_a_connection_of_another_pool_is_refused(self, create_pool):
        pool, other = await create_pool(), await create_pool()
        async with other.acquire() as connection:
            with pytest.raises(ValueError, match="was not acquired from pool"):
                pool.release(connection)

    async def test_a_released_connection_says_so(self, create_pool):
        pool = await create_pool()
        connection = await pool.acquire()
        pool.release(connection)
        with pytest.raises(ConnectionReleasedError):
            connection.cursor()

    async def test_echo_reaches_the_driver(self, create_pool, compat):
        pool = await create_pool(echo=True)
        assert pool.echo
        if compat is aiomysql:  # asyncmy keeps it to itself
            async with pool.acquire() as connection:
                assert connection.echo

    async def test_waiting_ends_and_says_who_holds_the_connections(self, create_pool):
        pool = await create_pool(maxsize=1, queue_timeout=0.01)
        async with pool.acquire():
            with pytest.raises(AcquireTimeoutError, match=r"test_driver_pools\.py:\d+"):
                await asyncio.create_task(pool.acquire())

    async def test_two_tasks_cannot_use_one_connection(self, create_pool):
        pool = await create_pool()
        async with pool.acquire() as connection:
            first, second = connection.cursor(), connection.cursor()
            outcomes = await asyncio.gather(
                first.execute("SELECT 1"), second.execute("SELECT 2"), return_exceptions=True
            )
            assert isinstance(outcomes[1], ConcurrentUseError)
            assert await first.fetchone() == (1,)

    async def test_who_came_first_is_served_first(self, create_pool):
        pool = await create_pool(maxsize=1)
        connection = await pool.acquire()
        served = []

        async def borrow():
            async with pool.acquire():
                served.append("waiter")

        waiter = asyncio.create_task(borrow())
        await until(lambda: pool.pool.waiting == 1)
        for _ in range(3):
            pool.release(connection)
            connection = await pool.acquire()
            served.append("loop")
        pool.release(connection)
        await waiter
        assert served == ["waiter", "loop", "loop", "loop"]


class TestSessions:
    async def test_autocommit_is_off_as_in_the_drivers(self, create_pool):
        pool = await create_pool()
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT @@autocommit") == 0

    async def test_the_drivers_own_arguments_reach_it(self, create_pool):
        pool = await create_pool(init_command="SET @greeting = 'hello'", sql_mode="ANSI_QUOTES", loop=None)
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT @greeting") == "hello"
            assert "ANSI_QUOTES" in await value(connection, "SELECT @@sql_mode")

    async def test_a_transaction_ends_with_the_release(self, create_pool, admin):
        await admin.execute("DROP TABLE IF EXISTS compat_left_open")
        await admin.execute("CREATE TABLE compat_left_open (id INT)")
        pool = await create_pool(maxsize=1)
        connection = await pool.acquire()
        async with connection.cursor() as cursor:
            await cursor.execute("BEGIN")
            await cursor.execute("INSERT INTO compat_left_open VALUES (1)")
        pool.release(connection)
        async with pool.acquire() as connection:
            await connection.commit()
        assert await admin.fetch_value("SELECT COUNT(*) FROM compat_left_open") == 0

    async def test_the_next_borrower_sees_nothing_of_the_last(self, create_pool):
        pool = await create_pool(maxsize=1)
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SET @mine = 1")
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT @mine") is None

    async def test_a_waiter_is_served_when_a_transaction_was_left_open(self, create_pool):
        pool = await create_pool(maxsize=1)
        connection = await pool.acquire()
        waiter = asyncio.create_task(pool.acquire())
        async with connection.cursor() as cursor:
            await cursor.execute("BEGIN")
        pool.release(connection)
        pool.release(await asyncio.wait_for(waiter, SOON))

    async def test_after_a_cancelled_statement_nobody_gets_its_rows(self, create_pool):
        pool = await create_pool(minsize=0, maxsize=1)
        async with pool.acquire() as connection:
            cursor = await connection.cursor()
            statement = asyncio.create_task(cursor.execute("SELECT 1 AS id, SLEEP(30) AS nap"))
            await asyncio.sleep(0.02)
            statement.cancel()
            with pytest.raises(asyncio.CancelledError):
                await statement
        async with asyncio.timeout(SOON), pool.acquire() as connection:
            cursor = await connection.cursor()
            await cursor.execute("SELECT 2 AS value, 0 AS nap")
            assert [column[0] for column in cursor.description] == ["value", "nap"]
            assert list(await cursor.fetchall()) == [(2, 0)]


class TestDeadConnections:
    async def test_a_connection_that_the_server_closed_is_not_handed_out(self, create_pool, admin):
        pool = await create_pool(minsize=3, maxsize=3, validate_after=0)
        ids = []
        connections = [await pool.acquire() for _ in range(3)]
        for connection in connections:
            ids.append(await value(connection, "SELECT CONNECTION_ID()"))
            pool.release(connection)
        for number in ids:
            await admin.execute(f"KILL {number}")
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT CONNECTION_ID()") not in ids

    async def test_a_connection_closed_by_its_borrower_comes_back_all_the_same(self, create_pool):
        pool = await create_pool(minsize=2, maxsize=2)
        connection = await pool.acquire()
        await connection.ensure_closed()
        pool.release(connection)
        assert (pool.size, pool.freesize) == (2, 2)
        connection = await pool.acquire()
        connection.close()
        pool.release(connection)
        assert (pool.size, pool.freesize) == (2, 2)

    async def test_a_recycled_connection_is_another_one(self, create_pool):
        pool = await create_pool(minsize=1, maxsize=1, pool_recycle=0.2)
        async with pool.acquire() as connection:
            old = await value(connection, "SELECT CONNECTION_ID()")
        new = old
        async with asyncio.timeout(SOON):
            while new == old:
                await asyncio.sleep(0.05)
                async with pool.acquire() as connection:
                    new = await value(connection, "SELECT CONNECTION_ID()")

    async def test_recycling_at_once_keeps_no_connection(self, create_pool):
        pool = await create_pool(pool_recycle=0)
        async with pool.acquire() as connection:
            old = await value(connection, "SELECT CONNECTION_ID()")
        assert pool.freesize == 0
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT CONNECTION_ID()") != old

    async def test_clear_replaces_the_free_connections(self, create_pool):
        pool = await create_pool()
        async with pool.acquire() as connection:
            old = await value(connection, "SELECT CONNECTION_ID()")
        await pool.clear()
        assert pool.freesize == 0
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT CONNECTION_ID()") != old


class TestFailingToConnect:
    async def test_a_wrong_password_is_the_drivers_error(self, compat, arguments):
        with pytest.raises(compat.OperationalError if compat is aiomysql else compat.errors.OperationalError) as caught:
            await compat.create_pool(**arguments | {"password": "wrong"})
        assert caught.value.args[0] in {1045, 1698}

    async def test_an_unreachable_server_is_2003(self, compat, arguments, closing):
        pool = closing(await compat.create_pool(minsize=0, **arguments | {"host": "127.0.0.1", "port": 1}))
        with pytest.raises(compat.OperationalError if compat is aiomysql else compat.errors.OperationalError) as caught:
            await pool.acquire()
        assert caught.value.args[0] == 2003


class TestClosing:
    async def test_the_pool_is_an_async_context_manager(self, compat, arguments):
        async with compat.create_pool(**arguments) as pool, pool.acquire() as connection:
            assert await value(connection, "SELECT 1") == 1
        assert pool.closed
        async with await compat.create_pool(**arguments) as pool:
            assert not pool.closed
        assert pool.closed

    async def test_a_closed_pool_gives_nothing(self, create_pool):
        pool = await create_pool()
        pool.close()
        with pytest.raises(RuntimeError, match="Cannot acquire connection after closing pool"):
            await pool.acquire()

    async def test_those_who_wait_are_sent_away(self, create_pool):
        pool = await create_pool(maxsize=1)
        connection = await pool.acquire()
        waiter = asyncio.create_task(pool.acquire())
        await until(lambda: pool.pool.waiting == 1)
        pool.close()
        with pytest.raises(RuntimeError, match="clos"):
            await asyncio.wait_for(waiter, SOON)
        pool.release(connection)

    async def test_wait_closed_waits_for_borrowers(self, create_pool):
        pool = await create_pool(minsize=4, maxsize=4)
        borrowed = [await pool.acquire(), await pool.acquire()]
        assert (pool.size, pool.freesize) == (4, 2)
        order = []

        async def give_back(connection):
            await asyncio.sleep(0)
            pool.release(connection)
            order.append("released")

        async def wait_closed():
            await pool.wait_closed()
            order.append("closed")

        pool.close()
        await asyncio.wait_for(asyncio.gather(wait_closed(), *map(give_back, borrowed)), SOON)
        assert order == ["released", "released", "closed"]
        assert pool.closed
        assert (pool.size, pool.freesize) == (0, 0)

    async def test_giving_up_on_wait_closed_leaves_borrowers_alone(self, create_pool):
        pool = await create_pool()
        connection = await pool.acquire()
        pool.close()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.wait_closed(), 0.01)
        assert await value(connection, "SELECT 1") == 1
        pool.release(connection)
        await asyncio.wait_for(pool.wait_closed(), SOON)

    async def test_wait_closed_is_for_closing_pools(self, create_pool):
        pool = await create_pool()
        with pytest.raises(RuntimeError, match="called after"):
            await pool.wait_closed()

    async def test_closing_twice_is_closing_once(self, create_pool):
        pool = await create_pool()
        pool.close()
        await pool.wait_closed()
        pool.close()
        await pool.wait_closed()
        assert pool.closed

    async def test_terminate_cuts_every_connection(self, create_pool, compat):
        pool = await create_pool(minsize=2)
        connection = await pool.acquire()
        pool.terminate()
        await pool.wait_closed()
        assert not connection.connected if compat is asyncmy else connection.closed
        assert pool.size == 0
        pool.release(connection)
        await pool.release(connection)
        assert pool.closed

    def test_close_needs_no_running_loop(self, compat, arguments):
        """As in the programs of aiomysql's documentation, which close after `run_until_complete`."""
        with asyncio.Runner() as runner:

            async def create():
                return await compat.create_pool(**arguments)

            pool = runner.run(create())
            pool.close()
            runner.run(pool.wait_closed())
            assert pool.closed
