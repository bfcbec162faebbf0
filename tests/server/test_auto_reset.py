"""`reset="auto"`: nothing is said when nothing can have changed, and everything when something may have."""

from __future__ import annotations

import asyncio

import pytest
from kit import rows, value

HARMLESS = [
    "SELECT 1",
    "SHOW STATUS LIKE 'Uptime'",
    "UPDATE items SET id = id WHERE id < 0",
    "DELETE FROM items WHERE 0",
]
DIRTY = [
    "SET @dirty = 1",
    "SELECT @dirty := 1",
    "SELECT 1 INTO @dirty",
    "SELECT GET_LOCK('auto', 0)",
    "SET time_zone = '+03:00'",
    "CREATE TEMPORARY TABLE dirty (id INT)",
    "START TRANSACTION",
    "USE other",
    "PREPARE dirty FROM 'SELECT 1'",
    "HANDLER items OPEN",
    "SELECT * FROM setter",
]
LOOK = "SELECT @dirty, @@time_zone, DATABASE(), IS_USED_LOCK('auto')"


async def resets_after(pool, sql):
    """How many resets one borrow for one statement causes."""
    await pool.fetch_value("SELECT 1")
    before = pool.stats().resets
    async with pool.acquire() as connection:
        await rows(connection, sql)
    async with pool.acquire() as connection:
        await rows(connection, "SELECT 1")  # by now the replies are in
    await asyncio.sleep(0)
    return pool.stats().resets - before


@pytest.mark.filterwarnings("ignore:Setting user variables within expressions")
async def test_only_what_may_have_changed_the_session_is_reset(admin, driver, pools, server):
    admin.rows("DROP FUNCTION IF EXISTS test.sets")
    admin.rows("CREATE FUNCTION test.sets() RETURNS INT READS SQL DATA BEGIN SET @dirty = 1; RETURN 1; END")
    pool = await pools(max_size=1, reset="auto")
    async with pool.acquire() as connection:
        clean = (await rows(connection, LOOK))[0]
    # MySQL's older packet at the end of rows, which only asyncmy does without, says nothing of changes.
    deaf = server.flavor == "mysql" and driver != "asyncmy"
    for sql in HARMLESS:
        rows_come = sql.startswith(("SELECT", "SHOW"))
        assert await resets_after(pool, sql) == (rows_come + 1 if deaf else 0), sql  # one is for the SELECT that looks
    admin.rows("CREATE OR REPLACE VIEW test.setter AS SELECT test.sets()")
    for sql in DIRTY:
        assert await resets_after(pool, sql) >= 1, sql
        async with pool.acquire() as connection:
            assert (await rows(connection, LOOK))[0] == clean, sql


async def test_without_autocommit_there_is_always_something_to_end(pools):
    pool = await pools(max_size=1, reset="auto", autocommit=False)
    assert await resets_after(pool, "SELECT 1") >= 1
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT @@autocommit") == 0
