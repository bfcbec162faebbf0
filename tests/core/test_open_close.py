"""The pool's own life: open, close, terminate."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import warnings

import pytest
from support import borrow, cancelled_before, check_whole, connection_id, drop, make_pool, now, start, ticks, value

from async_mysqlpool import ConnectError, PoolClosedError, ServerUnavailableError
from async_mysqlpool.testing.fake import NEVER, FakeError, FakeServer, Step, fail, slow
from async_mysqlpool.testing.virtual import VirtualTimeLoop

# -- open: SCENARIOS 17, 18, 20-25, 28; PAINS 47, 53 -------------------------------------------------------------------


async def test_open_waits_for_the_minimum_without_counting_as_borrows(server):
    server.connect.set(slow(1))
    pool = make_pool(server, min_size=3, max_size=5)
    await pool.open()
    stats = pool.stats()
    assert (stats.size, stats.idle, stats.acquired, stats.opened) == (3, 3, 0, 3)
    await pool.close()


async def test_with_a_minimum_of_zero_nothing_is_opened_before_the_first_borrow(server):
    async with make_pool(server, min_size=0) as pool:
        await asyncio.sleep(3600)
        assert server.connect.calls == 0
        await borrow(pool)


async def test_opening_without_waiting_returns_at_once_and_fills_in_the_background(server):
    server.connect.set(slow(1))
    pool = make_pool(server, min_size=2)
    started = now()
    await pool.open(wait=False)
    assert (now(), pool.idle) == (started, 0)
    await asyncio.sleep(1.1)
    assert pool.idle == 2
    await pool.close()


async def test_opening_twice_is_harmless_and_so_is_entering_an_open_pool(server):
    pool = make_pool(server, min_size=1)
    await pool.open()
    await pool.open()
    async with pool:
        await borrow(pool)
    assert server.connects == 1


@pytest.mark.parametrize("how", ["cancelled", "in an outage", "in an outage, patiently"])
async def test_only_the_call_that_started_the_pool_may_end_it(server, how):
    async with make_pool(server, min_size=1, max_size=2) as pool:
        conn = await pool.acquire()
        await pool.resize(min_size=2)
        server.connect.set(NEVER if how == "cancelled" else fail(2003))
        second = start(pool.open(timeout=5 if "patiently" in how else None))
        await ticks()
        if how == "cancelled":
            second.cancel()
        await asyncio.wait([second])
        with pytest.raises(asyncio.CancelledError if how == "cancelled" else ServerUnavailableError):
            await second
        assert not pool.closed
        assert await value(conn, "SELECT 1") == 1
        conn.close()
        await check_whole(pool, server)


async def test_two_tasks_may_open_the_same_pool(server):
    server.connect.set(slow(1))
    pool = make_pool(server, min_size=2)
    await asyncio.gather(pool.open(), pool.open())
    assert (pool.idle, server.connects) == (2, 2)
    await pool.close()


async def test_a_wrong_password_fails_at_once_whatever_the_timeout(server):
    server.password = "secret"
    pool = make_pool(server, min_size=1, password="wrong")
    started = now()
    with pytest.raises(ConnectError, match="Access denied") as caught:
        await pool.open(timeout=60)
    assert not isinstance(caught.value, ServerUnavailableError)
    assert now() - started < 0.01
    assert pool.closed
    assert server.connect.calls == 1


async def test_a_server_that_comes_up_within_the_timeout_is_waited_for(server):
    server.stop()
    asyncio.get_running_loop().call_later(5, server.start)
    pool = make_pool(server, min_size=2)
    started = now()
    await pool.open(timeout=10)
    assert 5 <= now() - started < 7.5
    assert pool.idle == 2
    await pool.close()


async def test_a_server_that_does_not_come_up_ends_in_an_error_with_the_cause(server):
    server.stop()
    pool = make_pool(server, min_size=1)
    started = now()
    with pytest.raises(ServerUnavailableError, match=r"timeout=3.*connection refused") as caught:
        await pool.open(timeout=3)
    assert now() - started == pytest.approx(3)
    assert isinstance(caught.value.__cause__, ServerUnavailableError)
    assert pool.closed


async def test_open_times_out_as_ever_in_a_task_that_was_cancelled_before(server):  # Python 3.11.2
    server.stop()
    with pytest.raises(ServerUnavailableError, match="timeout=3"):
        await cancelled_before(lambda: make_pool(server, min_size=1).open(timeout=3))


async def test_without_a_timeout_the_first_failure_is_raised(server):
    server.stop()
    pool = make_pool(server, min_size=1)
    with pytest.raises(ServerUnavailableError, match="connection refused"):
        await pool.open()
    assert pool.closed


async def test_opening_in_the_background_keeps_trying_until_the_server_is_there(server):
    server.stop()
    pool = make_pool(server, min_size=1)
    await pool.open(wait=False)
    await asyncio.sleep(60)
    server.start()
    await asyncio.sleep(5)
    assert pool.idle == 1
    await pool.close()


@pytest.mark.parametrize("tick", range(8))
async def test_open_that_is_cancelled_leaves_nothing_behind(server, tick):
    server.connect.set(slow(1))
    pool = make_pool(server, min_size=2)
    opening = start(pool.open())
    await ticks(tick)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.sleep(5)
    assert len(server.sessions) == 0 or not pool.closed
    await pool.close()
    assert len(server.sessions) == 0


def test_a_pool_made_before_any_loop_runs_works_in_one(server):  # SCENARIOS 28, 198
    pool = make_pool(server, min_size=1)

    async def use() -> int:
        async with pool:
            return await borrow(pool)

    assert asyncio.run(use()) == 1


async def test_a_closed_pool_stays_closed(server):  # SCENARIOS 169
    pool = make_pool(server)
    await pool.open()
    await pool.close()
    with pytest.raises(PoolClosedError, match="closed"):
        await pool.open()
    assert pool.closed


async def test_a_pool_closed_before_it_was_opened_cannot_be_opened(server):
    pool = make_pool(server)
    await pool.close()
    assert pool.closed
    with pytest.raises(PoolClosedError):
        await pool.open()


# -- close: SCENARIOS 161-168, 170; PAINS 29, 30, 55, rows s-u ---------------------------------------------------------


def other_tasks() -> set[asyncio.Task]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_close_says_goodbye_on_every_connection_and_leaves_no_task(server):
    async with make_pool(server, min_size=3, max_size=5) as pool:
        await asyncio.gather(*(borrow(pool, 1) for _ in range(5)))
    assert pool.closed
    assert server.sessions == {}
    assert server.statements().count("COM_QUIT") == 5
    assert other_tasks() == set()
    assert (pool.size, pool.idle, pool.waiting) == (0, 0, 0)


async def test_close_waits_for_borrowers_and_they_finish_undisturbed(server):
    pool = make_pool(server)
    await pool.open()
    holder = start(borrow(pool, 3))
    await ticks(80)
    started = now()
    await pool.close()
    assert now() - started == pytest.approx(3, abs=0.1)
    assert await holder == 1
    assert server.statements().count("COM_QUIT") == 1


async def test_close_sends_waiters_away_at_once(server):  # row t
    pool = make_pool(server, max_size=1)
    await pool.open()
    holder = start(borrow(pool, 3))
    await ticks(80)
    waiters = [start(borrow(pool)) for _ in range(3)]
    await ticks()
    closing = start(pool.close())
    started = now()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(result) for result in results] == [PoolClosedError] * 3
    assert now() == started
    with pytest.raises(PoolClosedError, match="closing"):
        await pool.acquire()
    await closing
    assert await holder == 1


async def test_after_its_timeout_close_cuts_borrowers_off_and_says_who_they_were(server, caplog):
    pool = make_pool(server, name="shop")
    await pool.open()
    conn = await pool.acquire()
    started = now()
    await pool.close(timeout=0.5)
    assert now() - started == pytest.approx(0.5)
    assert server.sessions == {}
    assert "shop" in caplog.text
    assert "test_open_close.py" in caplog.text
    conn.close()  # a late return is tolerated
    assert other_tasks() == set()


async def test_close_twice_and_from_several_tasks(server):
    pool = make_pool(server)
    await pool.open()
    holder = start(borrow(pool, 2))
    await ticks(80)
    await asyncio.gather(*(pool.close() for _ in range(3)))
    await pool.close()
    assert await holder == 1
    assert server.sessions == {}


async def test_a_borrower_that_was_cut_off_is_told_that_the_pool_was_closed(server):
    pool = make_pool(server)
    await pool.open()
    busy = start(pool.fetch_value("SELECT SLEEP(1000)"))
    conn = await pool.acquire()
    await ticks(20)
    await pool.close(timeout=1)
    with pytest.raises(PoolClosedError, match="did not wait for it any longer") as caught:
        await busy
    assert isinstance(caught.value.__cause__, FakeError)
    with pytest.raises(PoolClosedError, match="did not wait for it any longer") as caught:
        await conn.begin()
    assert not hasattr(caught.value.__cause__, "__notes__")  # nothing was under way
    conn.close()


async def test_whoever_asks_a_closed_pool_is_counted_as_refused(server):
    pool = make_pool(server)
    await pool.open()
    await pool.close()
    for _ in range(3):
        with pytest.raises(PoolClosedError):
            await pool.acquire()
    with pytest.raises(PoolClosedError):
        pool.expire()
    assert pool.stats().refused == 3


async def test_a_second_close_with_a_shorter_timeout_is_heard(server):
    pool = make_pool(server)
    await pool.open()
    conn = await pool.acquire()
    patient = start(pool.close(timeout=1000))
    await ticks()
    started = now()
    await pool.close(timeout=1)
    assert now() - started == pytest.approx(1)
    await patient
    conn.close()


async def test_a_second_close_in_the_same_moment_is_heard_as_well(server):
    pool = make_pool(server)
    await pool.open()
    conn = await pool.acquire()
    started = now()
    await asyncio.gather(pool.close(timeout=None), pool.close(timeout=1000), pool.close(timeout=1))
    assert now() - started == pytest.approx(1)
    conn.close()


async def test_closing_at_once_has_nothing_to_complain_about_when_nobody_holds_a_connection(server, caplog):
    async with make_pool(server, min_size=2) as pool:
        await pool.close(timeout=0)
    assert server.statements().count("COM_QUIT") == 2
    assert caplog.messages == []


@pytest.mark.parametrize("tick", range(6))
async def test_close_that_is_cancelled_terminates(server, tick):
    pool = make_pool(server, min_size=2)
    await pool.open()
    conn = await pool.acquire()
    closing = start(pool.close())
    await ticks(tick)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    if tick == 0:  # it was cancelled before it began
        await pool.close(timeout=0)
    await asyncio.sleep(2)
    assert server.sessions == {}
    assert pool.closed
    assert other_tasks() == set()
    conn.close()


async def test_close_under_an_outer_timeout(server):  # SCENARIOS 164
    pool = make_pool(server)
    await pool.open()
    conn = await pool.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await pool.close()
    assert server.sessions == {}
    conn.close()


async def test_a_goodbye_that_is_never_answered_holds_nobody_up_for_long(server):  # PAINS 31
    pool = make_pool(server, min_size=2)
    await pool.open()
    server.close.set(NEVER)
    started = now()
    await pool.close()
    assert now() - started <= 2
    assert server.sessions == {}


async def test_close_breaks_off_connects_under_way(server):  # SCENARIOS 167, 168
    server.connect.set(slow(100))
    pool = make_pool(server, min_size=2, connect_timeout=1000.0)
    await pool.open(wait=False)
    asking = start(borrow(pool))
    await ticks()
    started = now()
    await pool.close()
    assert now() - started <= 1
    with pytest.raises(PoolClosedError):
        await asking
    assert server.sessions == {}
    assert other_tasks() == set()


async def test_close_during_a_slow_reset(server):
    async with make_pool(server, pipelines=False) as pool:
        conn = await pool.acquire()
        await value(conn, "SELECT 1")
        server.reset.set(slow(2))
        conn.close()
    assert server.sessions == {}
    assert other_tasks() == set()


async def test_leaving_the_block_with_an_error_closes_as_well(server):
    with pytest.raises(ZeroDivisionError):
        async with make_pool(server, min_size=1):
            raise ZeroDivisionError
    assert server.sessions == {}


# -- terminate ---------------------------------------------------------------------------------------------------------


async def test_terminate_cuts_idle_borrowed_and_opening_at_once(server):  # SCENARIOS 166, row r
    pool = make_pool(server, min_size=1, max_size=3)
    await pool.open()
    conn, idle = await pool.acquire(), await pool.acquire()
    idle.close()
    await ticks()
    server.connect.set(slow(1))
    others = [await pool.acquire(), start(pool.acquire().__aenter__())]
    await ticks()
    assert pool.stats().opening == 1
    pool.terminate()
    assert server.sessions == {}
    assert pool.closed
    with pytest.raises(PoolClosedError):
        await others[1]
    with pytest.raises(PoolClosedError):
        await pool.acquire()
    conn.close()
    others[0].close()
    pool.release(idle)
    await asyncio.sleep(5)
    assert server.sessions == {}
    assert other_tasks() == set()
    await pool.close()
    pool.terminate()


async def test_terminate_while_close_waits_ends_the_wait(server):
    pool = make_pool(server)
    await pool.open()
    conn = await pool.acquire()
    closing = start(pool.close(timeout=None))
    await ticks()
    pool.terminate()
    await asyncio.wait_for(asyncio.gather(closing, return_exceptions=True), 1)
    assert server.sessions == {}
    conn.close()


async def test_terminate_before_open(server):
    pool = make_pool(server)
    pool.terminate()
    assert pool.closed
    with pytest.raises(PoolClosedError):
        await pool.open()


async def test_waiters_hear_of_terminate(server):
    pool = make_pool(server, max_size=1)
    await pool.open()
    conn = await pool.acquire()
    waiter = start(pool.acquire().__aenter__())
    await ticks()
    pool.terminate()
    with pytest.raises(PoolClosedError):
        await waiter
    conn.close()


# -- forgotten pools: PAINS 51 -----------------------------------------------------------------------------------------


async def test_a_pool_that_is_dropped_unclosed_is_collected_and_warned_about(server):  # SCENARIOS 196
    pools = [make_pool(server, min_size=1)]
    await pools[0].open()
    with pytest.warns(ResourceWarning, match="never closed"):
        drop(pools)
    await asyncio.sleep(1000)
    assert server.sessions == {}
    assert other_tasks() == set()


FORGETFUL = """
import asyncio
from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing.fake import FakeDriver

pool = ConnectionPool(driver=FakeDriver(), min_size=2)

async def main():
    await pool.open()
    async with pool.acquire() as conn:
        await conn.ping()
    {more}

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "more",
    ["pass", "global kept; kept = await pool.acquire()", "asyncio.create_task(pool.close())", "pool.terminate()"],
)
def test_a_program_that_forgets_to_close_ends_well(more):
    """Exit code 0, no traceback, and one warning at most for whoever asked for warnings."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", FORGETFUL.format(more=more)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr.count(": ResourceWarning: ") == (more == "pass" or "kept" in more)


def test_the_constructor_needs_no_loop_and_warns_of_nothing(server):  # PAINS 53
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool = make_pool(server)
        assert "not open" in repr(pool).lower() or "new" in repr(pool).lower()
        del pool
        gc.collect()


async def test_connect_failures_after_close_disturb_nobody(server):
    server.connect.set(fail(2003))
    pool = make_pool(server, min_size=1)
    await pool.open(wait=False)
    await asyncio.sleep(1)
    await pool.close()
    assert other_tasks() == set()


async def test_everything_works_on_a_pool_that_was_never_opened(server):
    pool = make_pool(server, min_size=0, max_size=4)
    assert (pool.size, pool.idle, pool.waiting, pool.leases()) == (0, 0, 0, [])
    assert pool.stats().max_size == 4
    with pytest.raises(PoolClosedError, match="not open yet"):
        pool.expire()
    with pytest.raises(PoolClosedError, match="not open yet"):
        await pool.check()
    with pytest.raises(PoolClosedError, match="not open yet"):
        await pool.resize(max_size=2)


async def test_id_of_a_connection_survives_reuse(server):
    async with make_pool(server) as pool:
        async with pool.acquire() as conn:
            first = await connection_id(conn)
        async with pool.acquire() as conn:
            assert await connection_id(conn) == first
        await check_whole(pool, server)


# -- closed by somebody else meanwhile ---------------------------------------------------------------------------------


async def end(pool, how):
    if how == "close":
        await pool.close()
    else:
        pool.terminate()


@pytest.mark.parametrize("timeout", [30.0, None])
@pytest.mark.parametrize("how", ["close", "terminate"])
@pytest.mark.parametrize("answer", [slow(0.5), Step(delay=0.5, error=FakeError(2013, "lost"))])
async def test_whoever_checks_a_connection_meanwhile_is_sent_away(server, answer, how, timeout):
    pool = make_pool(server, queue_timeout=timeout)
    await pool.open()
    await borrow(pool)
    await asyncio.sleep(5)
    server.ping.set(answer)
    waiter = start(borrow(pool))
    await asyncio.sleep(0.1)
    await end(pool, how)
    await asyncio.wait([waiter], timeout=10)
    assert isinstance(waiter.exception(), PoolClosedError)
    assert pool.size == len(server.sessions) == 0


async def test_an_acquire_that_waits_for_nothing_opens_nothing_afterwards(server):
    pool = make_pool(server)
    await pool.open()
    await borrow(pool)
    await asyncio.sleep(5)
    server.ping.set(Step(delay=0.5, error=FakeError(2013, "lost")))
    waiter = start(borrow(pool, timeout=0))
    await asyncio.sleep(0.1)
    pool.terminate()
    await asyncio.wait([waiter])
    await asyncio.sleep(5)
    assert isinstance(waiter.exception(), PoolClosedError)
    assert server.connects == 1


@pytest.mark.parametrize("how", ["close", "terminate"])
async def test_an_open_that_waits_for_the_minimum_is_sent_away(server, how):
    server.connect.set(NEVER)
    pool = make_pool(server, min_size=1)
    opening = start(pool.open(timeout=60))
    await asyncio.sleep(1)
    await end(pool, how)
    await asyncio.wait([opening], timeout=5)
    assert isinstance(opening.exception(), PoolClosedError)


async def test_a_borrower_between_two_statements_is_cut_off_without_a_goodbye(server):
    """Its next statement would wait for a reply that the goodbye swallows."""
    server.close.set(slow(0.5))
    pool = make_pool(server)
    await pool.open()
    async with pool.acquire() as conn:
        await value(conn, "SELECT 1")
        await pool.close(timeout=1)
        assert server.close.calls == 0
        with pytest.raises(PoolClosedError):
            await asyncio.wait_for(value(conn, "SELECT 1"), 5)


# -- loops whose alarms ring a little early, as uvloop's do: it rounds to milliseconds ---------------------------------


class EarlyLoop(VirtualTimeLoop):
    def call_at(self, when, callback, *args, context=None):
        return super().call_at(when - 0.0004, callback, *args, context=context)


async def close_with_a_borrower():
    pool = make_pool(FakeServer())
    await pool.open()
    conn = await pool.acquire()
    await pool.close(timeout=2)
    assert conn.closed


async def close_in_more_of_a_hurry():
    pool = make_pool(FakeServer())
    await pool.open()
    conn, began = await pool.acquire(), now()
    patient = start(pool.close(timeout=20))
    await pool.close(timeout=2)
    await patient
    assert (conn.closed, now() < began + 4) == (True, True)


async def open_without_a_server():
    server = FakeServer()
    server.connect.set(NEVER)
    with pytest.raises(ServerUnavailableError, match="within open"):
        await make_pool(server, min_size=1, connect_timeout=1e6).open(timeout=2)


@pytest.mark.parametrize("work", [close_with_a_borrower, close_in_more_of_a_hurry, open_without_a_server])
@pytest.mark.parametrize("loop", [VirtualTimeLoop, EarlyLoop])
def test_a_time_that_is_up_is_up_whatever_the_clock_says(work, loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(work(), 100))
