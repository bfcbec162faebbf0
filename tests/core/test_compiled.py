"""One text in two forms: which files are compiled as well, which one is loaded, and how little it shows."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import traceback
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import async_mysqlpool
from async_mysqlpool import ConfigurationError, compiled
from async_mysqlpool._compiled import MODULES
from async_mysqlpool.capacity.acquire import check_timeout

ROOT = Path(async_mysqlpool.__file__).parent
TEXT = Path(__file__).parents[2] / "async_mysqlpool"  # as it lies here: what is installed has no types for the compiler
BUILT = all((ROOT / file).with_suffix(EXTENSION_SUFFIXES[0]).exists() for file in MODULES.values())


def declarations(path):
    """Class -> the attributes that a .pxd file declares for it."""
    found, attributes = {}, set()
    for line in path.read_text().splitlines():
        if head := re.match(r"cdef class (\w+)", line):
            attributes = found.setdefault(head[1], set())
        elif (field := re.match(r"    cdef (?:public )?\w+ ([\w, ]+)$", line)) and "(" not in line:
            attributes |= set(field[1].split(", "))
    return found


def slots_of(path, name):
    """The slots of a class, or what its `__init__` sets where it has none."""
    tree = ast.parse(path.read_text())
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name).body
    for node in body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__slots__":
            return set(ast.literal_eval(node.value))
    return None


def test_the_list_names_the_files_that_have_types_for_the_compiler():
    typed = {path.relative_to(TEXT).with_suffix(".py").as_posix() for path in TEXT.rglob("*.pxd")}
    assert set(MODULES.values()) == typed


@pytest.mark.parametrize("file", MODULES.values())
def test_what_a_class_declares_for_the_compiler_are_its_slots(file):
    path = TEXT / file
    for name, declared in declarations(path.with_suffix(".pxd")).items():
        if (slots := slots_of(path, name)) is not None:
            assert declared == slots, name


@pytest.mark.parametrize("name", MODULES)
def test_the_form_that_the_package_names_is_loaded(name):
    assert importlib.import_module(name).__file__.endswith(".py") is not compiled


def test_the_build_that_the_run_is_for_is_loaded():
    wanted = os.environ.get("ASYNC_MYSQLPOOL_TESTED", "")
    if not wanted:
        pytest.skip("ASYNC_MYSQLPOOL_TESTED does not say which one that is")
    assert wanted == ("compiled" if compiled else "pure")


@pytest.mark.parametrize(("value", "expected"), [("1", False), ("0", BUILT), ("", BUILT)])
def test_an_environment_variable_has_the_text_loaded(value, expected):
    code = "import async_mysqlpool as p, importlib as i; print(p.compiled, *(i.import_module(n).__file__ for n in {}))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code.format(["async_mysqlpool", *MODULES])],
        env={**os.environ, "ASYNC_MYSQLPOOL_PURE": value, "PYTHONPATH": str(ROOT.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    said, package, *files = done.stdout.split()
    assert said == str(expected)
    assert Path(package).parent == ROOT
    assert {file.endswith(".py") for file in files} == {not expected}


def test_a_traceback_shows_file_and_line_in_either_form():
    with pytest.raises(ConfigurationError) as caught:
        check_timeout("soon")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename.endswith("capacity/acquire.py".replace("/", os.sep))
    lines = (ROOT / "capacity" / "acquire.py").read_text().splitlines()
    assert "raise ConfigurationError" in lines[last.lineno - 1]
    assert last.line == lines[last.lineno - 1].strip()
