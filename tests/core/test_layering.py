"""The package is built as its map says: imports go one way, the core needs nothing, files and functions stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import async_mysqlpool

ROOT = Path(async_mysqlpool.__file__).parent
MAP = re.findall(r"([\w/]+\.py|\b\w+/)(?=[ :])", async_mysqlpool.__doc__ or "")
CORE = [path for path in sorted(ROOT.glob("*.py")) if path.name != "__init__.py"]
SOURCES = sorted(ROOT.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 450, 45


def place(module: str) -> str:
    """`async_mysqlpool.drivers.base` -> ``drivers/``; `async_mysqlpool.pool` -> ``pool.py``."""
    parts = module.split(".")[1:]
    return f"{parts[0]}/" if (ROOT / parts[0]).is_dir() else f"{parts[0]}.py"


def imports(path: Path) -> list[tuple[str, bool]]:
    """Absolute names of modules that a file imports, and whether only for type checking or late, in a function."""
    tree = ast.parse(path.read_text())
    late = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, (ast.FunctionDef, ast.AsyncFunctionDef))
        or (isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test))
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in late) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            inside = [name for name in submodules if (ROOT.parent / (name.replace(".", "/") + ".py")).exists()]
            found += [(name, id(node) in late) for name in inside or [node.module]]
    return found


def test_the_map_names_every_file_of_the_core_and_nothing_that_is_not_there():
    named = {name for name in MAP if "/" not in name}
    assert named == {path.name for path in CORE}
    assert all((ROOT / name).exists() for name in MAP)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_a_file_of_the_core_imports_only_from_those_before_it_in_the_map(path):
    own = MAP.index(path.name)
    for module, late in imports(path):
        if module.startswith("async_mysqlpool.") and not late:
            assert MAP.index(place(module)) < own, f"{path.name} imports {module}, which comes after it"


@pytest.mark.parametrize("path", [*CORE, ROOT / "drivers" / "__init__.py", ROOT / "drivers" / "base.py"], ids=str)
def test_the_core_imports_nothing_but_the_standard_library(path):
    for module, late in imports(path):
        top = module.partition(".")[0]
        assert top == "async_mysqlpool" or top in sys.stdlib_module_names or late, module


@pytest.mark.parametrize("path", [*CORE, *(ROOT / "drivers").glob("*.py")], ids=lambda path: path.name)
def test_the_core_does_not_know_its_extras(path):
    extras = {f"{folder.name}/" for folder in ROOT.iterdir() if folder.is_dir()} - {"drivers/", "wire/"}
    for module, _ in imports(path):
        if module.startswith("async_mysqlpool."):
            assert place(module) not in extras, module


def test_importing_the_package_imports_no_driver_and_no_extra():
    code = (
        "import sys, async_mysqlpool; print(sorted({name.split('.')[0] for name in sys.modules}"
        " & {'asyncmy', 'aiomysql', 'pymysql', 'mysql', 'rich', 'typer', 'starlette', 'pytest', 'testcontainers'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_left_over_marks_and_no_machine_paths(path):
    marks = "TO" + "DO|FIX" + "ME|XX" + "X|/wo" + "rk/|/ro" + "ot/"
    assert not re.search(marks, path.read_text())
