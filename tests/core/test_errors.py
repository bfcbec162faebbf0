"""Errors are interface: their tree, and what they tell."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack

import pytest
from support import borrow, check_whole, make_pool, now, start, ticks, value

import async_mysqlpool
from async_mysqlpool import (
    AcquireTimeoutError,
    ConfigurationError,
    ConnectError,
    PoolDeadlockError,
    PoolError,
    ServerFullError,
    ServerUnavailableError,
)
from async_mysqlpool.testing.fake import slow


def test_the_tree_is_that_of_the_contract():
    names = [name for name in async_mysqlpool.__all__ if name.endswith("Error")]
    assert all(issubclass(getattr(async_mysqlpool, name), PoolError) for name in names)
    assert len(names) == 16
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(AcquireTimeoutError, TimeoutError)
    assert issubclass(async_mysqlpool.StatementTimeoutError, TimeoutError)
    assert issubclass(ConnectError, ConnectionError)
    assert ServerFullError.__mro__[1:3] == (ServerUnavailableError, ConnectError)


async def test_the_timeout_names_pool_phase_numbers_and_the_oldest_holders(server):  # PAINS 26
    async with make_pool(server, max_size=5, name="shop", queue_timeout=0.5) as pool:
        holders = []
        for number in range(5):
            holders.append(start(borrow(pool, 100), name=f"report {number}"))
            await asyncio.sleep(1)
        await asyncio.sleep(5)
        waiter = start(borrow(pool, timeout=50))
        await ticks()
        with pytest.raises(AcquireTimeoutError) as caught:
            await pool.acquire()
        message = str(caught.value)
        assert re.match(
            r"pool shop: no connection after 0\.50 s of queueing; 5 in use, 0 idle of 5, 1 waiting; ", message
        )
        place = r"support\.py:\d+"
        assert re.search(rf"held by task 'report 0' for 10\.5 s, acquired at .*{place} \(connection \d\)", message)
        assert message.count("acquired at") == 3
        assert "and 2 more" in message
        assert (caught.value.phase, caught.value.stats.in_use, caught.value.stats.max_size) == ("queueing", 5, 5)
        for task in (*holders, waiter):
            task.cancel()


async def test_leases_tell_who_holds_what_since_when_the_longest_first(server):
    async with make_pool(server, max_size=3) as pool:
        first = start(borrow(pool, 100), name="first")
        await asyncio.sleep(5)
        second = start(borrow(pool, 100), name="second")
        await asyncio.sleep(5)
        leases = pool.leases()
        assert [(lease.task, round(lease.age)) for lease in leases] == [("first", 10), ("second", 5)]
        assert [lease.connection_id for lease in leases] == [1, 2]
        assert all(re.search(r"support\.py:\d+$", lease.site) for lease in leases)
        first.cancel()
        second.cancel()
        await ticks()
        assert pool.leases() == []


@pytest.mark.parametrize("how", ["acquire", "cursor", "transaction", "execute", "fetch_all", "fetch_value"])
async def test_the_place_is_where_the_user_called_whatever_the_way(server, how):
    async with make_pool(server) as pool:

        async def use() -> None:
            if how in {"acquire", "cursor", "transaction"}:
                async with getattr(pool, how)():
                    await asyncio.sleep(5)
            else:
                await getattr(pool, how)("SELECT SLEEP(5)")

        task = start(use())
        await asyncio.sleep(1)
        assert [re.search(r"([\w.]+):\d+$", lease.site)[1] for lease in pool.leases()] == ["test_errors.py"]
        await task


async def test_code_that_borrows_for_others_says_for_whom(server):
    async with make_pool(server, max_size=1) as pool:
        conn = await pool.acquire(site="the monthly report")
        assert [lease.site for lease in pool.leases()] == ["the monthly report"]
        assert "acquired at the monthly report" in repr(conn)
        with pytest.raises(AcquireTimeoutError, match="acquired at the monthly report"):
            await pool.acquire(timeout=0.1)
        conn.close()


async def test_repr_and_stats_tell_the_state(server):
    async with make_pool(server, name="shop", max_size=3) as pool, pool.acquire():
        assert repr(pool) == "<ConnectionPool shop via fake: 1 in use, 0 idle of 3, 0 waiting>"
        assert str(pool.stats()) == "1 in use, 0 idle of 3, 0 waiting"
    assert repr(pool) == "<ConnectionPool shop via fake: closed>"


# -- deadlock: PAINS 20, issue 4 ---------------------------------------------------------------------------------------


async def test_when_all_holders_wait_for_another_one_the_newest_fails_at_once(server):
    async with make_pool(server, max_size=2, queue_timeout=30) as pool:
        holding = asyncio.Barrier(2)

        async def greedy() -> None:
            async with pool.acquire():
                await holding.wait()
                async with pool.acquire():
                    pass

        one, two = start(greedy(), name="one"), start(greedy(), name="two")
        loop = asyncio.get_running_loop()
        started = loop.time()
        results = await asyncio.gather(one, two, return_exceptions=True)
        assert loop.time() - started < 0.1
        told = [result for result in results if result is not None]
        assert [type(result) for result in told] == [PoolDeadlockError]  # the other one got through
        for part in ("one", "two", "test_errors.py"):
            assert part in str(told[0])
        await borrow(pool)


async def directly(conn) -> None:
    await value(conn, "SELECT 1")


async def in_a_helper_task(conn) -> None:
    """As `asyncio.wait_for` does on Python 3.11."""
    await start(value(conn, "SELECT 1"), name="helper")


async def not_at_all(conn) -> None:
    pass


@pytest.mark.parametrize("use", [directly, in_a_helper_task, not_at_all])
@pytest.mark.parametrize("timeouts", [(2, 2), (2, None), (None, 2), (None, None), (1, 4, None), (4, 2, 1, 3)], ids=str)
@pytest.mark.parametrize("each", [1, 2], ids=["one each", "two each"])
async def test_a_deadlock_is_seen_whatever_the_timeouts_and_whoever_used_the_connections(server, use, timeouts, each):
    ready = asyncio.Barrier(len(timeouts))

    async def greedy(timeout: float | None) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(each):
                await use(await stack.enter_async_context(pool.acquire()))
            await ready.wait()
            await stack.enter_async_context(pool.acquire(timeout=timeout))

    async with make_pool(server, max_size=each * len(timeouts)) as pool:
        started = now()
        results = await asyncio.gather(*map(greedy, timeouts), return_exceptions=True)
        assert [type(result) for result in results if result is not None] == [PoolDeadlockError]
        assert now() == started
        await check_whole(pool, server)


async def test_no_deadlock_is_seen_while_a_connection_is_on_its_way(server):
    async with make_pool(server, max_size=3, queue_timeout=30) as pool:
        holding = asyncio.Barrier(3)

        async def greedy() -> None:
            async with pool.acquire() as conn:
                await directly(conn)
                await holding.wait()
                async with pool.acquire():
                    pass

        both = [start(greedy()) for _ in range(2)]
        await ticks(20)
        server.connect.next(slow(3))
        third = start(borrow(pool))  # the third is being opened for somebody else
        await holding.wait()
        await asyncio.gather(*both, third)
        await check_whole(pool, server)


async def test_whoever_helped_out_with_one_statement_holds_nothing(server):
    async with make_pool(server, max_size=2, queue_timeout=30) as pool:
        helped = asyncio.Event()

        async def helper(conn) -> None:
            await directly(conn)
            helped.set()
            async with pool.acquire():  # once the others have given theirs back
                pass

        async def lender() -> None:
            async with pool.acquire() as conn:
                helping = start(helper(conn), name="helper")
                await helped.wait()
                assert "helper" not in {lease.task for lease in pool.leases()}
                await asyncio.sleep(1)
            await helping

        await asyncio.gather(lender(), start(borrow(pool, 2)))
        await check_whole(pool, server)


async def test_connections_that_were_handed_on_may_still_come_back(server):
    async with make_pool(server, max_size=2, queue_timeout=30) as pool:

        async def handle(conn) -> None:
            async with conn:
                await directly(conn)
                await asyncio.sleep(1)

        async def accept() -> None:
            handlers = []
            for _ in range(4):
                handlers.append(start(handle(await pool.acquire(timeout=None))))
                await asyncio.sleep(0.1)
            await asyncio.gather(*handlers)

        await accept()
        await check_whole(pool, server)


async def test_one_task_that_wants_more_than_there_are_is_told_at_once_if_it_would_wait_for_ever(server):
    async with make_pool(server, max_size=1) as pool, pool.acquire():
        with pytest.raises(PoolDeadlockError):
            await pool.acquire(timeout=None)
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=5)  # perhaps it is prepared for that


async def test_no_deadlock_is_seen_where_somebody_can_still_give_back(server):
    async with make_pool(server, max_size=2, queue_timeout=30) as pool:
        other = start(borrow(pool, 5))
        await asyncio.sleep(0.1)
        async with pool.acquire():
            assert await borrow(pool)
        await other
