"""The page says that each of its rows is shown by a test: there has to be one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "what-happens-when.md").read_text()
ROW = re.compile(r"^\|(?! when| what|---|  ?\|).*$", re.MULTILINE)
LINK = re.compile(r"\[(?P<text>[^\]]+)::(?P<test>test_\w+)\]\(\.\./(?P<file>tests/[^)]+)\)")


def functions_in(file):
    """The names of the test functions in a file."""
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if hasattr(node, "name")}


def test_every_link_leads_to_a_test():
    links = list(LINK.finditer(PAGE))
    assert len(links) > 100
    for link in links:
        assert link["file"] == f"tests/{link['text']}"
        assert link["test"] in functions_in(ROOT / link["file"]), link[0]


def test_every_row_has_one_and_all_sixty_pains_are_there():
    promised = PAGE.partition("## Out of scope")[0]
    rows = ROW.findall(promised)
    assert [row for row in rows if not LINK.search(row)] == []
    assert [int(row.split("|")[1]) for row in rows if row.split("|")[1].strip().isdigit()] == list(range(1, 61))
