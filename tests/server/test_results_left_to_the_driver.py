"""When the driver reads: where anybody could tell that it did not; and that a cursor is the driver's in all it does."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
from typing import Any

import pytest
from kit import eventually, rows, value
from twins import CURSORS, Pairs, cursor_class, observed, shown, typed

from async_mysqlpool import ConcurrentUseError, ConnectionReleasedError, TransactionError
from async_mysqlpool.drivers.aiomysql import AiomysqlReader
from async_mysqlpool.drivers.asyncmy import AsyncmyReader
from async_mysqlpool.drivers.results import StatementReader

pytestmark = pytest.mark.parametrize("driver", list(CURSORS), indirect=True)

NUMBERS = "SELECT 1 AS n, 'a' AS t UNION ALL SELECT 2, 'b' UNION ALL SELECT 3, 'c' UNION ALL SELECT 4, 'd'"


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """The statements that were asked past the driver."""
    packets: list[bytes] = []
    ask = StatementReader.ask

    def noted(self: StatementReader, statement: bytes) -> Any:
        packets.append(statement[5:])
        return ask(self, statement)

    for reader in (AiomysqlReader, AsyncmyReader):
        monkeypatch.setattr(reader, "ask", noted)
    return packets


async def learn(pool, query=NUMBERS, args=None):
    """Say it until it is known."""
    for _ in range(2):
        await pool.fetch_all(query, args)


# -- a cursor is the driver's in all it does --------------------------------------------------------------------------


async def stepwise(cursor):
    return [typed(await cursor.fetchone()), shown(cursor), typed(await cursor.fetchmany(2)), shown(cursor),
            typed(await cursor.fetchall()), typed(await cursor.fetchmany())]  # fmt: skip


async def many(cursor):
    cursor.arraysize = 3
    return [typed(await cursor.fetchmany()), shown(cursor), typed(await cursor.fetchmany(9)), shown(cursor)]


async def iterated(cursor):
    return [typed(row) async for row in cursor]


async def scrolled(cursor):
    """Back and forth, and too far."""
    seen = []
    for _, step, mode in ((1, 2, "relative"), (2, 0, "absolute"), (3, -1, "relative"), (4, 9, "absolute")):
        try:
            moved = cursor.scroll(step, mode)
            if moved is not None:
                await moved
        except IndexError as error:
            seen.append(str(error))
        seen += [typed(await cursor.fetchone()), shown(cursor)]
    return seen


async def after_close(cursor):
    await cursor.fetchone()
    await cursor.close()
    seen = [typed(await cursor.fetchone()), shown(cursor), typed(await cursor.fetchall())]
    try:
        await cursor.execute(NUMBERS)
    except Exception as error:
        seen.append((type(error).__name__, str(error)))
    return seen


async def mogrified(cursor):
    await cursor.fetchone()
    return [cursor.mogrify("SELECT %s", ("a'b",)), typed(await cursor.fetchone()), shown(cursor)]


async def another_result(cursor):
    seen = [typed(await cursor.nextset()), typed(await cursor.fetchone())]
    return [*seen, typed(await cursor.execute("DO 1")), shown(cursor), typed(await cursor.fetchall())]


async def the_same_again(cursor):
    await cursor.fetchone()
    return [typed(await cursor.execute(NUMBERS)), shown(cursor), typed(await cursor.fetchone())]


async def a_failure_then(cursor):
    seen = []
    for query in ("SELECT nothing", NUMBERS):
        try:
            seen.append(typed(await cursor.execute(query)))
        except Exception as error:
            seen.append((type(error).__name__, error.args))
        seen += [shown(cursor), typed(await cursor.fetchall()) if query == NUMBERS else None]
    return seen


async def several(cursor):
    return [typed(await cursor.executemany("SELECT %s", [(1,), (2,)])), shown(cursor), typed(await cursor.fetchall())]


async def a_procedure(cursor):
    return [typed(await cursor.callproc("commits_and_selects")), shown(cursor), typed(await cursor.fetchall())]


USES = [
    stepwise, many, iterated, scrolled, after_close, mogrified, another_result, the_same_again, a_failure_then, several,
    a_procedure,
]  # fmt: skip


@pytest.mark.parametrize("name", [None, "DictCursor"])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
async def test_a_cursor_goes_on_as_if_it_had_executed_itself(adapter, asked, name, params, pools, use):
    pairs = Pairs(adapter, params, pools)
    twins = await pairs()
    await twins.agree(NUMBERS, name=name)
    ours, theirs = twins.cursors(name)
    before = len(asked)
    assert await ours.execute(NUMBERS) == await theirs.execute(NUMBERS)
    assert len(asked) == before + 1
    assert await use(ours) == await use(theirs)
    await pairs.close()


async def test_before_anything_was_executed(adapter, params, pools):
    pairs = Pairs(adapter, params, pools)
    ours, theirs = (await pairs()).cursors(None)
    assert shown(ours) == shown(theirs)
    for cursor in (ours, theirs):
        with pytest.raises(Exception, match="execute"):
            await cursor.fetchone()
    await pairs.close()


async def test_a_cursor_ends_with_its_lease(pools):
    pool = await pools(max_size=1)
    await learn(pool)
    async with pool.acquire() as connection:
        cursor = connection.cursor()
        await cursor.execute(NUMBERS)
    for use in (cursor.fetchone, cursor.fetchall, cursor.fetchmany, lambda: cursor.execute(NUMBERS)):
        with pytest.raises(ConnectionReleasedError):
            await use()
    with pytest.raises(ConnectionReleasedError):
        cursor.description  # noqa: B018
    await cursor.close()


async def test_no_second_task_while_one_waits_for_its_reply(pools):
    pool = await pools(max_size=1)
    query = "SELECT SLEEP(%s)"
    await learn(pool, query, (0,))
    async with pool.acquire() as connection:
        first = asyncio.create_task(rows(connection, query, (0.3,)))
        await asyncio.sleep(0.1)
        with pytest.raises(ConcurrentUseError):
            await rows(connection, query, (0,))
        assert typed(await first) == typed([(0,)])


async def test_a_block_is_guarded(asked, pools):
    pool = await pools(max_size=1)
    query = "SELECT COUNT(*) FROM probe WHERE id = %s"
    await learn(pool, query, (1,))
    with pytest.raises(TransactionError):
        async with pool.transaction() as connection:
            assert await value(connection, query, (1,)) == 1
            await rows(connection, "CREATE TABLE IF NOT EXISTS other.committed (a INT)")  # which commits
            await value(connection, query, (1,))
    assert len(asked) == 1
    await pool.execute("DROP TABLE IF EXISTS other.committed")


# -- nothing is hidden from whoever wants to see it -------------------------------------------------------------------


async def test_the_option_turns_it_off(asked, pools):
    pool = await pools(read_results=False)
    for _ in range(4):
        await pool.fetch_all(NUMBERS)
    assert asked == []


def part(driver, owner):
    module, name = owner.rsplit(".", 1)
    return getattr(importlib.import_module(f"{driver}.{module}"), name)


METHODS = {
    "asyncmy": [("connection.Connection", "query"), ("connection.Connection", "read_packet"),
                ("cursors.DictCursor", "execute"), ("cursors.DictCursor", "_do_get_result")],
    "aiomysql": [("cursors.Cursor", "execute"), ("cursors.Cursor", "_query"), ("connection.Connection", "query"),
                 ("connection.MySQLResult", "_read_row_from_packet"), ("cursors.DictCursor", "execute")],
}  # fmt: skip


def as_a_function(original, calls):
    @functools.wraps(original)
    def traced(*args, **kwargs):
        calls.append(args)
        return original(*args, **kwargs)

    return traced


class Proxy:
    """As wrapt makes them: to whoever asks it is what it wraps."""

    def __init__(self, original, calls):
        self.original, self.calls = original, calls

    def __call__(self, *args, **kwargs):
        self.calls.append(args)
        return self.original(*args, **kwargs)

    def __get__(self, instance, owner):
        return self if instance is None else functools.partial(self, instance)

    def __eq__(self, other):
        return self.original == other

    __hash__ = None

    @property
    def __class__(self):
        return type(self.original)

    def __getattr__(self, name):
        return getattr(self.original, name)


@pytest.mark.parametrize("wrap", [as_a_function, Proxy])
async def test_a_driver_that_somebody_has_patched_runs_every_statement(asked, driver, pools, wrap):
    """As tracers do, before the pool was opened or later."""
    pool = await pools(max_size=1)
    classes = [cursor_class(driver, "DictCursor"), None]

    async def ask():
        async with pool.acquire() as connection:
            for wanted in classes:
                cursor = connection.cursor(*([wanted] if wanted else []))
                await cursor.execute(NUMBERS)
                assert len(await cursor.fetchall()) == 4

    for _ in range(3):
        await ask()
    for owner, name in METHODS[driver]:
        calls = []
        kind = part(driver, owner)
        original = getattr(kind, name)
        inherited = name not in vars(kind)

        asked.clear()
        setattr(kind, name, wrap(original, calls))
        await ask()
        delattr(kind, name) if inherited else setattr(kind, name, original)
        assert calls, name
        assert len(asked) == (1 if "Dict" in owner else 0), name
        await ask()
        assert len(asked) == (3 if "Dict" in owner else 2), name


TRACER = """
import functools, importlib, sys
module = importlib.import_module("{driver}.connection")
original, seen = module.Connection.query, []
{decorator}
def query(self, *args, **kwargs):
    seen.append(args)
    return original(self, *args, **kwargs)
module.Connection.query = query
"""
CHECK = """
import asyncio, sys
from tracer import seen
from async_mysqlpool import ConnectionPool
async def main():
    async with ConnectionPool(sys.argv[1]) as pool:
        seen.clear()
        for _ in range(5):
            await pool.fetch_all("SELECT 1")
asyncio.run(main())
print(len([args for args in seen if args[0] in ("SELECT 1", b"SELECT 1")]))
"""


@pytest.mark.parametrize("decorator", ["@functools.wraps(original)", ""], ids=["wraps", "plain"])
async def test_a_driver_that_was_patched_before_the_pool_was_imported(account, decorator, driver, server, tmp_path):
    import os
    import sys

    (tmp_path / "tracer.py").write_text(TRACER.format(driver=driver, decorator=decorator))
    dsn = server.dsn(driver, user=account.user, password=account.password)
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHECK, dsn, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip
    out, _ = await done.communicate()
    assert out.decode().split() == ["5"]


async def test_on_one_connection_somebody_has_replaced_a_method(asked, pools):
    calls = []

    async def trace(connection):
        raw = connection.raw
        original = type(raw).query.__get__(raw)

        async def query(sql, unbuffered=False):
            calls.append(sql)
            return await original(sql, unbuffered)

        raw.query = query

    pool = await pools(max_size=1, on_connect=trace)
    calls.clear()
    for _ in range(4):
        await pool.fetch_all(NUMBERS)
    assert asked == []
    assert len(calls) >= 4


def mine(driver):
    """A cursor class of the application's."""
    return type("Mine", (cursor_class(driver, "DictCursor"),), {})


OPTIONS = {
    "a cursor class": lambda driver: {"cursor_cls" if driver == "asyncmy" else "cursorclass": mine(driver)},
    "bytes instead of texts": lambda driver: {"use_unicode": False},
    "statements in the log": lambda driver: {"echo": True},
}
OPTIONS_OF_ASYNCMY = {
    "told of statements": {"query_callback": lambda *_: None},
    "prepared statements": {"stmt_cache_size": 10},
    "a limit to the time of a reply": {"read_timeout": 20},
}


@pytest.mark.parametrize("case", [*OPTIONS, *OPTIONS_OF_ASYNCMY])
async def test_an_option_of_the_drivers_that_needs_the_driver(adapter, asked, case, driver, params, pools):
    if driver != "asyncmy" and case in OPTIONS_OF_ASYNCMY:
        pytest.skip("only asyncmy has it")
    args = OPTIONS[case](driver) if case in OPTIONS else OPTIONS_OF_ASYNCMY[case]
    pairs = Pairs(adapter, params, pools)
    await (await pairs(connect_args=args)).agree("SELECT %s AS a, 'b' AS b", (1,), times=4)
    assert asked == []
    await pairs.close()


async def test_what_an_unbuffered_cursor_has_not_read_is_in_nobodys_way(asked, driver, pools):
    pool = await pools(max_size=1)
    await learn(pool)
    async with pool.acquire() as connection:
        unbuffered, cursor = connection.cursor(cursor_class(driver, "SSCursor")), connection.cursor()
        await unbuffered.execute(NUMBERS)
        assert await unbuffered.fetchone() == (1, "a")
        with pytest.warns(UserWarning, match="left incomplete"):
            await cursor.execute(NUMBERS)
        assert len(await cursor.fetchall()) == 4
        assert asked == []
        await cursor.execute(NUMBERS)
        assert len(asked) == 1


async def test_other_converters_are_used_at_once(adapter, asked, driver, params, pools):
    """Those of the connection, and also one that is changed under a remembered statement."""
    converters: Any = importlib.import_module("asyncmy.converters" if driver == "asyncmy" else "pymysql.converters")
    pairs = Pairs(adapter, params, pools)
    changed = {**converters.conversions, 3: str, 8: str}
    twins = await pairs(connect_args={"conv": changed})
    await twins.agree(NUMBERS, times=4)
    assert (await rows(twins.connection, NUMBERS))[0][0] in {"1", b"1", "b'1'"}
    table = "_decoders" if driver == "asyncmy" else "decoders"
    for raw in (twins.connection.raw, twins.bare):
        getattr(raw, table).update({3: int, 8: int})
    await twins.agree(NUMBERS, times=4)
    assert (await rows(twins.connection, NUMBERS))[0][0] == 1
    await pairs.close()


async def test_statements_are_logged_from_when_somebody_wants_them(asked, caplog, driver, pools):
    pool = await pools(max_size=1)
    await learn(pool)
    async with pool.acquire() as connection:
        connection.raw._echo = True
        with caplog.at_level(logging.INFO, driver):
            await rows(connection, NUMBERS)
    assert "UNION" in caplog.text
    assert asked == []


# -- whatever happens half-way ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 30])
async def test_a_cancelled_borrower_leaves_nothing_behind(account, admin, asked, pools, steps):
    pool = await pools(max_size=1)
    query = "SELECT SLEEP(%s), 1"
    await learn(pool, query, (0,))

    async def borrow():
        async with pool.acquire() as connection:
            await rows(connection, query, (8,))

    task = asyncio.create_task(borrow())
    for _ in range(steps):
        await asyncio.sleep(0.01 if steps > 10 else 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(await pool.fetch_all(query, (0,))) == [(0, 1)]
    assert await pool.fetch_value("SELECT 2") == 2
    running = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s AND info LIKE '%%SLEEP(8%%'"
    assert await eventually(lambda: admin.value(running, account.user), lambda count: count == 0) == 0
    assert pool.stats().size == 1


async def test_a_connection_that_is_killed_half_way(adapter, admin, asked, pools):
    pool = await pools(max_size=1)
    query = "SELECT SLEEP(%s), 2"
    await learn(pool, query, (0,))
    async with pool.acquire() as connection:
        task = asyncio.create_task(rows(connection, query, (8,)))
        await asyncio.sleep(0.1)
        admin.kill(adapter.connection_id(connection.raw))
        with pytest.raises(Exception, match=r".") as caught:
            await task
        assert adapter.error_number(caught.value) in {1317, 2013, 1927, 1053}
    assert len(asked) == 1
    assert await pool.fetch_value("SELECT 3") == 3


async def test_a_lost_connection_raises_what_the_driver_raises(adapter, admin, params, pools):
    """Before a statement, and in the middle of one."""
    pairs = Pairs(adapter, params, pools)
    twins = await pairs()
    await twins.agree(NUMBERS)
    ids = [adapter.connection_id(raw) for raw in (twins.connection.raw, twins.bare)]
    ours, theirs = twins.cursors(None)
    for number in ids:
        admin.kill(number)
    await asyncio.sleep(0.2)
    assert (await observed(ours, NUMBERS))[0][0] == (await observed(theirs, NUMBERS))[0][0]
    twins.connection.discard()
    await pairs.close()
