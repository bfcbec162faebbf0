"""Type checkers refuse the wrong programs: exactly the lines that are marked."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "wrong" / "programs.py"
WRONG = {number for number, line in enumerate(PROGRAMS.read_text().splitlines(), 1) if line.endswith("# wrong")}


def run(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT
    ).stdout


def mypy() -> set[int]:
    found = run("mypy", "--no-incremental", "--follow-imports=silent", str(PROGRAMS))
    return {int(line) for line in re.findall(r"programs\.py:(\d+): error", found)}


def pyright(folder: Path) -> set[int]:
    shutil.copy(PROGRAMS, folder)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    found = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)))
    return {item["range"]["start"]["line"] + 1 for item in found["generalDiagnostics"] if item["severity"] == "error"}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_marked_lines_are_errors_and_no_others(checker: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"needs {checker}: `nox -s typing` has it")
    assert (mypy() if checker == "mypy" else pyright(tmp_path)) == WRONG
