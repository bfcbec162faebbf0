"""Permits: first come, first served, cheap to leave."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref

import pytest
from support import borrow, check_whole, make_pool, start, ticks

from async_mysqlpool.capacity.semaphore import Deadlines, FairSemaphore


def semaphore(value: int) -> FairSemaphore:
    return FairSemaphore(value, Deadlines(), lambda gift: pytest.fail("nothing was handed over"))


async def test_permits_go_round_in_order():
    permits, order = semaphore(2), []

    async def work(number: int) -> None:
        await permits.acquire()
        order.append(number)
        await asyncio.sleep(1)
        permits.release()

    await asyncio.gather(*(work(number) for number in range(50)))
    assert order == list(range(50))
    assert (permits.free, permits.waiting) == (2, 0)


@pytest.mark.parametrize("seed", range(20))
async def test_waiters_cancelled_in_any_order_lose_no_permit(seed):
    chance = random.Random(seed)
    permits = semaphore(3)
    for _ in range(3):
        await permits.acquire()
    waiters = [start(permits.acquire()) for _ in range(30)]
    await ticks(1)
    steps = [*(("cancel", waiter) for waiter in chance.sample(waiters, 15)), *[("release", None)] * 3]
    chance.shuffle(steps)
    for step, waiter in steps:
        if step == "release":
            permits.release()
        else:
            waiter.cancel()
        if chance.random() < 0.5:
            await ticks(1)
    await ticks()
    got = [waiter for waiter in waiters if waiter.done() and not waiter.cancelled()]
    pending = [waiter for waiter in waiters if not waiter.done()]
    assert len(got) + permits.free == 3
    assert not pending or permits.free == 0
    assert [w for w in waiters if w in got or w in pending][: len(got)] == got  # in order
    for _ in got:
        permits.release()
    while pending := [waiter for waiter in waiters if not waiter.done()]:
        await ticks(1)
        for _ in [waiter for waiter in pending if waiter.done()]:
            permits.release()
    assert permits.waiting == 0


async def test_a_permit_handed_over_in_the_tick_of_the_cancellation_is_not_lost():
    permits = semaphore(1)
    await permits.acquire()
    first, second = start(permits.acquire()), start(permits.acquire())
    await ticks(1)
    permits.release()
    first.cancel()
    await ticks()
    assert first.cancelled()
    assert second.done()
    permits.release()
    assert permits.free == 1


async def test_a_newcomer_never_takes_what_a_waiter_was_promised():
    permits = semaphore(1)
    await permits.acquire()
    waiter = start(permits.acquire())
    await ticks(1)
    permits.release()
    assert not permits.take()
    await waiter


async def test_shrinking_takes_permits_as_they_come_back():
    permits = semaphore(3)
    for _ in range(3):
        assert permits.take()
    permits.shrink(2)
    waiter = start(permits.acquire())
    await ticks(1)
    permits.release()
    permits.release()
    await ticks(2)
    assert not waiter.done()
    permits.release()
    await ticks(2)
    assert waiter.done()
    permits.grow(1)
    assert permits.free == 1


async def test_all_waiters_can_be_sent_away_each_with_an_error_of_its_own():
    permits = semaphore(1)
    await permits.acquire()
    waiters = [start(permits.acquire()) for _ in range(3)]
    await ticks(1)
    permits.fail_waiters(lambda: LookupError("gone"))
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(result) for result in results} == {LookupError}
    assert len({id(result) for result in results}) == 3
    permits.release()
    assert permits.free == 1


async def test_a_hundred_thousand_waiters_cancelled_at_once_leave_nothing(server):  # issue 4, overload
    async with make_pool(server, max_size=2, queue_timeout=None) as pool:
        async with pool.acquire(), pool.acquire():
            waiters = [start(pool.acquire().__aenter__()) for _ in range(100_000)]
            await ticks(2)
            assert pool.waiting == 100_000
            for waiter in waiters:
                waiter.cancel()
            await ticks(3)
            assert all(waiter.cancelled() for waiter in waiters)
            assert pool.waiting == 0
        await check_whole(pool, server)


async def test_thousands_time_out_together(server):
    async with make_pool(server, max_size=1, queue_timeout=1) as pool:
        holder = start(borrow(pool, 5))
        await ticks(20)
        results = await asyncio.gather(*(borrow(pool) for _ in range(2000)), return_exceptions=True)
        assert all(isinstance(result, TimeoutError) for result in results)
        assert pool.stats().timeouts == 2000
        await holder
        await check_whole(pool, server)


@pytest.mark.parametrize("timeouts", [[30.0], [30.0, 29.0], [1000.0, 30.0, 1.0], [None, 5.0, 4.0, 3.0]], ids=str)
async def test_whoever_was_served_is_soon_forgotten_whatever_the_timeouts(timeouts):
    loop, deadlines, served = asyncio.get_running_loop(), Deadlines(), []
    waiting = [loop.create_future() for _ in range(5)]
    for waiter in waiting:
        deadlines.watch(waiter, loop.time() + 0.5)
    for number in range(3000):
        waiter = loop.create_future()
        if (timeout := timeouts[number % len(timeouts)]) is not None:
            deadlines.watch(waiter, loop.time() + timeout)
        waiter.set_result(None)
        served.append(weakref.ref(waiter))
    del waiter
    gc.collect()
    assert sum(waiter() is not None for waiter in served) <= 200
    await asyncio.sleep(1)
    assert all(isinstance(waiter.exception(), TimeoutError) for waiter in waiting)
