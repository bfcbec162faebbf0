"""The servers that were downloaded: how big they are, and away with them. And what else a command line should know."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from async_mysqlpool import __version__
from async_mysqlpool.testing.cache import build_once, contents
from async_mysqlpool.testing.progress import tell, told_to

if TYPE_CHECKING:
    from pathlib import Path

NO_DRIVER = """
import sys
class Nowhere:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {"asyncmy", "aiomysql", "mysql"}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Nowhere())
from async_mysqlpool.cli import main
main()
"""


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *args]
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build_once("packages/mariadb", lambda empty: (empty / "mariadbd").write_bytes(b"x" * 3_000_000))
    build_once("data/mariadb-11", lambda empty: (empty / "ibdata1").write_bytes(b"x" * 1_000_000))
    return tmp_path / "async-mysqlpool"


def test_the_cache_is_shown_with_sizes_and_removed_when_asked(folder: Path):
    shown = run("-m", "async_mysqlpool", "cache").stdout
    assert "3.0 MB  packages/mariadb" in shown
    assert "1.0 MB  data/mariadb-11" in shown
    assert f"4.0 MB  in {folder}" in shown
    assert "cache --clear" in shown
    assert set(contents()) == {"packages/mariadb", "data/mariadb-11"}
    assert run("-m", "async_mysqlpool", "cache", "--clear").stdout.endswith("removed\n")
    assert contents() == {}
    assert "0.0 MB" in run("-m", "async_mysqlpool", "cache").stdout


def test_what_was_removed_is_made_again(folder: Path):
    run("-m", "async_mysqlpool", "cache", "--clear")
    again = build_once("packages/mariadb", lambda empty: (empty / "mariadbd").touch())
    assert (again / "mariadbd").exists()


def test_the_version_is_an_option_too():
    assert run("-m", "async_mysqlpool", "--version").stdout.startswith(__version__)


def test_advice_with_brackets_is_printed_as_it_is():
    done = run("-c", NO_DRIVER, "demo", "--dsn", "mysql://h/db")
    assert done.returncode == 1
    assert "pip install 'async-mysqlpool[asyncmy]'" in done.stderr


def test_a_download_is_told_to_who_listens(capfd: pytest.CaptureFixture[str]):
    heard: list[str] = []
    with told_to(heard.append):
        tell("downloading", 12_000_000, 340_000_000)
        tell("")
    tell("to nobody: stderr is no terminal here")
    assert heard == ["downloading: 12 of 340 MB"]
    assert capfd.readouterr().err == ""
