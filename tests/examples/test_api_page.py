"""docs/api.md is what `python docs/api.py` writes."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import api

import async_mysqlpool


def test_the_page_is_up_to_date():
    assert api.PAGE.read_text(encoding="utf-8") == api.page(), "run: python docs/api.py"


def test_every_public_name_is_on_it_with_a_sentence():
    for name in async_mysqlpool.__all__:
        assert f"`{name}`" in api.page() or f"## {name}\n" in api.page()
    assert "| |\n" not in api.page().replace("| | |\n", "")
