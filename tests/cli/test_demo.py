"""The demo as a person and as a pipe see it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from async_mysqlpool import __version__, compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.testing import Server

COMMAND = (sys.executable, "-W", "error", "-c", "from async_mysqlpool.cli import main; main()")
SHORT = ("--seconds", "1.5", "--tasks", "30")
# A mark of a promise kept or broken: the bare figure after its name.
MARKS = ("answers of somebody else", "traces found afterwards")


@pytest.fixture(scope="module")
def server(servers: Callable[[str], Server]) -> Server:
    return servers("mariadb")


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def in_a_terminal(*args: str) -> str:
    """What a program writes when its stdout is a terminal."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen([*COMMAND, *args], env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        written = bytearray()
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
        except OSError:  # Linux says so when the last writer is gone
            pass
        finally:
            os.close(ours)
    assert process.returncode == 0
    return written.decode()


@pytest.mark.server
@pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"])
def test_in_a_pipe_it_is_plain_text(server: Server, driver: str):
    result = run("demo", *SHORT, "--dsn", server.dsn(), "--driver", driver)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert result.stdout.isascii()
    assert f"over {driver} " in result.stdout
    first, second, third = re.findall(r"connection \d is number (\d+)", result.stdout)
    assert first == third != second
    assert "AcquireTimeoutError after queue_timeout" in result.stdout
    assert re.search(r"^ +1\.\d s( +\d+)", result.stdout, re.MULTILINE)
    for mark in MARKS:
        assert re.search(rf"{mark} +0\b", result.stdout)
    assert re.search(r"requests answered +[1-9]", result.stdout)


@pytest.mark.server
def test_the_error_names_the_line_that_holds_the_connection(server: Server):
    result = run("demo", *SHORT, "--dsn", server.dsn(), COLUMNS="300")
    assert re.search(r"acquired at \S*walkthrough\.py:\d+", result.stdout)


@pytest.mark.server
def test_in_a_terminal_it_is_a_live_table(server: Server):
    output = in_a_terminal("demo", *SHORT, "--dsn", server.dsn())
    assert output.count("30 tasks over 10 connections") > 3  # drawn again and again
    assert "\x1b[" in output
    assert "█" in output


@pytest.mark.server
def test_it_starts_a_server_itself():
    result = run("demo", *SHORT, "--connections", "3")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"throwaway server: (MariaDB|MySQL) \d+", result.stdout)
    assert "max_size 3" in result.stdout


def test_a_server_that_is_not_there_is_said_in_one_line():
    result = run("demo", "--dsn", "mysql://app:secret@127.0.0.1:1/test")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stderr + result.stdout


def test_a_wrong_dsn_is_said_in_one_line():
    result = run("demo", "--dsn", "mysql://app@host/test?max_sizes=3")
    assert result.returncode == 1
    assert "did you mean 'max_size'?" in result.stderr


def test_without_typer_and_rich_it_says_what_to_install():
    code = "import sys; sys.modules['rich.console'] = None; from async_mysqlpool.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert result.stderr == "async-mysqlpool needs rich: pip install 'async-mysqlpool[cli]'\n"


def test_the_console_script_knows_its_version():
    script = Path(sys.executable).with_name("async-mysqlpool")
    result = subprocess.run([script, "version"], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.strip() == f"{__version__} ({'compiled' if compiled else 'pure Python'})"
