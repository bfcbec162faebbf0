"""What the documents say is so."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from async_mysqlpool import errors

if TYPE_CHECKING:
    from conftest import Programs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def table_after(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading of the README, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


@pytest.mark.server
def test_the_first_block_works_as_pasted(programs: Programs):
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block
    output = programs.run("-c", block[1])
    assert re.match(r"\(\d+, 'hello'\)\n\d+\.\d+", output)


def test_every_error_is_in_the_table_and_has_a_section():
    names = set(errors.__all__) - {"PoolError"}
    assert {row[0].strip("`") for row in table_after("Errors")} == names
    failures = (ROOT / "docs/failures.md").read_text(encoding="utf-8")
    assert names <= set(re.findall(r"^## (\w+)$", failures, re.MULTILINE))


def test_ci_runs_the_readmes_command():
    command = "pip install nox && nox -s tests"
    assert command in README
    assert command in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_functions_are_where_they_are_said_to_be(document: Path):
    for file, names in re.findall(r"`([\w/]+)\.py: ([\w.]+)`", document.read_text(encoding="utf-8")):
        module = importlib.import_module(f"async_mysqlpool.{file.replace('/', '.')}")
        assert callable(reduce(getattr, names.split("."), module))
