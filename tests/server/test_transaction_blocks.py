"""A transaction block never claims a success that was none, whatever is done in it, on every driver and server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from kit import rows

from async_mysqlpool import ConnectionReleasedError, TransactionError


class MyError(Exception):
    """The block's own."""


@pytest.fixture
def notes(admin):
    """A function: the notes in the table `items`, which is empty before and after."""
    admin.rows("DELETE FROM items")
    yield lambda: [note for (note,) in admin.rows("SELECT note FROM items ORDER BY id")]
    admin.rows("DELETE FROM items")


async def insert(conn, note):
    await rows(conn, "INSERT INTO items (note) VALUES (%s)", (note,))


def sql(*statements):
    """A way to end the transaction."""

    async def end(_, conn):
        for statement in statements:
            async with conn.cursor() as cursor:
                await cursor.execute(statement)
                while await cursor.nextset():
                    pass

    return end


async def raw_commit(_, conn):
    await conn.raw.commit()


async def raw_rollback(_, conn):
    await conn.raw.rollback()


async def close(_, conn):
    await conn.close()


async def leave_its_own_block(_, conn):
    async with conn:
        pass


async def commit_twice_over(_, conn):
    """In an inner block, whose savepoint is gone then."""
    async with conn.transaction():
        await rows(conn, "CALL commits()")


FAILING_DDL = "CREATE TABLE items (id INT)"
METHODS = {
    "commit()": lambda _, conn: conn.commit(),
    "rollback()": lambda _, conn: conn.rollback(),
    "begin()": lambda _, conn: conn.begin(),
    "COMMIT": sql("COMMIT"),
    "ROLLBACK": sql("ROLLBACK"),
    "BEGIN": sql("BEGIN"),
    "COMMIT AND CHAIN": sql("COMMIT AND CHAIN"),
}
HIDDEN = {
    "DDL": sql("CREATE TABLE IF NOT EXISTS made (id INT)"),
    "failing DDL": sql(FAILING_DDL),
    "LOCK TABLES": sql("LOCK TABLES items WRITE"),
    "procedure": sql("CALL commits()"),
    "procedure with rows": sql("CALL commits_and_selects()"),
    "prepared": sql("PREPARE p FROM 'COMMIT'", "EXECUTE p"),
    "in a comment that is none": sql("/*! COMMIT */"),
    "inner block": commit_twice_over,
    "raw commit": raw_commit,
    "raw rollback": raw_rollback,
}
GIVEN_BACK = {
    "close()": close,
    "ensure_closed()": lambda _, conn: conn.ensure_closed(),
    "release()": lambda pool, conn: asyncio.sleep(0, pool.release(conn)),
    "discard()": lambda _, conn: asyncio.sleep(0, conn.discard()),
    "a block of its own": leave_its_own_block,
}


def kinds(*tables):
    merged = {name: end for table in tables for name, end in table.items()}
    return pytest.mark.parametrize("end", merged.values(), ids=merged.keys())


@kinds(METHODS, HIDDEN, GIVEN_BACK)
async def test_a_block_that_did_not_commit_is_no_success(pools, notes, end):
    """Nothing is written once the transaction has ended, and leaving the block raises."""
    pool = await pools(max_size=1)
    with pytest.raises(Exception) as caught:
        async with pool.transaction() as conn:
            await insert(conn, "before")
            await end(pool, conn)
            with contextlib.suppress(ConnectionReleasedError):
                await insert(conn, "after")
    assert "after" not in notes(), caught.value
    assert await pool.fetch_value("SELECT 1") == 1


@kinds(HIDDEN)
async def test_nor_if_every_error_in_it_is_caught(pools, notes, end):
    pool = await pools(max_size=1)
    with pytest.raises(TransactionError):
        async with pool.transaction() as conn:
            await insert(conn, "before")
            with contextlib.suppress(Exception):
                await end(pool, conn)
            with contextlib.suppress(TransactionError):
                await insert(conn, "after")
    assert "after" not in notes()


@kinds(METHODS)
async def test_what_is_refused_changes_nothing(pools, notes, end):
    pool = await pools(max_size=1)
    with pytest.raises(MyError):
        async with pool.transaction() as conn:
            await insert(conn, "one")
            with pytest.raises(TransactionError, match="nothing was sent"):
                await end(pool, conn)
            raise MyError
    assert notes() == []
    async with pool.transaction() as conn:
        await insert(conn, "two")
        with pytest.raises(TransactionError):
            await end(pool, conn)
    assert notes() == ["two"]


@kinds(HIDDEN)
async def test_an_error_of_the_block_says_that_not_all_is_rolled_back(pools, notes, end):
    pool = await pools(max_size=1)
    with pytest.raises(Exception) as caught:
        async with pool.transaction() as conn:
            await insert(conn, "before")
            try:
                await end(pool, conn)
            except TransactionError:
                raise MyError from None
            await insert(conn, "after")
    told = isinstance(caught.value, TransactionError) or "is not rolled back" in "".join(caught.value.__notes__)
    assert told, caught.value


async def test_an_error_of_a_statement_that_commits_says_so_as_well(pools, notes):
    pool = await pools(max_size=1)
    with pytest.raises(Exception, match="items") as caught:
        async with pool.transaction() as conn:
            await insert(conn, "before")
            await rows(conn, FAILING_DDL)
    assert notes() == ["before"]
    assert "is not rolled back" in "".join(caught.value.__notes__)


@kinds(METHODS, GIVEN_BACK)
async def test_a_cursor_block_without_autocommit(pools, notes, end):
    pool = await pools(max_size=1, autocommit=False)
    with pytest.raises(TransactionError):
        async with pool.cursor() as cursor:
            await insert(cursor.connection, "before")
            await end(pool, cursor.connection)
    assert notes() == []
    assert await pool.fetch_value("SELECT 1") == 1


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("in_cursor_block", [True, False])
async def test_blocks_in_blocks(pools, notes, autocommit, in_cursor_block):
    pool = await pools(max_size=1, autocommit=autocommit)
    borrowed = pool.cursor() if in_cursor_block and not autocommit else pool.transaction()
    async with borrowed as conn:
        conn = getattr(conn, "connection", conn)
        async with conn.transaction():
            await insert(conn, "kept")
            async with conn.transaction():
                await insert(conn, "kept too")
            with contextlib.suppress(MyError):
                async with conn.transaction():
                    await insert(conn, "undone")
                    async with conn.transaction():
                        await insert(conn, "undone too")
                    raise MyError
        with contextlib.suppress(MyError):
            async with conn.transaction():
                await insert(conn, "undone at last")
                raise MyError
    assert notes() == ["kept", "kept too"]


async def test_a_cancelled_inner_block_is_undone(pools, notes):
    pool = await pools(max_size=1)
    async with pool.transaction() as conn:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05), conn.transaction():
                await insert(conn, "undone")
                await asyncio.sleep(10)
        await insert(conn, "kept")
    assert notes() == ["kept"]


async def test_an_outer_block_that_fails_takes_the_inner_ones_with_it(pools, notes):
    pool = await pools(max_size=1)
    with pytest.raises(MyError):
        async with pool.transaction() as conn:
            async with conn.transaction():
                await insert(conn, "undone")
            raise MyError
    assert notes() == []


async def test_a_statement_that_fails_and_is_caught_does_not_end_the_block(pools, notes):
    pool = await pools(max_size=1)
    async with pool.transaction() as conn:
        await insert(conn, "one")
        with pytest.raises(Exception, match="nowhere"):
            await rows(conn, "INSERT INTO nowhere VALUES (1)")
        await insert(conn, "two")
        with pytest.raises(Exception, match="nowhere"):
            await rows(conn, "INSERT INTO nowhere VALUES (1)")
    assert notes() == ["one", "two"]


async def deadlock(pool, what_each_does):
    """Two tasks that lock two rows in opposite order; what came of each."""
    meeting = asyncio.Barrier(2)

    async def lock(conn, row):
        await rows(conn, "UPDATE probe SET value = value WHERE id = %s", (row,))

    async def one(first, second):
        async with pool.transaction() as conn:
            await insert(conn, f"before {first}")
            await lock(conn, first)
            await asyncio.wait_for(meeting.wait(), 10)
            await what_each_does(conn, lock(conn, second), first)

    return await asyncio.gather(one(1, 2), one(2, 1), return_exceptions=True)


@pytest.mark.parametrize("nested", [False, True])
async def test_a_deadlock_that_is_caught_is_no_success(pools, notes, admin, nested):
    admin.rows("INSERT IGNORE INTO probe VALUES (2, 10)")
    pool = await pools(max_size=2)

    async def go_on(conn, locking, first):
        with contextlib.suppress(Exception):
            async with conn.transaction() if nested else contextlib.nullcontext():
                await locking
        await insert(conn, f"after {first}")

    results = await deadlock(pool, go_on)
    admin.rows("DELETE FROM probe WHERE id = 2")
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "TransactionError"], results
    survivor = 1 if results[0] is None else 2
    assert notes() == [f"before {survivor}", f"after {survivor}"]
    error = next(result for result in results if result is not None)
    assert pool.driver.error_number(error.__cause__) == 1213


async def test_a_deadlock_in_a_block_in_run_transaction_is_tried_again(pools, notes, admin):
    admin.rows("INSERT IGNORE INTO probe VALUES (2, 10)")
    pool = await pools(max_size=2)
    meeting, attempts = asyncio.Barrier(2), []

    async def lock(conn, row):
        await rows(conn, "UPDATE probe SET value = value WHERE id = %s", (row,))

    async def one(first, second):
        async def work(conn):
            attempts.append(first)
            await insert(conn, f"{first}")
            async with conn.transaction():
                await lock(conn, first)
                if len(attempts) <= 2:
                    await asyncio.wait_for(meeting.wait(), 10)
                await lock(conn, second)

        await pool.run_transaction(work)

    await asyncio.gather(one(1, 2), one(2, 1))
    admin.rows("DELETE FROM probe WHERE id = 2")
    assert len(attempts) == 3
    assert sorted(notes()) == ["1", "2"]
