"""No borrower sees a connection that died while it lay idle; and no ping is spent on one that was just used."""

from __future__ import annotations

import asyncio

import pytest
from support import borrow, cancelled_before, check_whole, connection_id, make_pool, now, start, ticks

from async_mysqlpool import AcquireTimeoutError
from async_mysqlpool.testing.fake import NEVER, FakeError, fail, slow


async def fill(pool, count: int) -> None:
    borrowed = [await pool.acquire() for _ in range(count)]
    for conn in borrowed:
        conn.close()
    await asyncio.sleep(0.1)


async def test_a_busy_pool_never_pings(server):  # PAINS 35
    async with make_pool(server) as pool:
        for _ in range(100):
            await borrow(pool)
            await asyncio.sleep(0.4)
        assert server.ping.calls == 0


async def test_whoever_was_idle_for_longer_is_pinged_once(server):
    async with make_pool(server, validate_after=0.5) as pool:
        await borrow(pool)
        await asyncio.sleep(0.6)
        await borrow(pool)
        assert server.ping.calls == 1


async def test_a_new_connection_is_not_pinged(server):  # SCENARIOS 109
    async with make_pool(server, validate_after=0, reset="none") as pool:
        async with pool.acquire():
            pass
        assert server.ping.calls == 0


@pytest.mark.parametrize("quietly", [False, True])
@pytest.mark.parametrize("idle", [0.0, 10.0])
async def test_connections_killed_while_idle_are_replaced_unseen(
    server, idle, quietly
):  # SCENARIOS 96, 116; PAINS 32, 36
    async with make_pool(server, max_size=3) as pool:
        await fill(pool, 3)
        await asyncio.sleep(idle)
        server.kill_all(quietly=quietly)
        if quietly and not idle:
            with pytest.raises(FakeError):  # nobody could know; it is heard of once
                await borrow(pool)
        assert [await borrow(pool) for _ in range(3)]
        await check_whole(pool, server)


async def test_a_restarted_server_costs_at_most_one_error(server):  # PAINS 36, SCENARIOS 99
    async with make_pool(server, max_size=10) as pool:
        await fill(pool, 10)
        server.kill_all(quietly=True)
        failed = 0
        for _ in range(10):
            try:
                await borrow(pool)
            except FakeError:
                failed += 1
        assert failed <= 1
        await check_whole(pool, server)


async def test_a_frozen_connection_costs_no_more_than_validation_timeout(server):  # PAINS 23, row h; SCENARIOS 115
    async with make_pool(server, max_size=1, validation_timeout=0.25) as pool:
        await borrow(pool)
        await asyncio.sleep(10)
        server.ping.next(NEVER)
        started = now()
        assert await borrow(pool) == 2
        assert now() - started == pytest.approx(0.25, abs=0.01)
        await check_whole(pool, server)


@pytest.mark.parametrize("timeout", [0, 0.3, 5, None])
@pytest.mark.parametrize("frozen", [1, 3, 8])
async def test_any_number_of_frozen_connections_costs_validation_timeout_once(server, frozen, timeout):
    async with make_pool(server, max_size=9, validation_timeout=1) as pool:
        await fill(pool, 8)
        await asyncio.sleep(10)
        server.ping.next(*[NEVER] * frozen)
        started = now()
        if timeout in {0, 0.3}:
            with pytest.raises(AcquireTimeoutError) as caught:
                await borrow(pool, timeout=timeout)
            assert caught.value.phase == "validating"
        else:
            await borrow(pool, timeout=timeout)
        assert now() - started == pytest.approx(min(timeout or 1, 1), abs=0.01)
        await asyncio.sleep(1.1)
        if timeout != 0.3:  # whose patience ended before one was known to be dead
            assert pool.stats().closed["broken"] == frozen  # the pool found out about the others meanwhile
        await check_whole(pool, server)


async def test_frozen_ones_that_are_found_out_slowly_and_dead_ones_that_are_at_once(server):
    async with make_pool(server, max_size=4, validation_timeout=1) as pool:
        await fill(pool, 4)
        await asyncio.sleep(10)
        server.ping.next(fail(2013), fail(OSError()), NEVER)
        started = now()
        assert await borrow(pool) == 1
        assert now() - started == pytest.approx(1, abs=0.01)
        await check_whole(pool, server)


@pytest.mark.parametrize("fate", [slow(0.5), fail(2013), NEVER], ids=["answers", "is lost", "is silent"])
async def test_a_check_goes_on_when_its_borrower_leaves(server, fate):
    async with make_pool(server, max_size=1, validation_timeout=1) as pool:
        first = await borrow(pool)
        await asyncio.sleep(10)
        server.ping.next(fate)
        borrower = start(borrow(pool))
        await ticks(2)
        borrower.cancel()
        assert (await borrow(pool) == first) == (fate.error is None and fate is not NEVER)
        await check_whole(pool, server)


async def test_a_check_times_out_as_ever_for_a_task_that_was_cancelled_before(server):  # Python 3.11.2
    async with make_pool(server, max_size=1, validation_timeout=1) as pool:
        await borrow(pool)
        await asyncio.sleep(10)
        server.ping.next(NEVER)
        await cancelled_before(lambda: borrow(pool))
        await check_whole(pool, server)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("unable to perform operation"), AttributeError("at_eof"), TypeError("ping()"), OSError(), EOFError(),
     FakeError(2013, "lost"), FakeError(1047, "not usable"), FakeError(4031, "inactivity"), ZeroDivisionError()],
)  # fmt: skip
async def test_whatever_a_ping_raises_the_borrower_gets_another_connection(server, error):  # PAINS 34, 39
    async with make_pool(server, max_size=1) as pool:
        await borrow(pool)
        await asyncio.sleep(10)
        server.ping.next(fail(error))
        assert await borrow(pool) == 2
        await check_whole(pool, server)


async def test_a_slow_ping_within_its_time_is_fine(server):
    async with make_pool(server, max_size=1, validation_timeout=1) as pool:
        await borrow(pool)
        await asyncio.sleep(10)
        server.ping.next(slow(0.9))
        assert await borrow(pool) == 1


async def test_the_servers_wait_timeout_is_never_seen(server):  # PAINS 32, SCENARIOS 98, 150
    server.variables["wait_timeout"] = 10
    async with make_pool(server, min_size=2, validate_after=1000) as pool:
        for pause in (1, 9, 11, 25, 3600):
            await asyncio.sleep(pause)
            await borrow(pool)
        assert pool.size == 2


async def test_pings_fail_and_the_server_is_full_of_silence(server):
    async with make_pool(server, max_size=3, validation_timeout=1, connect_timeout=2) as pool:
        await fill(pool, 3)
        await asyncio.sleep(10)
        server.ping.set(NEVER)
        server.connect.set(NEVER)
        started = now()
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=2.5)
        assert now() - started == pytest.approx(2.5)
        await check_whole(pool, server)


# -- check(): SCENARIOS 94, 112, 113 -----------------------------------------------------------------------------------


async def test_check_replaces_exactly_those_that_do_not_answer(server):
    async with make_pool(server, min_size=3, max_size=3) as pool:
        server.kill(2, quietly=True)
        await pool.check()
        assert server.ping.calls == 3
        assert pool.stats().closed == {"broken": 1}
        await asyncio.sleep(1)
        assert sorted(server.sessions) == [1, 3, 4]
        await check_whole(pool, server)


async def test_check_pings_all_at_once_within_validation_timeout(server):
    async with make_pool(server, min_size=5, max_size=5, validation_timeout=1) as pool:
        server.ping.set(NEVER)
        started = now()
        await pool.check()
        assert now() - started == pytest.approx(1)
        await check_whole(pool, server)


async def test_borrowers_go_on_while_check_runs(server):
    async with make_pool(server, min_size=2, max_size=3, validation_timeout=5) as pool:
        server.ping.set(slow(3))
        checking = start(pool.check())
        await ticks()
        started = now()
        await borrow(pool)  # by opening the third
        assert now() == started
        await checking
        await check_whole(pool, server)


@pytest.mark.parametrize("tick", range(5))
async def test_check_that_is_cancelled_loses_nothing(server, tick):
    async with make_pool(server, min_size=2) as pool:
        server.ping.set(slow(0.5))
        checking = start(pool.check())
        await ticks(tick)
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        await check_whole(pool, server)


# -- trouble spreads the news: PAINS 36, 37, 39; SCENARIOS 99, 156 -----------------------------------------------------


@pytest.mark.parametrize("number", [1053, 1927, 2006, 2013, 2055, 4031, 1047])
async def test_after_a_disconnect_the_others_are_pinged_before_reuse(server, number):
    async with make_pool(server, max_size=2) as pool:
        await fill(pool, 2)
        server.answer("boom", error=number)
        with pytest.raises(FakeError):
            await pool.execute("SELECT boom")
        await borrow(pool)
        assert server.ping.calls == 1
        assert pool.stats().closed == {"broken": 1}
        await check_whole(pool, server)


@pytest.mark.parametrize("reset", ["session", "none"])
@pytest.mark.parametrize("number", [1080, 1153, 1156, 1157, 1158, 1159, 1160, 1161, 1835, 4081, 4082])
async def test_where_the_server_hangs_up_after_an_error_only_that_connection_goes(server, number, reset):
    async with make_pool(server, max_size=2, reset=reset) as pool:
        await fill(pool, 2)
        server.answer("boom", error=number)
        with pytest.raises(FakeError):
            await pool.execute("SELECT boom")
        await borrow(pool)
        assert server.ping.calls == 0
        assert pool.stats().closed == {"broken": 1}
        await check_whole(pool, server)


@pytest.mark.parametrize(
    ("number", "message", "evicted"),
    [
        (1290, "The MySQL server is running with the --read-only option so it cannot execute this statement", True),
        (1290, "The MariaDB server is running with the --read_only option", True),
        (1290, "The MySQL server is running with the --secure-file-priv option", False),
        (1792, "Cannot execute statement in a READ ONLY transaction", True),
        (1836, "Running in read-only mode", True),
        (1062, "Duplicate entry", False),
        (1213, "Deadlock found", False),
    ],
)
async def test_a_server_that_became_read_only_loses_all_connections(server, number, message, evicted):
    async with make_pool(server, max_size=3, min_size=1) as pool:
        await fill(pool, 3)
        old = set(server.sessions)
        server.answer("UPDATE", error=FakeError(number, message), times=1)
        server.answer("GLOBAL.read_only", rows=[(1,)])
        with pytest.raises(FakeError):
            await pool.execute("UPDATE t SET x = 1")
        await asyncio.sleep(1)
        assert (old & set(server.sessions) == set()) == evicted
        await check_whole(pool, server)


async def test_a_connection_that_expires_while_it_is_checked_is_not_lent(server):
    async with make_pool(server) as pool:
        first = await borrow(pool)
        await asyncio.sleep(5)
        server.ping.set(slow(0.5))
        borrower = start(borrow(pool))
        await asyncio.sleep(0.2)
        pool.expire()
        assert await borrower != first
        await check_whole(pool, server)


async def test_a_connection_that_dies_on_the_way_to_its_borrower_is_not_lent(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn:
            first = await connection_id(conn)
            waiter = start(borrow(pool))
            await ticks()
        server.kill(first)  # handed over, but its borrower has not run yet
        assert await waiter != first
        await check_whole(pool, server)


async def test_a_short_deadline_says_nothing_of_the_other_connections(server):
    async with make_pool(server) as pool:
        await fill(pool, 2)
        await asyncio.sleep(5)
        async with pool.acquire():
            server.ping.set(slow(0.3))
            with pytest.raises(AcquireTimeoutError):
                await borrow(pool, timeout=0.1)
        pings = server.ping.calls
        await borrow(pool)
        assert server.ping.calls == pings
        await check_whole(pool, server)


async def test_whoever_was_handed_a_dead_connection_looks_at_the_idle_ones_again(server):
    async with make_pool(server, max_size=3) as pool:
        first, second = await pool.acquire(), await pool.acquire()
        doomed = await connection_id(first)
        server.connect.set(NEVER)
        waiter = start(borrow(pool))
        await asyncio.sleep(1)
        first.close()  # goes to the one who waits
        server.kill(doomed)  # before its turn
        second.close()  # nobody waits now: goes to the idle ones
        await asyncio.wait([waiter], timeout=1)
        assert waiter.done()
        server.connect.open()
        await check_whole(pool, server)
