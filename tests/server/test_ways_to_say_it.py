"""A statement may be said in every way that one of the drivers knows, and is heard alike."""

from __future__ import annotations

import pytest

NAMED = {"sql": "SELECT %(a)s, 'x'", "args": {"a": 5}}
PREPARED = {"prepared": True}
ROW = (5, "x")
SQL = "SELECT %s, 'x'"

# What `cursor()` and `execute()` are called with. The driver's own name: only there.
SPELLINGS = {
    "as PyMySQL has it": ({}, (SQL, (5,)), {}, None),
    "args by name": ({}, (SQL,), {"args": (5,)}, None),
    "query by name": ({}, (), {"query": SQL, "args": (5,)}, None),
    "params by name, as mysql.connector has it": ({}, (SQL,), {"params": (5,)}, None),
    "operation by name, as mysql.connector has it": ({}, (), {"operation": SQL, "params": [5]}, None),
    "params of named places": ({}, (NAMED["sql"],), {"params": NAMED["args"]}, None),
    "bytes": ({}, (b"SELECT 5, 'x'",), {}, None),
    "bytearray": ({}, (bytearray(b"SELECT 5, 'x'"),), {}, None),
    "bytearray with nothing to fill in": ({}, (bytearray(b"SELECT 5, 'x'"), None), {}, None),
    "prepared": (PREPARED, (SQL, (5,)), {}, "mysql.connector.aio"),
    "prepared, with question marks": (PREPARED, ("SELECT ?, 'x'", (5,)), {}, "mysql.connector.aio"),
    "prepared, by name": (PREPARED, (SQL,), {"params": (5,)}, "mysql.connector.aio"),
    "prepared, nothing to fill in": (PREPARED, ("SELECT 5, 'x'",), {}, "mysql.connector.aio"),
    "prepared bytes": (PREPARED, (b"SELECT 5, 'x'",), {}, "mysql.connector.aio"),
    "prepared bytearray": (PREPARED, (bytearray(b"SELECT 5, 'x'"),), {}, "mysql.connector.aio"),
    "prepared, unbuffered said": ({"prepared": True, "buffered": False}, (SQL, (5,)), {}, "mysql.connector.aio"),
    "unbuffered": ({"buffered": False}, (SQL, (5,)), {}, "mysql.connector.aio"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_statement_is_understood(spelling, driver, pools):
    options, args, named, only = SPELLINGS[spelling]
    if only not in (None, driver):
        pytest.skip("has no such cursor")
    pool = await pools(max_size=1)
    async with pool.acquire() as conn:
        for _ in range(3):  # in the third turn it may be read by the pool
            async with conn.cursor(**options) as cursor:
                await cursor.execute(*args, **named)
                assert await cursor.fetchone() == ROW
                assert await cursor.fetchone() is None
    async with pool.transaction() as conn, conn.cursor(**options) as cursor:
        await cursor.execute(*args, **named)
        assert list(await cursor.fetchall()) == [ROW]
    assert await pool.fetch_value("SELECT 'next'") == "next"
    assert pool.stats().opened == 1


async def test_what_else_a_cursor_of_the_drivers_has(driver, pools):
    if driver == "mysql.connector.aio":
        pytest.skip("has none of it")
    pool = await pools(max_size=1)
    async with pool.acquire() as conn, conn.cursor() as cursor:
        cursor.max_stmt_length = 30
        assert (cursor.max_stmt_length, cursor.raw.max_stmt_length) == (30, 30)
        for _ in range(3):
            await cursor.execute("SELECT 1 UNION ALL SELECT 2")
            await cursor.scroll(1)
            assert cursor.rownumber == 1
            assert await cursor.fetchone() == (2,)
            assert cursor.raw.rownumber == 2
        with pytest.raises(AttributeError, match=r"\.raw"):
            _ = cursor._executed
        assert cursor.raw._executed


async def test_a_prepared_cursor_gives_dicts_and_says_a_statement_again(driver, pools):
    if driver != "mysql.connector.aio":
        pytest.skip("has no such cursor")
    pool = await pools(max_size=1)
    async with pool.acquire() as conn, conn.cursor(prepared=True, dictionary=True) as cursor:
        for number in range(3):
            await cursor.execute("SELECT %s AS number", (number,))
            assert list(await cursor.fetchall()) == [{"number": number}]
        await cursor.executemany("INSERT INTO items (note) VALUES (%s)", [("a",), ("b",)])
        await cursor.execute("DELETE FROM items WHERE note = %s", ("a",))
        assert cursor.rowcount == 1
        await cursor.execute("DELETE FROM items")
    assert await pool.fetch_value("SELECT 'next'") == "next"


MANY = {
    "as PyMySQL has it": (("INSERT INTO items (note) VALUES (%s)", [("a",), ("b",)]), {}),
    "args by name": (("INSERT INTO items (note) VALUES (%s)",), {"args": [("a",), ("b",)]}),
    "as mysql.connector has it": (
        (),
        {"operation": "INSERT INTO items (note) VALUES (%s)", "seq_params": [("a",), ("b",)]},
    ),
}


@pytest.mark.parametrize("spelling", MANY)
async def test_many_sets_are_understood(spelling, pools):
    args, named = MANY[spelling]
    pool = await pools(max_size=1)
    async with pool.acquire() as conn, conn.cursor() as cursor:
        await cursor.executemany(*args, **named)
        assert cursor.rowcount == 2
        await cursor.execute("DELETE FROM items")
