"""SQLAlchemy's dialect suite on engines over our pool: nothing may fail there that passes on SQLAlchemy's own engines.

python tests/peers/sqlalchemy_suite.py [server ...]; needs pip, for the source of the SQLAlchemy that is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import pymysql

from async_mysqlpool.testing import Server, start_server

DRIVERS = ("asyncmy", "aiomysql")
HERE = Path(__file__).parent
SUITE = "test/dialect/test_suite.py"


def source(folder: Path) -> Path:
    """SQLAlchemy's own tests, which no wheel has."""
    wanted = f"sqlalchemy=={version('sqlalchemy')}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", folder, wanted]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def prepare(server: Server) -> None:
    """The schemas that the suite wants, empty."""
    connection = pymysql.connect(host=server.host, port=server.port, user=server.user, password=server.password)
    with connection, connection.cursor() as cursor:
        for name in ("test", "test_schema", "test_schema_2"):
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")


def failures(tests: Path, server: Server, driver: str) -> set[str]:
    """Which tests fail, without what differs between two runs in their names."""
    prepare(server)
    url = f"mysql+{driver}://{server.user}:{server.password}@{server.host}:{server.port}/test?charset=utf8mb4"
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "pooled_dialect", "--dburi", url, SUITE]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    done = subprocess.run(command, cwd=tests, env=environment, capture_output=True, text=True, check=False)
    summary = done.stdout.strip().splitlines()[-1:]
    print(f"{server.flavor} {driver}: {' '.join(summary)}", flush=True)
    if " passed" not in "".join(summary):
        raise SystemExit(done.stdout[-5000:] + done.stderr[-2000:])
    found = re.findall(r"^(?:FAILED|ERROR) .*?::(.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return {re.sub(r"Test_\w+\+\w+?_async[\d_]*", "Test", name) for name in found}


def main() -> int:
    """0 if our engines pass whatever SQLAlchemy's pass."""
    worse = 0
    with tempfile.TemporaryDirectory() as folder:
        tests = source(Path(folder))
        for flavor in sys.argv[1:] or ("mariadb", "mysql"):
            with start_server(flavor) as server:
                for driver in DRIVERS:
                    ours = failures(tests, server, f"peer_{driver}")
                    only_ours = ours - failures(tests, server, driver) if ours else ours
                    worse += len(only_ours)
                    for name in sorted(only_ours):
                        print(f"    fails only on ours: {name}")
    return min(worse, 1)


if __name__ == "__main__":
    sys.exit(main())
