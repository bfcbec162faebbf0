"""Giving back: by every road, often or by the wrong one; and what of it wakes a waiter."""

from __future__ import annotations

import asyncio

import pytest
from support import borrow, check_whole, connection_id, make_pool, start, ticks, value

from async_mysqlpool import ConnectionReleasedError
from async_mysqlpool.testing.fake import NEVER, FakeError, FakeStreamCursor, fail, slow


@pytest.mark.parametrize("how", ["release", "close", "await close", "ensure_closed", "await ensure_closed"])
async def test_every_way_of_giving_back_is_harmless_twice(server, how):  # SCENARIOS 41
    async with make_pool(server, max_size=1) as pool:
        conn = await pool.acquire()
        for _ in range(3):
            if how == "release":
                pool.release(conn)
            else:
                result = getattr(conn, how.rpartition(" ")[2])()
                if how.startswith("await"):
                    assert await result is None
        await ticks()
        assert (pool.stats().in_use, pool.idle) == (0, 1)
        await check_whole(pool, server)


async def test_closing_inside_the_block_gives_back_once(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            await conn.close()
            other = await pool.acquire(timeout=1)
            # The block's own end must not take the connection from its new holder.
        assert await connection_id(other) == 1
        other.close()


async def test_a_double_release_does_not_take_the_connection_from_its_next_holder(server):
    async with make_pool(server, max_size=1) as pool:
        first = await pool.acquire()
        first.close()
        second = await pool.acquire()
        pool.release(first)
        first.close()
        assert pool.stats().in_use == 1
        assert await connection_id(second) == 1
        second.close()


async def test_what_is_no_connection_of_this_pool_is_refused_and_harmless(server):  # SCENARIOS 40, PAINS 56
    pool, other = make_pool(server, name="mine"), make_pool(server, name="other")
    async with pool, other, pool.acquire() as ours, other.acquire() as foreign:
        for wrong in (foreign, ours.raw, None, "conn"):
            with pytest.raises(ValueError, match="was not acquired from pool mine"):
                pool.release(wrong)
        assert other.stats().in_use == 1
        assert await connection_id(foreign)


def held(server):  # noqa: C901  a table, not decisions
    """Ways for a borrower to be done: PAINS 12, rows a-c. Each gets a connection that it holds."""

    async def fine(conn):
        conn.close()

    async def in_a_transaction(conn):
        await conn.begin()
        conn.close()

    async def after_an_sql_error(conn):
        with pytest.raises(FakeError):
            await value(conn, "SELECT x FROM nowhere")
        conn.close()

    async def discarded(conn):
        conn.discard()

    async def killed(conn):
        server.kill(await connection_id(conn))
        conn.close()

    async def killed_quietly(conn):
        server.kill(await connection_id(conn), quietly=True)
        conn.close()

    async def raw_closed(conn):
        conn.raw.close()
        conn.close()

    async def cancelled_statement(conn):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await value(conn, "SELECT SLEEP(20)")
        conn.close()

    async def unread_rows(conn):
        server.answer("many", rows=[(1,), (2,)])
        cursor = conn.cursor(FakeStreamCursor)
        await cursor.execute("SELECT many")
        await cursor.fetchone()
        conn.close()

    async def reset_fails(conn):
        server.reset.next(fail(1105))
        await value(conn, "SELECT 1")
        conn.close()

    async def reset_hangs(conn):
        server.reset.next(NEVER)
        await value(conn, "SELECT 1")
        conn.close()

    async def reset_is_slow(conn):
        server.reset.next(slow(3))
        await value(conn, "SELECT 1")
        conn.close()

    return [
        fine, in_a_transaction, after_an_sql_error, discarded, killed, killed_quietly, raw_closed, cancelled_statement,
        unread_rows, reset_fails, reset_hangs, reset_is_slow,
    ]  # fmt: skip


@pytest.mark.parametrize("pipelines", [True, False])
@pytest.mark.parametrize("number", range(12))
async def test_however_a_borrow_ends_a_waiter_gets_the_capacity(server, number, pipelines):
    how = held(server)[number]
    async with make_pool(server, max_size=1, pipelines=pipelines) as pool:
        conn = await pool.acquire()
        waiting = start(pool.acquire(timeout=60).__aenter__())
        await ticks()
        await how(conn)
        del conn
        second = await waiting
        assert pool.stats().in_use == 1
        second.close()
        await check_whole(pool, server)


@pytest.mark.parametrize("number", range(12))
async def test_however_a_borrow_ends_the_next_borrower_can_work(server, number):
    """With nobody waiting, at most a reset that failed is heard of by the one whose command followed it."""
    how = held(server)[number]
    async with make_pool(server, max_size=1) as pool:
        await how(await pool.acquire())
        await asyncio.sleep(30)
        async with pool.acquire() as conn:
            assert await value(conn, "SELECT 7") == 7
        await check_whole(pool, server)


async def test_a_connection_that_is_not_fit_is_replaced_by_a_new_one(server):  # SCENARIOS 42, 125
    reasons = {
        3: "discarded", 4: "broken", 6: "broken", 7: "cancelled", 8: "unread result",
    }  # fmt: skip
    async with make_pool(server, max_size=1, kill_on_cancel=False) as pool:
        for number, reason in reasons.items():
            before = dict(pool.stats().closed)
            await held(server)[number](await pool.acquire())
            await asyncio.sleep(30)
            assert pool.stats().closed == {**before, reason: before.get(reason, 0) + 1}


async def test_the_blocks_own_error_is_what_the_caller_sees(server):  # PAINS 56
    async with make_pool(server) as pool:
        with pytest.raises(ZeroDivisionError):
            async with pool.acquire():
                server.stop()
                raise ZeroDivisionError
        server.start()
        await check_whole(pool, server)


async def test_a_hundred_failing_statements_exhaust_nothing(server):  # SCENARIOS 45
    server.answer("broken", error=1064)
    async with make_pool(server) as pool:

        async def work(number: int) -> None:
            async with pool.acquire() as conn:
                await value(conn, "SELECT 1 AS broken" if number % 2 else "SELECT 1")

        results = await asyncio.gather(*(work(i) for i in range(100)), return_exceptions=True)
        assert sum(isinstance(result, FakeError) for result in results) == 50
        assert server.connects <= 2  # an error of the user's SQL says nothing against the connection
        await check_whole(pool, server)


async def test_an_async_generator_that_is_left_midway_gives_back(server):  # SCENARIOS 47
    server.answer("numbers", rows=[(1,), (2,), (3,)])
    async with make_pool(server, max_size=1) as pool:

        async def rows():
            async with pool.cursor() as cursor:
                await cursor.execute("SELECT numbers")
                async for row in cursor:
                    yield row

        generator = rows()
        assert await anext(generator) == (1,)
        await generator.aclose()
        assert await borrow(pool) == 1


async def test_a_thousand_rounds_of_release_and_reuse_after_release_are_all_refused(server):
    async with make_pool(server, max_size=1) as pool:
        stale = []
        for _ in range(100):
            conn = await pool.acquire()
            stale.append(conn)
            conn.close()
        async with pool.acquire():
            for conn in stale:
                with pytest.raises(ConnectionReleasedError):
                    await conn.begin()


@pytest.mark.filterwarnings("ignore:coroutine 'FakeCursor.execute' was never awaited")  # which is the point
async def test_a_lock_that_was_never_asked_for_is_not_left_open(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn, conn.cursor() as cursor:
            never_ran = start(cursor.execute("SELECT GET_LOCK('a', 1)"))
            never_ran.cancel()
            await asyncio.wait([never_ran])
        for _ in range(3):
            async with pool.acquire():
                pass
        assert pool.stats().left_behind == {}
