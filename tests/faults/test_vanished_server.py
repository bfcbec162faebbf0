"""A server whose machine has vanished is given up in the middle of a statement: a real network goes down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("vanished.py")
UNSHARE = ["unshare", "--map-root-user", "--net"]


def own_network():
    try:
        done = subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        return str(exc)
    return done.stderr if done.returncode else ""


@pytest.mark.server
@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_a_vanished_server_ends_a_statement(flavor):
    if reason := own_network():
        pytest.skip(f"no network of its own can be made here: {reason}")
    if "ASYNC_MYSQLPOOL_DSN" in os.environ:
        pytest.skip("the server named by ASYNC_MYSQLPOOL_DSN is in another network")
    done = subprocess.run(
        [*UNSHARE, sys.executable, PROGRAM, flavor], capture_output=True, text=True, check=False, timeout=300
    )
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines, done.stderr
    for driver, told in lines.items():
        assert told.startswith("[True, False] {'broken': 1} "), (driver, told, done.stderr)
