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
MAP_LINES = re.findall(r"^( {4}| {8})([\w.]+(?:\.py|/)) ", async_mysqlpool.__doc__ or "", re.MULTILINE)
ROOMS = ("connection/", "lease/", "capacity/")  # those whose files the map lists
SOURCES = sorted(ROOT.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 450, 45


def the_map() -> list[str]:
    """``errors.py``, ``wire/``, ``connection/baseline.py``, ... in the order of the map."""
    found, room = [], ""
    for indent, name in MAP_LINES:
        room = room if len(indent) == 8 else name
        found.append(room + name if len(indent) == 8 else name)
    return found


MAP = the_map()
CORE = [ROOT / name for name in MAP if name.endswith(".py")]
EXTRAS = MAP[MAP.index("pool.py") + 1 :]


def place(module: str) -> str:
    """`async_mysqlpool.drivers.base` -> ``drivers/``; `async_mysqlpool.lease.held` -> ``lease/held.py``."""
    parts = module.split(".")[1:]
    if not (ROOT / parts[0]).is_dir():
        return f"{parts[0]}.py"
    room = f"{parts[0]}/"
    return f"{room}{parts[1]}.py" if room in ROOMS and len(parts) > 1 else room


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
    there = {path.name for path in ROOT.glob("*.py")}
    there |= {f"{room}{path.name}" for room in ROOMS for path in (ROOT / room).glob("*.py")}
    assert {name for name in MAP if name.endswith(".py")} == {name for name in there if not name.endswith("__.py")}
    assert {name for name in MAP if name.endswith("/")} == {
        f"{folder.name}/" for folder in ROOT.iterdir() if (folder / "__init__.py").exists()
    }


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_a_file_of_the_core_imports_only_from_those_before_it_in_the_map(path):
    own = MAP.index(str(path.relative_to(ROOT)))
    for module, _ in imports(path):
        if module.startswith("async_mysqlpool."):
            assert MAP.index(place(module)) < own, f"{path.name} imports {module}, which comes after it"


@pytest.mark.parametrize("room", ["wire", "drivers"])
def test_a_room_imports_only_itself_and_what_is_before_it(room):
    own = MAP.index(f"{room}/")
    for path in (ROOT / room).glob("*.py"):
        for module, _ in imports(path):
            if module.startswith("async_mysqlpool."):
                assert MAP.index(place(module)) <= own, f"{path.name} imports {module}, which comes after it"


@pytest.mark.parametrize("room", ["wire", "drivers", "connection", "lease", "capacity"])
def test_no_two_files_of_a_room_import_each_other(room):
    arrows = {
        path.stem: {name.split(".")[2] for name, _ in imports(path) if name.startswith(f"async_mysqlpool.{room}.")}
        for path in (ROOT / room).glob("*.py")
        if path.stem != "__init__"
    }
    while leaves := {name for name, targets in arrows.items() if not targets & arrows.keys()}:
        arrows = {name: targets for name, targets in arrows.items() if name not in leaves}
    assert arrows == {}, "these import each other in a circle"


@pytest.mark.parametrize("path", [*CORE, ROOT / "drivers" / "__init__.py", ROOT / "drivers" / "base.py"], ids=str)
def test_the_core_imports_nothing_but_the_standard_library(path):
    for module, late in imports(path):
        top = module.partition(".")[0]
        assert top == "async_mysqlpool" or top in sys.stdlib_module_names or late, module


@pytest.mark.parametrize("path", [*CORE, *(ROOT / "drivers").glob("*.py")], ids=lambda path: path.name)
def test_the_core_does_not_know_its_extras(path):
    for module, _ in imports(path):
        if module.startswith("async_mysqlpool."):
            assert place(module) not in EXTRAS, module


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
