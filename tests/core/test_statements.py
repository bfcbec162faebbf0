"""Helpers of pool and connection: what they refuse, their deadlines in virtual time, and the trap they warn of."""

from __future__ import annotations

import asyncio
import pickle
import threading
import warnings

import pytest
from support import cancelled_before, check_whole, drop, make_pool, start, ticks

from async_mysqlpool import (
    AcquireTimeoutError,
    ConcurrentUseError,
    ConfigurationError,
    ConnectionReleasedError,
    StatementTimeoutError,
)

HELPERS = {
    "execute": (),
    "execute_many": ([()],),
    "fetch_all": (),
    "fetch_one": (),
    "fetch_value": (),
    "stream": (),
}
EACH = pytest.mark.parametrize("name", HELPERS)


async def called(host, name, sql="SELECT 1", **options):
    result = getattr(host, name)(sql, *HELPERS[name], **options)
    return [row async for row in result] if name == "stream" else await result


# -- deadlines --------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("timeout", [0, -1, "2", float("nan")])
async def test_a_timeout_is_a_time(server, name, timeout):
    async with make_pool(server) as pool, pool.acquire() as conn:
        for host in (pool, conn):
            with pytest.raises(ConfigurationError, match="timeout must be"):
                await called(host, name, timeout=timeout)


@EACH
async def test_the_deadline_is_the_statements_and_not_that_of_the_queue(server, name):
    server.answer("slow", delay=3)
    async with make_pool(server, max_size=1) as pool:
        first = start(pool.fetch_value("SELECT slow"))
        await ticks()
        await called(pool, name, "SELECT slow", timeout=3.5)  # waited for another one of 3 s
        await first
        with pytest.raises(StatementTimeoutError, match=r"2\.5 s"):
            await called(pool, name, "SELECT slow", timeout=2.5)
        await check_whole(pool, server)


@EACH
async def test_it_works_in_a_task_that_was_cancelled_before(server, name):
    server.answer("slow", delay=30)
    async with make_pool(server) as pool:

        async def work():
            with pytest.raises(StatementTimeoutError):
                await called(pool, name, "SELECT slow", timeout=1)

        await cancelled_before(work)
        await check_whole(pool, server)


async def test_a_cancellation_stays_one_also_in_the_tick_of_the_deadline(server):
    server.answer("slow", delay=30)
    async with make_pool(server) as pool:
        task = start(pool.execute("SELECT slow", timeout=5))
        asyncio.get_running_loop().call_later(5, task.cancel)
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(1)
        await check_whole(pool, server)


async def test_a_queue_that_is_too_long_is_another_error(server):
    async with make_pool(server, max_size=1, queue_timeout=1) as pool, pool.acquire():
        with pytest.raises(AcquireTimeoutError):
            await start(pool.execute("SELECT 1", timeout=5))


async def test_the_error_can_be_pickled_and_is_a_timeout():
    error = pickle.loads(pickle.dumps(StatementTimeoutError("too long", 2.5)))
    assert (str(error), error.timeout, isinstance(error, TimeoutError)) == ("too long", 2.5, True)


async def test_a_connection_that_ran_into_a_deadline_is_given_back_at_once(server):
    server.answer("slow", delay=30)
    async with make_pool(server, max_size=1) as pool, pool.acquire() as conn:
        with pytest.raises(StatementTimeoutError):
            await conn.execute("SELECT slow", timeout=1)
        with pytest.raises(ConnectionReleasedError, match=r"timeout of 1 s"):
            await conn.fetch_all("SELECT 1")
        assert await pool.fetch_value("SELECT 1") == 1


# -- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_borrows_when_it_begins_and_gives_back_when_it_ends(server):
    server.answer("letters", rows=[("a",), ("b",)], columns=["letter"])
    async with make_pool(server, max_size=1) as pool:
        rows = pool.stream("SELECT letters", rows=dict)
        assert pool.leases() == []
        assert await anext(rows) == {"letter": "a"}
        assert "test_statements.py" in pool.leases()[0].site
        assert [row async for row in rows] == [{"letter": "b"}]
        assert pool.leases() == []
        assert pool.stats().opened == 1
        await check_whole(pool, server)


async def test_a_stream_that_is_forgotten_elsewhere_is_found(server):
    """The garbage collector runs in any thread."""
    server.answer("letters", rows=[("a",), ("b",)])
    async with make_pool(server, max_size=1) as pool:
        kept = [pool.stream("SELECT letters")]
        await anext(kept[0])
        thread = threading.Thread(target=drop, args=(kept,))
        with pytest.warns(ResourceWarning, match="never given back"):  # noqa: PT031  it may be found before start() returns
            thread.start()
            thread.join()
        assert await pool.fetch_value("SELECT 1") == 1
        await check_whole(pool, server)


async def test_a_stream_whose_connection_went_back_says_so(server):
    server.answer("letters", rows=[("a",), ("b",)])
    async with make_pool(server) as pool:
        async with pool.acquire() as conn:
            rows = conn.stream("SELECT letters")
            await anext(rows)
        with pytest.raises(ConnectionReleasedError):
            await anext(rows)
        assert [row async for row in rows] == []
        await check_whole(pool, server)


async def test_two_tasks_cannot_read_one_stream_at_once(server):
    server.answer("letters", rows=[("a",), ("b",)], delay=1)
    async with make_pool(server) as pool, pool.acquire() as conn:
        rows = conn.stream("SELECT letters")
        first = start(anext(rows))
        await ticks()
        with pytest.raises(ConcurrentUseError):
            await conn.execute("SELECT 1")
        assert await first == ("a",)


async def test_others_have_their_turns_while_rows_come_without_waiting(server):
    server.answer("many", rows=[(1,)] * 1000)
    async with make_pool(server) as pool:
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with pool.stream("SELECT many") as rows:
            assert await anext(rows) == (1,)
            other = start(count())
            assert sum([1 async for _ in rows]) == 999
            assert turns >= 9
        other.cancel()


async def test_a_stream_may_be_closed_by_another_task_while_it_has_its_turn(server):
    server.answer("many", rows=[(1,)] * 1000)
    async with make_pool(server) as pool, pool.stream("SELECT many") as rows:

        async def read():
            return [row async for row in rows]

        await anext(rows)
        reading = start(read())
        await asyncio.sleep(0)
        await rows.aclose()
        assert 0 < len(await reading) < 999
        await check_whole(pool, server)


@pytest.mark.parametrize("own", [True, False])
async def test_a_stream_may_be_cancelled_while_others_have_their_turn(server, own):
    server.answer("many", rows=[(1,)] * 1000)
    async with make_pool(server) as pool:

        async def read(host):
            async for _ in host.stream("SELECT many"):
                task.cancel()

        async def borrow():
            async with pool.acquire() as conn:
                await read(conn)

        task = start(read(pool) if own else borrow())
        with pytest.raises(asyncio.CancelledError):
            await task
        await check_whole(pool, server)


async def test_no_connection_is_no_stream(server):
    async with make_pool(server, max_size=1, queue_timeout=1) as pool, pool.acquire():

        async def read():
            return [row async for row in pool.stream("SELECT 1")]

        with pytest.raises(AcquireTimeoutError):
            await start(read())


# -- a helper of the pool inside a transaction ------------------------------------------------------------------------


async def in_a_transaction(pool, work):
    async with pool.transaction():
        await work()


async def in_a_savepoint(pool, work):
    async with pool.transaction() as conn, conn.transaction():
        await work()


async def in_run_transaction(pool, work):
    await pool.run_transaction(lambda conn: work())


async def on_an_acquired_connection(pool, work):
    async with pool.acquire() as conn, conn.transaction():
        await work()


@EACH
@pytest.mark.parametrize("block", [in_a_transaction, in_a_savepoint, in_run_transaction, on_an_acquired_connection])
async def test_a_helper_of_the_pool_inside_a_transaction_warns_with_the_line(server, block, name):
    async with make_pool(server) as pool:
        with pytest.warns(
            RuntimeWarning, match=r"borrows another connection.*on the connection of the block"
        ) as caught:
            await block(pool, lambda: called(pool, name))
        assert [(item.filename, item.lineno) for item in caught] == [(__file__, called.__code__.co_firstlineno + 1)]
        await check_whole(pool, server)


async def test_it_warns_once_for_each_line(server):
    async with make_pool(server) as pool, pool.transaction():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for _ in range(3):
                await pool.execute("SELECT 1")
            await pool.execute("SELECT 2")
    assert len(caught) == 2


async def test_what_is_meant_does_not_warn(server):
    """Warnings are errors here."""
    async with make_pool(server, max_size=3) as pool, make_pool(server) as other:
        async with pool.transaction() as conn:
            await conn.execute("SELECT 1")
            await other.execute("SELECT 1")
            await start(pool.execute("SELECT 1"))  # another task
            async with pool.acquire() as second:
                await second.execute("SELECT 1")
            async with other.transaction() as third:
                await third.execute("SELECT 1")
        await pool.execute("SELECT 1")
        with pytest.raises(ZeroDivisionError):
            async with pool.transaction():
                raise ZeroDivisionError
        await pool.execute("SELECT 1")


# -- run_transaction --------------------------------------------------------------------------------------------------


async def test_run_transaction_takes_isolation_and_read_only(server):
    server.answer("UPDATE", error=1213, times=1)
    async with make_pool(server) as pool:
        await pool.run_transaction(
            lambda conn: conn.execute("UPDATE t"), isolation="READ COMMITTED", read_only=True, retries=1
        )
        said = [sql for sql in server.statements() if "TRANSACTION" in sql]
    assert said == ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION READ ONLY"] * 2
