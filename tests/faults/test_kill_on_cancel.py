"""A cancelled borrower's statement stops on the server too: within bounds, and never somebody else's."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial

import pymysql
import pytest
import uvloop
from kit import Admin, eventually, value
from lab import ALL, SOME, running, settled

from async_mysqlpool import ConnectionPool, events
from async_mysqlpool.testing.proxy import Proxy

SECONDS = 600  # what a statement would take that nobody kills
BLOCKED = "UPDATE probe SET value = 99 WHERE id = 1"  # unlike SLEEP(), it does not look whether its client is there
NOTE = "whether it took effect is not known"


@pytest.fixture(autouse=True)
async def grown_up(admin):
    """Through a proxy the killer knows a connection only by the age of the server, which counts whole seconds."""
    assert await eventually(lambda: admin.status("Uptime") >= 3)


@pytest.fixture
def locked_row(admin):
    """A row that somebody else holds; call it to let go."""
    with admin.holding_a_row() as let_go:
        yield let_go


async def statement(pool, sql):
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(sql)


async def all_run(admin, user, count):
    """That many statements of the account are under way."""
    assert len(await eventually(lambda: running(admin, user), lambda rows: len(rows) == count, 60)) == count


async def none_runs(admin, user):
    assert await eventually(lambda: running(admin, user), lambda rows: not rows) == []


@ALL
async def test_cancelled_update_is_never_applied(account, admin, locked_row, pools, recorder, whole):
    pool = await pools(max_size=2, observers=[recorder])
    task = asyncio.create_task(statement(pool, BLOCKED))
    await all_run(admin, account.user, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert any(NOTE in note for note in caught.value.__notes__)
    await none_runs(admin, account.user)
    locked_row()
    assert admin.value("SELECT value FROM probe WHERE id = 1") == 10
    await eventually(lambda: recorder.of(events.StatementKilled))
    assert len(recorder.of(events.StatementKilled)) == pool.stats().killed == 1
    await whole(pool)


@SOME
async def test_cancelled_select_stops(account, admin, pools, whole):
    pool = await pools(max_size=2)
    task = asyncio.create_task(statement(pool, f"SELECT SLEEP({SECONDS})"))
    await all_run(admin, account.user, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await none_runs(admin, account.user)
    await whole(pool)


@SOME
async def test_busy_select_stops(account, admin, pools):
    """Not one that sleeps: one that computes."""
    pool = await pools(max_size=1)
    tables = ", ".join(f"information_schema.columns t{n}" for n in range(6))
    task = asyncio.create_task(statement(pool, f"SELECT COUNT(*) FROM {tables} WHERE t0.column_name <> t5.table_name"))
    await all_run(admin, account.user, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await none_runs(admin, account.user)


@SOME
async def test_timeout_of_the_borrowers_own_stops_it_too(account, admin, pools):
    pool = await pools(max_size=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await statement(pool, f"SELECT SLEEP({SECONDS})")
    await none_runs(admin, account.user)


@SOME
async def test_a_hundred_cancelled_at_once(account, admin, pools, recorder, whole):
    await cancelled_at_once(100, account, admin, pools, recorder, whole)


async def cancelled_at_once(count, account, admin, pools, recorder, whole):
    """All of them end, over one extra connection, and until they have, nobody gets their places."""
    pool = await pools(max_size=count, max_connecting=16, queue_timeout=120, observers=[recorder])
    tasks = [asyncio.create_task(statement(pool, f"SELECT SLEEP({SECONDS})")) for _ in range(count)]
    await all_run(admin, account.user, count)
    for task in tasks:
        task.cancel()
    seen = [len(admin.connection_ids(account.user))]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)

    def look():
        seen.append(len(admin.connection_ids(account.user)))
        return running(admin, account.user)

    assert await eventually(look, lambda rows: not rows, 60) == []
    assert max(seen) <= count + 1
    killed = (await settled(pool, lambda stats: stats.closing == 0)).killed
    assert count * 0.9 <= killed <= count  # MySQL looks every five seconds whether the client of a SLEEP is still there
    await whole(pool)


@SOME
async def test_slot_counts_as_taken_until_the_statement_has_stopped(account, admin, pools, proxy):
    """max_size bounds what the server really works on: no new connection while the old statement runs."""
    pool = await pools(max_size=1, queue_timeout=60)
    task = asyncio.create_task(statement(pool, f"SELECT SLEEP({SECONDS})"))
    await all_run(admin, account.user, 1)
    proxy.freeze("new")  # the killer cannot get through yet
    task.cancel()
    await asyncio.wait([task])
    following = asyncio.create_task(pool.fetch_value("SELECT 7"))
    await asyncio.sleep(0.3)
    stats = pool.stats()
    assert (stats.closing, stats.in_use, stats.opening, stats.waiting) == (1, 0, 0, 1)
    assert len(running(admin, account.user)) == 1
    proxy.thaw()
    assert await following == 7
    await none_runs(admin, account.user)


@pytest.fixture
def full(admin, server):
    """Somebody else's connections until the server has none left (1040); call it to have them go."""
    usual = admin.value("SELECT @@max_connections")
    others = []

    def fill():
        admin.rows("SET GLOBAL max_connections = 10")
        with pytest.raises(pymysql.err.OperationalError, match="1040"):
            while True:
                others.append(stranger_at(server))
        return leave

    def leave():
        admin.rows(f"SET GLOBAL max_connections = {usual}")
        while others:
            others.pop().close()

    yield fill
    leave()


@SOME
async def test_server_full_and_no_connection_to_kill_with(account, admin, full, locked_row, pools, recorder, whole):
    """The killer gives up within `connect_timeout`, the log says so, and the capacity comes back."""
    pool = await pools(max_size=1, connect_timeout=2.0, observers=[recorder])
    task = asyncio.create_task(statement(pool, BLOCKED))
    await all_run(admin, account.user, 1)
    full()
    task.cancel()
    await asyncio.wait([task])
    stats = await settled(pool, lambda stats: stats.closing == 0)
    assert (stats.closing, stats.in_use) == (0, 0)
    locked_row()


@SOME
async def test_server_full_but_an_idle_connection_is_there(account, admin, full, locked_row, pools):
    pool = await pools(min_size=2, max_size=2, connect_timeout=5.0)
    task = asyncio.create_task(statement(pool, BLOCKED))
    await all_run(admin, account.user, 1)
    full()
    task.cancel()
    await asyncio.wait([task])
    await none_runs(admin, account.user)


@SOME
async def test_server_full_but_soon_no_more(account, admin, full, locked_row, pools):
    pool = await pools(max_size=1, connect_timeout=10.0)
    task = asyncio.create_task(statement(pool, BLOCKED))
    await all_run(admin, account.user, 1)
    leave = full()
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.3)
    leave()
    await none_runs(admin, account.user)


@SOME
async def test_id_of_before_a_restart_is_nobodys_victim(account, admin, pools, proxy, server):
    """The server starts counting anew: a client that has the cancelled one's id by now must survive."""
    await crash(server, admin)  # the ids are small now
    await eventually(lambda: admin.status("Uptime") >= 3)
    pool = await pools(max_size=1, connect_timeout=5.0)
    task = asyncio.create_task(statement(pool, f"SELECT SLEEP({SECONDS})"))
    await all_run(admin, account.user, 1)
    ((victim, _),) = running(admin, account.user)
    proxy.freeze("open")  # the pool does not learn that the server went away
    await crash(server, admin)
    with stranger_with(server, victim) as stranger:
        task.cancel()
        await asyncio.wait([task])
        stats = await settled(pool, lambda stats: stats.closing == 0)
        assert (stats.closing, stats.killed) == (0, 0)
        stranger.ping(reconnect=False)


async def crash(server, admin):
    """The server ends at once and comes back, with its ids from 1 on."""
    server.kill()
    await asyncio.to_thread(server.start)
    admin.reconnect()


def stranger_at(server):
    """A connection of somebody else's."""
    return pymysql.connect(host=server.host, port=server.port, user=server.user, password=server.password)


def stranger_with(server, connection_id):
    """One that has this id."""
    while True:
        stranger = stranger_at(server)
        if stranger.thread_id() >= connection_id:
            assert stranger.thread_id() == connection_id, "the server did not start counting anew"
            return stranger
        stranger.close()


@SOME
async def test_switched_off_the_statement_runs_on(account, admin, pools, whole):
    pool = await pools(max_size=1, kill_on_cancel=False)
    task = asyncio.create_task(statement(pool, "UPDATE probe SET value = SLEEP(1) + 77 WHERE id = 1"))
    await all_run(admin, account.user, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await settled(pool, lambda stats: stats.closed)).killed == 0
    await none_runs(admin, account.user)  # in its own time
    assert admin.value("SELECT value FROM probe WHERE id = 1") == 77
    await whole(pool)


@SOME
async def test_cancelled_with_a_pipelined_reset_before_it(account, admin, pools, whole):
    """The statement travelled with the reset of the session before: that is the one to kill."""
    pool = await pools(max_size=1)
    for _ in range(3):
        await pool.fetch_value("SELECT 1")
        task = asyncio.create_task(statement(pool, f"SELECT SLEEP({SECONDS})"))
        await all_run(admin, account.user, 1)
        task.cancel()
        await asyncio.wait([task])
        await none_runs(admin, account.user)
    assert (await settled(pool, lambda stats: stats.killed == 3)).killed == 3
    await whole(pool)


@SOME
async def test_cancelled_in_a_transaction_everything_is_rolled_back(account, admin, pools):
    pool = await pools(max_size=1)
    admin.rows("UPDATE probe SET value = 10 WHERE id = 1")

    async def work():
        async with pool.transaction() as connection:
            await value(connection, "SELECT value FROM probe WHERE id = 1 FOR UPDATE")
            async with connection.cursor() as cursor:
                await cursor.execute("UPDATE probe SET value = 55 WHERE id = 1")
                await cursor.execute(f"SELECT SLEEP({SECONDS})")

    task = asyncio.create_task(work())
    await eventually(lambda: [row for row in running(admin, account.user) if "SLEEP" in row[1]])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await none_runs(admin, account.user)
    assert (
        await eventually(lambda: admin.error("SELECT * FROM probe WHERE id = 1 FOR UPDATE"), lambda n: n is None)
        is None
    )
    assert admin.value("SELECT value FROM probe WHERE id = 1") == 10


@ALL
async def test_the_statements_of_a_pool_whose_schema_was_dropped_are_stopped(account, admin, pools):
    admin.rows("CREATE DATABASE IF NOT EXISTS doomed")
    pool = await pools(max_size=1, database="doomed")
    task = asyncio.create_task(statement(pool, f"SELECT SLEEP({SECONDS})"))
    await all_run(admin, account.user, 1)
    admin.rows("DROP DATABASE doomed")
    task.cancel()
    await none_runs(admin, account.user)
    assert (await settled(pool, lambda stats: stats.killed)).killed == 1


@SOME
async def test_the_server_cannot_be_reached_for_a_while(account, admin, locked_row, pools, proxy, whole):
    pool = await pools(max_size=1)
    task = asyncio.create_task(statement(pool, BLOCKED))
    await all_run(admin, account.user, 1)
    proxy.refuse()
    attempts = proxy.attempts
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.3)
    await proxy.accept()
    await none_runs(admin, account.user)
    assert proxy.attempts > attempts
    await whole(pool)


@pytest.fixture
async def second(account, flavor, servers):
    """A server besides `server`, of the other kind, that knows the account as well."""
    server = servers("mysql-broken" if flavor == "mariadb" else "mariadb-broken")
    with Admin(server) as admin:
        admin.create(account)
        assert await eventually(lambda: admin.status("Uptime") >= 3)
        yield admin
        admin.drop(account)


def sleeping(admin, user):
    """The statements of the tests, without those that set a session up."""
    return [row for row in running(admin, user) if "SLEEP" in row[1]]


@ALL
async def test_one_name_that_leads_to_two_servers(account, admin, driver, monkeypatch, second, server):
    """In turns, as a DNS name with two addresses does: each statement is stopped on the server that it runs on."""
    loop = asyncio.get_running_loop()
    resolve, addresses = loop.getaddrinfo, itertools.cycle(["127.0.0.2", "127.0.0.3"])

    async def answer(host, *args, **kwargs):
        return await resolve(next(addresses) if host == "db.test" else host, *args, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", answer)
    dsn = server.dsn(driver, user=account.user, password=account.password)
    async with (
        Proxy(server, host="127.0.0.2") as one,
        Proxy(second.server, host="127.0.0.3", port=one.port),
        ConnectionPool(dsn, host="db.test", port=one.port, min_size=0, max_size=6) as pool,
    ):
        tasks = [asyncio.create_task(statement(pool, f"SELECT SLEEP({SECONDS})")) for _ in range(6)]
        for each in (admin, second):
            asleep = partial(sleeping, each, account.user)
            assert len(await eventually(asleep, lambda rows: len(rows) == 3, 60)) == 3
        for task in tasks:
            task.cancel()
        await none_runs(admin, account.user)
        await none_runs(second, account.user)
        assert (await settled(pool, lambda stats: stats.killed == 6)).killed == 6
    assert await eventually(lambda: second.connection_ids(account.user), lambda ids: not ids) == []


@ALL
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.filterwarnings("ignore:.*was never closed:ResourceWarning")
async def test_what_runs_when_asyncio_run_ends_is_stopped(account, admin, driver, locked_row, new_loop, server):
    """It cancels all tasks at once, the pool's own included."""
    dsn = server.dsn(driver, user=account.user, password=account.password)
    kept = []

    async def main():
        pool = ConnectionPool(dsn, max_size=3)
        kept.extend(asyncio.create_task(statement(pool, BLOCKED)) for _ in range(2))
        await pool.open()
        kept.append(asyncio.create_task(statement(pool, BLOCKED)))
        while len(running(admin, account.user)) < 3:
            await asyncio.sleep(0.05)

    def run():
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    await asyncio.to_thread(run)
    await none_runs(admin, account.user)
