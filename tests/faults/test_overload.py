"""Thousands of tasks wait for ten connections: all are served, none costs more for that, and none leaves anything."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
import tracemalloc

import pytest
from lab import EACH_DRIVER, SOME, ask, outcomes, settled

from async_mysqlpool import QueueFullError

CROWD = 100_000 if "SOAK_SECONDS" in os.environ else 10_000
CONNECTIONS = 10


@EACH_DRIVER
async def test_everybody_is_served(pools, whole):
    pool = await pools(max_size=CONNECTIONS, queue_timeout=600)
    async with asyncio.timeout(600):
        assert await outcomes([ask(pool, number) for number in range(CROWD)]) == {"ok": CROWD}
    stats = pool.stats()
    assert stats.size == CONNECTIONS
    assert stats.opened <= CONNECTIONS + 1  # to a loop that is busy making the crowd, the idle one may look dead
    assert stats.acquired == CROWD
    await whole(pool)


async def borrow(pool, times):
    for _ in range(times):
        async with pool.acquire():
            await asyncio.sleep(0)


async def work_per_borrow(pool, tasks, counted):
    """Calls of Python functions for each borrow, or seconds, when that many tasks share the same number of borrows.

    From when they all wait on: what it costs to make tasks is not the pool's.
    """
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event == "call"

    held = [await pool.acquire() for _ in range(CONNECTIONS)]
    crowd = [asyncio.create_task(borrow(pool, 3 * CROWD // tasks)) for _ in range(tasks)]
    await settled(pool, lambda stats: stats.waiting == tasks)
    started = time.process_time()
    sys.setprofile(count if counted else None)
    try:
        for connection in held:
            connection.close()
        await asyncio.wait(crowd)
    finally:
        sys.setprofile(None)
    return (calls if counted else time.process_time() - started) / (3 * CROWD)


async def test_work_per_borrow_does_not_grow_with_the_crowd(pools, whole):
    """Counted in calls, which no other load on the machine can change; the time is only told."""
    pool = await pools(max_size=CONNECTIONS, min_size=CONNECTIONS, queue_timeout=600)
    few, many = [await work_per_borrow(pool, tasks, counted=True) for tasks in (100, CROWD)]
    few_seconds, many_seconds = [await work_per_borrow(pool, tasks, counted=False) for tasks in (100, CROWD)]
    print(  # noqa: T201  told, not judged: it depends on the machine
        f"\n{CROWD} tasks against 100: {many:.1f} against {few:.1f} calls a borrow, "
        f"{many_seconds * 1e6:.1f} against {few_seconds * 1e6:.1f} us"
    )
    assert many <= few * 1.2
    await whole(pool)


@pytest.fixture
async def crowd(pools):
    """All connections are held, and a crowd waits; memory is traced."""
    pool = await pools(max_size=CONNECTIONS, min_size=CONNECTIONS, queue_timeout=600)
    held = [await pool.acquire() for _ in range(CONNECTIONS)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tasks = [asyncio.create_task(borrow(pool, 1)) for _ in range(CROWD)]
    await settled(pool, lambda stats: stats.waiting == CROWD)
    waiting = tracemalloc.get_traced_memory()[0] - before
    print(f"\n{waiting / CROWD:.0f} bytes for each of {CROWD} waiting tasks, the task itself included")  # noqa: T201  as above

    def left():
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / waiting

    yield pool, tasks, left
    tracemalloc.stop()
    for connection in held:
        connection.close()


async def test_crowd_cancelled_at_once_leaves_nothing(crowd, whole):
    pool, tasks, left = crowd
    assert pool.waiting == CROWD
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    del task
    tasks.clear()
    assert pool.waiting == 0
    assert pool.stats().cancelled == CROWD
    assert left() < 0.2, "of the memory of the waiters"


async def test_crowd_of_which_every_second_is_cancelled(crowd):
    """The others move up in their order."""
    pool, tasks, _ = crowd
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks[::2])
    assert pool.waiting == CROWD // 2
    for lease in pool.leases():
        assert lease.age >= 0
    stay = tasks[1::2]
    order = []
    for number, task in enumerate(stay):
        task.add_done_callback(lambda _, number=number: order.append(number))
    await pool.resize(max_size=CONNECTIONS + 1)
    assert await outcomes(stay) == {"ok": CROWD // 2}
    assert order == sorted(order)
    await pool.resize(max_size=CONNECTIONS)


@SOME
async def test_max_waiting_sheds_at_once(pools, whole):
    """Not after a timeout, and before anything was queued: in the very step of the loop in which it was asked for."""
    pool = await pools(max_size=CONNECTIONS, min_size=CONNECTIONS, max_waiting=100, queue_timeout=600)
    held = [await pool.acquire() for _ in range(CONNECTIONS)]
    tasks = [asyncio.create_task(ask(pool, number)) for number in range(1000)]
    await asyncio.sleep(0)
    shed = [task for task in tasks if task.done()]
    assert len(shed) == 900
    assert {type(task.exception()) for task in shed} == {QueueFullError}
    for connection in held:
        connection.close()
    assert (await outcomes(tasks))["ok"] == 100
    assert pool.stats().refused == 900
    await whole(pool)
