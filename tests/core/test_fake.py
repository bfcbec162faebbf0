"""The fake server as users of the package see it: what they may rely on in their own unit tests."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from support import now, start, ticks, value

from async_mysqlpool import ConnectionPool
from async_mysqlpool.drivers import Driver
from async_mysqlpool.testing.fake import (
    NEVER,
    FakeDriver,
    FakeError,
    FakeServer,
    fail,
    slow,
)


def test_the_driver_has_everything_that_the_pool_may_call():
    for name, item in vars(Driver).items():
        if not name.startswith("_"):
            ours = inspect.getattr_static(FakeDriver(), name)
            if callable(item):
                assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(item), name
                assert list(inspect.signature(ours).parameters) == list(inspect.signature(item).parameters), name


async def test_the_example_of_its_documentation(server):
    server.answer("SELECT name FROM users", rows=[("Ada",)])
    async with ConnectionPool(driver=FakeDriver(server)) as pool:
        assert await pool.fetch_value("SELECT name FROM users") == "Ada"


async def test_answers_the_last_one_first_so_often_and_no_more(server):
    server.answer("FROM users", rows=[("Ada",)])
    server.answer("from USERS where", rows=[], times=1)
    server.answer("^DELETE", error=1451)
    async with ConnectionPool(driver=FakeDriver(server)) as pool:
        assert await pool.fetch_all("SELECT * FROM users WHERE id = 1") == []
        assert await pool.fetch_all("SELECT * FROM users WHERE id = 1") == [("Ada",)]
        with pytest.raises(FakeError) as caught:
            await pool.execute("DELETE FROM users")
        assert caught.value.args[0] == 1451
        started = now()
        server.answer("report", rows=[(1,)], delay=30)
        await pool.fetch_value("SELECT report")
        assert now() - started == 30


async def test_what_it_does_not_know_it_says_with_what_to_do(server):
    async with ConnectionPool(driver=FakeDriver(server)) as pool:
        for sql in ("SELECT a FROM b", "SELECT JSON_EXTRACT(1, 2)"):
            with pytest.raises(FakeError, match=r"server\.answer"):
                await pool.fetch_all(sql)
        assert await pool.execute("INSERT INTO t VALUES (1)") == 1
        assert await pool.execute("ALTER TABLE t ADD c INT") == 0


async def test_a_gate_holds_delays_and_fails_calls_one_by_one_or_all(server):
    async with ConnectionPool(driver=FakeDriver(server), max_size=1) as pool:
        server.execute.next(slow(2), fail(1205), NEVER)
        started = now()
        await pool.fetch_value("SELECT 1")
        assert now() - started == 2
        with pytest.raises(FakeError, match="1205"):
            await pool.fetch_value("SELECT 1")
        held = start(pool.fetch_value("SELECT 1"))
        await asyncio.sleep(1000)
        assert not held.done()
        server.execute.open()
        assert await held == 1
        assert server.execute.calls >= 3


async def test_named_locks_belong_to_one_session_at_a_time(server):
    pool = ConnectionPool(driver=FakeDriver(server), max_size=2)
    async with pool, pool.acquire() as one, pool.acquire() as two:
        assert [await value(conn, "SELECT GET_LOCK('job', 0)") for conn in (one, two)] == [1, 0]
        assert await value(one, "SELECT RELEASE_LOCK('job')") == 1
        assert await value(two, "SELECT GET_LOCK('job', 0)") == 1


async def test_a_statement_goes_on_when_its_client_has_left_until_it_is_done_or_killed(server):  # PAINS 9
    pool = ConnectionPool(driver=FakeDriver(server), kill_on_cancel=False, max_size=2)
    async with pool:
        tasks = [start(pool.execute(f"DO SLEEP({seconds})")) for seconds in (10, 1000)]
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await ticks()
        assert sorted(server.running.values()) == ["DO SLEEP(10)", "DO SLEEP(1000)"]
        await asyncio.sleep(10)
        assert list(server.running.values()) == ["DO SLEEP(1000)"]
        await pool.execute(f"KILL {next(iter(server.running))}")
        assert server.running == {}


async def test_two_calls_at_once_are_a_violation_as_they_would_be_on_the_wire():
    server = FakeServer()
    async with ConnectionPool(driver=FakeDriver(server)) as pool, pool.acquire() as conn:
        results = await asyncio.gather(conn.raw.query("SELECT 1"), conn.raw.query("SELECT 2"), return_exceptions=True)
        assert [type(result) for result in results].count(FakeError) == 1
    assert len(server.violations) == 1


@pytest.mark.parametrize(
    ("server", "options", "number"),
    [
        (FakeServer(password="x"), {"password": "y"}, 1045),
        (FakeServer(databases={"shop"}), {"database": "stock"}, 1049),
        (FakeServer(max_connections=0), {}, 1040),
        (FakeServer(stopped=True), {}, 2003),
    ],
)
async def test_it_refuses_as_a_server_does(server, options, number):
    with pytest.raises(ConnectionError, match=str(number)):
        await ConnectionPool(driver=FakeDriver(server), **options).open()
