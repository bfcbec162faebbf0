"""Session reset as the pool drives it: when, how often, and what becomes of a connection whose reset fails.

What exactly is restored on real servers, the contract suite shows; here the fake server has a model of it.
"""

from __future__ import annotations

import asyncio
from copy import copy
from dataclasses import asdict

import pytest
from support import borrow, check_whole, connection_id, make_pool, now, start, ticks, value

from async_mysqlpool import ConnectError, ResetFailedError, TransactionError
from async_mysqlpool.events import ResetFailed
from async_mysqlpool.testing.fake import NEVER, FakeError, fail, slow

DIRT = [
    "SET @x = 1",
    "SET time_zone = '+09:00', sql_mode = ''",
    "SET SESSION innodb_lock_wait_timeout = 1",
    "SET NAMES latin1",
    "SET autocommit = 0",
    "USE elsewhere",
    "SET ROLE admin",
    "BEGIN",
    "SELECT GET_LOCK('job', 0)",
    "CREATE TEMPORARY TABLE t (id INT)",
]


def state(server, number: int = 1) -> dict:
    session = server.sessions[number]
    shown = {name: session.get(name) for name in server.variables}
    kept = ("database", "user_variables", "temporary_tables", "in_transaction", "locks", "role")
    return {**shown, **{name: copy(getattr(session, name)) for name in kept}}


@pytest.mark.parametrize("pipelines", [True, False])
@pytest.mark.parametrize(
    "dirt", [*[[one] for one in DIRT], DIRT], ids=lambda dirt: dirt[0] if len(dirt) == 1 else "all"
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"database": "shop", "autocommit": False},
        {"database": "shop", "session_variables": {"time_zone": "+01:00", "sql_mode": "ANSI's \\ own"}},
        {"database": "shop", "connect_args": {"init_command": "SET @x = 42"}},
    ],
    ids=["plain", "autocommit off", "variables", "init_command"],
)
async def test_a_reused_session_is_as_a_new_one(server, options, dirt, pipelines):  # PAINS 4-8, row l
    async with make_pool(server, max_size=1, min_size=1, pipelines=pipelines, **options) as pool:
        new = state(server)
        async with pool.acquire() as conn, conn.cursor() as cursor:
            for statement in dirt:
                await cursor.execute(statement)
            assert state(server) != new or options.get("autocommit") is False
        await asyncio.sleep(0.1)
        async with pool.acquire() as conn:
            number = await connection_id(conn)
            assert state(server, number) == new
        if not (dirt in (["USE elsewhere"], DIRT) and "database" not in options):
            assert server.connects == 1  # it was restored, not replaced


async def test_without_a_database_a_session_that_chose_one_is_replaced(server):
    async with make_pool(server, max_size=1) as pool:
        async with pool.acquire() as conn, conn.cursor() as cursor:
            await cursor.execute("USE elsewhere")
        await asyncio.sleep(0.1)
        assert await pool.fetch_value("SELECT DATABASE()") is None


@pytest.mark.parametrize("waiting", [True, False])
async def test_locks_and_transactions_end_at_release_not_at_the_next_borrow(server, waiting):  # DESIGN 5
    async with make_pool(server, max_size=1) as pool:
        conn = await pool.acquire()
        await value(conn, "SELECT GET_LOCK('job', 0)")
        await conn.begin()
        waiter = start(borrow(pool)) if waiting else None
        await ticks()
        conn.close()
        await asyncio.sleep(0.01)
        assert not server.sessions[1].in_transaction
        assert server.sessions[1].locks == set()
        if waiter:
            await waiter


async def test_one_reset_for_each_borrow_that_sent_something_and_none_for_the_others(server):
    async with make_pool(server, max_size=1, min_size=1) as pool:
        before = server.statements().count("COM_RESET_CONNECTION")
        for _ in range(3):
            async with pool.acquire():
                pass
        assert server.statements().count("COM_RESET_CONNECTION") == before
        for _ in range(3):
            await borrow(pool)
        await ticks()
        assert server.statements().count("COM_RESET_CONNECTION") == before + 3
        assert pool.stats().resets == 3


async def test_rollback_only(server):
    async with make_pool(server, max_size=1, reset="rollback") as pool:
        async with pool.acquire() as conn:
            await value(conn, "SELECT @x := 5")
            await conn.begin()
        await ticks(10)
        assert not server.sessions[1].in_transaction
        assert await pool.fetch_value("SELECT @x") == 5
        assert "COM_RESET_CONNECTION" not in server.statements()


async def test_none_leaves_everything_but_an_abandoned_transaction_block(server):
    async with make_pool(server, max_size=1, reset="none") as pool:
        async with pool.acquire() as conn:
            await value(conn, "SELECT @x := 5")
        assert await pool.fetch_value("SELECT @x") == 5
        assert not {"COM_RESET_CONNECTION", "ROLLBACK"} & set(server.statements())
        block = pool.transaction()
        conn = await block.__aenter__()
        conn.close()
        await ticks(10)
        assert not server.sessions[1].in_transaction
        with pytest.raises(TransactionError, match="given back"):
            await block.__aexit__(None, None, None)


@pytest.mark.parametrize("pipelines", [True, False])
@pytest.mark.parametrize("trouble", [fail(1105), fail(2013), fail(RuntimeError("odd")), NEVER])
async def test_after_a_failed_reset_the_session_is_never_used_again(
    server, recorder, trouble, pipelines
):  # SCENARIOS 126
    async with make_pool(server, max_size=1, pipelines=pipelines, observers=[recorder]) as pool:
        await borrow(pool)
        await ticks()
        server.reset.next(trouble)
        async with pool.acquire() as conn:
            await value(conn, "SELECT @x := 'dirty'")
        await asyncio.sleep(30)
        async with pool.acquire() as conn:
            assert await value(conn, "SELECT @x") is None
            assert await connection_id(conn) != 1
        if trouble == fail(1105):
            assert pool.stats().resets_failed == len(recorder.of(ResetFailed)) == 1
            assert pool.stats().closed["reset failed"] == 1
        await check_whole(pool, server)


async def test_a_borrower_whose_command_followed_a_failing_reset_learns_of_it(server):
    async with make_pool(server, max_size=1) as pool:
        server.reset.next(*[slow(0)] * 2)
        await borrow(pool)
        await asyncio.sleep(0.1)
        server.reset.next(fail(1105, "reset refused"))
        conn = await pool.acquire()
        await value(conn, "SELECT 1")
        waiter = start(pool.fetch_value("SELECT 2"))
        await ticks()
        conn.close()
        try:
            assert await waiter == 2  # it was served by a new connection
        except ResetFailedError as exc:
            assert "reset refused" in str(exc)  # noqa: PT017  either is right; a wrong row is not
        await check_whole(pool, server)


async def test_a_slow_reset_delays_only_the_one_who_needs_that_connection(server):
    async with make_pool(server, max_size=2) as pool:
        first, second = await pool.acquire(), await pool.acquire()
        await value(first, "SELECT 1")
        await value(second, "SELECT 1")
        server.reset.next(slow(5))
        first.close()
        second.close()
        started = now()
        await borrow(pool)
        assert now() == started


async def test_a_reset_that_fails_because_the_connection_dies_while_opening_is_no_refusal(server):
    """One lost connection must not cost the pool the reuse of all later ones."""
    server.reset.next(fail(2013, "Lost connection during query"))
    async with make_pool(server, max_size=1, queue_timeout=5) as pool:
        for _ in range(5):
            try:
                await borrow(pool)
            except ConnectError:
                continue
        connects = server.connects
        for _ in range(5):
            await borrow(pool)
        assert server.connects == connects


async def test_a_server_that_knows_no_reset_gets_every_connection_used_once(server, caplog):  # PAINS 41
    server.reset.set(fail(1047, "Unknown command"))
    async with make_pool(server, max_size=1) as pool:
        ids = [await borrow(pool) for _ in range(3)]
        assert len(set(ids)) == 3
        assert server.peak == 1
    assert caplog.text.count("cannot be reset") == 1


# -- on_connect: SCENARIOS 127-132; PAINS 60 ---------------------------------------------------------------------------


async def test_on_connect_runs_once_for_each_connection_and_after_each_session_reset(server):
    seen = []

    async def on_connect(conn):
        seen.append(await connection_id(conn))
        await value(conn, "SELECT @tenant := 'none'")

    async with make_pool(server, on_connect=on_connect, min_size=2) as pool:
        assert sorted(seen) == [1, 2]
        async with pool.acquire() as conn:
            number = await connection_id(conn)
            await value(conn, "SELECT @tenant := 'other'")
        await asyncio.sleep(0.1)
        assert seen[2:] == [number]
        assert await pool.fetch_value("SELECT @tenant") == "none"


async def raises(conn):
    await value(conn, "SELECT 1")
    raise LookupError("no tenant")


async def leaves_rows(conn):
    conn.raw.unread = 1


async def hangs(conn):
    await value(conn, "SELECT SLEEP(1000)")


async def gives_it_back(conn):
    conn.close()
    pool_saw = conn.detached
    assert pool_saw


@pytest.mark.parametrize("hook", [raises, leaves_rows, hangs])
async def test_a_hook_that_goes_wrong_keeps_the_connection_from_being_lent(server, hook):
    pool = make_pool(server, on_connect=hook, min_size=1, connect_timeout=5)
    with pytest.raises(ConnectError, match="on_connect") as caught:
        await pool.open()
    if hook is raises:
        assert "no tenant" in str(caught.value)
    await asyncio.sleep(1000)
    assert server.sessions == {}


async def test_a_hook_that_closes_its_connection_takes_no_slot(server):
    async with make_pool(server, on_connect=gives_it_back) as pool:
        await asyncio.gather(*(borrow(pool) for _ in range(5)), return_exceptions=True)
        stats = asdict(pool.stats())
        assert stats["in_use"] == stats["waiting"] == 0


async def test_a_hook_that_fails_after_a_reset_costs_only_that_connection(server):
    failing = False

    async def hook(conn):
        if failing:
            raise LookupError

    async with make_pool(server, on_connect=hook, max_size=1) as pool:
        await borrow(pool)
        await asyncio.sleep(0.1)
        failing = True
        await borrow(pool)
        await asyncio.sleep(0.1)
        failing = False
        assert await borrow(pool) == 2
        assert pool.stats().closed == {"reset failed": 1}


async def test_a_server_error_in_the_middle_of_a_hook_may_be_handled_by_it(server):
    server.answer("maybe", error=1227)

    async def hook(conn):
        with pytest.raises(FakeError):
            await value(conn, "SELECT maybe")

    async with make_pool(server, on_connect=hook) as pool:
        assert await borrow(pool) == 1


async def test_without_resets_an_unfinished_transaction_block_is_only_rolled_back(server):
    """No reset that would take away what nobody restores."""
    look = "SELECT @@autocommit, @@time_zone, @@character_set_client, CONNECTION_ID()"
    variables = {"time_zone": "+00:00"}
    async with make_pool(server, max_size=1, reset="none", autocommit=False, session_variables=variables) as pool:
        before = await pool.fetch_one(look)

        async def ends_its_transaction_itself():
            async with pool.transaction() as conn:
                await conn.raw.rollback()
                await asyncio.sleep(10)

        task = start(ends_its_transaction_itself())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        for _ in range(3):
            assert await pool.fetch_one(look) == before
        assert server.statements().count("ROLLBACK") == 3  # its own, and two of the pool: the first one ends its set-up
        assert "COM_RESET_CONNECTION" not in server.statements()
