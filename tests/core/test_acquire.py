"""Acquire: its spellings, its deadline, who comes first, and when connections are opened."""

from __future__ import annotations

import asyncio

import pytest
from support import borrow, check_whole, connection_id, make_pool, now, others_hold, start, ticks

from async_mysqlpool import (
    AcquireTimeoutError,
    ConfigurationError,
    PoolClosedError,
    PooledConnection,
    QueueFullError,
)
from async_mysqlpool.testing.fake import NEVER, fail, slow

# -- spellings: SCENARIOS 31-34; PAINS 24, row o ---------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["async with", "await", "async with await"])
async def test_every_spelling_gives_the_connection_back(server, spelling):
    async with make_pool(server, max_size=3) as pool:
        for _ in range(30):
            if spelling == "async with":
                async with pool.acquire(timeout=1) as conn:
                    assert isinstance(conn, PooledConnection)
            elif spelling == "await":
                conn = await pool.acquire(timeout=1)
                pool.release(conn)
            else:
                async with await pool.acquire(timeout=1) as conn:
                    assert pool.stats().in_use == 1
            assert pool.stats().in_use == 0
        assert server.connects == 1


async def test_one_acquire_object_can_be_awaited_as_often_as_wanted(server):
    async with make_pool(server) as pool:
        acquire = pool.acquire()
        first, second = await acquire, await acquire
        assert await connection_id(first) != await connection_id(second)
        first.close()
        second.close()


async def test_nested_borrows_are_distinct_and_later_ones_reuse_them(server):  # SCENARIOS 33
    async with make_pool(server) as pool:
        async with pool.acquire() as outer, pool.acquire() as inner:
            ids = {await connection_id(outer), await connection_id(inner)}
        async with pool.acquire() as outer, pool.acquire() as inner:
            assert {await connection_id(outer), await connection_id(inner)} == ids
        assert server.connects == 2


async def test_an_exception_in_the_block_passes_and_the_connection_serves_the_next(server):  # SCENARIOS 34
    async with make_pool(server) as pool:
        with pytest.raises(ZeroDivisionError):
            async with pool.acquire() as conn:
                first = await connection_id(conn)
                raise ZeroDivisionError
        assert await borrow(pool) == first


async def test_a_returned_connection_is_reused_before_another_is_opened(server):  # SCENARIOS 39
    async with make_pool(server, max_size=10) as pool:
        for _ in range(1000):
            await borrow(pool)
        assert server.connects == 1


async def test_the_last_one_returned_is_lent_first(server):  # SCENARIOS 38, PAINS 48: surplus stays cold
    async with make_pool(server, max_size=3) as pool:
        borrowed = [await pool.acquire() for _ in range(3)]
        ids = [await connection_id(conn) for conn in borrowed]
        for conn in borrowed:
            conn.close()
        await asyncio.sleep(0.1)
        assert [await borrow(pool) for _ in range(3)] == [ids[-1]] * 3


async def test_before_open_and_after_close_the_error_says_which(server):  # SCENARIOS 24
    pool = make_pool(server)
    with pytest.raises(PoolClosedError, match="not open yet"):
        await pool.acquire()
    await pool.open()
    await pool.close()
    with pytest.raises(PoolClosedError, match="closed"):
        await pool.acquire()


# -- the limit: SCENARIOS 49 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_size", [1, 3, 10])
async def test_never_more_connections_than_max_size_as_the_server_counts_them(server, max_size):
    server.connect.set(slow(0.01))
    async with make_pool(server, max_size=max_size, max_connecting=max_size, queue_timeout=None) as pool:
        await asyncio.gather(*(borrow(pool, 0.001 * (i % 7)) for i in range(200)))
        assert server.peak <= max_size


@pytest.mark.parametrize("how", ["discard", "kill"])
async def test_the_limit_holds_while_connections_are_replaced(server, how):
    async with make_pool(server, max_size=3, queue_timeout=None) as pool:

        async def use_up() -> None:
            async with pool.acquire() as conn:
                if how == "discard":
                    conn.discard()
                else:
                    server.kill(await connection_id(conn))

        server.close.set(slow(0.01))
        await asyncio.gather(*(use_up() for _ in range(50)))
        assert server.peak <= 3
        await check_whole(pool, server)


# -- opening: SCENARIOS 36, 50, 52, 56; PAINS 21, rows d, e ------------------------------------------------------------


async def test_cold_connects_run_in_parallel(server):
    server.connect.set(slow(0.3))
    async with make_pool(server, max_size=10, max_connecting=10) as pool:
        started = now()
        await asyncio.gather(*(borrow(pool, 1) for _ in range(10)))
        assert now() - started == pytest.approx(1.3, abs=0.01)


async def test_max_connecting_bounds_the_connects_under_way(server):
    server.connect.set(slow(1))
    async with make_pool(server, max_size=10, max_connecting=3) as pool:
        tasks = [start(borrow(pool, 100)) for _ in range(10)]
        seen = []
        for _ in range(4):
            await asyncio.sleep(0.5)
            seen.append((server.connect.calls, len(server.sessions)))
            await asyncio.sleep(0.5)
        assert seen == [(3, 0), (6, 3), (9, 6), (10, 9)]
        await asyncio.gather(*tasks)


async def test_a_returned_connection_serves_a_waiter_whose_own_connect_is_slow(server):
    async with make_pool(server) as pool:
        first = await pool.acquire()
        server.connect.set(slow(5))
        waiter = start(borrow(pool))
        await asyncio.sleep(1)
        first_id = await connection_id(first)
        first.close()
        assert await asyncio.wait_for(waiter, 0.5) == first_id
        await asyncio.sleep(5)
        assert pool.idle == 2  # the connect under way was not wasted


async def test_one_hanging_connect_stops_nobody_else(server):
    async with make_pool(server, max_size=3, connect_timeout=60) as pool:
        server.connect.next(NEVER)
        stuck = start(borrow(pool))
        await ticks()
        assert await asyncio.wait_for(borrow(pool), 1) == 1
        await asyncio.wait_for(stuck, 1)


async def test_a_spike_is_served_by_returns_rather_than_by_slow_connects(server):
    server.connect.set(slow(1))
    async with make_pool(server, max_size=50, min_size=2, max_connecting=2) as pool:
        await asyncio.gather(*(borrow(pool, 0.01) for _ in range(50)))
        assert server.connects <= 6


async def test_nothing_is_opened_that_nobody_needs_any_more(server):
    async with make_pool(server, max_size=10, max_connecting=1) as pool:
        server.connect.set(slow(1))
        tasks = [start(borrow(pool, 100)) for _ in range(10)]
        await asyncio.sleep(1.5)
        for task in tasks:
            task.cancel()
        await asyncio.sleep(30)
        assert server.connects <= 2


# -- the deadline: SCENARIOS 60-63, 72; PAINS 13, 14 -------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.001, 0.25, 30.0])
async def test_a_waiter_times_out_at_its_deadline_not_earlier_not_later(server, timeout):
    async with make_pool(server, max_size=1, queue_timeout=timeout) as pool, others_hold(pool):
        started = now()
        with pytest.raises(AcquireTimeoutError) as caught:
            await pool.acquire()
        assert now() - started == pytest.approx(timeout)
        assert caught.value.phase == "queueing"


@pytest.mark.parametrize(("default", "own"), [(0.1, 5.0), (5.0, 0.1)])
async def test_the_calls_own_timeout_wins_in_both_directions(server, default, own):
    async with make_pool(server, max_size=1, queue_timeout=default) as pool, others_hold(pool):
        started = now()
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=own)
        assert now() - started == pytest.approx(own)


async def test_without_a_timeout_it_waits_for_as_long_as_it_takes(server):
    async with make_pool(server, max_size=1, queue_timeout=None, max_lifetime=None) as pool:
        holder = start(borrow(pool, 20_000))
        await ticks()
        assert await borrow(pool) == 1
        await holder


@pytest.mark.parametrize("wrong", [-1, -0.001, "soon", float("nan")])
async def test_an_impossible_timeout_is_refused(server, wrong):
    async with make_pool(server, max_size=1) as pool:
        with pytest.raises(ConfigurationError, match="timeout"):
            async with pool.acquire(), pool.acquire(timeout=wrong):
                pass


async def test_queueing_and_connecting_share_one_deadline(server):
    server.connect.set(slow(2))
    async with make_pool(server, max_size=1, queue_timeout=3) as pool:
        holder = start(borrow(pool, 1))
        await ticks()
        waiter = start(pool.acquire(timeout=4).__aenter__())
        await asyncio.sleep(2.5)
        server.kill_all()
        server.connect.set(NEVER)
        started = now()
        with pytest.raises(AcquireTimeoutError) as caught:
            await waiter
        assert now() - started == pytest.approx(1.5)
        assert caught.value.phase == "connecting"
        await asyncio.gather(holder, return_exceptions=True)


async def test_stale_connections_are_tried_within_one_deadline(server):  # PAINS 14
    async with make_pool(server, max_size=5, validation_timeout=1) as pool:
        borrowed = [await pool.acquire() for _ in range(5)]
        for conn in borrowed:
            conn.close()
        await asyncio.sleep(10)
        server.ping.set(NEVER)
        started = now()
        with pytest.raises(AcquireTimeoutError) as caught:
            await pool.acquire(timeout=0.5)
        assert now() - started == pytest.approx(0.5)
        assert caught.value.phase == "validating"
        await check_whole(pool, server)


async def test_a_server_that_accepts_and_stays_silent_ends_in_a_timeout(server):  # SCENARIOS 74, PAINS 22, row g
    server.connect.set(NEVER)
    async with make_pool(server, connect_timeout=1, queue_timeout=5) as pool:
        started = now()
        with pytest.raises(Exception, match="connect_timeout=1 s"):
            await pool.acquire()
        assert now() - started == pytest.approx(1)


# -- timeout=0 --------------------------------------------------------------------------------------------------------


async def test_zero_takes_an_idle_connection(server):
    async with make_pool(server, min_size=1) as pool:
        started = now()
        async with pool.acquire(timeout=0) as conn:
            assert await connection_id(conn) == 1
        assert now() == started


async def test_zero_fails_at_once_when_all_are_taken(server):
    async with make_pool(server, max_size=1) as pool, others_hold(pool):
        started = now()
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=0)
        assert now() == started


async def test_zero_has_a_connection_opened_for_whoever_tries_later(server):  # SCENARIOS 58
    async with make_pool(server) as pool:
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=0)
        await asyncio.sleep(0.1)
        async with pool.acquire(timeout=0) as conn:
            assert await connection_id(conn) == 1


async def test_zero_tried_in_a_loop_opens_no_more_than_max_size(server):
    server.connect.set(slow(1))
    async with make_pool(server, max_size=2, max_connecting=8) as pool:
        for _ in range(20):
            with pytest.raises(AcquireTimeoutError):
                await pool.acquire(timeout=0)
        await asyncio.sleep(2)
        assert server.connects <= 2
        await check_whole(pool, server)


async def test_zero_survives_a_connect_that_fails(server):
    server.connect.set(fail(2003))
    async with make_pool(server) as pool:
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=0)
        await asyncio.sleep(1)
        await check_whole(pool, server)


async def test_zero_does_not_overtake_those_who_wait(server):
    async with make_pool(server, max_size=1) as pool:
        conn = await pool.acquire()
        waiter = start(borrow(pool, 1))
        await ticks()
        conn.close()
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=0)
        await waiter


# -- first come, first served: SCENARIOS 59, 62, 66, 69; PAINS 28, row n -----------------------------------------------


@pytest.mark.parametrize("max_size", [1, 3])
async def test_waiters_are_served_in_order_of_arrival(server, max_size):
    async with make_pool(server, max_size=max_size) as pool:
        served = []

        async def work(number: int) -> None:
            async with pool.acquire():
                served.append(number)
                await asyncio.sleep(1)

        tasks = []
        for number in range(20):
            tasks.append(start(work(number)))
            await ticks()
        await asyncio.gather(*tasks)
        assert served == list(range(20))


async def test_a_hot_loop_does_not_starve_a_waiter(server):
    async with make_pool(server, max_size=1, reset="none") as pool:
        borrows = 0
        served = asyncio.Event()

        async def hot() -> None:
            nonlocal borrows
            while not served.is_set():
                async with pool.acquire():
                    await asyncio.sleep(0)
                borrows += 1

        async def waiter() -> None:
            async with pool.acquire():
                served.set()

        await asyncio.gather(hot(), waiter())
        assert borrows <= 2


async def test_whoever_releases_and_asks_again_goes_behind_those_who_wait(server):
    async with make_pool(server, max_size=1) as pool:
        order = []

        async def work(name: str, rounds: int) -> None:
            for _ in range(rounds):
                async with pool.acquire() as conn:
                    order.append(name)
                    await connection_id(conn)

        await asyncio.gather(work("a", 3), work("b", 3), work("c", 3))
        assert order == ["a", "b", "c"] * 3


async def test_a_newcomer_does_not_overtake_between_hand_over_and_wake_up(server):
    async with make_pool(server, max_size=1, reset="none") as pool:
        conn = await pool.acquire()
        order = []

        async def work(name: str) -> None:
            async with pool.acquire():
                order.append(name)

        early = start(work("early"))
        await ticks()
        conn.close()
        late = start(work("late"))
        await asyncio.gather(early, late)
        assert order == ["early", "late"]


async def test_a_waiter_that_gave_up_is_skipped(server):  # SCENARIOS 62
    async with make_pool(server, max_size=1) as pool:
        holder = start(borrow(pool, 2))
        await ticks()
        impatient = start(borrow(pool, timeout=1))
        patient = start(borrow(pool, timeout=10))
        with pytest.raises(AcquireTimeoutError):
            await impatient
        assert await patient == await holder
        await check_whole(pool, server)


async def test_nobody_who_shares_the_pool_fairly_fails(server):  # SCENARIOS 65, 68
    async with make_pool(server, max_size=5, queue_timeout=25) as pool:
        await asyncio.gather(*(borrow(pool, 1) for _ in range(100)))
        assert pool.stats().timeouts == 0


# -- max_waiting: SCENARIOS 64 ----------------------------------------------------------------------------------------


async def test_beyond_max_waiting_the_next_one_is_turned_away_at_once(server):
    async with make_pool(server, max_size=1, max_waiting=2, name="shop") as pool:
        holder = start(borrow(pool, 5), name="the holder")
        await asyncio.sleep(0.1)
        waiters = [start(borrow(pool)) for _ in range(2)]
        await ticks()
        assert pool.waiting == 2
        started = now()
        with pytest.raises(QueueFullError, match=r"pool shop: 2 tasks wait already \(max_waiting=2\).*the holder"):
            await pool.acquire()
        assert now() == started
        assert pool.stats().refused == 1
        await asyncio.gather(holder, *waiters)
        await borrow(pool)


async def test_max_waiting_zero_means_that_nobody_queues(server):
    async with make_pool(server, max_size=1, max_waiting=0) as pool:
        async with others_hold(pool):
            with pytest.raises(QueueFullError):
                await pool.acquire()
        await borrow(pool)


async def test_max_waiting_does_not_count_those_whose_connection_is_being_opened(server):
    server.connect.set(slow(1))
    async with make_pool(server, max_size=3, max_waiting=0) as pool:
        await asyncio.gather(*(borrow(pool) for _ in range(3)))
