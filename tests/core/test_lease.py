"""What the borrower holds: it passes the driver through, guards itself, and dies with its return."""

from __future__ import annotations

import asyncio
import gc
import re

import pytest
from support import borrow, check_whole, connection_id, drop, make_pool, start, ticks, value

from async_mysqlpool import ConcurrentUseError, ConnectionReleasedError, PooledCursor
from async_mysqlpool.testing.fake import FakeDictCursor, FakeStreamCursor

# -- passing through: SCENARIOS 48, 188 --------------------------------------------------------------------------------


async def test_what_the_drivers_connection_has_is_there(server):
    async with make_pool(server, database="shop", user="app") as pool, pool.acquire() as conn:
        assert (conn.db, conn.user, conn.charset) == ("shop", "app", "utf8mb4")
        assert conn.thread_id() == 1
        await conn.select_db("other")
        assert await value(conn, "SELECT DATABASE()") == "other"
        await conn.autocommit(False)
        assert await value(conn, "SELECT @@autocommit") == 0
        await conn.ping()
        await conn.ping(reconnect=True)  # never does
        assert conn.raw.session is server.sessions[1]
        with pytest.raises(AttributeError):
            _ = conn.no_such_thing


async def test_private_parts_are_reached_through_raw_only(server):
    async with make_pool(server) as pool, pool.acquire() as conn:
        with pytest.raises(AttributeError, match=r"\.raw"):
            _ = conn._reach
        assert hasattr(conn.raw, "_reach")
        with pytest.raises(AttributeError):
            _ = conn.cursor()._result


@pytest.mark.parametrize("spelling", ["async with", "await", "plain"])
async def test_every_spelling_of_a_cursor_works(server, spelling):
    server.answer("people", rows=[("Ada", 36), ("Bob", 4)], columns=["name", "age"])
    async with make_pool(server) as pool, pool.acquire() as conn:
        if spelling == "async with":
            async with conn.cursor() as cursor:
                await cursor.execute("SELECT people")
                assert await cursor.fetchall() == [("Ada", 36), ("Bob", 4)]
        else:
            cursor = await conn.cursor() if spelling == "await" else conn.cursor()
            assert await cursor.execute("SELECT people") == 2
            assert isinstance(cursor, PooledCursor)
            assert cursor.rowcount == 2
            assert [column[0] for column in cursor.description] == ["name", "age"]
            assert await cursor.fetchone() == ("Ada", 36)
            assert await cursor.fetchmany(5) == [("Bob", 4)]
            assert await cursor.fetchone() is None
            await cursor.close()


async def test_arguments_many_rows_procedures_and_iteration(server):
    server.answer("INSERT", rowcount=1, lastrowid=7)
    server.answer("letters", rows=[("a",), ("b",)])
    async with make_pool(server) as pool, pool.acquire() as conn, conn.cursor() as cursor:
        await cursor.execute("INSERT INTO t VALUES (%s, %s)", (1, "it's"))
        assert cursor.lastrowid == 7
        assert await cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,)]) == 2
        await cursor.callproc("tidy", (1, None))
        await cursor.execute("SELECT letters")
        assert [row async for row in cursor] == [("a",), ("b",)]
        assert await cursor.nextset() is None
    assert "INSERT INTO t VALUES (1, 'it''s')" in server.statements()
    assert "CALL tidy(1, NULL)" in server.statements()


async def test_cursor_classes_are_the_drivers(server):
    server.answer("people", rows=[("Ada",)], columns=["name"])
    async with make_pool(server) as pool, pool.acquire() as conn, conn.cursor(FakeDictCursor) as cursor:
        await cursor.execute("SELECT people")
        assert await cursor.fetchone() == {"name": "Ada"}


async def test_a_stream_read_to_its_end_keeps_the_connection(server):
    server.answer("many", rows=[(1,), (2,)])
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn, conn.cursor(FakeStreamCursor) as cursor:
            await cursor.execute("SELECT many")
            assert [row async for row in cursor] == [(1,), (2,)]
        assert await borrow(pool) == 1


async def test_repr_tells_who_and_where(server):
    async with make_pool(server) as pool:
        async with pool.acquire() as conn:
            assert re.search(r"1 acquired at .*test_lease\.py:\d+", repr(conn))
        assert re.search(r"released, acquired at .*test_lease\.py:\d+", repr(conn))


# -- after it went back: SCENARIOS 187; PAINS 3, row p -----------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda conn, cursor: conn.begin(),
        lambda conn, cursor: conn.commit(),
        lambda conn, cursor: conn.rollback(),
        lambda conn, cursor: conn.ping(),
        lambda conn, cursor: conn.cursor(),
        lambda conn, cursor: conn.select_db("x"),
        lambda conn, cursor: conn.raw,
        lambda conn, cursor: conn.charset,
        lambda conn, cursor: conn.discard(),
        lambda conn, cursor: conn.transaction().__aenter__(),
        lambda conn, cursor: cursor.execute("SELECT 1"),
        lambda conn, cursor: cursor.executemany("SELECT %s", [(1,)]),
        lambda conn, cursor: cursor.callproc("x"),
        lambda conn, cursor: cursor.fetchone(),
        lambda conn, cursor: cursor.fetchmany(),
        lambda conn, cursor: cursor.fetchall(),
        lambda conn, cursor: cursor.nextset(),
        lambda conn, cursor: cursor.rowcount,
        lambda conn, cursor: cursor.description,
        lambda conn, cursor: cursor.lastrowid,
        lambda conn, cursor: cursor.__aiter__().__anext__(),
    ],
)
async def test_after_return_every_use_is_refused_and_says_where_it_was_acquired(server, use):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            cursor = conn.cursor()
            await cursor.execute("SELECT 1")
        async with pool.acquire() as next_borrower:
            sent = len(server.log)
            with pytest.raises(ConnectionReleasedError, match=r"acquired at .*test_lease\.py:\d+.*pass the pool"):
                result = use(conn, cursor)
                if hasattr(result, "__await__"):
                    await result
            assert len(server.log) == sent
            assert await connection_id(next_borrower) == 1


async def test_methods_taken_before_the_return_are_dead_after_it(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            select_db, execute = conn.select_db, conn.cursor().execute
        async with pool.acquire():
            for call in (lambda: select_db("x"), lambda: execute("SELECT 1")):
                with pytest.raises(ConnectionReleasedError):
                    await call()
        assert "USE x" not in server.statements()


async def test_closing_a_cursor_after_the_return_is_harmless(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            cursor = conn.cursor()
        await cursor.close()
        async with pool.acquire(), cursor:
            pass


async def test_a_statement_begun_before_the_return_cannot_touch_the_next_borrower(server):
    """Returned by one task while another one is in the middle of a statement on it."""
    async with make_pool(server, max_size=1) as pool:
        conn = await pool.acquire()
        running = start(value(conn, "SELECT SLEEP(5)"))
        await asyncio.sleep(1)
        conn.close()
        assert await borrow(pool) != 1
        await asyncio.gather(running, return_exceptions=True)
        await check_whole(pool, server)


async def test_a_background_task_cannot_use_what_its_parent_gave_back(server):  # PAINS 3, 19
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:

            async def later() -> None:
                await asyncio.sleep(1)
                await connection_id(conn)

            task = start(later())
        with pytest.raises(ConnectionReleasedError):
            await task


# -- two tasks at once: PAINS 2, row i ---------------------------------------------------------------------------------


async def test_a_second_task_is_refused_before_a_byte_is_written_and_the_first_gets_its_row(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            first = start(value(conn, "SELECT 1, SLEEP(1)"), name="the first")
            await ticks()
            with pytest.raises(ConcurrentUseError, match=r"connection 1 is in use by task 'the first'.*one of its own"):
                await value(conn, "SELECT 2")
            assert await first == 1
            assert await value(conn, "SELECT 3") == 3
        assert "SELECT 2" not in server.statements()
        assert await borrow(pool) == 1


async def test_two_cursors_of_one_connection_are_guarded_as_well(server):
    async with make_pool(server) as pool, pool.acquire() as conn:
        one, two = conn.cursor(), conn.cursor()
        results = await asyncio.gather(
            one.execute("SELECT SLEEP(1)"), two.execute("SELECT SLEEP(1)"), conn.ping(), return_exceptions=True
        )
        assert results[0] == 1
        assert [type(result) for result in results[1:]] == [ConcurrentUseError] * 2


async def test_one_after_the_other_is_allowed_whoever_does_it(server):
    async with make_pool(server) as pool, pool.acquire() as conn:
        for number in range(3):
            assert await start(value(conn, f"SELECT {number}")) == number


async def test_after_a_cancelled_statement_the_same_borrower_cannot_read_its_rows(server):  # PAINS 1, SCENARIOS 84
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await value(conn, "SELECT 'A', SLEEP(5)")
            with pytest.raises(Exception) as caught:
                await value(conn, "SELECT 'B'")
            assert not isinstance(caught.value, asyncio.CancelledError)
        async with pool.acquire() as conn:
            assert await value(conn, "SELECT 'B'") == "B"
            assert await connection_id(conn) != 1


async def test_after_a_cancelled_statement_the_next_borrower_gets_its_own_rows(server):
    async with make_pool(server, max_size=1) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), pool.acquire() as conn:
                await value(conn, "SELECT 'A', SLEEP(5)")
        async with pool.acquire() as conn:
            assert await value(conn, "SELECT 'B'") == "B"
        await check_whole(pool, server)


# -- forgotten: PAINS 25; SCENARIOS 197 --------------------------------------------------------------------------------


async def test_a_forgotten_connection_comes_back_with_a_warning_that_names_the_place(server, caplog):
    async with make_pool(server, max_size=1) as pool:
        borrowed = [await pool.acquire()]
        number = await connection_id(borrowed[0])
        with pytest.warns(ResourceWarning, match=rf"connection {number} was never given back.*test_lease\.py:\d+"):
            drop(borrowed)
        assert await asyncio.wait_for(borrow(pool), 1)
        assert re.search(rf"never given back.*test_lease\.py:\d+ \(connection {number}\)", caplog.text)
        await check_whole(pool, server)


async def test_a_forgotten_connection_serves_a_waiter(server):
    async with make_pool(server, max_size=1) as pool:
        borrowed = [await pool.acquire()]
        waiter = start(borrow(pool))
        await ticks()
        with pytest.warns(ResourceWarning):
            drop(borrowed)
        assert await asyncio.wait_for(waiter, 1)
        await check_whole(pool, server)


async def test_a_cursor_keeps_its_connection_from_being_forgotten(server):
    async with make_pool(server, max_size=1) as pool:
        conn = await pool.acquire()
        cursors = [conn.cursor()]
        del conn
        gc.collect()
        assert await cursors[0].execute("SELECT 1") == 1
        with pytest.warns(ResourceWarning):
            drop(cursors)
        await check_whole(pool, server)


# -- discard and raw: SCENARIOS 157, 159 -------------------------------------------------------------------------------


async def test_discard_closes_politely_and_is_never_lent_again(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            conn.discard()
            with pytest.raises(ConnectionReleasedError):
                await conn.ping()
        assert await borrow(pool) == 2
        assert server.statements(1)[-1] == "COM_QUIT"
        assert pool.stats().closed == {"discarded": 1}


async def test_a_connection_that_its_user_closed_for_real_is_replaced(server):  # SCENARIOS 42, row c
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            conn.raw.close()
        assert await borrow(pool) == 2


async def test_hundreds_of_discards_leave_nothing_behind(server):  # SCENARIOS 155
    async with make_pool(server, max_size=2) as pool:

        async def worker() -> None:
            for _ in range(250):
                async with pool.acquire() as conn:
                    conn.discard()

        await asyncio.gather(worker(), worker())
        assert server.connects == 500
        assert server.peak <= 2
        await check_whole(pool, server)


async def test_the_connection_of_a_cursor_is_the_guarded_one(server):
    async with make_pool(server) as pool:
        async with pool.acquire() as conn, conn.cursor() as cursor:
            assert cursor.connection is conn
        with pytest.raises(ConnectionReleasedError):
            await cursor.connection.commit()
