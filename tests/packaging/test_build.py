"""What a build makes, by what was asked for and what the machine has. The compiled wheel itself: `nox -s compiled`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from async_mysqlpool._compiled import MODULES

pytest.importorskip("Cython", reason="builds are tested in nox's session `compiled`, which has Cython")

ROOT = Path(__file__).parents[2]
NO_COMPILER = {"CC": "false"}
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A clone: what is built in it, or left behind by a build, is nobody's."""
    copy = tmp_path / "source"
    shutil.copytree(ROOT / "async_mysqlpool", copy / "async_mysqlpool", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


def build(source: Path, what: str = "build_wheel", **env: str) -> subprocess.CompletedProcess[str]:
    """The build backend's hook, as pip calls it; the last line that it prints is the name of the file."""
    return subprocess.run(
        [sys.executable, "-c", BUILD, what, str(source)],
        cwd=source,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def without_cython(source: Path) -> dict[str, str]:
    (source / "hidden" / "Cython").mkdir(parents=True)
    (source / "hidden" / "Cython" / "__init__.py").write_text("raise ImportError('there is no Cython')")
    return {"PYTHONPATH": str(source / "hidden")}


MACHINES = {
    "without a compiler": lambda source: NO_COMPILER,
    "without Cython": without_cython,
    "with both": lambda source: {},
}


@pytest.mark.parametrize(
    ("asked", "machine", "what"),
    [
        ("auto", "without a compiler", "build_wheel"),
        ("auto", "without Cython", "build_wheel"),
        ("", "without a compiler", "build_wheel"),
        ("pure", "with both", "build_wheel"),
        ("auto", "with both", "build_editable"),
    ],
)
def test_the_wheel_is_pure_python(source, asked, machine, what):
    done = build(source, what, ASYNC_MYSQLPOOL_BUILD=asked, **MACHINES[machine](source))
    assert done.returncode == 0, done.stderr
    wheel = source / done.stdout.splitlines()[-1]
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in [*names, *map(str, source.rglob("*"))] if name.endswith((".so", ".pyd", ".c"))]
    if what == "build_wheel":
        assert wheel.name.endswith("-py3-none-any.whl")
        assert {f"async_mysqlpool/{file}" for file in MODULES.values()} <= set(names)
        assert "async_mysqlpool/py.typed" in names
        assert "async_mysqlpool/observability/page/page.html" in names
        assert {name.partition("/")[0].partition("-")[0] for name in names} == {"async_mysqlpool"}


@pytest.mark.parametrize("machine", ["without a compiler", "without Cython"])
def test_who_requires_the_compiled_form_is_told_that_it_cannot_be_had(source, machine):
    done = build(source, ASYNC_MYSQLPOOL_BUILD="compiled", **MACHINES[machine](source))
    assert done.returncode != 0
    assert not list(source.glob("*.whl"))


def test_another_word_is_refused(source):
    done = build(source, ASYNC_MYSQLPOOL_BUILD="yes")
    assert done.returncode != 0
    assert "ASYNC_MYSQLPOOL_BUILD must be auto, pure or compiled, not 'yes'" in done.stderr


def test_the_sdist_has_what_a_build_needs(source):
    done = build(source, "build_sdist")
    assert done.returncode == 0, done.stderr
    with tarfile.open(source / done.stdout.splitlines()[-1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    there = {path.relative_to(source).as_posix() for path in (source / "async_mysqlpool").rglob("*.py")}
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md", "async_mysqlpool/py.typed", *there} <= names


def test_the_sdist_has_what_its_tests_need(source):
    folders = ("tests", "docs", "examples", "benchmarks", ".ci")
    for name in folders:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    for name in ("MANIFEST.in", "CHANGELOG.md", "CONTRIBUTING.md", "noxfile.py"):
        shutil.copy(ROOT / name, source)
    done = build(source, "build_sdist", ASYNC_MYSQLPOOL_BUILD="pure")
    assert done.returncode == 0, done.stderr
    with tarfile.open(source / done.stdout.splitlines()[-1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    there = {path.relative_to(source).as_posix() for name in folders for path in (source / name).rglob("*.*")}
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "noxfile.py", ".ci/run", *there} <= names


def test_links_of_the_description_are_whole_where_the_project_has_an_address(source):
    settings = source / "pyproject.toml"
    address = "https://git.example/pool"
    settings.write_text(settings.read_text().replace('# [project.urls]\n# Source = "https://..."',
                                                     f'[project.urls]\nSource = "{address}"'))  # fmt: skip
    done = build(source, ASYNC_MYSQLPOOL_BUILD="pure")
    assert done.returncode == 0, done.stderr
    wheel = zipfile.ZipFile(source / done.stdout.splitlines()[-1])
    (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    links = re.findall(r"\]\(([^)]+)\)", metadata)
    assert f"{address}/blob/main/docs/frameworks.md" in links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
