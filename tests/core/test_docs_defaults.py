"""The tables of options say what is so."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from async_mysqlpool import errors
from async_mysqlpool.config import PoolConfig

README = Path(__file__).parents[2] / "README.md"
OPTIONS = README.parent / "docs" / "options.md"
SHORT, ROWS = (
    re.findall(r"^\| `(\w+)` \| `(.+?)` \| (\w*) ?\|", path.read_text(), re.MULTILINE) for path in (README, OPTIONS)
)


def default(field) -> object:
    return field.default_factory() if field.default is MISSING else field.default


def test_every_option_has_its_row():
    assert sorted(name for name, _, _ in ROWS) == sorted(field.name for field in fields(PoolConfig))


def test_every_option_says_when_to_touch_it():
    lines = re.findall(r"^\| `\w+` .*$", OPTIONS.read_text(), re.MULTILINE)
    cells = [re.split(r" ?\| ?", line.strip("| ")) for line in lines]
    assert all(len(row) == 5 and len(row[3]) > 2 and len(row[4]) > 2 for row in cells)


def test_the_short_table_says_the_same():
    assert set(SHORT) <= set(ROWS)


@pytest.mark.parametrize(("name", "shown", "unit"), ROWS, ids=[row[0] for row in ROWS])
def test_the_default_and_the_unit_of_an_option_are_right(name, shown, unit):
    field = next(field for field in fields(PoolConfig) if field.name == name)
    assert ast.literal_eval(shown) == default(field)
    times = {"queue_timeout", "hold_warning", "validate_after", "keepalive", "slow_acquire", "slow_statement"}
    assert (unit == "seconds") == (name in times or name.endswith(("_time", "_timeout", "_lifetime")))


def test_every_error_has_a_row():
    rows = set(re.findall(r"^\| `(\w+Error)` \|", README.read_text(), re.MULTILINE))
    assert rows == set(errors.__all__) - {"PoolError"}
