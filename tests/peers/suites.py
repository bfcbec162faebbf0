"""The tests of others that run on our pools: where they come from, how they are started, why they may differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from async_mysqlpool.testing import Server

__all__ = ["SUITES", "Suite"]

_PYTEST = ("pytest>=8.3,<10", "pytest-asyncio>=1.4", "cryptography>=42")
_OLD_PYMYSQL = "PyMySQL<1.2.1"  # aiomysql cannot escape bytes with later ones


@dataclass(frozen=True)
class Suite:
    """Tests in a source distribution on PyPI.

    Attributes:
        name: of the project there.
        versions: which of them; the newest that fits is taken.
        driver: the driver that the suite is run with.
        tests: files or folders in the source distribution.
        needs: what to install besides the project.
        options: for pytest; {host}, {port}, {user}, {password}, {url} are those of the server.
        original: more of them for the run on the original's pools.
        ours: the same for the run on ours.
        environment: the same for environment variables.
        servers: which ones it is run on.
        reasons: part of a test's name -> why it may fail on ours and pass on the original.
    """

    name: str
    versions: str
    driver: str
    tests: tuple[str, ...]
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    original: tuple[str, ...] = ()
    ours: tuple[str, ...] = ("-p", "ours")
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    servers: tuple[str, ...] = ("mariadb", "mysql")
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])

    def placed(self, text: str, server: Server) -> str:
        """A text with the server's address in it."""
        url = f"{server.user}:{server.password}@{server.host}:{server.port}"
        return text.format(host=server.host, port=server.port, url=url)


def _sqlalchemy(versions: str, driver: str) -> Suite:
    return Suite(
        "SQLAlchemy",
        versions,
        driver,
        ("test/dialect/test_suite.py",),
        ("greenlet", "pytest<9", "cryptography>=42", driver, _OLD_PYMYSQL),
        original=("--dburi", f"mysql+{driver}://{{url}}/test?charset=utf8mb4"),
        ours=("-p", "pooled_dialect", "--dburi", f"mysql+peer_{driver}://{{url}}/test?charset=utf8mb4"),
    )


def _tortoise(driver: str) -> Suite:
    return Suite(
        "tortoise-orm",
        ">=1",
        driver,
        ("tests",),
        (*_PYTEST, driver, _OLD_PYMYSQL, "pydantic", "pytz", "pyyaml", "asyncpg", "psycopg[binary,pool]"),
        (
            "-p",
            "tortoise_fixtures",
            "--continue-on-collection-errors",
            "--ignore=tests/benchmarks",
            "--ignore=tests/cli",
            "--ignore=tests/migrations",
            "--ignore=tests/contrib",
            "--ignore=tests/schema",
        ),
        environment={"TORTOISE_TEST_DB": "mysql://{url}/test_{{}}"},
        servers=("mysql",),  # MariaDB refuses the tables of its tests (1067), on any pool
    )


def _databases(driver: str) -> Suite:
    return Suite(
        "databases",
        ">=0.9",
        driver,
        ("tests/test_databases.py", "tests/test_integration.py"),
        (*_PYTEST, "sqlalchemy>=2.0.7,<2.1", driver, _OLD_PYMYSQL, "starlette", "httpx", "requests"),
        environment={"TEST_DATABASE_URLS": f"mysql+{driver}://{{url}}/testsuite"},
        reasons={
            "test_iterate_outside_transaction_with_temp_table": "a temporary table goes when its connection goes back",
        },
    )


_LOOKS_INSIDE = "looks at the original's private `_free`, `_used` or `_loop`"
_OF_ITS_OWN = "`isinstance(conn, aiomysql.Connection)`: ours is a class of its own"
_GIVES_BACK = "closing a borrowed connection gives it back, and a released one says so"

SUITES = (
    *(_sqlalchemy(versions, driver) for versions in (">=2.0,<2.1", ">=2.1,<2.2") for driver in ("asyncmy", "aiomysql")),
    _tortoise("asyncmy"),
    _tortoise("aiomysql"),
    _databases("asyncmy"),
    _databases("aiomysql"),
    Suite(
        "aiomysql",
        ">=0.3",
        "aiomysql",
        ("tests/test_pool.py",),
        ("pytest<9", "uvloop", "cryptography>=42", _OLD_PYMYSQL),
        ("--mysql-address={host}:{port}",),
        environment={"MYSQL_ROOT_PASSWORD": "peers", "MYSQL_USER": "root", "MYSQL_PASSWORD": "peers"},
        servers=("mysql",),
        reasons={
            "test_acquire": _OF_ITS_OWN,
            "test_context_manager": _OF_ITS_OWN,
            "test_release[": _LOOKS_INSIDE,
            "test_pool_drops_connection_with_exception": _LOOKS_INSIDE,
            "test_release_closed": _GIVES_BACK,
            "test_release_with_invalid_status": "an open transaction is rolled back and the connection kept",
            "test_parallel_tasks": "the connection used last is lent first; a released one says so",
            "test_bad_context_manager_usage": "Python's own TypeError instead of a RuntimeError",
        },
    ),
)
