"""Examples that are scripts."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from async_mysqlpool import ConnectionPool

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator

    from conftest import Programs

pytestmark = pytest.mark.server


def test_quickstart(programs: Programs):
    output = programs.run("examples/quickstart.py")
    assert "basket: [('apple', 3), ('pear', 2)]" in output
    assert "sum: (5,)" in output
    assert "answer: 42" in output
    assert re.search(r"busy: .* acquired at .*quickstart\.py:\d+", output)
    assert re.search(r"pool: 0 in use, 1 idle", output)


def test_quickstart_takes_the_dsn_as_an_argument(dsn: str, programs: Programs):
    assert "answer: 42" in programs.run("examples/quickstart.py", dsn)


def test_the_third_connection_is_a_reused_one(programs: Programs):
    # One task that borrows twice is worth a line in the log.
    output = programs.run("examples/xdevapi_walkthrough.py", log=".* holds the connection .*\n")
    lines = dict(re.split(r" \.+: ", line, maxsplit=1) for line in output.splitlines())
    assert lines["Connection 1 ID"] != lines["Connection 2 ID"]
    assert lines["Connection 3 ID"] == lines["Connection 1 ID"]
    assert re.search(r"after \d+\.\d\d s of queueing", lines["Unable to fetch connection 3"])
    assert "xdevapi_walkthrough.py:" in lines["Unable to fetch connection 3"]


class Jobs:
    """The worker's table, seen from the outside."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def add(self, count: int) -> None:
        async with self._pool.cursor() as cursor:
            await cursor.executemany("INSERT INTO job (done_by) VALUES (%s)", [(None,)] * count)

    async def done(self) -> int:
        return int(await self._pool.fetch_value("SELECT COUNT(done_by) FROM job"))


@pytest.fixture
async def jobs(dsn: str) -> AsyncIterator[Jobs]:
    async with ConnectionPool(dsn) as pool:
        yield Jobs(pool)
        await pool.execute("DROP TABLE job")


async def test_the_worker_drains_on_sigterm(programs: Programs, jobs: Jobs):
    worker = programs.start("examples/worker.py")
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("working")
        await jobs.add(2000)
        while await jobs.done() < 20:
            assert worker.poll() is None, worker.communicate()[1]
        worker.send_signal(signal.SIGTERM)
        output, errors = worker.communicate(timeout=30)
    finally:
        stop(worker)
    assert (worker.returncode, errors) == (0, "")
    drained = re.search(r"drained: (\d+) jobs done, 0 in use", output)
    assert drained
    # Every job that a worker counted is done on the server, and none was left half-way.
    assert int(drained[1]) == await jobs.done() < 2000


def stop(process: subprocess.Popen[str]) -> None:
    """Leave nothing behind when a test fails half-way."""
    if process.poll() is None:
        process.kill()
        process.communicate()
