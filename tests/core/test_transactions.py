"""Transactions, the retry helper, and the one-shot helpers."""

from __future__ import annotations

import asyncio

import pytest
from support import borrow, check_whole, connection_id, make_pool, value

from async_mysqlpool import ConfigurationError, PooledConnection, TransactionError
from async_mysqlpool.testing.fake import FakeError, fail


def said(server) -> list[str]:
    """Statements that begin or end transactions."""
    words = ("BEGIN", "START", "COMMIT", "ROLLBACK", "SET TRANSACTION")
    return [text for text in server.statements() if text.startswith(words)]


async def test_a_block_commits(server):
    async with make_pool(server) as pool:
        async with pool.transaction() as conn:
            assert server.sessions[1].in_transaction
            await connection_id(conn)
        assert said(server) == ["START TRANSACTION", "COMMIT"]


async def test_a_block_that_raises_rolls_back_and_its_error_is_what_the_caller_sees(server):
    async with make_pool(server) as pool:
        with pytest.raises(ZeroDivisionError):
            async with pool.transaction():
                raise ZeroDivisionError
        assert said(server) == ["START TRANSACTION", "ROLLBACK"]
        assert await borrow(pool) == 1


async def test_isolation_and_read_only(server):
    async with make_pool(server) as pool:
        async with pool.transaction("READ COMMITTED", read_only=True):
            pass
        async with pool.transaction(isolation="SERIALIZABLE"):
            pass
    assert said(server) == [
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION READ ONLY", "COMMIT",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION", "COMMIT",
    ]  # fmt: skip


async def test_an_isolation_level_that_does_not_exist_is_refused(server):
    async with make_pool(server) as pool:
        with pytest.raises(ConfigurationError, match="isolation must be one of READ UNCOMMITTED"):
            async with pool.transaction("SNAPSHOT; DROP TABLE x"):
                pass
        assert said(server) == []
        await check_whole(pool, server)


async def test_a_transaction_on_a_connection_that_one_has(server):
    async with make_pool(server) as pool, pool.acquire() as conn:
        async with conn.transaction() as same:
            assert same is conn
        await conn.begin()
        await conn.rollback()
    assert said(server) == ["START TRANSACTION", "COMMIT", "BEGIN", "ROLLBACK"]


async def test_a_cancelled_block_does_not_commit(server):
    async with make_pool(server, max_size=1) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), pool.transaction() as conn:
                await value(conn, "SELECT 1")
                await asyncio.sleep(5)
        await asyncio.sleep(1)
        assert "COMMIT" not in said(server)
        assert not any(session.in_transaction for session in server.sessions.values())
        await check_whole(pool, server)


async def test_a_failing_begin_gives_the_connection_back(server):  # SCENARIOS 46
    server.answer("START TRANSACTION", error=1792)
    async with make_pool(server, max_size=1) as pool:
        for _ in range(3):
            with pytest.raises(FakeError):
                async with pool.transaction():
                    pytest.fail("the block must not run")
        await check_whole(pool, server)


async def test_a_failing_commit_is_raised_and_nothing_stays_open(server):  # SCENARIOS 104
    server.answer("^COMMIT", error=1180, times=1)
    async with make_pool(server, max_size=1) as pool:
        with pytest.raises(FakeError, match="1180"):
            async with pool.transaction():
                pass
        await asyncio.sleep(1)
        assert not any(session.in_transaction for session in server.sessions.values())
        await check_whole(pool, server)


async def test_a_failing_rollback_does_not_hide_the_blocks_error(server):  # SCENARIOS 104, 126
    server.answer("ROLLBACK", error=2013, times=1)
    async with make_pool(server, max_size=1) as pool:
        with pytest.raises(ZeroDivisionError):
            async with pool.transaction():
                raise ZeroDivisionError
        assert await borrow(pool) == 2
        await check_whole(pool, server)


async def test_the_server_dies_inside_the_block(server):
    async with make_pool(server, max_size=1) as pool:
        with pytest.raises(FakeError, match=r"2006|2013"):
            async with pool.transaction() as conn:
                server.kill_all()
                await value(conn, "SELECT 1")
        await check_whole(pool, server)


# -- run_transaction ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1213, 1205])
async def test_a_deadlock_or_lock_timeout_is_tried_again_as_a_whole(server, number):
    server.answer("UPDATE", error=number, times=2)
    async with make_pool(server) as pool:
        attempts = []

        async def move(conn):
            attempts.append(await connection_id(conn))
            async with conn.cursor() as cursor:
                return await cursor.execute("UPDATE t SET x = 1")

        assert await pool.run_transaction(move) == 1
        assert len(attempts) == 3
        assert said(server) == ["START TRANSACTION", "ROLLBACK"] * 2 + ["START TRANSACTION", "COMMIT"]


async def test_a_deadlock_reported_by_commit_is_tried_again(server):
    server.answer("^COMMIT", error=1213, times=1)
    async with make_pool(server) as pool:
        assert await pool.run_transaction(connection_id) == 1
        assert said(server).count("START TRANSACTION") == 2


async def test_after_the_last_retry_the_error_says_how_often(server):
    server.answer("UPDATE", error=1213)
    async with make_pool(server) as pool:
        with pytest.raises(FakeError) as caught:
            await pool.run_transaction(lambda conn: conn.cursor().execute("UPDATE t"), retries=2)
        assert caught.value.__notes__ == ["run_transaction: gave up after 3 attempts"]
        assert said(server).count("START TRANSACTION") == 3
        await check_whole(pool, server)


@pytest.mark.parametrize("error", [FakeError(1062, "duplicate"), FakeError(2013, "lost"), ValueError("own")])
async def test_no_other_error_is_tried_again_least_of_all_an_unknown_outcome(server, error):
    server.answer("UPDATE", error=error)
    async with make_pool(server) as pool:
        with pytest.raises(type(error)):
            await pool.run_transaction(lambda conn: conn.cursor().execute("UPDATE t"))
        assert said(server).count("START TRANSACTION") == 1
        await check_whole(pool, server)


async def test_a_lost_connection_during_commit_is_not_tried_again(server):
    server.answer("^COMMIT", error=2013)
    async with make_pool(server) as pool:
        with pytest.raises(FakeError, match="2013"):
            await pool.run_transaction(connection_id)
        assert said(server).count("COMMIT") == 1


async def test_retries_zero_means_once(server):
    server.answer("UPDATE", error=1213)
    async with make_pool(server) as pool:
        with pytest.raises(FakeError):
            await pool.run_transaction(lambda conn: conn.cursor().execute("UPDATE t"), retries=0)
        assert said(server).count("START TRANSACTION") == 1


async def test_no_connection_is_held_between_attempts(server):
    server.answer("UPDATE", error=1213, times=3)
    async with make_pool(server, max_size=1) as pool:
        await asyncio.gather(
            *(pool.run_transaction(lambda conn: conn.cursor().execute("UPDATE t")) for _ in range(5)),
        )
        assert pool.stats().acquired == 8


# -- one-shot helpers: SCENARIOS 43 ------------------------------------------------------------------------------------


async def test_each_helper_gives_what_it_says(server):
    server.answer("people", rows=[("Ada", 36), ("Bob", 4)], columns=["name", "age"])
    server.answer("nobody", rows=[], columns=["name"])
    server.answer("UPDATE", rowcount=3)
    async with make_pool(server, max_size=1) as pool:
        assert await pool.execute("UPDATE t SET x = %s", (1,)) == 3
        assert await pool.fetch_all("SELECT people") == [("Ada", 36), ("Bob", 4)]
        assert await pool.fetch_one("SELECT people") == ("Ada", 36)
        assert await pool.fetch_value("SELECT people") == "Ada"
        assert await pool.fetch_one("SELECT people", rows=dict) == {"name": "Ada", "age": 36}
        assert await pool.fetch_all("SELECT people WHERE age > %s", (3,), rows=dict)
        assert list(await pool.fetch_all("SELECT nobody")) == []
        assert await pool.fetch_one("SELECT nobody") is None
        assert await pool.fetch_value("SELECT nobody") is None
        assert pool.stats().in_use == 0


async def test_helpers_give_back_when_the_statement_fails(server):
    async with make_pool(server, max_size=1) as pool:
        for _ in range(5):
            with pytest.raises(FakeError):
                await pool.fetch_all("SELECT x FROM nowhere")
        await check_whole(pool, server)


async def test_two_hundred_helpers_at_once_over_two_connections(server):
    async with make_pool(server, max_size=2) as pool:
        results = await asyncio.gather(*(pool.fetch_value(f"SELECT {i}, SLEEP(0.01)") for i in range(200)))
        assert results == list(range(200))


@pytest.mark.parametrize("autocommit", [True, False])
async def test_a_cursor_block_commits_only_where_autocommit_is_off(server, autocommit):  # PAINS 4, 50, rows j, k
    async with make_pool(server, max_size=1, autocommit=autocommit) as pool:
        for _ in range(5):
            async with pool.cursor() as cursor:
                await cursor.execute("UPDATE t SET x = 1")
        # The pool itself ends what its set-up began.
        assert said(server) == ([] if autocommit else ["ROLLBACK", *["COMMIT"] * 5])
        with pytest.raises(ZeroDivisionError):
            async with pool.cursor() as cursor:
                await cursor.execute("UPDATE t SET x = 1")
                raise ZeroDivisionError
        assert said(server)[6:] == ([] if autocommit else ["ROLLBACK"])
        await asyncio.sleep(1)
        assert not server.sessions[1].in_transaction
        assert server.connects == 1


async def test_without_autocommit_a_plain_borrow_leaves_no_transaction_open(server):  # rows j, k
    async with make_pool(server, max_size=1, autocommit=False) as pool:
        for _ in range(20):
            async with pool.acquire() as conn, conn.cursor() as cursor:
                await cursor.execute("UPDATE t SET x = 1")
                assert server.sessions[1].in_transaction
            await asyncio.sleep(0.1)
            assert not server.sessions[1].in_transaction
        assert server.connects == 1


# -- several blocks on one connection ----------------------------------------------------------------------------------


async def fails_before_a_byte_is_sent(conn):
    async with conn.cursor() as cursor:
        await cursor.execute("SELECT %s, %s", (1,))


async def is_cancelled(conn):
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


@pytest.mark.parametrize("leave", [fails_before_a_byte_is_sent, is_cancelled])
@pytest.mark.parametrize("next_is", ["a block", "a statement"])
async def test_what_follows_on_the_connection_is_no_part_of_a_block_that_did_not_end(server, leave, next_is):
    async with make_pool(server, max_size=1) as pool, pool.acquire() as conn:
        with pytest.raises((TypeError, asyncio.CancelledError)):
            async with conn.transaction():
                await value(conn, "SELECT 'in the block'")
                await leave(conn)
        if asyncio.current_task().cancelling():
            asyncio.current_task().uncancel()
        if next_is == "a block":
            async with conn.transaction():
                pass
            assert said(server) == ["START TRANSACTION", "ROLLBACK", "START TRANSACTION", "COMMIT"]
        else:
            await value(conn, "SELECT 1")
            assert said(server) == ["START TRANSACTION", "ROLLBACK"]
            assert not server.sessions[1].in_transaction


async def test_a_failed_commit_is_followed_by_a_rollback(server):
    async with make_pool(server, max_size=1) as pool, pool.acquire() as conn:
        with pytest.raises(FakeError):
            async with conn.transaction():
                server.execute.next(fail(1205))
        await value(conn, "SELECT 1")
        assert said(server)[-1] == "ROLLBACK"
        assert not server.sessions[1].in_transaction


async def test_a_cancelled_cursor_block_is_rolled_back_even_without_resets(server):
    async with make_pool(server, max_size=1, reset="none", autocommit=False) as pool:

        async def insert():
            async with pool.cursor() as cursor:
                await cursor.execute("INSERT INTO t VALUES (1)")
                await asyncio.sleep(10)

        task = asyncio.create_task(insert())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        await pool.execute("INSERT INTO t VALUES (2)")
        assert said(server) == ["ROLLBACK", "ROLLBACK", "COMMIT"]  # the first one ends the set-up


@pytest.mark.parametrize("leave", [is_cancelled, PooledConnection.close])
async def test_a_block_that_said_nothing_leaves_nothing_to_the_next_borrower(server, leave):
    async with make_pool(server, max_size=1, autocommit=False) as pool:

        async def says_nothing():
            async with pool.cursor() as cursor:
                await leave(cursor.connection)
                raise ZeroDivisionError

        await asyncio.wait([asyncio.create_task(says_nothing())])
        async with pool.transaction():
            pass
        assert said(server) == ["ROLLBACK", "START TRANSACTION", "COMMIT"]  # the first one ends the set-up


# -- blocks in blocks --------------------------------------------------------------------------------------------------


async def test_a_block_in_a_block_is_a_savepoint(server):
    async with make_pool(server) as pool:
        async with pool.transaction() as conn, conn.transaction() as same:
            assert same is conn
            async with conn.transaction():
                pass
            async with conn.transaction():
                pass
        one, two = "SAVEPOINT async_mysqlpool_1", "SAVEPOINT async_mysqlpool_2"
        assert server.statements()[-8:] == [
            "START TRANSACTION", one, two, f"RELEASE {two}", two, f"RELEASE {two}", f"RELEASE {one}", "COMMIT"
        ]  # fmt: skip


@pytest.mark.parametrize("leave", [fails_before_a_byte_is_sent, is_cancelled])
async def test_an_inner_block_that_fails_is_undone_before_anything_else_is_sent(server, leave):
    async with make_pool(server) as pool:
        async with pool.transaction() as conn:
            with pytest.raises((TypeError, asyncio.CancelledError)):
                async with conn.transaction():
                    await leave(conn)
            if asyncio.current_task().cancelling():
                asyncio.current_task().uncancel()
            await value(conn, "SELECT 1")
        one = "SAVEPOINT async_mysqlpool_1"
        assert server.statements()[-5:] == ["START TRANSACTION", one, f"ROLLBACK TO {one}", "SELECT 1", "COMMIT"]


async def test_what_only_the_outermost_block_can_choose(server):
    async with make_pool(server) as pool, pool.transaction() as conn:
        for options in ({"isolation": "SERIALIZABLE"}, {"read_only": True}):
            with pytest.raises(ConfigurationError, match="outermost"):
                async with conn.transaction(**options):
                    pytest.fail("the block must not run")


async def test_a_deadlock_in_an_inner_block_is_tried_again_as_a_whole(server):
    server.answer("UPDATE", error=1213, times=2)
    async with make_pool(server) as pool:

        async def move(conn):
            async with conn.transaction():
                return await conn.cursor().execute("UPDATE t SET x = 1")

        assert await pool.run_transaction(move) == 1
        assert said(server)[-2:] == ["START TRANSACTION", "COMMIT"]
        assert said(server).count("START TRANSACTION") == 3


async def test_a_transaction_that_no_block_began_is_not_committed_by_one(server):
    async with make_pool(server) as pool, pool.acquire() as conn:
        await conn.begin()
        with pytest.raises(TransactionError, match="would commit it"):
            async with conn.transaction():
                pytest.fail("the block must not run")
        await conn.rollback()
        assert said(server) == ["BEGIN", "ROLLBACK"]


# -- statements that say that they begin or end a transaction ----------------------------------------------------------

REFUSED = [
    "COMMIT", "commit;", " \n ROLLBACK", "ROLLBACK AND CHAIN", "BEGIN", "begin work", "Start  Transaction read only",
    "/* why */ COMMIT", "-- why\nCOMMIT", "# why\n/* why */COMMIT", b"COMMIT", "COMMIT AND CHAIN",
]  # fmt: skip
SENT = [
    "ROLLBACK TO SAVEPOINT s", "ROLLBACK WORK TO s", "BEGIN NOT ATOMIC SELECT 1; END", "UPDATE begin SET commit = 1",
    "/* COMMIT */ UPDATE t", "committed()", "SELECT 'COMMIT'", " " * 100_000 + "COMMIT",
]  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
async def test_such_a_statement_is_refused_before_it_is_sent(server, sql):
    async with make_pool(server) as pool:
        async with pool.transaction() as conn:
            with pytest.raises(TransactionError, match="nothing was sent"):
                await conn.cursor().execute(sql)
        assert said(server) == ["START TRANSACTION", "COMMIT"]
        async with pool.acquire() as conn, conn.cursor() as cursor:
            server.answer(".*")
            await cursor.execute(sql if isinstance(sql, str) else sql.decode())  # outside of a block, it is


@pytest.mark.parametrize("sql", SENT)
async def test_other_statements_are_sent(server, sql):
    async with make_pool(server) as pool, pool.acquire() as conn, conn.transaction():
        server.answer(".*")
        await conn.cursor().execute(sql)
        assert server.statements()[-1] == sql
