"""The examples run as their readers run them: as programs of their own, against a throwaway server."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from async_mysqlpool.testing import Server

ROOT = Path(__file__).parents[2]
PYTHON = (sys.executable, "-W", "error")


@pytest.fixture(scope="session")
def server(servers: Callable[[str], Server]) -> Server:
    """One throwaway server for all examples."""
    return servers("mariadb")


@pytest.fixture(params=["asyncmy", "aiomysql"])
def dsn(server: Server, request: pytest.FixtureRequest) -> str:
    """Every example runs over each driver."""
    return server.dsn(request.param)


class Programs:
    """Runs programs with the DSN in their environment."""

    def __init__(self, dsn: str) -> None:
        self._environment = os.environ | {"ASYNC_MYSQLPOOL_DSN": dsn}

    def run(self, *args: str, log: str = "") -> str:
        """What a program printed; it must end well and write nothing else on stderr than matches `log`."""
        done = subprocess.run(
            [*PYTHON, *args], cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(log, done.stderr), done.stderr
        return done.stdout

    def start(self, *args: str) -> subprocess.Popen[str]:
        """A program that runs until it is told to stop."""
        return subprocess.Popen(
            [*PYTHON, *args], cwd=ROOT, env=self._environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    @contextmanager
    def web(self, app: str) -> Iterator[httpx.Client]:
        """A client of an application under uvicorn, which must shut down cleanly afterwards."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # uvicorn itself imports what warns of its own deprecation, so warnings are no errors here.
        command = [
            sys.executable,
            "-W",
            "always::ResourceWarning",
            "-m",
            "uvicorn",
            "--app-dir",
            "examples",
            "--port",
            str(port),
            app,
        ]
        process = subprocess.Popen(command, cwd=ROOT, env=self._environment, text=True, stderr=subprocess.PIPE)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_until_up(client, process)
                yield client
        finally:
            process.terminate()
            log = process.communicate(timeout=30)[1]
        assert "Application shutdown complete" in log
        for complaint in ("Traceback", "ResourceWarning", "still out"):
            assert complaint not in log


def wait_until_up(client: httpx.Client, process: subprocess.Popen[str]) -> None:
    """Until the application answers, whatever it says."""
    deadline = time.monotonic() + 30
    while True:
        try:
            client.get("/")
        except httpx.ConnectError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "the application does not come up"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def programs(dsn: str) -> Programs:
    """For the example that the test is about."""
    return Programs(dsn)
