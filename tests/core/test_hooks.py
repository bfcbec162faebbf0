"""`on_acquire` and `on_release`: when they run, what becomes of it, and of a connection with which they went wrong."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from contextlib import suppress

import pytest
from support import borrow, cancelled_before, check_whole, connection_id, make_pool, now, start, ticks, value

from async_mysqlpool import AcquireTimeoutError, ConnectionReleasedError, PoolDeadlockError, PoolError, events
from async_mysqlpool.capacity.hooked import HookedAcquire
from async_mysqlpool.testing.fake import NEVER, FakeError, FakeStreamCursor, fail


class Switched:
    """A hook that may be switched off."""

    def __init__(self, hook):
        self.hook, self.on, self.calls = hook, True, 0

    async def __call__(self, conn):
        if self.on:
            self.calls += 1
            return await self.hook(conn)
        return None


async def works(conn):
    await value(conn, "SELECT @tenant := 7")


async def raises(conn):
    await value(conn, "SELECT 1")
    raise LookupError("no such tenant")


async def is_cancelled(conn):
    raise asyncio.CancelledError


async def hangs(conn):
    await value(conn, "SELECT SLEEP(1000)")


async def leaves_rows(conn):
    await conn.cursor(FakeStreamCursor).execute("SELECT 1")


async def gives_it_back(conn):
    conn.close()


async def discards(conn):
    conn.discard()


async def hides_a_lost_connection(conn):
    conn.raw.server.execute.next(fail(2013))
    with suppress(FakeError):
        await value(conn, "SELECT 1")


async def test_a_pool_without_hooks_borrows_without_them(server):
    """It is decided once, so that those who need none do not pay for the question."""
    async with make_pool(server) as plain, make_pool(server, on_acquire=works) as hooked:
        waiting = [plain.acquire(), hooked.acquire()]
        assert [isinstance(acquire, HookedAcquire) for acquire in waiting] == [False, True]
        for acquire in waiting:
            (await acquire).close()


# -- on_acquire --------------------------------------------------------------------------------------------------------


async def test_on_acquire_runs_before_each_borrow_and_after_the_reset(server):
    tenant = contextvars.ContextVar("tenant", default=0)

    async def on_acquire(conn):
        assert await value(conn, "SELECT @tenant") is None  # what the borrower before was
        await value(conn, f"SELECT @tenant := {tenant.get()}")

    async with make_pool(server, max_size=1, on_acquire=on_acquire) as pool:
        for number in range(1, 4):
            tenant.set(number)
            async with pool.acquire() as conn:
                assert await value(conn, "SELECT @tenant") == number
            conn = await pool.acquire()
            assert await value(conn, "SELECT @tenant") == number
            conn.close()
            assert await pool.fetch_value("SELECT @tenant") == number
            async with pool.transaction() as conn:
                assert await value(conn, "SELECT @tenant") == number
        assert pool.stats().opened == 1


@pytest.mark.parametrize(
    ("hook", "error", "text", "reason"),
    [
        (raises, LookupError, "no such tenant", "on_acquire"),
        (is_cancelled, PoolError, "on_acquire awaited was cancelled", "on_acquire"),
        (hangs, AcquireTimeoutError, r"no connection after 3.00 s of on_acquire", "on_acquire"),
        (leaves_rows, PoolError, "on_acquire left a result unread", "on_acquire"),
        (gives_it_back, PoolError, "on_acquire gave its connection back", None),
        (discards, PoolError, "on_acquire gave its connection back", "discarded"),
        (hides_a_lost_connection, PoolError, r"on_acquire left its connection of no use \(broken\)", "broken"),
    ],
)
async def test_a_connection_with_which_on_acquire_went_wrong_is_lent_to_nobody(server, hook, error, text, reason):
    switched = Switched(hook)
    async with make_pool(server, max_size=1, on_acquire=switched) as pool:
        with pytest.raises(error, match=text) as caught:
            async with pool.acquire(timeout=3):
                pytest.fail("nobody can get it")
        if error is LookupError:
            assert "raised by on_acquire of pool" in caught.value.__notes__[0]
        assert pool.leases() == []
        switched.on = False
        await check_whole(pool, server)
        assert pool.stats().closed == ({reason: 1} if reason else {})


@pytest.mark.parametrize(("timeout", "ends_after"), [(3, 3), (None, 5), (0, 5)])
async def test_on_acquire_has_as_long_as_the_borrower(server, timeout, ends_after):
    async with make_pool(server, on_acquire=hangs, connect_timeout=5) as pool:
        if timeout == 0:
            await pool.resize(min_size=1)
            await asyncio.sleep(0.1)
        started = now()
        with pytest.raises(AcquireTimeoutError) as caught:
            await pool.acquire(timeout=timeout)
        assert now() - started == pytest.approx(ends_after, abs=0.01)
        assert caught.value.phase == "on_acquire"
        assert pool.stats().timeouts == 1
        await asyncio.sleep(1)
        assert pool.stats().killed == 1


async def test_on_acquire_times_out_as_ever_in_a_task_that_was_cancelled_before(server):  # Python 3.11.2
    async def ask():
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire(timeout=3)

    async with make_pool(server, on_acquire=hangs) as pool:
        await cancelled_before(ask)


async def test_a_borrower_that_is_cancelled_in_on_acquire_ends_cancelled_and_its_statement_is_stopped(server):
    hook = Switched(hangs)
    async with make_pool(server, max_size=1, on_acquire=hook) as pool:
        victim = start(borrow(pool))
        await asyncio.sleep(1)
        victim.cancel()
        await asyncio.wait([victim])
        assert victim.cancelled()
        hook.on = False
        await check_whole(pool, server)
        assert pool.stats().killed == 1


async def test_on_acquire_that_borrows_from_its_own_pool_is_told_at_once(server):
    async def on_acquire(conn):
        await pool.fetch_value("SELECT 1")

    async with make_pool(server, on_acquire=on_acquire) as pool:
        started = now()
        with pytest.raises(PoolDeadlockError, match="on_acquire borrows from the pool"):
            await pool.acquire()
        assert now() - started < 1


async def test_who_is_in_on_acquire_is_among_those_who_hold_a_connection(server):
    async with make_pool(server, on_acquire=hangs) as pool:
        task = start(borrow(pool), name="slow tenant")
        await asyncio.sleep(1)
        assert [lease.task for lease in pool.leases()] == ["slow tenant"]
        task.cancel()
        await asyncio.wait([task])


# -- on_release --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", ["session", "auto", "rollback", "none"])
@pytest.mark.parametrize("statement", [None, "SELECT 1", "SET @x = 1", "BEGIN"])
async def test_on_release_is_asked_of_each_connection_that_comes_back(server, reset, statement):
    asked = []

    async def on_release(conn):
        asked.append(await connection_id(conn))
        return True

    async with make_pool(server, max_size=1, reset=reset, on_release=on_release) as pool:
        for number in range(1, 4):
            async with pool.acquire() as conn:
                if statement is not None:
                    await conn.cursor().execute(statement)
            await asyncio.sleep(0.1)
            assert asked == [1] * number
            assert pool.idle == 1


async def test_on_release_sees_the_session_as_the_borrower_left_it_and_is_cleaned_with_it(server):
    async def on_release(conn):
        assert await value(conn, "SELECT @tenant") == 7
        await value(conn, "SELECT @seen := 1")

    async with make_pool(server, max_size=1, on_release=on_release) as pool:
        async with pool.acquire() as conn:
            await value(conn, "SELECT @tenant := 7")
        async with pool.acquire() as conn:
            assert await connection_id(conn) == 1
            assert await value(conn, "SELECT @tenant") is None
            assert await value(conn, "SELECT @seen") is None
            await value(conn, "SELECT @tenant := 7")


async def says_no(conn):
    return False


async def says_nothing(conn):
    return None


@pytest.mark.parametrize(
    ("hook", "reason", "told"),
    [
        (says_nothing, None, False),
        (works, None, False),
        (says_no, "on_release", False),
        (raises, "on_release", True),
        (is_cancelled, "on_release", True),
        (hangs, "on_release", True),
        (leaves_rows, "unread result", False),
        (discards, "discarded", False),
        (gives_it_back, None, False),
        (hides_a_lost_connection, "broken", False),
    ],
)
async def test_what_on_release_makes_of_a_connection(server, caplog, hook, reason, told):
    switched = Switched(hook)
    async with make_pool(server, max_size=1, on_release=switched, connect_timeout=5) as pool:
        waiting = [start(borrow(pool, timeout=20)) for _ in range(2)]
        await asyncio.wait(waiting)
        await asyncio.sleep(10)
        switched.on = False
        assert [task.exception() for task in waiting] == [None, None]
        assert switched.calls == 2
        assert pool.stats().closed == ({reason: 2} if reason else {})
        assert ("on_release failed, connection 1 is discarded" in caplog.text) is told
        await check_whole(pool, server)


@pytest.mark.parametrize("end", ["discard", "kill", "expire", "cancel"])
async def test_on_release_is_not_asked_of_a_connection_that_goes_anyway(server, end):
    hook = Switched(says_nothing)
    async with make_pool(server, on_release=hook) as pool:
        if end == "cancel":
            victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
            await asyncio.sleep(1)
            victim.cancel()
            await asyncio.wait([victim])
        else:
            conn = await pool.acquire()
            if end == "discard":
                conn.discard()
            elif end == "expire":
                pool.expire()
            else:
                server.kill_all()
                with pytest.raises(FakeError):
                    await value(conn, "SELECT 1")
            conn.close()
        await asyncio.sleep(1)
        assert hook.calls == 0


async def test_when_on_release_is_done_it_cannot_use_the_connection_any_more(server):
    kept = []

    async def on_release(conn):
        kept.append(conn)

    async with make_pool(server, on_release=on_release) as pool:
        await borrow(pool)
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionReleasedError):
            await value(kept[0], "SELECT 1")


async def test_on_release_runs_in_the_context_of_who_gave_it_back(server):
    tenant, seen = contextvars.ContextVar("tenant", default=""), []

    async def on_release(conn):
        seen.append(tenant.get())

    async def request(name):
        tenant.set(name)
        await borrow(pool)

    async with make_pool(server, on_release=on_release) as pool:
        await asyncio.gather(*(start(request(name)) for name in ("a", "b")))
        await asyncio.sleep(0.1)
        assert sorted(seen) == ["a", "b"]


async def test_closing_waits_for_on_release_no_longer_than_it_was_told_to(server):
    pool = make_pool(server, on_release=hangs, connect_timeout=1000.0)
    await pool.open()
    await borrow(pool)
    await asyncio.sleep(1)
    started = now()
    await pool.close(timeout=3)
    assert now() - started < 5
    assert pool.size == 0


@pytest.mark.parametrize("reset", ["session", "none"])
@pytest.mark.parametrize("option", ["on_acquire", "on_release", "max_uses", "min_idle"])
async def test_a_failover_is_looked_into_with_hooks_as_well(server, option, reset):
    """A read-only error: the server is asked, and all connections are replaced."""
    options = {"on_acquire": works, "on_release": works, "max_uses": 100, "min_idle": 1}
    server.answer("INSERT", error=1792)
    server.answer("GLOBAL.read_only", rows=[(1,)])
    async with make_pool(server, reset=reset, **{option: options[option]}) as pool:
        with pytest.raises(FakeError):
            await pool.execute("INSERT")
        await asyncio.sleep(1)
        assert pool.stats().closed.get("failover", 0) >= 1


async def test_after_a_false_alarm_connections_come_back_as_before(server):
    """Without a task of the pool's own for each return."""
    server.answer("INSERT", error=1792)
    server.answer("read_only", rows=[(0,)])
    async with make_pool(server, max_size=1, reset="none") as pool:
        with pytest.raises(FakeError):
            await pool.execute("INSERT")
        await asyncio.sleep(1)
        async with pool.acquire() as conn:
            await value(conn, "SELECT 1")
        assert (pool.idle, pool.stats().opened) == (1, 1)


async def test_the_end_of_a_connection_that_a_hook_did_not_want_has_its_reason(server, recorder, caplog):
    caplog.set_level(logging.DEBUG)
    async with make_pool(server, on_release=says_no, observers=[recorder]) as pool:
        await borrow(pool)
        await asyncio.sleep(1)
        assert [event.reason for event in recorder.of(events.ConnectionClosed)] == ["on_release"]
        assert "on_release failed" not in caplog.text


# -- max_uses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", ["session", "none"])
async def test_a_connection_is_replaced_after_so_many_borrows(server, reset):
    async with make_pool(server, max_size=1, max_uses=3, reset=reset) as pool:
        assert [await borrow(pool) for _ in range(7)] == [1, 1, 1, 2, 2, 2, 3]
        assert pool.stats().closed == {"uses": 2}
        assert server.statements().count("COM_QUIT") == 2


async def test_those_who_wait_get_the_replacement(server):
    async with make_pool(server, max_size=2, max_uses=1) as pool:
        tasks = [start(borrow(pool, 0.1)) for _ in range(10)]
        assert sorted(await asyncio.gather(*tasks)) == list(range(1, 11))


async def test_the_minimum_is_kept_while_connections_are_used_up(server):
    async with make_pool(server, min_size=2, max_size=2, max_uses=1) as pool:
        await borrow(pool)
        await asyncio.sleep(1)
        assert pool.idle == 2


# -- min_idle ----------------------------------------------------------------------------------------------------------


async def test_so_many_are_kept_ready_besides_those_in_use(server):
    async with make_pool(server, min_size=1, max_size=6, min_idle=2) as pool:
        assert pool.idle == 2  # open() waits for them
        held = []
        for expected in (3, 4, 5, 6, 6, 6):  # all in all: never more than max_size
            held.append(await pool.acquire(timeout=0))
            await asyncio.sleep(1)
            assert pool.size == expected
        assert pool.idle == 0
        for conn in held:
            conn.close()
        await asyncio.sleep(1)
        assert pool.idle == 6


async def test_those_beyond_the_ready_ones_go_after_max_idle_time(server):
    async with make_pool(server, max_size=6, min_idle=2, max_idle_time=60, max_lifetime=None) as pool:
        async with pool.acquire(), pool.acquire(), pool.acquire():
            await asyncio.sleep(1)
            assert (pool.idle, pool.size) == (2, 5)
        await asyncio.sleep(130)
        assert pool.idle == pool.size == 2
        await asyncio.sleep(10_000)
        assert pool.idle == 2
        assert server.connects == 5  # none was closed only to be replaced


async def test_a_ready_one_that_is_lost_is_replaced(server):
    async with make_pool(server, max_size=6, min_idle=2) as pool, pool.acquire():
        await asyncio.sleep(1)
        idle = {number for number in server.sessions if number != pool.leases()[0].connection_id}
        for number in idle:
            server.kill(number)
        await asyncio.sleep(10)
        assert pool.idle == 2


async def test_ready_ones_are_opened_at_the_pace_of_all_others(server):
    async with make_pool(server, max_size=10, min_idle=5, max_connecting=2) as pool:
        server.connect.set(NEVER)
        held = [await pool.acquire() for _ in range(5)]
        await ticks(20)
        assert server.connect.calls == 5 + 2
        server.connect.open()
        await asyncio.sleep(1)
        assert pool.idle == 5
        for conn in held:
            conn.close()
