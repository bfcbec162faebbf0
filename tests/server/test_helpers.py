"""Helpers give the same with every driver on every server, on a pool, on a connection and in a transaction."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import pytest
from kit import eventually

from async_mysqlpool import ConcurrentUseError, ConnectionReleasedError, StatementTimeoutError, TransactionError

# 10 MB: more than lies between server and client.
LONG = (
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
    "SELECT i, REPEAT('x', 10000) FROM n"
)
THREE = "SELECT 1 AS id, 'Ada' AS name UNION ALL SELECT 2, 'Bob' UNION ALL SELECT 3, 'Eve'"
TUPLES = [(1, "Ada"), (2, "Bob"), (3, "Eve")]
DICTS = [{"id": number, "name": name} for number, name in TUPLES]
NONE = "SELECT id, note FROM items WHERE note = 'no such note'"


@dataclass
class User:
    id: int
    name: str


class Row(NamedTuple):
    id: int
    name: str


class Entry(TypedDict):
    id: int
    name: str


def label(**columns):
    return ": ".join(map(str, columns.values()))


USERS = [User(*row) for row in TUPLES]


@asynccontextmanager
async def the_pool(pool):
    yield pool


@asynccontextmanager
async def a_connection(pool):
    async with pool.acquire() as conn:
        yield conn


@asynccontextmanager
async def a_transaction(pool):
    async with pool.transaction() as conn:
        yield conn


@asynccontextmanager
async def a_savepoint(pool):
    async with pool.transaction() as conn, conn.transaction():
        yield conn


HOSTS = pytest.mark.parametrize("host", [the_pool, a_connection, a_transaction, a_savepoint])
BORROWED = pytest.mark.parametrize("host", [a_connection, a_transaction, a_savepoint])


@pytest.fixture
def table(admin):
    admin.rows("DELETE FROM items")
    yield lambda: admin.rows("SELECT note FROM items ORDER BY id")
    admin.rows("DELETE FROM items")


async def streamed(host, *args, **options):
    return [row async for row in host.stream(*args, **options)]


# What is called, with which arguments and options, and what it gives.
GIVES = [
    ("fetch_all", (THREE,), {}, TUPLES),
    ("fetch_all", (THREE,), {"rows": tuple}, TUPLES),
    ("fetch_all", (THREE,), {"rows": dict}, DICTS),
    ("fetch_all", (THREE,), {"rows": User}, USERS),
    ("fetch_all", (THREE,), {"rows": Row}, [Row(*row) for row in TUPLES]),
    ("fetch_all", (THREE,), {"rows": Entry}, DICTS),
    ("fetch_all", (THREE,), {"rows": label}, ["1: Ada", "2: Bob", "3: Eve"]),
    ("fetch_all", (THREE,), {"rows": User, "timeout": 30}, USERS),
    ("fetch_all", ("SELECT %s, %s", (1, "it's")), {}, [(1, "it's")]),
    ("fetch_all", ("SELECT %s, %s", [1, "%s"]), {}, [(1, "%s")]),
    ("fetch_all", ("SELECT %(a)s AS x", {"a": None}), {"rows": dict}, [{"x": None}]),
    ("fetch_all", ("SELECT 1 AS x, 2 AS x",), {"rows": dict}, [{"x": 2}]),
    ("fetch_all", (NONE,), {}, []),
    ("fetch_all", (NONE,), {"rows": User}, []),
    ("fetch_all", ("SET @x = 1",), {}, []),
    ("fetch_all", ("CALL commits()",), {}, []),
    ("fetch_one", (THREE,), {}, TUPLES[0]),
    ("fetch_one", (THREE,), {"rows": dict}, DICTS[0]),
    ("fetch_one", (THREE,), {"rows": User}, USERS[0]),
    ("fetch_one", (NONE,), {"rows": User}, None),
    ("fetch_one", ("SET @x = 1",), {}, None),
    ("fetch_value", ("SELECT %s", ("x",)), {}, "x"),
    ("fetch_value", (THREE,), {"timeout": 30}, 1),
    ("fetch_value", (NONE,), {}, None),
    ("fetch_value", ("SELECT NULL",), {}, None),
    ("fetch_value", ("SET @x = 1",), {}, None),
    ("execute", ("SET @x = 1",), {}, 0),
    ("execute", ("INSERT INTO items (note) VALUES (%s), (%s)", ("a", "b")), {}, 2),
    ("execute", ("UPDATE items SET note = 'x' WHERE note = 'no such note'",), {}, 0),
    ("execute", (THREE,), {}, 3),
    ("execute_many", ("INSERT INTO items (note) VALUES (%s)", [("a",), ("b",), ("c",)]), {}, 3),
    ("execute_many", ("INSERT INTO items (note) VALUES (%(n)s)", [{"n": n} for n in "abcd"]), {}, 4),
    ("execute_many", ("DELETE FROM items WHERE note = %s", [("no",), ("none",)]), {"timeout": 30}, 0),
    ("execute_many", ("INSERT INTO items (note) VALUES (%s)", []), {}, 0),
    ("stream", (THREE,), {}, TUPLES),
    ("stream", (THREE,), {"rows": dict}, DICTS),
    ("stream", (THREE,), {"rows": User, "timeout": 30}, USERS),
    ("stream", (NONE,), {}, []),
    ("stream", ("SET @x = 1",), {}, []),
]  # fmt: skip
IDS = [f"{number}-{name}" for number, (name, *_) in enumerate(GIVES)]


async def given(host, name, args, options):
    return await (streamed(host, *args, **options) if name == "stream" else getattr(host, name)(*args, **options))


@pytest.mark.parametrize("host", [the_pool, a_connection, a_transaction])
async def test_every_helper_gives_the_same_everywhere(host, table, pools):
    pool = await pools(max_size=1)
    for name, args, options, expected in GIVES:
        if host is a_transaction and "commits" in args[0]:
            continue
        async with host(pool) as helper:
            for _ in range(3):  # the third time it may be read by the pool itself
                found = await given(helper, name, args, options)
                assert (type(found), found) == (type(expected), expected), (name, args, options)
                assert await helper.fetch_value("SELECT 'next'") == "next"
    assert pool.stats().opened == 1


@pytest.mark.parametrize("call", [case for case in GIVES if not case[0].startswith("execute")])
async def test_connections_whose_cursors_give_dicts_by_default_change_nothing(call, driver, pools):
    options = {
        "asyncmy": lambda: {"cursor_cls": __import__("asyncmy.cursors").cursors.DictCursor},
        "aiomysql": lambda: {"cursorclass": __import__("aiomysql").DictCursor},
    }
    if driver not in options:
        pytest.skip("has no such option")
    pool = await pools(connect_args=options[driver]())
    name, args, options, expected = call
    assert await given(pool, name, args, options) == expected


@pytest.mark.parametrize("autocommit", [True, False])
async def test_what_a_helper_of_the_pool_did_stays(autocommit, table, pools):
    pool = await pools(autocommit=autocommit, reset="none")
    assert await pool.execute("INSERT INTO items (note) VALUES ('one')") == 1
    assert await pool.execute_many("INSERT INTO items (note) VALUES (%s)", [("two",), ("three",)]) == 2
    assert table() == (found := [("one",), ("two",), ("three",)])
    assert await streamed(pool, "SELECT note FROM items ORDER BY id") == found
    async for _ in pool.stream("SELECT note FROM items ORDER BY id FOR UPDATE"):
        break
    assert await pool.execute("DELETE FROM items") == 3  # nobody holds their locks


async def test_a_row_that_does_not_fit_says_which_columns_there_were(pools):
    pool = await pools(max_size=1)
    for name in ("fetch_all", "fetch_one", "stream"):
        with pytest.raises(TypeError, match="unexpected keyword argument 'age'") as caught:
            await given(pool, name, ("SELECT 1 AS id, 36 AS age",), {"rows": User})
        assert "id, age" in caught.value.__notes__[0]
    assert await pool.fetch_value("SELECT 1") == 1


# -- a statement's own deadline ----------------------------------------------------------------------------------------

SLOW = {
    "execute": "UPDATE probe SET value = 99 WHERE id = 1",
    "fetch_all": "SELECT SLEEP(600)",
    "fetch_one": "SELECT SLEEP(600)",
    "fetch_value": "SELECT SLEEP(600)",
    "stream": "SELECT SLEEP(600)",
    "execute_many": "UPDATE probe SET value = %s WHERE id = 1",
}


@pytest.fixture
def locked_row(admin):
    with admin.holding_a_row() as let_go:
        yield let_go


@HOSTS
@pytest.mark.parametrize("name", SLOW)
async def test_a_statement_that_takes_too_long_is_stopped_on_the_server(name, host, account, admin, locked_row, pools):
    pool = await pools(max_size=1)
    args = ([(1,), (2,)],) if name == "execute_many" else ()
    with pytest.raises(StatementTimeoutError, match=r"0\.3 s.*told to stop it.*KILL") as caught:
        async with host(pool) as helper:
            await given(helper, name, (SLOW[name], *args), {"timeout": 0.3})
    assert caught.value.timeout == 0.3
    sql = "SELECT id FROM information_schema.processlist WHERE user = %s AND command <> 'Sleep'"
    assert await eventually(lambda: admin.rows(sql, account.user), lambda rows: not rows) == []
    locked_row()
    assert await pool.fetch_value("SELECT value FROM probe WHERE id = 1") == 10
    assert asyncio.current_task().cancelling() == 0


async def test_after_its_deadline_a_connection_says_what_has_become_of_it(table, pools):
    pool = await pools(max_size=2)
    with pytest.raises(TransactionError, match="nothing was committed"):
        async with pool.transaction() as conn:
            await conn.execute("INSERT INTO items (note) VALUES ('lost')")
            with pytest.raises(StatementTimeoutError):
                await conn.execute("DO SLEEP(600)", timeout=0.2)
            with pytest.raises(ConnectionReleasedError, match=r"timeout of 0\.2 s"):
                await conn.execute("SELECT 1")
    assert table() == []


async def test_where_nothing_is_stopped_the_error_says_that_too(admin, account, pools):
    pool = await pools(kill_on_cancel=False)
    with pytest.raises(StatementTimeoutError, match="may run on"):
        await pool.execute("DO SLEEP(3)", timeout=0.2)
    await pool.close()
    await eventually(lambda: admin.connection_ids(account.user), lambda ids: not ids)


# -- streams -----------------------------------------------------------------------------------------------------------


async def break_off(host, sql):
    async for row in host.stream(sql):
        assert row[0] == 1
        break


async def return_early(host, sql):
    async for _ in host.stream(sql):
        return


async def raise_in_the_loop(host, sql):
    with pytest.raises(ZeroDivisionError):
        async for row in host.stream(sql):
            row[0] / 0


async def cancelled_in_the_loop(host, sql):
    async def reader():
        async for _ in host.stream(sql):
            reading.set()
            await asyncio.sleep(600)

    reading = asyncio.Event()
    task = asyncio.create_task(reader())
    await reading.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def leave_the_block(host, sql):
    async with host.stream(sql) as rows:
        async for _ in rows:
            break
    assert [row async for row in rows] == []


async def close_it(host, sql):
    rows = host.stream(sql)
    await anext(rows)
    await rows.aclose()
    await rows.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(rows)


async def never_begin(host, sql):
    host.stream(sql)


async def drop_a_generator_of_it(host, sql):
    async def generator():
        async for row in host.stream(sql):
            yield row

    async for _ in (rows := generator()):
        break
    await rows.aclose()


WAYS = [break_off, return_early, raise_in_the_loop, cancelled_in_the_loop, leave_the_block, close_it, never_begin,
        drop_a_generator_of_it]  # fmt: skip


@pytest.mark.parametrize("leave", WAYS)
async def test_a_stream_of_the_pool_may_be_left_in_any_way(leave, account, admin, caplog, pools):
    pool = await pools(max_size=1)
    await leave(pool, LONG)
    assert pool.leases() == []
    assert await pool.fetch_value("SELECT 'back'") == "back"
    assert await eventually(lambda: len(admin.connection_ids(account.user)), lambda count: count == 1) == 1
    assert caplog.messages == []


@BORROWED
@pytest.mark.parametrize("leave", WAYS)
async def test_a_connection_goes_on_after_a_stream_that_was_left(leave, host, caplog, table, pools):
    pool = await pools(max_size=1)
    async with host(pool) as conn:
        await conn.execute("INSERT INTO items (note) VALUES ('before')")
        await leave(conn, LONG)
        await conn.execute("INSERT INTO items (note) VALUES ('after')")
        await leave(conn, LONG)
        assert await conn.fetch_all("SELECT note FROM items ORDER BY id") == [("before",), ("after",)]
        assert await streamed(conn, THREE) == TUPLES
    assert table() == [("before",), ("after",)]
    assert pool.stats().opened == 1
    assert caplog.messages == []


@pytest.mark.parametrize("host", [a_connection, a_transaction])
@pytest.mark.parametrize("leave", WAYS)
async def test_a_block_that_ends_right_after_a_stream_was_left_has_committed(leave, host, caplog, table, pools):
    pool = await pools(max_size=1)
    async with host(pool) as conn:
        await conn.execute("INSERT INTO items (note) VALUES ('kept')")
        await leave(conn, LONG)
    assert table() == [("kept",)]
    assert await pool.fetch_value("SELECT 'back'") == "back"
    assert caplog.messages == []


@pytest.mark.parametrize("host", [a_transaction, a_savepoint])
async def test_an_exception_out_of_a_loop_rolls_back(host, table, pools):
    pool = await pools(max_size=1)
    with pytest.raises(ZeroDivisionError):
        async with host(pool) as conn:
            await conn.execute("INSERT INTO items (note) VALUES ('lost')")
            async for row in conn.stream(LONG):
                row[0] / 0
    assert await pool.fetch_all("SELECT note FROM items") == []


async def test_an_inner_block_that_fails_in_a_loop_is_undone_after_its_rows(table, pools):
    pool = await pools(max_size=1)
    async with pool.transaction() as conn:
        await conn.execute("INSERT INTO items (note) VALUES ('outer')")
        with pytest.raises(ZeroDivisionError):
            async with conn.transaction():
                await conn.execute("INSERT INTO items (note) VALUES ('inner')")
                async for row in conn.stream(LONG):
                    row[0] / 0
        await conn.execute("INSERT INTO items (note) VALUES ('later')")
    assert table() == [("outer",), ("later",)]


@BORROWED
@pytest.mark.parametrize("sql", [LONG, THREE])
async def test_nothing_else_is_said_in_the_middle_of_a_stream(host, sql, pools):
    pool = await pools(max_size=2)
    async with host(pool) as conn:
        seen = 0
        async for _ in conn.stream(sql):
            seen += 1
            if seen == 2:
                for call in (conn.execute("SELECT 1"), conn.commit(), streamed(conn, THREE), conn.ping()):
                    with pytest.raises((ConcurrentUseError, TransactionError), match=r"stream|transaction block"):
                        await call
                async with pool.acquire() as other:
                    assert await other.fetch_value("SELECT 'other'") == "other"
        assert seen == (3 if sql is THREE else 1000)
        assert await conn.fetch_value("SELECT 'next'") == "next"


async def test_rows_come_before_the_last_one_is_there(pools):
    pool = await pools(max_size=2)
    table = "(SELECT 1 AS i UNION ALL SELECT 2 UNION ALL SELECT 3) AS t"  # one driver reads a row ahead
    async with pool.stream(f"SELECT i, IF(i = 3, SLEEP(600), REPEAT('x', 70000)) FROM {table}") as rows:
        assert (await anext(rows))[0] == 1


async def test_a_stream_has_a_deadline_whoever_is_slow(pools):
    pool = await pools(max_size=1)
    with pytest.raises(StatementTimeoutError):
        async for _ in pool.stream(LONG, timeout=0.3):
            await asyncio.sleep(0.35)
    assert await pool.fetch_value("SELECT 1") == 1


async def test_an_error_in_the_middle_of_a_stream_ends_it(pools):
    pool = await pools(max_size=1)
    sql = "SELECT i, (SELECT 1 UNION ALL SELECT IF(i = 2, 2, 1) LIMIT 3) FROM (SELECT 1 AS i) AS t"
    async with pool.acquire() as conn:
        with pytest.raises(Exception, match=r"1242|more than 1 row"):
            await streamed(conn, sql)
        assert await conn.fetch_value("SELECT 'next'") == "next"
