"""What happens to connections that nobody touches: the pure plan, and the pool in virtual time."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import borrow, check_whole, connection_id, make_pool, now, start, ticks

from async_mysqlpool import ConfigurationError
from async_mysqlpool.capacity.maintenance import plan
from async_mysqlpool.config import build_config
from async_mysqlpool.connection.entry import Entry, State
from async_mysqlpool.events import HeldTooLong, LateReturn
from async_mysqlpool.testing.fake import NEVER, fail, slow

# -- plan(): no loop, no time ------------------------------------------------------------------------------------------


def entry(
    idle_since: float, state: State = State.IDLE, expires_at: float = float("inf"), patience: float = 28800
) -> Entry:
    made = Entry(0.0)
    made.state = state
    made.released_at = made.acquired_at = idle_since
    made.expires_at = expires_at
    made.baseline = SimpleNamespace(wait_timeout=patience)
    return made


def test_the_longest_idle_go_first_and_the_minimum_stays():
    entries = [entry(100), entry(0), entry(50)]
    result = plan(1000, entries, build_config(None, {"max_idle_time": 600}), min_size=1)
    assert result.retire == [(entries[1], "idle"), (entries[2], "idle")]
    assert result.open == 0


def test_borrowed_connections_count_for_the_minimum_but_never_go():
    entries = [entry(0), entry(0, State.IN_USE)]
    result = plan(1000, entries, build_config(None, {"max_idle_time": 600}), min_size=1)
    assert result.retire == [(entries[0], "idle")]


def test_nobody_goes_before_his_time_and_the_next_look_is_then():
    entries = [entry(0), entry(10)]
    result = plan(599, entries, build_config(None, {"max_idle_time": 600}), min_size=0)
    assert result.retire == []
    assert result.wake_at == 600


def test_without_a_limit_only_the_servers_patience_counts():
    entries = [entry(0, patience=100), entry(50, patience=100)]
    config = build_config(None, {"max_idle_time": None})
    result = plan(91, entries, config, min_size=2)
    assert result.retire == [(entries[0], "idle")]
    assert result.open == 1
    assert result.wake_at <= 140


def test_the_servers_patience_caps_the_limit():
    result = plan(95, [entry(0, patience=100)], build_config(None, {"max_idle_time": 600}), min_size=1)
    assert [reason for _, reason in result.retire] == ["idle"]
    assert result.open == 1


def test_old_connections_go_one_at_a_time_even_below_the_minimum():
    entries = [entry(990, expires_at=900 - i) for i in range(3)]
    result = plan(1000, entries, build_config(None, {}), min_size=3)
    assert result.retire == [(entries[2], "lifetime")]
    assert result.open == 1
    assert 1000 < result.wake_at < 1001


def test_old_borrowed_connections_are_left_to_their_return():
    assert plan(1000, [entry(0, State.IN_USE, expires_at=10)], build_config(None, {}), min_size=1).retire == []


def test_what_is_missing_is_opened():
    entries = [entry(0), entry(0, State.OPENING), entry(0, State.CLOSING)]
    assert plan(1, entries, build_config(None, {}), min_size=4).open == 2


def test_whoever_holds_too_long_is_warned_about_once():
    held, late, warned = entry(995, State.IN_USE), entry(10, State.IN_USE), entry(10, State.IN_USE)
    warned.warned = True
    result = plan(1000, [held, late, warned], build_config(None, {"hold_warning": 30}), min_size=0)
    assert result.warn == [late]
    assert result.wake_at == 1025


KEEPALIVE = build_config(None, {"keepalive": 60, "max_idle_time": None})


def test_silent_ones_are_pinged_the_longest_silent_first_and_a_part_at_a_time():
    entries = [entry(10 - i) for i in range(8)]
    entries[7].pinged_at = 950  # answered not long ago
    result = plan(1000, [*entries, entry(0, State.IN_USE)], KEEPALIVE, min_size=8)
    assert result.ping == [entries[6], entries[5]]
    assert 1000 < result.wake_at < 1001
    assert plan(1000, entries[7:], KEEPALIVE, min_size=8).wake_at == 1010
    entries[6].state = State.CLEANING  # it has not answered yet
    assert plan(1000, entries, KEEPALIVE, min_size=8).ping == [entries[5]]


def test_who_goes_is_not_pinged():
    config = build_config(None, {"keepalive": 60, "max_idle_time": 600})
    assert plan(1000, [entry(0)], config, min_size=0).ping == []


def test_a_ping_puts_the_servers_patience_off_but_not_ours():
    pinged = entry(0, patience=100)
    pinged.pinged_at = 900
    assert plan(980, [pinged], build_config(None, {"max_idle_time": None}), min_size=0).retire == []
    assert plan(991, [pinged], build_config(None, {"max_idle_time": None}), min_size=0).retire == [(pinged, "idle")]
    assert plan(950, [pinged], build_config(None, {"max_idle_time": 940}), min_size=0).retire == [(pinged, "idle")]


times = st.floats(0, 10_000, allow_nan=False)


@given(
    entries=st.lists(st.tuples(times, st.sampled_from(State), times, st.sampled_from([10.0, 28800.0])), max_size=8),
    min_size=st.integers(0, 5),
    at=times,
    max_idle_time=st.none() | st.floats(1, 1000),
)
def test_every_plan_makes_sense(entries, min_size, at, max_idle_time):
    made = [entry(since, state, expires, patience) for since, state, expires, patience in entries]
    result = plan(at, made, build_config(None, {"max_idle_time": max_idle_time}), min_size)
    going = [e for e, _ in result.retire]
    assert len(set(going)) == len(going)
    assert all(e.state is State.IDLE for e in going)
    living = [e for e in made if e.state not in {State.CLOSING, State.CLOSED}]
    assert len(living) - len(going) + result.open >= min_size
    assert result.wake_at > at or not result.wake_at < float("inf") or result.retire


# -- in the pool: SCENARIOS 53, 57, 141-148, 183; PAINS 32, 33, 48, 49 -------------------------------------------------


async def burst(pool, count: int, seconds: float = 1) -> None:
    await asyncio.gather(*(borrow(pool, seconds) for _ in range(count)))


async def test_after_a_burst_the_pool_shrinks_to_its_minimum(server):
    async with make_pool(server, min_size=2, max_size=10, max_idle_time=60) as pool:
        await burst(pool, 10)
        assert pool.size == 10
        await asyncio.sleep(59)
        assert pool.size == 10
        await asyncio.sleep(62)
        assert pool.size == 2
        assert pool.stats().closed == {"idle": 8}
        assert server.statements().count("COM_QUIT") == 8


async def test_little_use_keeps_one_warm_and_lets_the_others_go(server):  # PAINS 48
    async with make_pool(server, min_size=1, max_size=10, max_idle_time=60) as pool:
        await burst(pool, 10)
        for _ in range(180):
            await borrow(pool)
            await asyncio.sleep(1)
        assert pool.size == 1


async def test_the_idle_clock_starts_at_return(server):  # SCENARIOS 145
    async with make_pool(server, max_idle_time=60) as pool:
        await borrow(pool, 500)
        await asyncio.sleep(59)
        assert pool.size == 1
        await asyncio.sleep(62)
        assert pool.size == 0


async def test_idle_limits_reopen_on_demand(server):  # SCENARIOS 146
    async with make_pool(server, max_idle_time=60) as pool:
        assert await borrow(pool) == 1
        await asyncio.sleep(200)
        assert await borrow(pool) == 2


async def test_without_an_idle_limit_nothing_is_reaped(server):
    async with make_pool(server, max_idle_time=None, max_lifetime=None, max_size=3) as pool:
        await burst(pool, 3)
        await asyncio.sleep(20_000)
        assert pool.size == 3


async def test_the_minimum_is_kept_without_anybody_borrowing(server):  # PAINS 49
    async with make_pool(server, min_size=3, max_size=5, max_idle_time=60) as pool:
        await asyncio.sleep(1)
        server.kill_all()
        await asyncio.sleep(700)
        assert len(server.sessions) == 3
        assert pool.idle == 3
        await check_whole(pool, server)


async def test_a_dropped_connection_is_replaced_up_to_the_minimum(server):  # SCENARIOS 57
    server.connect.next(slow(0), slow(0), slow(5))
    async with make_pool(server, min_size=2) as pool:
        async with pool.acquire() as conn:
            conn.discard()
        await asyncio.sleep(6)
        assert pool.idle == 2


@pytest.mark.parametrize("max_idle_time", [None, 600])
async def test_idle_connections_are_retired_at_their_age(server, max_idle_time):  # SCENARIOS 142; PAINS 33
    async with make_pool(server, min_size=2, max_idle_time=max_idle_time, max_lifetime=1000) as pool:
        old = set(server.sessions)
        await asyncio.sleep(899)
        assert set(server.sessions) == old
        await asyncio.sleep(110)
        assert old & set(server.sessions) == set()
        assert pool.idle == 2
        assert pool.stats().closed == {"lifetime": 2}


@pytest.mark.parametrize("max_idle_time", [None, 600])
async def test_a_connection_that_was_borrowed_at_the_last_look_is_retired_in_time_as_well(server, max_idle_time):
    async with make_pool(server, min_size=1, max_idle_time=max_idle_time, max_lifetime=100) as pool:
        await borrow(pool, 50)
        await asyncio.sleep(60)
        assert pool.stats().closed == {"lifetime": 1}


async def test_a_borrowed_connection_is_retired_on_return_not_before(server):  # SCENARIOS 141
    async with make_pool(server, max_lifetime=100) as pool:
        async with pool.acquire() as conn:
            await asyncio.sleep(500)
            assert await connection_id(conn) == 1
        assert await borrow(pool) == 2
        assert pool.stats().closed == {"lifetime": 1}


async def test_ages_are_jittered_so_that_not_all_go_at_once(server):  # SCENARIOS 144
    async with make_pool(server, min_size=20, max_size=20, max_lifetime=1000, max_idle_time=None) as pool:
        gone = []
        started = now()
        while now() - started < 1010:
            await asyncio.sleep(1)
            gone.append(pool.stats().closed.get("lifetime", 0))
        assert gone[895] == 0
        assert gone[-1] == 20
        assert len(set(gone)) > 10


async def test_the_pool_is_usable_with_tiny_limits(server):  # SCENARIOS 147, 201
    async with make_pool(server, max_size=5, max_idle_time=0.1, max_lifetime=0.3) as pool:

        async def worker(number: int) -> None:
            for _ in range(20):
                await borrow(pool, 0.01 * (number % 3))
                await asyncio.sleep(0.05 * (number % 4))

        await asyncio.gather(*(worker(i) for i in range(20)))
        assert server.peak <= 5


async def test_the_servers_patience_caps_max_idle_time_so_that_ours_says_goodbye_first(server):
    server.variables["wait_timeout"] = 100
    async with make_pool(server, min_size=2, max_idle_time=600) as pool:
        for _ in range(10):
            await asyncio.sleep(95)
            assert len(server.sessions) == pool.size == 2
        assert "COM_QUIT" in server.statements()  # ours left before the server hung up


async def test_keepalive_pings_whom_nobody_has_used_for_so_long(server):
    async with make_pool(server, min_size=3, max_size=3, keepalive=60, max_idle_time=None) as pool:
        for _ in range(10):
            await asyncio.sleep(5)
            await borrow(pool)  # always the same one
        assert server.ping.calls - 10 == 0  # those were of the borrows
        await asyncio.sleep(15)
        assert server.ping.calls - 10 == 2
        await asyncio.sleep(600)
        assert 12 + 28 <= server.ping.calls <= 12 + 31
        assert pool.stats().closed == {}


async def test_keepalive_keeps_idle_connections_that_the_server_would_close(server):
    server.variables["wait_timeout"] = 100
    async with make_pool(server, min_size=2, keepalive=60, max_lifetime=None, max_idle_time=None) as pool:
        await asyncio.sleep(10_000)
        assert set(server.sessions) == {1, 2}
        assert pool.idle == 2


async def test_a_keepalive_ping_makes_nobody_younger(server):
    async with make_pool(server, max_size=3, keepalive=20, max_idle_time=60) as pool:
        await burst(pool, 3)
        for _ in range(13):
            await asyncio.sleep(5)
            assert await borrow(pool) == 3  # the last one in, whoever was pinged meanwhile
        await asyncio.sleep(5)
        assert set(server.sessions) == {3}


async def test_who_does_not_answer_a_keepalive_ping_is_replaced(server):
    async with make_pool(server, min_size=2, max_size=3, keepalive=60, validation_timeout=1) as pool:
        server.ping.next(NEVER, fail(2013))
        await asyncio.sleep(64)
        assert pool.stats().closed == {"broken": 2}
        assert pool.idle == 2
        await check_whole(pool, server)


async def test_while_some_are_pinged_others_can_be_borrowed_at_once(server):
    async with make_pool(server, min_size=4, max_size=4, keepalive=60, validation_timeout=5) as pool:
        server.ping.set(slow(3))
        await asyncio.sleep(61)
        server.ping.set(slow(0))
        assert pool.stats().cleaning > 0
        started = now()
        await borrow(pool)
        assert now() - started < 0.1
        server.ping.open()


async def test_hold_warning_names_the_place_once_and_tells_when_it_came_back(server, caplog, recorder):  # SCENARIOS 183
    caplog.set_level(logging.WARNING)
    async with make_pool(server, hold_warning=10, observers=[recorder], name="shop") as pool:
        holder = start(borrow(pool, 25), name="slow report")
        await asyncio.sleep(9.9)
        assert caplog.text == ""
        await asyncio.sleep(10)
        assert caplog.text.count("still held by task 'slow report'") == 1
        assert "support.py:" in caplog.text
        await holder
        await ticks()
        assert caplog.text.count("came back after 25.0 s") == 1
        assert len(recorder.of(HeldTooLong)) == len(recorder.of(LateReturn)) == 1
        caplog.clear()
        await borrow(pool, 5)
        assert caplog.text == ""


# -- resize and expire: SCENARIOS 152, 191-194; PAINS 59 ---------------------------------------------------------------


async def test_growing_serves_those_who_wait(server):
    async with make_pool(server, max_size=1) as pool, pool.acquire():
        waiters = [start(borrow(pool, 1)) for _ in range(2)]
        await ticks()
        await pool.resize(max_size=3)
        started = now()
        await asyncio.gather(*waiters)
        assert now() - started == pytest.approx(1, abs=0.01)
        assert (pool.max_size, pool.stats().max_size) == (3, 3)


async def test_shrinking_closes_idle_ones_now_and_borrowed_ones_on_return(server):
    async with make_pool(server, max_size=5) as pool:
        borrowed = [await pool.acquire() for _ in range(5)]
        for conn in borrowed[3:]:
            conn.close()
        await pool.resize(max_size=1)
        await asyncio.sleep(1)
        assert len(server.sessions) == 3
        borrowed[0].close()
        borrowed[1].close()
        await asyncio.sleep(1)
        assert len(server.sessions) == 1
        borrowed[2].close()
        await asyncio.sleep(1)
        await check_whole(pool, server)


async def test_shrink_and_grow_in_one_breath_neither_loses_nor_invents_capacity(server):
    async with make_pool(server, max_size=5) as pool:
        borrowed = [await pool.acquire() for _ in range(5)]
        for size in (1, 4, 2, 5, 1, 3):
            await pool.resize(max_size=size)
        for conn in borrowed:
            conn.close()
        await asyncio.sleep(1)
        assert pool.size <= 3
        await check_whole(pool, server)


async def test_a_bigger_minimum_is_filled_and_a_smaller_one_reaped(server):
    async with make_pool(server, min_size=1, max_size=5, max_idle_time=60) as pool:
        await pool.resize(min_size=4)
        await asyncio.sleep(1)
        assert pool.idle == 4
        await pool.resize(min_size=0)
        await asyncio.sleep(130)
        assert pool.idle == 0


@pytest.mark.parametrize("sizes", [{"max_size": 0}, {"min_size": -1}, {"min_size": 3}, {"max_size": 2.5}])
async def test_an_impossible_resize_is_refused_and_changes_nothing(server, sizes):
    async with make_pool(server, min_size=1, max_size=2) as pool:
        with pytest.raises(ConfigurationError):
            await pool.resize(**sizes)
        assert (pool.min_size, pool.max_size) == (1, 2)
        await check_whole(pool, server)


async def test_expire_replaces_idle_ones_now_and_borrowed_ones_on_return(server):
    async with make_pool(server, min_size=2, max_size=3) as pool:
        conn = await pool.acquire()
        held = await connection_id(conn)
        old = set(server.sessions)
        pool.expire()
        await asyncio.sleep(1)
        assert old & set(server.sessions) == {held}
        assert await connection_id(conn) == held
        conn.close()
        await asyncio.sleep(1)
        assert old & set(server.sessions) == set()
        await check_whole(pool, server)


async def test_expire_under_load_fails_no_borrow_and_replaces_all(server):
    async with make_pool(server, max_size=5) as pool:
        await burst(pool, 5)
        old = set(server.sessions)
        workers = [start(burst(pool, 1, 0.1)) for _ in range(30)]
        await asyncio.sleep(0.05)
        pool.expire()
        await asyncio.gather(*workers)
        await asyncio.sleep(1)
        assert old & set(server.sessions) == set()
        await check_whole(pool, server)


async def test_a_connect_under_way_while_expiring_is_not_kept(server):
    """It may have been authenticated before the reason for `expire` (a new password, say) came to be."""
    async with make_pool(server) as pool:
        server.connect.set(slow(1))
        asking = start(borrow(pool))
        await asyncio.sleep(0.5)
        pool.expire()
        await asking
        await asyncio.sleep(1)
        assert await borrow(pool) == 2


async def test_retain_closes_the_idle_ones_that_the_predicate_does_not_want(server):
    async with make_pool(server, max_size=4) as pool:
        await burst(pool, 3, 2)
        await asyncio.sleep(10)
        async with pool.acquire():  # which is not asked of
            await asyncio.sleep(1)
            seen = []
            assert pool.retain(lambda info: seen.append(info) or info.connection_id != 1) == 1
            assert sorted((info.connection_id, info.uses) for info in seen) == [(1, 1), (2, 1)]
            assert {(round(info.age), round(info.idle)) for info in seen} == {(13, 11)}
        await asyncio.sleep(1)
        assert set(server.sessions) == {2, 3}
        assert pool.stats().closed == {"not retained": 1}
        assert pool.retain(lambda info: info.age < 5) == 2
        await asyncio.sleep(1)
        assert pool.size == 0
        assert pool.retain(lambda info: False) == 0
        await check_whole(pool, server)


async def test_retain_fills_the_minimum_again(server):
    async with make_pool(server, min_size=2) as pool:
        assert pool.retain(lambda info: False) == 2
        await asyncio.sleep(1)
        assert set(server.sessions) == {3, 4}


async def test_a_predicate_that_fails_closes_nothing(server):
    async with make_pool(server, min_size=2) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.retain(lambda info: 1 / (info.connection_id - 1))
        assert pool.idle == 2
        await check_whole(pool, server)


@pytest.mark.parametrize("limits", [{}, {"max_idle_time": None, "max_lifetime": None}])
async def test_a_connection_that_dies_after_a_look_at_a_busy_pool_is_soon_replaced(server, limits):
    async with make_pool(server, min_size=1, max_size=1, **limits) as pool:
        await borrow(pool, 20)  # nothing is idle at the last look
        await asyncio.sleep(1)
        server.kill_all()
        await asyncio.sleep(10)
        assert server.connects == 2
        assert pool.idle == 1
