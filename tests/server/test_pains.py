"""What cannot happen here: the defects of the drivers' own pools (rows a to v), each one tried on ours.

Those pools, as of aiomysql 0.3.2, asyncmy 0.2.18 and mysql.connector.aio 26.10, hang, starve or mix up rows in the very
same steps.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from kit import BOTH_LOOPS, eventually, rows, value

from async_mysqlpool import (
    AcquireTimeoutError,
    ConcurrentUseError,
    ConnectionReleasedError,
    PoolClosedError,
    ServerUnavailableError,
)
from async_mysqlpool.testing.proxy import Proxy


async def queued(pool):
    """A task that waits for a connection, and is sure to be in the queue."""

    async def borrow():
        async with pool.acquire() as connection:
            return await value(connection, "SELECT 'served'")

    task = asyncio.create_task(borrow())
    while pool.waiting == 0:
        await asyncio.sleep(0)
    return task


@pytest.fixture
async def proxy(account, server):
    """Closed before it is looked whether `account` is still connected: links that are frozen stay."""
    async with Proxy(server) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(pools, proxy):
    """Opens pools whose connections go through the proxy."""

    async def open_pool(**options):
        return await pools(host="127.0.0.1", port=proxy.port, **options)

    return open_pool


async def test_a_waiter_is_served_when_the_holder_leaves_a_transaction_open(pools):
    pool = await pools(max_size=1)
    async with pool.acquire() as connection:
        await connection.begin()
        waiter = await queued(pool)
    assert await waiter == "served"


@BOTH_LOOPS
async def test_b_waiter_is_served_when_the_holders_query_is_cancelled(admin, account, pools):
    pool = await pools(max_size=1)

    async def hold():
        async with pool.acquire() as connection:
            await rows(connection, "SELECT SLEEP(100)")

    holder = asyncio.create_task(hold())
    await eventually(lambda: running(admin, account))
    waiter = await queued(pool)
    holder.cancel()
    assert await waiter == "served"
    with pytest.raises(asyncio.CancelledError):
        await holder


def running(admin, account):
    """The statements of the account that the server works on."""
    sql = "SELECT info FROM information_schema.processlist WHERE user = %s AND command = 'Query' AND info IS NOT NULL"
    return [row[0] for row in admin.rows(sql, account.user)]


async def test_c_waiter_is_served_when_the_holder_closes_its_connection(pools):
    pool = await pools(max_size=1)
    async with pool.acquire() as connection:
        waiter = await queued(pool)
        connection.close()
    assert await waiter == "served"


async def test_d_stuck_connect_does_not_keep_a_returned_connection_from_the_next(proxy, through_proxy):
    pool = await through_proxy(max_size=2)
    first = await pool.acquire()
    proxy.freeze("new")
    waiters = [await queued(pool), await queued(pool)]
    await eventually(lambda: proxy.attempts == 2)
    first.close()
    assert await asyncio.gather(*waiters) == ["served", "served"]
    proxy.thaw()


async def test_e_connects_run_side_by_side(proxy, through_proxy):
    proxy.freeze("new")
    opening = asyncio.create_task(through_proxy(min_size=10, max_size=10, max_connecting=10))
    await eventually(lambda: proxy.attempts == 10)
    proxy.thaw()
    pool = await opening
    assert (pool.size, proxy.peak) == (10, 10)


async def test_f_connects_fail_side_by_side(proxy, through_proxy):
    pool = await through_proxy(min_size=0, max_size=10, max_connecting=10, connect_timeout=1)
    proxy.freeze("new")
    borrowers = [asyncio.create_task(pool.fetch_value("SELECT 1")) for _ in range(10)]
    errors = await asyncio.gather(*borrowers, return_exceptions=True)
    assert {type(error) for error in errors} == {ServerUnavailableError}
    assert proxy.attempts >= 10  # one after the other, the first failure would have been the answer for all


@BOTH_LOOPS
async def test_g_silent_server_is_an_error_within_connect_timeout(proxy, through_proxy):
    pool = await through_proxy(min_size=0, connect_timeout=0.3)
    proxy.freeze("new")
    with pytest.raises(ServerUnavailableError, match=r"0\.3"):
        await pool.fetch_value("SELECT 1")


@BOTH_LOOPS
async def test_h_connection_that_died_silently_is_replaced(proxy, through_proxy):
    pool = await through_proxy(max_size=1, validate_after=0, validation_timeout=0.3)
    first = await pool.fetch_value("SELECT CONNECTION_ID()")
    proxy.freeze("open")
    await asyncio.sleep(0.01)  # uvloop's clock has milliseconds only: idle for more than 0 of them
    assert await pool.fetch_value("SELECT CONNECTION_ID()") != first


async def test_i_two_tasks_on_one_connection(pools):
    pool = await pools(max_size=1)
    async with pool.acquire() as connection:
        results = await asyncio.gather(
            value(connection, "SELECT 'first'"), value(connection, "SELECT 'second'"), return_exceptions=True
        )
        assert results[0] == "first"
        assert isinstance(results[1], ConcurrentUseError)
        assert await value(connection, "SELECT 'third'") == "third"


async def test_j_no_stale_rows_and_no_metadata_lock_without_autocommit(account, admin, pools):
    pool = await pools(max_size=1, autocommit=False)
    for number in range(3):
        admin.rows("DELETE FROM items WHERE note LIKE %s", f"{account.user}-%")
        admin.rows("INSERT INTO items (note) VALUES (%s)", f"{account.user}-{number}")
        async with pool.acquire() as connection:
            assert await rows(connection, "SELECT note FROM items WHERE note LIKE %s", (f"{account.user}-%",)) == [
                (f"{account.user}-{number}",)
            ]
        await asyncio.to_thread(admin.rows, "ALTER TABLE items COMMENT = 'not blocked'")


async def test_k_one_connection_serves_many_without_autocommit(pools):
    pool = await pools(max_size=1, autocommit=False)
    ids = set()
    for _ in range(20):
        async with pool.acquire() as connection:
            ids.add(await value(connection, "SELECT CONNECTION_ID()"))
    assert len(ids) == 1
    assert pool.stats().opened == 1


async def test_l_nothing_of_the_last_borrower_is_visible(pools):
    look = "SELECT @left, @@time_zone, @@sql_mode, DATABASE(), @@autocommit, IS_FREE_LOCK('left')"
    pool = await pools(max_size=1)
    before = await pool.fetch_one(look)
    async with pool.acquire() as connection:
        await rows(connection, "SET @left = 1, time_zone = '+09:00', sql_mode = 'ANSI', autocommit = 0")
        await rows(connection, "CREATE TEMPORARY TABLE left_behind (a INT)")
        await rows(connection, "SELECT GET_LOCK('left', 0)")
        await rows(connection, "USE other")
    assert await pool.fetch_one(look) == before
    assert await pool.execute("CREATE TEMPORARY TABLE left_behind (a INT)") == 0


@BOTH_LOOPS
async def test_m_cancelled_update_is_not_applied_later(account, admin, pools):
    pool = await pools(max_size=1)
    admin.rows("INSERT INTO items (note) VALUES (%s)", account.user)
    admin.rows("START TRANSACTION")
    admin.rows("SELECT * FROM items WHERE note = %s FOR UPDATE", account.user)
    update = asyncio.create_task(pool.execute("UPDATE items SET note = 'too late' WHERE note = %s", (account.user,)))
    assert await eventually(lambda: running(admin, account))
    update.cancel()
    with pytest.raises(asyncio.CancelledError):
        await update
    assert await eventually(lambda: running(admin, account), lambda statements: not statements) == []
    admin.rows("COMMIT")
    assert admin.value("SELECT COUNT(*) FROM items WHERE note = %s", account.user) == 1
    assert await pool.fetch_value("SELECT 'mine'") == "mine"


async def test_n_hot_loop_does_not_starve_a_waiter(pools):
    pool = await pools(max_size=1)
    connection = await pool.acquire()
    waiter = await queued(pool)
    connection.close()
    for _ in range(2):
        async with pool.acquire() as connection:
            await value(connection, "SELECT 1")
    assert waiter.done()
    assert await waiter == "served"


async def test_o_all_spellings_of_acquire_give_back(pools):
    pool = await pools(max_size=3)
    for _ in range(10):
        async with await pool.acquire(timeout=5) as connection:
            await value(connection, "SELECT 1")
        async with pool.acquire(timeout=5) as connection:
            await value(connection, "SELECT 1")
        pool.release(await pool.acquire(timeout=5))
    assert pool.stats().in_use == 0


async def test_p_connection_and_cursor_are_dead_after_release(pools):
    pool = await pools(max_size=1)
    async with pool.acquire() as connection:
        cursor = await connection.cursor()
        await cursor.execute("SELECT 1")
    async with pool.acquire():
        with pytest.raises(ConnectionReleasedError):
            await cursor.execute("SELECT 2")
        with pytest.raises(ConnectionReleasedError):
            await cursor.fetchall()
        with pytest.raises(ConnectionReleasedError):
            await connection.commit()
        with pytest.raises(ConnectionReleasedError):
            connection.cursor()


@BOTH_LOOPS
async def test_q_acquire_cancelled_during_its_ping_costs_no_capacity(proxy, through_proxy):
    pool = await through_proxy(max_size=1, validate_after=0, validation_timeout=2)  # the ping goes on for so long
    for _ in range(3):
        assert await eventually(lambda: pool.idle == 1)
        proxy.freeze("open")
        await asyncio.sleep(0.01)  # as above
        borrower = asyncio.create_task(pool.fetch_value("SELECT 1"))
        assert await eventually(lambda: pool.stats().cleaning == 1)
        borrower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await borrower
    assert await pool.fetch_value("SELECT 'capacity is back'") == "capacity is back"


async def test_r_terminate_closes_idle_connections(account, admin, pools):
    pool = await pools(min_size=3, max_size=3)
    assert len(admin.connection_ids(account.user)) == 3
    pool.terminate()
    await asyncio.sleep(0)
    assert await eventually(lambda: admin.connection_ids(account.user), lambda ids: not ids) == []


async def test_s_close_does_not_wait_for_a_stuck_borrower_for_ever(account, admin, caplog, pools):
    pool = await pools(max_size=2)
    stuck = await pool.acquire()
    await pool.close(timeout=0.2)
    assert "test_pains.py" in caplog.text  # who held it
    assert await eventually(lambda: admin.connection_ids(account.user), lambda ids: not ids) == []
    with pytest.raises(Exception):  # noqa: B017  the driver's own error, or ours
        await value(stuck, "SELECT 1")


async def test_t_waiter_is_sent_away_when_the_pool_closes(pools):
    pool = await pools(max_size=1)
    connection = await pool.acquire()
    waiter = await queued(pool)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(PoolClosedError):
        await waiter
    assert await value(connection, "SELECT 'still mine'") == "still mine"
    connection.close()
    await closing


@BOTH_LOOPS
async def test_u_clean_shutdown_aborts_nobody(account, admin, pools):
    before = admin.status("Aborted_clients")
    pool = await pools(min_size=5, max_size=5)
    async with pool.acquire() as connection:
        await value(connection, "SELECT 1")
    await pool.close()
    assert await eventually(lambda: admin.connection_ids(account.user), lambda ids: not ids) == []
    assert admin.status("Aborted_clients") == before


async def test_v_default_options_work_with_and_without_tls_on_the_server(pools):
    pool = await pools()
    assert await pool.fetch_value("SELECT 1") == 1


async def test_timeout_names_who_holds_the_connection(pools):
    pool = await pools(max_size=1)
    async with pool.acquire():
        with pytest.raises(AcquireTimeoutError, match=r"test_pains\.py:\d+") as caught:
            await pool.acquire(timeout=0.05)
    assert caught.value.stats.in_use == 1


async def test_cancelled_query_does_not_answer_the_next_borrower(pools):
    pool = await pools(max_size=1)
    for _ in range(5):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await pool.fetch_value("SELECT SLEEP(0.03), 'old'")
        assert await pool.fetch_value("SELECT 'new'") == "new"
