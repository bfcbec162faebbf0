"""Cancellation at every tick of every await, with every gate in every mood: nothing is ever lost.

PAINS 15-18, 27; SCENARIOS 77-90. A victim does some work with the pool while others wait in line; it is cancelled after
k turns of the loop, once or twice, or through an anyio cancel scope, which cancels again at every await. Afterwards
everything must add up, and every connection must be lendable.
"""

from __future__ import annotations

import asyncio

import anyio
import pytest
from support import borrow, check_sum, check_whole, connection_id, make_pool, start, ticks, value

from async_mysqlpool import PoolError
from async_mysqlpool.testing.fake import NEVER, OK, FakeError, FakeServer, fail, slow
from async_mysqlpool.testing.virtual import run_virtual

MOODS = {"ok": OK, "error": fail(1105), "lost": fail(2013), "slow": slow(0.05), "never": NEVER}
GATES = ["connect", "ping", "execute", "reset", "close"]
TICKS = range(31)


async def work(pool) -> None:
    """Queues, connects or validates; runs a statement; releases; so it passes all gates."""
    async with pool.acquire(timeout=20) as conn:
        await value(conn, "SELECT 1")


async def work_in_a_transaction(pool) -> None:
    async with pool.transaction() as conn:
        await value(conn, "SELECT GET_LOCK('job', 0)")


async def work_and_discard(pool) -> None:
    async with pool.acquire(timeout=20) as conn:
        await value(conn, "SELECT 1")
        conn.discard()


async def cancel_once(task) -> None:
    task.cancel()


async def cancel_twice(task) -> None:
    task.cancel()
    await ticks(1)
    task.cancel()


async def scenario(job, gate: str, mood, tick: int, cancel, *, idle: bool, pipelines: bool = True, **options) -> None:
    """One cell of the matrix, on a pool and a server of its own."""
    server = FakeServer()
    async with make_pool(
        server, pipelines=pipelines, max_size=2, connect_timeout=5, validation_timeout=1, validate_after=0.5, **options
    ) as pool:
        if idle:
            await borrow(pool)
            await asyncio.sleep(1)  # the next one is pinged
        getattr(server, gate).set(mood)
        victim = start(job(pool))
        company = [start(work(pool)) for _ in range(3)]
        await ticks(tick)
        done_before = victim.done()
        await cancel(victim)
        await ticks(3)
        check_sum(pool.stats())
        await asyncio.wait([victim], timeout=30)
        assert victim.cancelled() or done_before
        await asyncio.sleep(2)
        getattr(server, gate).open()
        results = await asyncio.gather(*company, return_exceptions=True)
        assert all(result is None or isinstance(result, (FakeError, PoolError)) for result in results), results
        await check_whole(pool, server)
    assert server.sessions == {}


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "cold"])
@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("gate", GATES)
def test_cancelled_at_any_tick(gate, mood, idle):
    for tick in TICKS:
        run_virtual(scenario(work, gate, MOODS[mood], tick, cancel_once, idle=idle))


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("gate", GATES)
def test_cancelled_twice_at_any_tick(gate, mood):
    for tick in TICKS:
        run_virtual(scenario(work, gate, MOODS[mood], tick, cancel_twice, idle=True))


@pytest.mark.parametrize("job", [work_in_a_transaction, work_and_discard])
@pytest.mark.parametrize("mood", ["ok", "slow", "never"])
@pytest.mark.parametrize("gate", ["execute", "reset", "close"])
def test_other_work_cancelled_at_any_tick(gate, mood, job):
    for tick in TICKS:
        run_virtual(scenario(job, gate, MOODS[mood], tick, cancel_once, idle=True))


@pytest.mark.parametrize("mood", MOODS)
def test_with_resets_that_have_to_be_waited_for(mood):
    for tick in TICKS:
        run_virtual(scenario(work, "reset", MOODS[mood], tick, cancel_once, idle=True, pipelines=False))


async def speaks(conn) -> bool:
    """A hook with two awaits."""
    await value(conn, "SELECT @tenant := 7")
    await value(conn, "SELECT 1")
    return True


async def wants_no_more(conn) -> bool:
    await speaks(conn)
    return False


HOOKS = {
    "on_acquire": {"on_acquire": speaks},
    "on_release": {"on_release": speaks},
    "both": {"on_acquire": speaks, "on_release": wants_no_more},
    "all": {"on_connect": speaks, "on_acquire": speaks, "on_release": speaks, "max_uses": 2, "min_idle": 1},
}


@pytest.mark.parametrize("cancel", [cancel_once, cancel_twice])
@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("hooks", HOOKS)
def test_hooks_cancelled_at_any_tick(hooks, mood, cancel):
    for tick in TICKS:
        run_virtual(scenario(work, "execute", MOODS[mood], tick, cancel, idle=True, **HOOKS[hooks]))


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize(("gate", "hooks"), [*((gate, {}) for gate in GATES), ("execute", HOOKS["both"])])
def test_cancelled_by_a_scope_that_cancels_at_every_await(gate, hooks, mood):
    async def cell(tick: int) -> None:
        server = FakeServer()
        async with make_pool(server, max_size=2, connect_timeout=5, validate_after=0.5, **hooks) as pool:
            await borrow(pool)
            await asyncio.sleep(1)
            getattr(server, gate).set(MOODS[mood])
            ended = False
            try:
                async with anyio.create_task_group() as group:

                    async def victim() -> None:
                        nonlocal ended
                        with anyio.CancelScope() as scope:
                            group.start_soon(cancel_later, scope)
                            await work(pool)
                        ended = True

                    async def cancel_later(scope: anyio.CancelScope) -> None:
                        await ticks(tick)
                        scope.cancel()

                    group.start_soon(victim)
            except* (FakeError, PoolError):
                ended = True
            assert ended
            check_sum(pool.stats())
            await check_whole(pool, server)

    for tick in range(0, 31, 2):
        run_virtual(cell(tick))


@pytest.mark.parametrize("tick", TICKS)
async def test_every_task_that_was_cancelled_before_its_end_ends_cancelled(server, tick):  # PAINS 16
    async with make_pool(server, max_size=1) as pool:
        tasks = [start(borrow(pool)) for _ in range(5)]
        await ticks(tick)
        unfinished = [task for task in tasks if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in unfinished)
        await check_whole(pool, server)


@pytest.mark.parametrize("tick", range(6))
async def test_cancelled_at_the_instant_of_the_hand_over(server, tick):  # SCENARIOS 78, PAINS 15
    async with make_pool(server, max_size=1, reset="none") as pool:
        conn = await pool.acquire()
        waiter = start(borrow(pool))
        patient = start(borrow(pool))
        await ticks()
        conn.close()  # hands over; the waiter has not run yet
        await ticks(tick)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert await patient
        await check_whole(pool, server)


async def test_a_task_cancelled_before_it_runs_leaves_nothing(server):  # SCENARIOS 79, 81
    async with make_pool(server, max_size=1) as pool:
        for _ in range(20):
            task = start(borrow(pool, timeout=1))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert server.connect.calls == 0
        await check_whole(pool, server)


async def test_cancelled_while_queued_leaves_the_queue_at_once(server):  # SCENARIOS 77
    async with make_pool(server, max_size=1) as pool:
        holder = start(borrow(pool, 5))
        await asyncio.sleep(0.1)
        waiters = [start(borrow(pool)) for _ in range(10)]
        await ticks()
        assert pool.waiting == 10
        for waiter in waiters[::2]:
            waiter.cancel()
        await ticks(1)
        assert pool.waiting == 5
        assert pool.stats().cancelled == 5
        await asyncio.gather(holder, *waiters, return_exceptions=True)
        await check_whole(pool, server)


async def test_half_the_callers_give_up_all_the_time(server):  # SCENARIOS 90, 200
    async with make_pool(server, max_size=3, queue_timeout=None) as pool:
        finished = 0

        async def worker() -> None:
            nonlocal finished
            for _ in range(50):
                await borrow(pool, 0.01)
                finished += 1

        async def quitter(number: int) -> None:
            for turn in range(50):
                try:
                    async with asyncio.timeout(0.001 * ((number + turn) % 13)):
                        await borrow(pool, 0.01)
                except TimeoutError:
                    pass

        await asyncio.gather(*(worker() for _ in range(10)), *(quitter(i) for i in range(10)))
        assert finished == 500
        await check_whole(pool, server)


async def test_shielded_work_goes_on_and_its_connection_comes_back(server):
    async with make_pool(server, max_size=1) as pool:
        inner = start(borrow(pool, 5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(inner)
        assert await inner == 1
        await check_whole(pool, server)


# -- no statement outlives its borrower: PAINS 9, row m; issue 4 -------------------------------------------------------


async def test_a_cancelled_statement_is_stopped_on_the_server_within_a_second(server):
    async with make_pool(server, max_size=2) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), pool.acquire() as conn:
                await value(conn, "SELECT SLEEP(1000)")
        await asyncio.sleep(1)
        assert server.running == {}
        assert pool.stats().killed == 1
        await check_whole(pool, server)


async def test_until_the_kill_is_done_the_slot_counts_as_occupied(server):
    """So `max_size` bounds what the server works on for this pool, cancelled or not."""
    async with make_pool(server, max_size=1, queue_timeout=None) as pool:
        busiest = 0

        async def impatient() -> None:
            try:
                async with asyncio.timeout(0.5), pool.acquire() as conn:
                    await value(conn, "SELECT SLEEP(1000)")
            except TimeoutError:
                pass

        async def watch() -> None:
            nonlocal busiest
            while True:
                busiest = max(busiest, len(server.running))
                await asyncio.sleep(0.01)

        watcher = start(watch())
        for _ in range(10):
            await impatient()
        watcher.cancel()
        assert busiest == 1
        await check_whole(pool, server)


async def test_five_hundred_cancelled_at_once_are_all_stopped_over_few_extra_connections(server):
    async with make_pool(server, max_size=500, max_connecting=500, queue_timeout=None) as pool:
        tasks = [start(pool.fetch_value("SELECT SLEEP(1000)")) for _ in range(500)]
        await asyncio.sleep(1)
        assert len(server.running) == 500
        for task in tasks:
            task.cancel()
        await asyncio.sleep(5)
        assert server.running == {}
        assert server.peak <= 510
        assert pool.stats().closing == 0


async def test_a_kill_that_cannot_be_sent_is_given_up_and_the_slot_comes_back(server):
    async with make_pool(server, max_size=1) as pool:
        conn = await pool.acquire()
        server.max_connections = 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await value(conn, "SELECT SLEEP(20)")
        conn.close()
        await asyncio.sleep(30)
        stats = pool.stats()
        assert (stats.in_use, stats.closing) == (0, 0)
        server.max_connections = None
        await check_whole(pool, server)


async def test_a_kill_that_hangs_disables_no_later_kill(server):
    async with make_pool(server, max_size=2, connect_timeout=3) as pool:
        server.answer("SHOW PROCESSLIST", delay=1_000_000, times=1)  # a killer whose network is gone
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await pool.fetch_value("SELECT SLEEP(100000)")
            await asyncio.sleep(10)
        assert list(server.running.values()).count("SELECT SLEEP(100000)") == 1
        assert pool.stats().killed == 1
        assert len(server.sessions) <= 3


async def test_without_kill_on_cancel_the_connection_is_just_closed(server):
    async with make_pool(server, max_size=1, kill_on_cancel=False) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), pool.acquire() as conn:
                await value(conn, "SELECT SLEEP(20)")
        await asyncio.sleep(1)
        assert server.running == {1: "SELECT SLEEP(20)"}
        assert not any(text.startswith("KILL") for text in server.statements())
        await asyncio.sleep(20)
        assert server.running == {}
        await check_whole(pool, server)


async def test_nothing_is_killed_that_had_ended(server):
    async with make_pool(server, max_size=2) as pool:
        for _ in range(20):
            async with pool.acquire() as conn:
                await connection_id(conn)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), pool.acquire() as conn:
                await value(conn, "SELECT 1")
                await asyncio.sleep(5)
        await asyncio.sleep(5)
        assert not any(text.startswith("KILL") for text in server.statements())


async def test_a_killer_whose_goodbye_is_slow_gives_nobody_up(server):
    server.close.set(slow(30))
    async with make_pool(server, max_size=3) as pool:
        victims = [start(pool.fetch_value("SELECT SLEEP(1000)")) for _ in range(2)]
        await asyncio.sleep(0.2)
        victims[0].cancel()
        await asyncio.sleep(0.8)  # the killer has done its work and says goodbye
        server.connect.set(slow(0.5))
        victims[1].cancel()
        await asyncio.sleep(20)
        assert pool.stats().killed == 2
        assert server.running == {}
        await check_whole(pool, server)


async def test_a_foreign_cancellation_disables_no_later_kill(server):
    """It comes out of the password function, of which the killer asks for its own connection."""
    broken = False

    async def password():
        if broken:
            raise asyncio.CancelledError
        return ""

    async with make_pool(server, max_size=1, password=password) as pool:
        for refused in (True, False):
            victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
            await asyncio.sleep(1)
            broken = refused
            victim.cancel()
            await asyncio.wait([victim])
            await asyncio.sleep(1)
            broken = False
        assert pool.stats().killed == 2
        assert server.running == {}
