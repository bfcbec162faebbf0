"""A pool in the wrong event loop, or in the wrong process: an error at once, where others hang or share a socket."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from support import borrow, check_whole, make_pool

from async_mysqlpool import ConnectError, ConnectionPool, WrongEventLoopError
from async_mysqlpool.testing.fake import FakeDriver, FakeError
from async_mysqlpool.testing.virtual import LoopStalledError, VirtualTimeLoop, run_virtual


@pytest.mark.parametrize(
    "use",
    [
        lambda pool: pool.acquire(),
        lambda pool: pool.execute("SELECT 1"),
        lambda pool: pool.open(),
        lambda pool: pool.close(),
        lambda pool: pool.check(),
        lambda pool: pool.resize(max_size=3),
    ],
)
def test_another_loop_is_refused_at_once(server, use):  # PAINS 52
    pool = make_pool(server, min_size=1)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as first, asyncio.Runner(loop_factory=VirtualTimeLoop) as second:
        first.run(pool.open())

        async def elsewhere() -> None:
            with pytest.raises(WrongEventLoopError, match="was opened in another event loop"):
                await use(pool)

        second.run(elsewhere())
        assert first.run(borrow(pool)) == 1  # and nothing is broken by it
        first.run(pool.close())


def test_a_pool_of_its_own_in_each_loop_is_fine(server):
    async def use() -> int:
        async with make_pool(server) as pool:
            return await borrow(pool)

    assert [run_virtual(use()) for _ in range(3)] == [1, 2, 3]


class AtOnce(FakeDriver):
    """A driver whose connects fail before anything is awaited, as a bad option does."""

    async def connect(self, params):
        if self.server.stopped:
            raise FakeError(1045, "Access denied")
        return await super().connect(params)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_a_task_factory_that_starts_tasks_at_once_changes_nothing(server):
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        async with ConnectionPool(driver=AtOnce(server), min_size=0, max_size=4) as pool:
            server.stop()
            for _ in range(20):
                failed = await asyncio.gather(*(borrow(pool) for _ in range(10)), return_exceptions=True)
                assert {type(error) for error in failed} == {ConnectError}
                await asyncio.sleep(5)  # so that the next one need not pause before it fails
            server.start()
            await pool.resize(min_size=4)
            await asyncio.sleep(10)
            assert pool.idle == 4
            await check_whole(pool, server)

    run_virtual(main())


FORK = """
import asyncio, os, sys, traceback
from async_mysqlpool import ConnectionPool, ForkedPoolError
from async_mysqlpool.testing.fake import FakeDriver, FakeServer

server = FakeServer()

async def in_child(connection):
    said = len(server.log)
    for use in (pool.acquire, pool.open, pool.check, lambda: pool.execute("SELECT 1")):
        try:
            await use()
        except ForkedPoolError as exc:
            assert "opened in the parent process" in str(exc) and str(os.getpid()) in str(exc)
        else:
            return 1
    await pool.close()
    connection.close()
    await asyncio.sleep(0.01)
    # Nothing may be said on the parent's sockets, not even goodbye, and none may be closed.
    assert sorted(server.sessions) == [1, 2] and len(server.log) == said, server.statements()
    async with ConnectionPool(driver=FakeDriver()) as own:
        assert await own.fetch_value("SELECT 1") == 1
    return 0

async def borrow():
    connection = await pool.acquire()
    await connection.begin()
    return connection

async def use():
    return await pool.fetch_value("SELECT CONNECTION_ID()")

pool = ConnectionPool(driver=FakeDriver(server), min_size=2)
with asyncio.Runner() as runner:  # as gunicorn does with --preload: opened, then forked outside of any loop
    runner.run(pool.open())
    connection = runner.run(borrow())
    child = os.fork()
    if child == 0:
        code = 2
        try:
            with asyncio.Runner() as own:
                code = own.run(in_child(connection))
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    connection.close()
    assert runner.run(use()) in (1, 2)
    runner.run(pool.close())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_and_the_parent_goes_on(tmp_path):  # PAINS 54
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# A task that was woken with others runs the loop itself, as notebooks do, and waits for tasks that wait for the pool.
NESTED = """
import asyncio, nest_asyncio
from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing.fake import FakeDriver

async def main():
    {early}
    loop = asyncio.get_running_loop()
    async with ConnectionPool(driver=FakeDriver(), max_size=1) as pool:
        {late}
        async def several():
            return await asyncio.gather(*(pool.fetch_value("SELECT 1") for _ in range(3)))
        async def nesting():
            async with pool.acquire():
                pass
            return loop.run_until_complete(several())
        conn = await pool.acquire()
        tasks = [asyncio.create_task(nesting()) for _ in range(2)]
        await asyncio.sleep(0.01)
        conn.close()
        assert await asyncio.gather(*tasks) == [[1, 1, 1]] * 2

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_loop_that_is_run_within_itself(when):
    pytest.importorskip("nest_asyncio")
    program = NESTED.format(**{"early": "", "late": "", when: "nest_asyncio.apply()"})
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# -- the virtual loop itself -------------------------------------------------------------------------------------------


def test_hours_pass_at_once_and_exactly():
    async def main() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.sleep(8.5 * 3600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.125):
                await asyncio.sleep(1)
        return loop.time() - started

    assert run_virtual(main()) == 8.5 * 3600 + 0.125


def test_a_hang_is_an_error_that_names_the_tasks():
    async def main() -> None:
        await asyncio.create_task(asyncio.Event().wait(), name="the stuck one")

    with pytest.raises(LoopStalledError, match=r"the stuck one.*locks\.py:\d+"):
        run_virtual(main())


def test_a_hang_behind_a_busy_background_task_is_found_as_well():
    async def background() -> None:
        while True:
            await asyncio.sleep(600)

    async def main() -> None:
        task = asyncio.create_task(background())
        await asyncio.Event().wait()
        task.cancel()

    with pytest.raises(LoopStalledError):
        run_virtual(main())
