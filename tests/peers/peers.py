"""Tests that others have written, on their own pools and on ours; a table, in which each difference has a reason.

python tests/peers/peers.py [--only NAME] [--server NAME] [--table FILE]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import pymysql
from suites import SUITES, Suite

from async_mysqlpool.testing import Server, start_server

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SCHEMAS = ("test", "test_schema", "test_schema_2", "testsuite", "test_pymysql")
MOST_SHOWN = 8  # names of tests


class Outcome(NamedTuple):
    """What became of the tests of one run: their names, without what differs between two runs."""

    passed: Counter[str]
    failed: set[str]
    skipped: int

    def __str__(self) -> str:
        return f"{self.passed.total()} / {len(self.failed)}"


def installed(suite: Suite, folder: Path) -> tuple[Path, Path, str]:
    """A Python that has the project, its source, its version."""
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=True)
    pip = [python, "-m", "pip", "-q", "--disable-pip-version-check"]
    wanted = f"{suite.name}{suite.versions}"
    subprocess.run([*pip, "install", "-e", HERE.parents[1], wanted, *suite.needs], check=True)
    ask = f"from importlib.metadata import version; print(version({suite.name!r}))"
    version = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    exact = f"{suite.name}=={version}"
    subprocess.run(
        [*pip, "download", "--no-deps", "--no-binary", suite.name, "-d", folder / "sdist", exact], check=True
    )
    (archive,) = (folder / "sdist").glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    return python, source, version


def prepare(server: Server) -> None:
    """The schemas and the account that the suites want, empty."""
    connection = pymysql.connect(host=server.host, port=server.port, user=server.user, password=server.password)
    with connection, connection.cursor() as cursor:
        for name in SCHEMAS:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute("CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY 'peers'")
        cursor.execute("GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION")
        cursor.execute("SET GLOBAL max_connections = 500")


def run(suite: Suite, python: Path, source: Path, server: Server, ours: bool) -> Outcome:
    """Once through the suite."""
    prepare(server)
    report = source / "report.xml"
    report.unlink(missing_ok=True)
    options = [suite.placed(option, server) for option in (*suite.options, *(suite.ours if ours else suite.original))]
    command = [python, "-m", "pytest", "-q", "--tb=short", f"--junitxml={report}", *options, *suite.tests]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), str(source)]),
        **{name: suite.placed(value, server) for name, value in suite.environment.items()},
    }
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    (source / f"{'ours' if ours else 'original'}-{server.flavor}.log").write_text(done.stdout + done.stderr)
    if not report.exists():
        raise SystemExit(done.stdout[-5000:] + done.stderr[-2000:])
    return read(report)


def read(report: Path) -> Outcome:
    """From what pytest has written."""
    passed, failed, skipped = Counter[str](), set[str](), 0
    for case in ET.parse(report).iter("testcase"):
        group = case.get("classname", "").rsplit(".", 1)[-1].partition("_mysql+")[0]
        name = f"{group}::{re.sub(r'[^[-]*://[^]-]*', 'url', case.get('name', ''))}"
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed.add(name)
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed[name] += 1
    for name in failed:  # a test whose fixture failed afterwards is told twice
        passed.pop(name, None)
    return Outcome(passed, failed, skipped)


def reasons(suite: Suite, original: Outcome, ours: Outcome) -> tuple[list[str], int]:
    """Why ours fail where the original passes, and for how many tests there is no reason."""
    found: Counter[str] = Counter()
    unexplained = []
    for name in sorted(ours.failed - original.failed):
        reason = next((text for part, text in suite.reasons.items() if part in name), None)
        if reason is None:
            unexplained.append(name)
        else:
            found[reason] += 1
    lines = [f"{reason} ({times})" for reason, times in found.items()]
    if better := len(original.failed - ours.failed):
        lines.append(f"{better} fail on the original only")
    if unexplained:
        lines.append(f"NO REASON: {', '.join(unexplained[:MOST_SHOWN])} ({len(unexplained)})")
    return lines, len(unexplained)


@contextmanager
def table(file: str | None) -> Iterator[list[str]]:
    """Rows, printed at the end whatever happens."""
    rows = [
        "| suite | version | driver | server | original: passed / failed | ours: passed / failed | why they differ |",
        "|---|---|---|---|---|---|---|",
    ]
    try:
        yield rows
    finally:
        print("\n".join(rows), flush=True)
        if file:
            Path(file).write_text("\n".join(rows) + "\n")


def main() -> int:
    """0 if every difference has a reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="suites of this name")
    parser.add_argument("--driver", help="with this driver")
    parser.add_argument("--server", help="on this server")
    parser.add_argument("--table", help="a file for the table")
    chosen = parser.parse_args()
    worse = 0
    with table(chosen.table) as rows:
        for suite in SUITES:
            if (chosen.only or suite.name) != suite.name or (chosen.driver or suite.driver) != suite.driver:
                continue
            with tempfile.TemporaryDirectory() as folder:
                python, source, version = installed(suite, Path(folder))
                for flavor in suite.servers:
                    if (chosen.server or flavor) != flavor:
                        continue
                    with start_server(flavor, options={"local_infile": 1}) as server:
                        original = run(suite, python, source, server, ours=False)
                        ours = run(suite, python, source, server, ours=True)
                    why, missing = reasons(suite, original, ours)
                    worse += missing
                    cells = (suite.name, version, suite.driver, flavor, str(original), str(ours), "; ".join(why))
                    rows.append(f"| {' | '.join(cells)} |")
                    print(rows[-1], flush=True)
    return min(worse, 1)


if __name__ == "__main__":
    sys.exit(main())
