"""Real servers, both kinds: MariaDB, and each framework in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from running import ROOT, Running

from async_mysqlpool import ConnectionPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from async_mysqlpool.testing import Server


@pytest.fixture(scope="session")
def mariadb(servers: Callable[[str], Server]) -> Server:
    """One server for all tests of this folder, which may stop it."""
    return servers("mariadb-broken")


@pytest.fixture
async def database(mariadb: Server) -> AsyncIterator[ConnectionPool]:
    """A look at the server from outside the application under test."""
    async with ConnectionPool(mariadb.dsn("asyncmy", max_size=2)) as pool:
        yield pool


@pytest.fixture
async def locked_row(database: ConnectionPool) -> AsyncIterator[None]:
    """The only row of the table `locked`, locked for the time of the test."""
    await database.execute("CREATE OR REPLACE TABLE locked (name VARCHAR(20) PRIMARY KEY)")
    await database.execute("INSERT INTO locked VALUES ('row')")
    async with database.transaction() as conn, conn.cursor() as cursor:
        await cursor.execute("SELECT name FROM locked FOR UPDATE")
        yield


@pytest.fixture
def start(mariadb: Server, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Run a program (arguments of `python`) against the server; ended after the test at the latest."""
    running: list[Running] = []

    def run(*arguments: str, **environment: str) -> Running:
        output = tmp_path / f"{len(running)}.log"
        dsn = mariadb.dsn("asyncmy")
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={
                    **os.environ,
                    "ASYNC_MYSQLPOOL_DSN": dsn,
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONWARNINGS": "default::ResourceWarning",
                    **environment,
                },
            )
        running.append(Running(process, output))
        return running[-1]

    yield run
    for program in running:
        program.stop()


@pytest.fixture
def serve(start: Callable[..., Running]) -> Callable[..., Running]:
    """An ASGI application under uvicorn, such as `serve("tests/integrations/apps", "fastapi_app:app")`."""

    def run(folder: str, app: str, *options: str, **environment: str) -> Running:
        arguments = ("-m", "uvicorn", "--port", "0", "--app-dir", folder, *options, app)
        return start(*arguments, **environment)

    return run
