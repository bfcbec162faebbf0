"""Connects that fail: who hears of it, how fast, how often it is tried, and that no capacity is lost by it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support import borrow, check_whole, make_pool, now, start, ticks

from async_mysqlpool import AcquireTimeoutError, ConnectError, ServerFullError, ServerUnavailableError
from async_mysqlpool.events import ConnectFailed
from async_mysqlpool.testing.fake import NEVER, FakeError, Step, fail, slow


async def test_a_socket_that_is_out_of_reach_is_told_of_once(server, caplog):
    async with make_pool(server, min_size=2, socket_timeout=5, name="shop"):
        assert caplog.text.count("shop: socket_timeout has no effect, the sockets of driver fake are not") == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FakeError(1045, "Access denied for user 'app'"), ConnectError),
        (FakeError(1049, "Unknown database 'shop'"), ConnectError),
        (FakeError(1044, "Access denied to database"), ConnectError),
        (FakeError(1115, "Unknown character set"), ConnectError),
        (TypeError("connect() got an unexpected keyword argument"), ConnectError),
        (FakeError(2003, "Can't connect"), ServerUnavailableError),
        (FakeError(2005, "Unknown host"), ServerUnavailableError),
        (FakeError(2013, "Lost connection at reading greeting"), ServerUnavailableError),
        (FakeError(1053, "Server shutdown in progress"), ServerUnavailableError),
        (ConnectionRefusedError(111, "refused"), ServerUnavailableError),
        (OSError("Name or service not known"), ServerUnavailableError),
        (asyncio.IncompleteReadError(b"", 4), ServerUnavailableError),
        (FakeError(1040, "Too many connections"), ServerFullError),
        (FakeError(1203, "More than max_user_connections"), ServerFullError),
        (FakeError(1226, "has exceeded the resource"), ServerFullError),
    ],
)
async def test_what_a_failed_connect_means_stands_in_its_type_and_its_message(server, error, expected):
    server.connect.set(fail(error))
    async with make_pool(server, queue_timeout=30, host="db.example", user="app", password="hunter2") as pool:
        started = now()
        with pytest.raises(ConnectError) as caught:
            await pool.acquire()
        assert type(caught.value) is expected
        assert isinstance(caught.value, ConnectionError)
        assert str(error.args[-1]) in str(caught.value) or isinstance(error, EOFError)
        assert "app at db.example:3306" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is error
        assert now() - started < 1  # at once, not after queue_timeout
        await check_whole(pool, server)


async def test_fifty_waiters_hear_of_a_dead_server_within_one_connect(server):  # row f, PAINS 21
    server.connect.set(Step(1.0, FakeError(2003, "no route to host")))
    async with make_pool(server, max_size=10, max_connecting=4, queue_timeout=60) as pool:
        started = now()
        results = await asyncio.gather(*(borrow(pool) for _ in range(50)), return_exceptions=True)
        assert {type(result) for result in results} == {ServerUnavailableError}
        assert now() - started <= 1.1
        assert server.connect.calls <= 4
        assert len({id(result) for result in results}) == 50  # each has an exception of its own
        await check_whole(pool, server)


async def test_attempts_that_always_overlap_do_not_keep_those_who_wait_in_hope(server):
    server.connect.set(Step(1.0, FakeError(2003, "no route to host")))
    async with make_pool(server, max_size=10, max_connecting=4, queue_timeout=600) as pool:
        waiters = []
        for _ in range(4):
            waiters.append(start(borrow(pool)))
            await asyncio.sleep(0.25)
        begun = now() - 1.0
        with pytest.raises(ServerUnavailableError):
            await waiters[0]
        assert now() - begun == pytest.approx(1.75, abs=0.01)  # when the last of those failed that ran with the first
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert {type(result) for result in results} == {ServerUnavailableError}
        assert now() - begun == pytest.approx(1.75, abs=0.01)
        server.connect.set(slow(0))
        await asyncio.sleep(5)
        await check_whole(pool, server)


@pytest.mark.parametrize(
    "error", [FakeError(2013, "Lost connection during query"), ConnectionResetError(104, "reset by peer"), EOFError()]
)
async def test_a_connect_that_was_cut_half_way_is_tried_once_more(server, error):
    server.connect.next(Step(0.1, error), slow(0.1))
    async with make_pool(server, queue_timeout=30) as pool:
        started = now()
        await borrow(pool)
        assert now() - started == pytest.approx(0.2, abs=0.01)  # at once, without the pause after a failure
        assert pool.stats().connect_failures == 0
        server.connect.set(Step(0.1, error))
        pool.expire()
        with pytest.raises(ServerUnavailableError):
            await borrow(pool)
        assert server.connect.calls == 4  # once more, not for ever
        with pytest.raises(ServerUnavailableError):
            await borrow(pool)
        assert server.connect.calls == 5  # and not as long as the server is known to be away
        server.connect.set(slow(0))
        await check_whole(pool, server)


async def test_connects_to_a_dead_server_are_paced(server):  # SCENARIOS 91, 103
    server.stop()
    async with make_pool(server, max_size=10, queue_timeout=5) as pool:

        async def insist() -> None:
            end = now() + 60
            while now() < end:
                with pytest.raises((ServerUnavailableError, AcquireTimeoutError)):
                    await borrow(pool)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(insist() for _ in range(20)))
        assert server.connect.calls < 400  # without a pace it would be some 100,000
        server.start()
        await asyncio.sleep(5)
        await check_whole(pool, server)


async def test_a_server_that_comes_back_serves_those_who_still_wait(server):  # SCENARIOS 95
    async with make_pool(server, min_size=1, max_size=2, queue_timeout=30) as pool:
        conn = await pool.acquire()  # while one is out, those who wait have hope
        server.connect.set(fail(2003))
        waiters = [start(borrow(pool)) for _ in range(3)]
        await asyncio.sleep(5)
        server.connect.set(slow(0))
        await asyncio.sleep(5)
        assert all(waiter.done() for waiter in waiters)
        await asyncio.gather(*waiters)
        conn.close()
        await check_whole(pool, server)


async def test_after_an_outage_the_pool_recovers_on_its_own(server, caplog):  # SCENARIOS 21, 93
    caplog.set_level(logging.WARNING)
    async with make_pool(server, min_size=2) as pool:
        await asyncio.sleep(1)
        server.stop()
        with pytest.raises((ServerUnavailableError, FakeError)):
            await borrow(pool)
        await asyncio.sleep(120)
        server.start()
        await asyncio.sleep(10)
        assert pool.idle == 2
        assert caplog.text.count("connection refused") == 1  # of a row of failures the first one is logged
        assert caplog.text.count("the server is back") == 1
        await check_whole(pool, server)


async def test_a_permanent_error_is_not_tried_again_for_those_who_wait(server):
    server.password = "new"
    async with make_pool(server, max_size=3, password="old") as pool:
        results = await asyncio.gather(*(borrow(pool) for _ in range(20)), return_exceptions=True)
        assert {type(result) for result in results} == {ConnectError}
        assert server.connect.calls <= 6
        server.password = "old"
        await check_whole(pool, server)


async def test_a_permanent_error_reaches_even_those_who_might_be_served_by_another(server):
    async with make_pool(server, max_size=2) as pool:
        conn = await pool.acquire()
        server.connect.set(fail(1045))
        with pytest.raises(ConnectError):
            await borrow(pool)
        server.connect.set(slow(0))
        conn.close()
        await check_whole(pool, server)


@pytest.mark.parametrize("number", [1040, 1203, 1226])
async def test_a_full_server_is_back_pressure_while_other_connections_exist(server, number):  # DESIGN 4
    async with make_pool(server, max_size=5, queue_timeout=10) as pool:
        await asyncio.gather(*(borrow(pool, 0.1) for _ in range(2)))
        server.connect.set(fail(number))
        await asyncio.gather(*(borrow(pool, 0.1) for _ in range(20)))
        await check_whole(pool, server)


async def test_max_connections_of_the_server_bounds_the_pool_without_an_error(server):
    server.max_connections = 3
    async with make_pool(server, max_size=10, queue_timeout=20) as pool:
        await asyncio.gather(*(borrow(pool, 1) for _ in range(20)))
        assert server.peak == 3
        server.max_connections = None
        await check_whole(pool, server)


async def test_a_failed_connect_gives_its_slot_back_and_the_next_in_line_its_turn(server):  # SCENARIOS 55, 70, PAINS 27
    async with make_pool(server, max_size=1) as pool:
        server.connect.next(fail(2003))
        first, second = start(borrow(pool)), start(borrow(pool))
        results = await asyncio.gather(first, second, return_exceptions=True)
        assert all(isinstance(result, (int, ServerUnavailableError)) for result in results)
        await check_whole(pool, server)


async def test_the_timeout_carries_the_last_connect_failure(server):  # SCENARIOS 73
    async with make_pool(server, max_size=2, queue_timeout=3) as pool:
        conn = await pool.acquire()
        server.connect.set(fail(2003, "no route to host"))
        with pytest.raises(AcquireTimeoutError, match=r"the last connect failed: .*no route to host") as caught:
            await pool.acquire()
        assert isinstance(caught.value.__cause__, ServerUnavailableError)
        conn.close()
        await asyncio.sleep(10)
        await check_whole(pool, server)


async def test_a_returned_connection_is_delivered_promptly_while_connects_go_on_failing(server):  # SCENARIOS 69
    async with make_pool(server, max_size=2) as pool:
        conn = await pool.acquire()
        server.connect.set(fail(2003))
        waiter = start(borrow(pool))
        await asyncio.sleep(7.3)
        started = now()
        conn.close()
        await waiter
        assert now() == pytest.approx(started)
        await check_whole(pool, server)


@pytest.mark.parametrize("gate", ["connect", "execute", "reset"])
async def test_connect_timeout_covers_every_step_of_opening(server, gate):  # PAINS 22
    async with make_pool(server, connect_timeout=3) as pool:
        getattr(server, gate).set(NEVER)
        started = now()
        with pytest.raises(ServerUnavailableError, match="connect_timeout=3 s"):
            await pool.acquire()
        assert now() - started == pytest.approx(3)
        assert server.sessions == {}
        await check_whole(pool, server)


async def test_each_failed_attempt_is_an_event_and_counted(server, recorder):
    server.connect.next(fail(2003), fail(2003))
    async with make_pool(server, observers=[recorder]) as pool:
        for _ in range(3):
            await asyncio.gather(borrow(pool), return_exceptions=True)
            await asyncio.sleep(5)
        assert pool.stats().connect_failures == len(recorder.of(ConnectFailed)) == 2


async def test_the_backoff_does_not_delay_a_pool_that_works_again(server):
    async with make_pool(server, max_size=5, max_connecting=5) as pool:
        server.connect.next(fail(2003))
        await asyncio.gather(borrow(pool), return_exceptions=True)
        await asyncio.sleep(5)
        started = now()
        await asyncio.gather(*(borrow(pool, 1) for _ in range(5)))
        assert now() - started == pytest.approx(1, abs=0.1)


async def test_a_connect_that_nobody_waits_for_any_more_becomes_idle(server):  # SCENARIOS 80
    async with make_pool(server) as pool:
        server.connect.set(slow(2))
        asking = start(borrow(pool))
        await asyncio.sleep(1)
        asking.cancel()
        await ticks()
        assert asking.cancelled()
        assert pool.waiting == 0
        await asyncio.sleep(2)
        assert pool.idle == 1
        await check_whole(pool, server)


@pytest.mark.parametrize("option", ["password", "on_connect"])
async def test_a_cancellation_that_is_not_our_own_is_an_error_like_any_other(server, option):
    """A task that the function waits for was cancelled, say one that fetches tokens for everybody."""
    broken = asyncio.get_running_loop().create_future()
    broken.cancel()
    calls = []

    async def function(*_args):
        calls.append(1)
        if len(calls) == 1:
            await broken
        return "secret"

    async with make_pool(server, **{option: function}) as pool:
        with pytest.raises(ConnectError, match="CancelledError"):
            await borrow(pool)
        await borrow(pool)
        await check_whole(pool, server)


async def test_a_refusal_says_more_than_a_password_function_that_fails_when_asked_again(server):
    answers = ["outdated"]
    server.connect.set(fail(1045))
    async with make_pool(server, password=lambda: answers.pop()) as pool:
        with pytest.raises(ConnectError, match="1045"):
            await borrow(pool)
    assert answers == []
