"""Statements of borrowers that went away are stopped on the server, whatever happens meanwhile; nobody else's are."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from support import check_whole, make_pool, start, ticks

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing.fake import FakeDriver, FakeServer, fail, slow
from async_mysqlpool.testing.virtual import run_virtual


@pytest.mark.parametrize(
    "trouble",
    [fail(2003), fail(ConnectionRefusedError()), fail(1040), slow(3), fail(asyncio.CancelledError())],
    ids=["refused", "reset", "full", "slow", "a foreign cancellation"],
)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_kill_is_tried_again_for_as_long_as_connect_timeout(server, trouble, times):
    async with make_pool(server, max_size=1, connect_timeout=10) as pool:
        victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
        await asyncio.sleep(1)
        server.connect.next(*[trouble] * times)
        victim.cancel()
        await asyncio.sleep(10)
        assert server.running == {}
        assert pool.stats().killed == 1
        await check_whole(pool, server)


async def test_a_kill_that_the_server_forbids_is_not_tried_again(server):
    async with make_pool(server, max_size=1) as pool:
        victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
        await asyncio.sleep(1)
        server.answer("^KILL", error=1095)
        victim.cancel()
        await asyncio.sleep(60)
        assert sum(text.startswith("KILL") for text in server.statements()) == 1


async def test_killing_needs_no_schema(server):
    async with make_pool(server, max_size=1, database="shop") as pool:
        victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
        await asyncio.sleep(1)
        server.databases = set()  # somebody has dropped it
        victim.cancel()
        await asyncio.sleep(1)
        assert pool.stats().killed == 1


@pytest.mark.parametrize("also", ["nothing else", "one is being killed", "the server is slow"])
@pytest.mark.parametrize("first", ["the pool's tasks", "the borrowers"])
@pytest.mark.filterwarnings("ignore:.*was never closed:ResourceWarning")
def test_what_runs_when_the_program_ends_is_stopped_or_the_log_says_that_it_may_run_on(server, caplog, also, first):
    """`asyncio.run` cancels all tasks at once when its main one has ended, the pool's own included."""
    kept = []

    async def main() -> None:
        pool = make_pool(server, max_size=4)
        work = [pool.fetch_value(f"SELECT SLEEP({n})") for n in (1000, 1001, 1002)]
        if first == "the pool's tasks":
            await pool.open()
        tasks = [start(each) for each in work]
        await pool.open()
        kept.extend([pool, *tasks])
        await asyncio.sleep(1)
        assert len(server.running) == 3
        if also == "one is being killed":
            tasks[0].cancel()
            await ticks(3)
        elif also == "the server is slow":
            server.connect.set(slow(5))

    run_virtual(main())
    assert kept[0].closed
    if also == "the server is slow":
        assert "may run on" in caplog.text
    else:
        assert server.running == {}


async def test_cancelling_all_tasks_costs_a_running_pool_nothing(server):
    """Test suites and shells do that. The maintenance ends the pool then, as at the end of `asyncio.run`."""
    async with make_pool(server, max_size=3) as pool:
        victims = [start(pool.fetch_value("SELECT SLEEP(1000)")) for _ in range(3)]
        await asyncio.sleep(1)
        for victim in victims:
            victim.cancel()
        for _ in range(5):
            await ticks(2)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                if "maintenance" not in task.get_name():
                    task.cancel()
        await asyncio.sleep(5)
        assert server.running == {}
        await check_whole(pool, server)


class TwoServers(FakeDriver):
    """A name that leads to one server or the other in turn; addresses that lead to one each, or a balancer's."""

    def __init__(self, balanced: bool) -> None:
        super().__init__()
        self.other, self.balanced, self.turn = FakeServer(), balanced, 0
        self.other.variables["hostname"] = "other"
        self.asked = []

    async def connect(self, params):
        self.asked.append(params.host)
        if params.host in {"a", "b"}:
            return await FakeDriver(self.server if params.host == "a" else self.other).connect(params)
        self.turn += 1
        return await FakeDriver((self.server, self.other)[self.turn % 2]).connect(params)

    def peer(self, raw):
        return ("balancer", 3306) if self.balanced else ("a" if raw.server is self.server else "b", 3306)


@pytest.mark.parametrize("balanced", [False, True])
async def test_where_one_name_stands_for_two_servers_each_statement_is_stopped_on_its_own(balanced):
    driver = TwoServers(balanced)
    async with ConnectionPool(driver=driver, min_size=0, max_size=10, host="name") as pool:
        victims = [start(pool.fetch_value("SELECT SLEEP(1000)")) for _ in range(10)]
        await asyncio.sleep(1)
        assert (len(driver.server.running), len(driver.other.running)) == (5, 5)
        driver.asked.clear()
        for victim in victims:
            victim.cancel()
        await asyncio.sleep(10)
        assert driver.server.running == driver.other.running == {}
        assert pool.stats().killed == 10
        if not balanced:
            assert sorted(driver.asked) == ["a", "b"]


async def test_where_the_address_does_not_answer_any_more_the_name_is_asked(server):
    driver = FakeDriver(server)
    driver.peer = lambda raw: ("gone", 3306)
    connect, asked = driver.connect, []

    async def connect_by_name(params):
        asked.append(params.host)
        if params.host == "gone":
            await asyncio.sleep(1000)
        return await connect(params)

    driver.connect = connect_by_name
    async with ConnectionPool(driver=driver, min_size=0, host="name", connect_timeout=4) as pool:
        victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
        await asyncio.sleep(1)
        victim.cancel()
        await asyncio.sleep(4)
        assert server.running == {}
        assert asked == ["name", "gone", "name"]


@pytest.mark.parametrize("choice", [True, ssl.create_default_context()], ids=["True", "a context"])
async def test_a_server_whose_name_is_verified_is_reached_by_its_name_only(server, choice):
    driver = FakeDriver(server)
    driver.peer = lambda raw: ("address", 3306)
    connect, asked = driver.connect, []

    async def connect_and_note(params):
        asked.append(params.host)
        return await connect(params)

    driver.connect = connect_and_note
    async with ConnectionPool(driver=driver, min_size=0, host="name", ssl=choice) as pool:
        victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
        await asyncio.sleep(1)
        victim.cancel()
        await asyncio.sleep(1)
        assert pool.stats().killed == 1
        assert asked == ["name", "name"]
