"""The worker: what a signal does to a service, in virtual time; and the queue example in processes of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
from running import eventually, quiet

from async_mysqlpool import ConnectError, ConnectionPool
from async_mysqlpool.integrations.worker import Shutdown, run_worker
from async_mysqlpool.testing.fake import NEVER, FakeDriver, FakeServer
from async_mysqlpool.testing.virtual import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable

    from running import Running


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def pool(server: FakeServer) -> ConnectionPool:
    return ConnectionPool(driver=FakeDriver(server), max_size=2)


def kill(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_the_work_under_way_finish(pool: ConnectionPool, server: FakeServer, number):
    done: list[str] = []

    async def service(pool: ConnectionPool, shutdown: Shutdown) -> None:
        while not shutdown.requested:
            async with pool.transaction() as conn, conn.cursor() as cursor:
                kill(number)
                await cursor.execute("SELECT SLEEP(20)")
                done.append("one job")

    run_virtual(run_worker(service, pool, drain_timeout=30.0))
    assert done == ["one job"]
    assert "COMMIT" in server.statements()
    assert pool.closed
    assert server.sessions == {}
    assert signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}


def test_a_service_that_does_not_end_in_time_is_cancelled_and_its_transaction_not_committed(
    pool: ConnectionPool, server: FakeServer, caplog: pytest.LogCaptureFixture
):
    async def service(pool: ConnectionPool, shutdown: Shutdown) -> None:
        async with pool.transaction() as conn, conn.cursor() as cursor:
            kill()
            await cursor.execute("SELECT SLEEP(1000)")

    async def timed() -> float:
        started = asyncio.get_running_loop().time()
        await run_worker(service, pool, drain_timeout=30.0)
        return asyncio.get_running_loop().time() - started

    assert 30.0 <= run_virtual(timed()) <= 32.0
    assert "COMMIT" not in server.statements()
    assert server.sessions == {}
    assert "had not ended in time" in caplog.text


def test_the_second_signal_cancels_at_once(pool: ConnectionPool):
    async def service(pool: ConnectionPool, shutdown: Shutdown) -> None:
        kill()
        await shutdown.wait()
        kill()
        await asyncio.sleep(1000)

    async def timed() -> float:
        started = asyncio.get_running_loop().time()
        await run_worker(service, pool, drain_timeout=500.0)
        return asyncio.get_running_loop().time() - started

    assert run_virtual(timed()) <= 2.0


def test_a_signal_while_the_server_is_away_ends_it_at_once(pool: ConnectionPool, server: FakeServer):
    server.connect.set(NEVER)
    served: list[object] = []

    async def service(pool: ConnectionPool, shutdown: Shutdown) -> None:
        served.append(pool)

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        loop.call_later(5.0, kill)
        await run_worker(service, pool, open_timeout=None)
        return loop.time() - started

    assert 5.0 <= run_virtual(timed()) <= 7.0
    assert served == []
    assert pool.closed


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
def test_an_error_of_the_service_closes_the_pool_and_is_raised(pool: ConnectionPool, error: type[Exception]):
    async def service(pool: ConnectionPool, shutdown: Shutdown) -> None:
        raise error("of the service")

    with pytest.raises(error, match="of the service"):
        run_virtual(run_worker(service, pool))
    assert pool.closed


def test_a_server_that_refuses_us_is_raised(pool: ConnectionPool, server: FakeServer):
    server.password = "another"

    async def service(pool: ConnectionPool, shutdown: Shutdown) -> None:
        raise AssertionError("must not run")

    with pytest.raises(ConnectError):
        run_virtual(run_worker(service, pool))


def test_sleep_ends_early_when_there_shall_be_no_more_work():
    async def main() -> tuple[float, float]:
        loop, shutdown = asyncio.get_running_loop(), Shutdown()
        started = loop.time()
        await shutdown.sleep(10.0)
        slept = loop.time() - started
        loop.call_later(1.0, shutdown.request)
        await shutdown.sleep(10.0)
        return slept, loop.time() - started - slept

    assert run_virtual(main()) == pytest.approx((10.0, 1.0))


@pytest.mark.server
async def test_the_queue_example_does_every_job_once_through_signals_and_kills(
    start: Callable[..., Running], database: ConnectionPool
):
    example = "examples/queue_worker.py"
    first = start(example)
    first.wait_for("consuming")
    jobs = 120
    await database.run_transaction(
        lambda conn: conn.cursor().executemany("INSERT INTO queue (payload) VALUES (%s)", [("job",)] * jobs)
    )

    async def done(count: int) -> bool:
        return await database.fetch_value("SELECT COUNT(*) FROM result") >= count

    await eventually(lambda: done(10))
    second = start(example)
    second.wait_for("consuming")
    await eventually(lambda: done(30))
    with quiet(first):
        first.signal()
    assert "drained" in first.log
    second.signal(signal.SIGKILL)
    second.stop()
    third = start(example)
    await eventually(lambda: done(jobs))
    with quiet(third):
        third.signal()
    assert await database.fetch_value("SELECT COUNT(*) FROM queue") == 0
    assert await database.fetch_value("SELECT COUNT(*) FROM result") == jobs
