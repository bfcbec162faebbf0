"""The README's table of what five pools do says what is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = ("aiomysql", "asyncmy", "SQLAlchemy", "mysql.connector.aio", "async_mysqlpool")
ROW = re.compile(
    r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| `nox -s compare -- (\w+)` \|$", re.MULTILINE
)
TABLE = {name: (drivers, *others) for drivers, *others, name in ROW.findall((ROOT / "README.md").read_text())}


def test_the_table_has_six_rows():
    assert list(TABLE) == ["cancelled", "left", "exhausted", "crowd", "restart", "who"]


@pytest.mark.server
@pytest.mark.parametrize("situation", TABLE)
def test_each_cell_is_what_is_seen(situation: str):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASYNC_MYSQLPOOL_DSN")}
    done = subprocess.run(
        [sys.executable, "examples/compare.py", situation],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = dict(re.findall(r"^  (\S+) +(.+?)  ", done.stdout, re.MULTILINE))
    assert tuple(seen) == COLUMNS
    drivers, *others = TABLE[situation]
    assert list(seen.values()) == [drivers, drivers, *others], done.stdout
