"""Each migration page shows its program before and after; the one after is the example that the tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    "aiomysql": "aiomysql_create_pool",
    "asyncmy": "asyncmy_create_pool",
    "dbutils": "dbutils_tasks",
    "mysql_connector": "mysql_connector_tasks",
    "mysqlclient_pool": "mysqlclient_fastapi",
    "mysqlx": "mysqlx_walkthrough",
}


def sections(page):
    text = (ROOT / "docs" / "migration" / f"{page}.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_same_four_parts(page):
    assert list(sections(page)) == ["Before", "After", "What gets better", "What differs"]


@pytest.mark.parametrize(("page", "example"), PAGES.items())
def test_the_program_after_is_the_example(page, example):
    source = (ROOT / "examples" / "compat" / f"{example}.py").read_text(encoding="utf-8")
    after = sections(page)["After"]
    assert f"examples/compat/{example}.py" in after
    blocks = re.findall(r"```python\n(.*?)```", after, re.DOTALL)
    assert blocks
    for block in blocks:
        for part in block.split("...\n"):
            assert part.strip() in source


@pytest.mark.parametrize("page", PAGES)
def test_every_module_has_a_page(page):
    assert (ROOT / "async_mysqlpool" / "compat" / f"{page}.py").is_file()
