"""The programs in the README and in docs/frameworks.md are clean under mypy and pyright, both strict."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

import pytest
from checkers import ROOT, mypy, pyright

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def blocks(page: str, heading: str = "") -> list[str]:
    """The Python under a heading, or before the first one."""
    text = "\n" + (ROOT / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1] if heading else text
    programs = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    return [re.sub(r"app = .*\bMAIN\b.*\n", "", program) for program in programs]  # one program, one application


PROGRAMS = {
    "first": blocks("README.md"),
    "in_fastapi": blocks("README.md", "In FastAPI"),
    "fastapi_page": blocks("docs/frameworks.md", "FastAPI"),
    "starlette_page": blocks("docs/frameworks.md", "Starlette"),
    "litestar_page": blocks("docs/frameworks.md", "Litestar"),
    "aiohttp_page": blocks("docs/frameworks.md", "aiohttp"),
    "worker_page": blocks("docs/frameworks.md", "Worker services"),
}


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_what_can_be_pasted_is_typed(checker: Callable[[Path], str], tmp_path: Path) -> None:
    if importlib.util.find_spec(checker.__name__) is None:
        pytest.skip(f"needs {checker.__name__}: `nox -s typing` has it")
    for name, texts in PROGRAMS.items():
        assert texts, name
        (tmp_path / f"{name}.py").write_text("\n\n".join(texts), encoding="utf-8")
    assert [line for line in checker(tmp_path).splitlines() if ": error: " in line] == []
