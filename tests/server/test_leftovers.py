"""What a borrower leaves behind through the driver's own methods: its memory must be as clean as the server's."""

from __future__ import annotations

from contextlib import suppress

import pytest
from kit import ALL_SERVERS, BOTH_LOOPS, LOCAL_INFILE, rows, unbuffered, value

from async_mysqlpool.lease.held import entry_of

pytestmark = pytest.mark.parametrize("server", ALL_SERVERS, indirect=True)

EMOJI = "\U0001f600"


@pytest.fixture
async def pool(pools):
    return await pools(max_size=1)


def own_id(connection):
    return entry_of(connection).connection_id


async def stored_as(pool, text):
    """The bytes on disk of a text that a borrower writes."""
    async with pool.acquire() as connection:
        await rows(connection, "INSERT INTO test.items (note) VALUES (%s)", (text,))
        return await value(connection, "SELECT HEX(note) FROM test.items WHERE id = LAST_INSERT_ID()")


async def test_four_byte_character(pool):
    """The classic of resets: the server falls back to latin1 while the driver goes on writing utf8mb4."""
    first = pool.stats().opened
    for _ in range(3):
        assert await stored_as(pool, EMOJI) == "F09F9880"
    assert pool.stats().opened == first


@pytest.mark.parametrize("charset", ["latin1", "cp1251"])
async def test_set_charset(pool, charset):
    async with pool.acquire() as connection:
        with suppress(AttributeError):  # asyncmy 0.2.18 stumbles over its own name for the encoding
            await connection.set_charset(charset)
    assert await stored_as(pool, EMOJI) == "F09F9880"
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT %s", (EMOJI,)) == EMOJI


async def test_autocommit_switched_by_the_driver(account, admin, driver, pool):
    async with pool.acquire() as connection:
        await (connection.set_autocommit if driver == "mysql.connector.aio" else connection.autocommit)(False)
    async with pool.acquire() as connection:
        if driver != "mysql.connector.aio":  # it asks the server for that, which the next line does, too
            assert connection.get_autocommit() is True
        assert await value(connection, "SELECT @@autocommit") == 1
        await rows(connection, "INSERT INTO test.items (note) VALUES (%s)", (account.user,))
    assert admin.value("SELECT COUNT(*) FROM items WHERE note = %s", account.user) == 1


SELECT_DB = {"asyncmy": "select_db", "aiomysql": "select_db", "mysql.connector.aio": "cmd_init_db"}


async def test_select_db(driver, pool):
    async with pool.acquire() as connection:
        await getattr(connection, SELECT_DB[driver])("other")
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT DATABASE()") == "test"


async def test_raw_connection_moved(driver, pool):
    """`raw` is outside the pool's guard; the session is not."""
    async with pool.acquire() as connection:
        await getattr(connection.raw, SELECT_DB[driver])("other")
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT DATABASE()") == "test"


async def test_database_dropped_and_made_again(admin, pools):
    """Then the session has none, although nobody said USE."""
    admin.rows("CREATE DATABASE IF NOT EXISTS shortlived")
    pool = await pools(max_size=1, database="shortlived")
    async with pool.acquire() as connection:
        await rows(connection, "DROP DATABASE shortlived")
        await rows(connection, "CREATE DATABASE shortlived")
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT DATABASE()") == "shortlived"


@pytest.mark.parametrize("sql_mode", ["NO_BACKSLASH_ESCAPES", ""])
async def test_escaping_after_another_sql_mode(pools, sql_mode):
    """The driver escapes by what the last reply said of sql_mode: the next borrower's first text must be right."""
    text = "it's a back\\slash \" ' \n"
    pool = await pools(max_size=1, session_variables={"sql_mode": sql_mode})
    for other in ("NO_BACKSLASH_ESCAPES", ""):
        async with pool.acquire() as connection:
            await rows(connection, f"SET sql_mode = '{other}'")
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT %s", (text,)) == text


@pytest.mark.parametrize("read", [0, 1])
async def test_unbuffered_cursor_left_open(driver, pool, read):
    async with pool.acquire() as connection:
        cursor = await connection.cursor(unbuffered(driver))
        await cursor.execute("SELECT a.seq FROM (SELECT 1 AS seq UNION SELECT 2 UNION SELECT 3) AS a")
        for _ in range(read):
            await cursor.fetchone()
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT 'mine'") == "mine"


async def test_unbuffered_cursor_read_to_the_end(driver, pool):
    """Nothing is unread then: the connection stays."""
    async with pool.acquire() as connection:
        connection_id = own_id(connection)
        async with connection.cursor(unbuffered(driver)) as cursor:
            await cursor.execute("SELECT 1 UNION SELECT 2")
            assert [row async for row in cursor] == [(1,), (2,)]
    async with pool.acquire() as connection:
        assert own_id(connection) == connection_id


async def test_result_sets_left_unread(pool):
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT 'first'; SELECT 'second'")
        assert await cursor.fetchone() == ("first",)
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT 'mine'") == "mine"


async def test_result_sets_all_read(pool):
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT 'first'; SELECT 'second'")
        await cursor.nextset()
        assert await cursor.fetchone() == ("second",)
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT 'mine'") == "mine"


async def test_load_data_local(driver, pools, tmp_path):
    (tmp_path / "rows").write_text("1\n2\n3\n")
    pool = await pools(max_size=1, connect_args=LOCAL_INFILE[driver])
    for _ in range(2):
        with suppress(TypeError):  # asyncmy 0.2.18 reads no local file: it passes itself bytes for a str
            async with pool.acquire() as connection:
                await rows(connection, "CREATE TEMPORARY TABLE dirty_temp (a INT)")
                await rows(connection, f"LOAD DATA LOCAL INFILE '{tmp_path / 'rows'}' INTO TABLE dirty_temp")
                assert await value(connection, "SELECT SUM(a) FROM dirty_temp") == 6
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT 'mine'") == "mine"


async def test_the_contents_of_a_local_file_are_no_statement(driver, pools, tmp_path):
    """A connection on which somebody has spoken of XA or of profiles is not used again; this one has not."""
    if driver == "asyncmy":
        pytest.skip("asyncmy 0.2.18 reads no local file")
    (tmp_path / "rows").write_text("xa start\nprofiling\n")
    pool = await pools(max_size=1, connect_args=LOCAL_INFILE[driver])
    async with pool.acquire() as connection:
        connection_id = own_id(connection)
        await rows(connection, "CREATE TEMPORARY TABLE dirty_temp (a TEXT)")
        await rows(connection, f"LOAD DATA LOCAL INFILE '{tmp_path / 'rows'}' INTO TABLE dirty_temp")
        assert await value(connection, "SELECT COUNT(*) FROM dirty_temp") == 2
    async with pool.acquire() as connection:
        assert own_id(connection) == connection_id


@BOTH_LOOPS
async def test_large_results(pool):
    """Beyond 16 MiB a row comes in several packets."""
    for _ in range(2):
        async with pool.acquire() as connection:
            connection_id = own_id(connection)
            ((left, right),) = await rows(connection, "SELECT REPEAT('x', 10000000), REPEAT('y', 10000000)")
            assert len(left) == len(right) == 10_000_000
    async with pool.acquire() as connection:
        assert own_id(connection) == connection_id
        assert await value(connection, "SELECT LENGTH(%s)", ("z" * (2**24 + 10),)) == 2**24 + 10


@pytest.mark.parametrize("driver", ["asyncmy"], indirect=True)
async def test_binary_prepared_statements(admin, pools):
    """The driver's cache of them must not outlive the server's."""
    pool = await pools(max_size=1, connect_args={"stmt_cache_size": 10})
    before = admin.status("Prepared_stmt_count")
    for number in range(3):
        async with pool.acquire() as connection:
            connection_id = own_id(connection)
            statement = await connection.prepare("SELECT ? + 1")
            assert (await statement.execute((number,))).rows == ((number + 1,),)
            assert await value(connection, "SELECT %s + 2", (number,)) == number + 2
    async with pool.acquire() as connection:
        assert own_id(connection) == connection_id
        assert await value(connection, "SELECT 'text protocol'") == "text protocol"
        assert admin.status("Prepared_stmt_count") == before


async def test_hook_runs_after_every_reset(pools):
    seen = []

    async def on_connect(connection):
        seen.append(await value(connection, "SELECT @mark"))
        await rows(connection, "SET @mark = 'of the hook'")

    pool = await pools(max_size=1, on_connect=on_connect)
    for _ in range(3):
        async with pool.acquire() as connection:
            assert await value(connection, "SELECT @mark") == "of the hook"
            await rows(connection, "SET @mark = 'of the borrower'")
    assert seen == [None] * len(seen)
    assert len(seen) >= 3
    assert pool.stats().opened == 1


@pytest.mark.parametrize("reset", ["rollback", "none"])
async def test_weaker_modes_keep_the_session(account, pools, reset):
    """They promise less: ROLLBACK, or nothing."""
    pool = await pools(max_size=1, reset=reset)
    async with pool.acquire() as connection:
        await rows(connection, "SET @dirty = 'kept'")
        await rows(connection, "START TRANSACTION")
        await rows(connection, "INSERT INTO test.items (note) VALUES (%s)", (account.user,))
    async with pool.acquire() as connection:
        assert await value(connection, "SELECT @dirty") == "kept"
        count = await value(connection, "SELECT COUNT(*) FROM test.items WHERE note = %s", (account.user,))
        assert count == (0 if reset == "rollback" else 1)
        await rows(connection, "ROLLBACK")
