"""Statements that somebody wants to know of: events, the table, and a line in the log for what is slow."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest
from support import borrow, make_pool, others_hold, value

from async_mysqlpool import ConcurrentUseError, events
from async_mysqlpool.testing.fake import fail, slow


class Statements:
    """An observer of statements, and of nothing else."""

    def __init__(self, comment: str | None = None) -> None:
        self.seen: list[events.StatementEvent] = []
        self.comment = comment

    def on_event(self, event):
        pass

    def on_statement(self, event):
        self.seen.append(event)
        return self.comment

    def ended(self) -> list[events.StatementEnded]:
        return [event for event in self.seen if isinstance(event, events.StatementEnded)]


@pytest.fixture
def statements() -> Statements:
    return Statements()


async def run(pool, sql, args=None):
    async with pool.acquire() as conn, conn.cursor() as cursor:
        await cursor.execute(sql, args)


async def execute(pool):
    await run(pool, "SELECT %s", (1,))


async def executemany(pool):
    async with pool.acquire() as conn, conn.cursor() as cursor:
        await cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,), (3,)])


async def by_keyword(pool):
    async with pool.acquire() as conn, conn.cursor() as cursor:
        await cursor.execute(operation="SELECT %s", params=(1,))
        await cursor.executemany(operation="INSERT INTO t VALUES (%s)", seq_params=[(1,), (2,)])


async def one_shot(pool):
    await pool.fetch_value("SELECT 1")


async def begin_and_commit(pool):
    async with pool.acquire() as conn:
        await conn.begin()
        await conn.commit()
        await conn.rollback()


async def block(pool):
    async with pool.transaction() as conn, conn.transaction():
        await value(conn, "SELECT 1")


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (execute, [("execute", "SELECT ?", True, 0)]),
        (executemany, [("executemany", "INSERT INTO t VALUES (?)", True, 3)]),
        (by_keyword, [("execute", "SELECT ?", True, 0), ("executemany", "INSERT INTO t VALUES (?)", True, 2)]),
        (one_shot, [("execute", "SELECT ?", False, 0)]),
        (begin_and_commit, [("begin", "BEGIN", False, 0), ("commit", "COMMIT", False, 0),
                            ("rollback", "ROLLBACK", False, 0)]),
        (block, [("block", "START TRANSACTION", False, 0), ("block", "SAVEPOINT async_mysqlpool_1", False, 0),
                 ("execute", "SELECT ?", False, 0), ("block", "RELEASE SAVEPOINT async_mysqlpool_1", False, 0),
                 ("commit", "COMMIT", False, 0)]),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)  # fmt: skip
async def test_each_statement_is_told_of_before_and_after(server, statements, use, expected):
    async with make_pool(server, observers=[statements], reset="none", name="shop") as pool:
        await use(pool)
    ended = statements.ended()
    assert [(e.started.method, e.started.digest, e.started.parameterized, e.started.batch) for e in ended] == expected
    assert all(statements.seen.index(e.started) < statements.seen.index(e) for e in ended)
    assert {(e.pool, e.started.pool, e.error, e.number) for e in ended} == {("shop", "shop", None, None)}
    assert {e.started.connection_id for e in ended} == {1}
    assert all(__file__ in str(e.started.site) for e in ended)


async def test_transactions_are_told_of(server, statements):
    async with make_pool(server, observers=[statements], reset="none") as pool:
        await block(pool)
        with pytest.raises(ZeroDivisionError):
            async with pool.transaction():
                raise ZeroDivisionError
    ended = [event for event in statements.seen if isinstance(event, events.TransactionEnded)]
    assert [(e.started.savepoint, type(e.error)) for e in ended] == [
        (True, type(None)), (False, type(None)), (False, ZeroDivisionError),
    ]  # fmt: skip


async def test_a_statement_says_how_long_it_took_and_its_borrower_waited(server, statements):
    server.connect.set(slow(0.5))
    async with make_pool(server, observers=[statements], reset="none") as pool:
        async with pool.acquire() as conn:
            server.execute.set(slow(2))
            await value(conn, "SELECT 1")
            await value(conn, "SELECT 1")
        await pool.fetch_value("SELECT 1")
    assert [(e.took, e.started.waited, e.started.borrow) for e in statements.ended()] == [
        (pytest.approx(2), pytest.approx(0.5), 1), (pytest.approx(2), pytest.approx(0.5), 1),
        (pytest.approx(2), 0, 2),
    ]  # fmt: skip


async def test_a_statement_that_fails_or_is_cancelled_says_so(server, statements):
    async with make_pool(server, observers=[statements], reset="none") as pool:
        await borrow(pool)
        server.execute.set(fail(1064, "near ''"))
        with pytest.raises(Exception, match="near"):
            await pool.fetch_value("SELEC 1")
        server.execute.set(slow(10))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.fetch_value("SELECT 2"), 1)
    _, failed, cancelled = statements.ended()
    assert (failed.number, cancelled.number) == (1064, None)
    assert isinstance(cancelled.error, asyncio.CancelledError)
    assert cancelled.took == pytest.approx(1)


async def test_what_was_refused_is_told_of_with_its_error(server, statements):
    async with make_pool(server, observers=[statements], reset="none") as pool, pool.acquire() as conn:
        server.execute.set(slow(1))
        first = asyncio.create_task(value(conn, "SELECT 1"))
        await asyncio.sleep(0.1)
        with pytest.raises(ConcurrentUseError):
            await value(conn, "SELECT 2")
        await first
    assert [type(e.error).__name__ for e in statements.ended()] == ["ConcurrentUseError", "NoneType"]


async def test_the_table_has_what_took_most_time_first(server):
    async with make_pool(server, watch_statements=True, reset="none") as pool:
        for number in range(3):
            await run(pool, f"SELECT {number}")
        server.execute.set(slow(2))
        await run(pool, "SELECT 'slow', 1")
        server.execute.set(fail(1064, "near"))
        with pytest.raises(Exception, match="near"):
            await run(pool, "SELECT 9")
        slowest, quick = pool.statements()
        assert (slowest.digest, slowest.count, slowest.longest) == ("SELECT ?, ...", 1, pytest.approx(2))
        assert (quick.digest, quick.count, quick.errors, quick.rows) == ("SELECT ?", 4, 1, 3)


async def test_the_table_is_bounded_and_loses_no_count(server):
    async with make_pool(server, watch_statements=True, reset="none") as pool:
        async with pool.acquire() as conn, conn.cursor() as cursor:
            for number in range(1000):
                await cursor.execute(f"SELECT 1 AS c{number}")
        table = pool.statements()
        assert len(table) <= 202
        assert sum(statement.count for statement in table) == 1000
        assert {statement.digest for statement in table} >= {"", "SELECT ? AS c999"}


async def test_nobody_asked_nobody_is_told(server, recorder):
    async with make_pool(server, observers=[recorder]) as pool:
        await run(pool, "SELECT 1")
        assert pool.statements() == []
        async with pool.acquire() as conn:
            assert type(conn).__name__ == "PooledConnection"


async def test_whoever_comes_later_is_told_until_it_leaves(server, statements, recorder):
    pool = make_pool(server, reset="none")
    stop_recorder = pool.observe(recorder)
    async with pool:
        await run(pool, "SELECT 1")
        stop = pool.observe(statements)
        await run(pool, "SELECT 2")
        stop()
        await run(pool, "SELECT 3")
        stop_recorder()
        await run(pool, "SELECT 4")
    assert [event.started.text for event in statements.ended()] == ["SELECT 2"]
    assert len(recorder.of(events.Acquired)) == 3


async def test_who_observes_twice_stops_twice(server, statements):
    async with make_pool(server, reset="none") as pool:
        first, second = pool.observe(statements), pool.observe(statements)
        first()
        first()
        await run(pool, "SELECT 1")
        second()
        await run(pool, "SELECT 2")
    assert [event.started.text for event in statements.ended()] == ["SELECT 1"]


@pytest.mark.parametrize(
    ("sql", "args", "sent"),
    [
        ("SELECT 1", None, "SELECT 1 /*key='50%25'*/"),
        ("SELECT 1 ; ", None, "SELECT 1 /*key='50%25'*/"),
        ("SELECT %s", (1,), "SELECT 1 /*key='50%25'*/"),
    ],
)
async def test_an_observer_may_have_a_comment_sent_along(server, sql, args, sent):
    server.answer("SELECT 1")
    async with make_pool(server, observers=[Statements("key='50%25'*/")], reset="none") as pool:
        await run(pool, sql, args)
        assert server.statements()[-1] == sent


@pytest.mark.parametrize(
    ("comment", "sent"),
    [("a*/b", "/*ab*/"), ("a**//b", "/*a/b*/"), ("a***/", "/*a*/"), ("!40101 , 2", "/* !40101 , 2*/"),
     ("M!100100 , 2", "/* M!100100 , 2*/"), ("+ MAX_EXECUTION_TIME(1)", "/* + MAX_EXECUTION_TIME(1)*/"),
     ("*/!1", "/* !1*/")],
)  # fmt: skip
async def test_a_comment_stays_one_whatever_is_in_it(server, comment, sent):
    server.answer("SELECT 1")
    async with make_pool(server, observers=[Statements(comment)], reset="none") as pool:
        await pool.execute(sql := "SELECT 1")
        assert server.statements()[-1] == f"{sql} {sent}"


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: bytearray(text.encode())])
async def test_a_digest_has_no_values_whatever_the_statement_is_given_as(server, statements, kind):
    async with make_pool(server, observers=[statements], reset="none") as pool:
        with suppress(Exception):  # the fake driver takes nothing but texts
            await run(pool, kind("SELECT 'hunter2'"))
    assert statements.ended()[0].started.digest == "SELECT ?"


async def test_an_observer_that_fails_on_a_statement_changes_nothing(server, caplog):
    class Broken(Statements):
        def on_statement(self, event):
            raise ZeroDivisionError

    async with make_pool(server, observers=[Broken()]) as pool:
        assert await borrow(pool) == 1
    assert "an observer failed" in caplog.text


def lines(caplog, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "event", None) == event]


async def test_a_slow_statement_is_one_line_with_its_digest_and_none_of_its_values(server, caplog):
    async with make_pool(server, slow_statement=1, reset="none", name="shop") as pool:
        await run(pool, "SELECT 'quick'")
        server.execute.set(slow(1.5))
        await run(pool, "SELECT 'secret', %s", ("secret",))
    (line,) = lines(caplog, "slow_statement")
    assert line.levelno == logging.WARNING
    assert "shop: slow statement, 1.500 s, 1 rows, on connection 1 acquired at " in line.getMessage()
    assert line.getMessage().endswith("after a wait of 0.000 s: SELECT ?, ...")
    assert (line.pool, line.connection_id, line.seconds, line.digest) == ("shop", 1, 1.5, "SELECT ?, ...")
    assert "secret" not in caplog.text


async def test_a_slow_acquire_is_one_line_that_says_where(server, caplog):
    async with make_pool(server, slow_acquire=1, max_size=1, name="shop") as pool:
        await borrow(pool, 0.5)
        async with others_hold(pool):
            waiter = asyncio.create_task(borrow(pool), name="patient")
            await asyncio.sleep(2.5)
        await waiter
    (line,) = lines(caplog, "slow_acquire")
    assert "shop: slow acquire, task 'patient' waited 2.5" in line.getMessage()
    assert line.site in line.getMessage()
    assert "support.py:" in line.site


async def test_where_everything_is_slow_the_log_says_so_ten_times_a_second(server, caplog, monkeypatch):
    seconds = iter([5] * 31 + [6] * 9)
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    async with make_pool(server, slow_statement=0.001, reset="none") as pool:
        await borrow(pool)
        server.execute.set(slow(1))
        async with pool.acquire() as conn, conn.cursor() as cursor:
            for _ in range(32):
                await cursor.execute("SELECT 1")
    texts = [line.getMessage() for line in lines(caplog, "slow_statement")]
    assert len(texts) == 11
    assert texts[-1].endswith("SELECT ? (21 such lines were left out before)")
