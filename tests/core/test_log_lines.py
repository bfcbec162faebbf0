"""Every line that the pool writes into the log has its figures as fields, and stands in docs/observability.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import async_mysqlpool

ROOT = Path(async_mysqlpool.__file__).parent
DOCS = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def calls() -> list:
    """(file, line, name of the event, level) of every call that writes into the log."""
    found = []
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] in ("testing", "cli"):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found += [(path.name, *told) for told in map(_told(function), ast.walk(function)) if told]
    return sorted(set(found))


def _told(function):
    def look(node):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        if node.func.attr in LEVELS and getattr(node.func.value, "id", "") == "logger":
            level = node.func.attr
        elif node.func.attr in ("say", "_say") and len(node.args) > 1:
            level = node.args[0].attr.lower()
        else:
            return None
        named = re.search(
            r"['\"]?event['\"]?[:=] ?['\"](\w+)", ast.unparse(function if "fields" in ast.unparse(node) else node)
        )
        return node.lineno, named and named[1], level

    return look


@pytest.mark.parametrize("call", calls(), ids=lambda call: f"{call[0]}:{call[1]}")
def test_a_line_has_a_name_and_stands_in_the_docs(call):
    _, _, event, level = call
    assert event, "no event= among its fields"
    row = re.search(rf"^\| `{event}` \| (\w+) \|", DOCS, re.MULTILINE)
    assert row, f"docs/observability.md does not say what {event} means"
    assert row[1] == ("error" if level == "exception" else level)


def test_the_docs_name_no_other():
    named = set(re.findall(r"^\| `(\w+)` \| (?:debug|info|warning|error) \|", DOCS, re.MULTILINE))
    assert named == {event for _, _, event, _ in calls()}
