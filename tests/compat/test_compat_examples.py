"""The programs that articles and documentation show for each of the six pools, on ours, run as readers run them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "compat"


@pytest.fixture
async def users(admin):
    await admin.execute("DROP TABLE IF EXISTS users")
    await admin.execute("CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(50), email VARCHAR(50))")
    await admin.execute("INSERT INTO users VALUES (1, 'Ada', 'ada@example.org'), (2, 'Zoë', 'zoe@example.org')")


@pytest.fixture
def run(server):
    def run(name):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "utf8", str(EXAMPLES / name)],
            env=os.environ | {"ASYNC_MYSQLPOOL_DSN": server.dsn()},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert "Warning" not in done.stderr
        return done.stdout

    return run


@contextmanager
def web(dsn):
    """The FastAPI application under uvicorn, and a client of it, whose first request waits for the start."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, fd = listening.getsockname()[1], listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "--fd", str(fd), "mysqlclient_fastapi:app"],
            env=os.environ | {"ASYNC_MYSQLPOOL_DSN": dsn},
            pass_fds=[fd],
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        process.terminate()
        log = process.communicate(timeout=30)[1]
    assert "Application shutdown complete" in log
    assert "ResourceWarning" not in log


def test_mysqlx_walkthrough(run):
    lines = [re.split(r" \.+: ", line, maxsplit=1) for line in run("mysqlx_walkthrough.py").splitlines()]
    assert [line[0] for line in lines] == [
        "Connection 1 ID",
        "Connection 2 ID",
        "Starting to request connection 3",
        "Unable to fetch connection 3",
        "Request for connection 3 completed",
        "Connection 3 ID",
    ]
    first, second, started, refused, _, third = (line[1] for line in lines)
    assert first != second
    assert third == first
    assert refused.startswith("pool max size has been reached: ")
    assert re.search(r"mysqlx_walkthrough\.py:\d+", refused)
    assert re.fullmatch(r"\d\d:\d\d:\d\d", started)


@pytest.mark.usefixtures("users")
def test_mysql_connector_tasks(run):
    output = run("mysql_connector_tasks.py")
    assert output.startswith("Connection pool created successfully!")
    assert output.count("ID: 2, Name: Zoë, Email: zoe@example.org") == 3
    assert output.count("Connection released back to the pool.") == 3
    assert output.endswith("Connection pool closed.\n")


async def test_mysql_connector_tasks_without_the_table(run, admin):
    await admin.execute("DROP TABLE IF EXISTS users")
    output = run("mysql_connector_tasks.py")
    assert output.count("Error during database operation: 1146: ") == 3
    assert output.count("Connection released back to the pool.") == 3


@pytest.mark.usefixtures("users")
def test_dbutils_tasks(run):
    output = run("dbutils_tasks.py")
    assert output.startswith("DBUtils connection pool created successfully!")
    assert output.count("ID: 1, Name: Ada, Email: ada@example.org") == 3
    assert output.count("Connection released back to the pool.") == 3
    assert output.endswith("DBUtils pool closed.\n")


def test_aiomysql_create_pool(run):
    output = run("aiomysql_create_pool.py")
    assert output.splitlines()[1:] == ["answer: 42", "dict: {'answer': 42}", "size: 1 free: 1", "closed: True"]


def test_asyncmy_create_pool(run):
    output = run("asyncmy_create_pool.py")
    assert output.splitlines() == ["row: (1,)", "dict: {'answer': 42}", "size: 1 free: 1", "closed: True"]


async def test_mysqlclient_fastapi(server, admin):
    await admin.execute("DROP TABLE IF EXISTS counter")
    await admin.execute("CREATE TABLE counter (value INT)")
    await admin.execute("INSERT INTO counter VALUES (0)")
    with web(server.dsn()) as client:
        assert client.get("/ping").json() == [1]
        # Each request sees what the background task of the one before it did.
        assert [client.get("/counter").json() for _ in range(3)] == [0, 1, 2]
        await admin.execute("DROP TABLE counter")
        answer = client.get("/counter")
        assert (answer.status_code, answer.json()) == (500, {"code": 0, "message": "Something Went Wrong"})
        assert client.get("/ping").json() == [1]


def test_mysqlclient_fastapi_without_a_server():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with web(f"mysql://root@127.0.0.1:{nobody.getsockname()[1]}/test") as client:
            answer = client.get("/ping")
    assert (answer.status_code, answer.json()) == (500, {"code": 1, "message": "Database Server Is Not Available"})
