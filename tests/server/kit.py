"""What the tests on real servers share: a second connection to look with, and patience."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pymysql
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from async_mysqlpool import PooledConnection
    from async_mysqlpool.testing import Server

T = TypeVar("T")

ALL_SERVERS = ["mariadb", "mysql", "mariadb-latin1", "mysql-latin1"]
BOTH_LOOPS = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
HANG = 60.0  # seconds, after which a test is cancelled
PATIENCE = 20.0  # seconds after which something that should have happened counts as a hang

_SCHEMA = (
    "CREATE DATABASE IF NOT EXISTS other",
    "CREATE TABLE IF NOT EXISTS items (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(60) CHARACTER SET utf8mb4)",
    "CREATE TABLE IF NOT EXISTS probe (id INT PRIMARY KEY, value INT)",
    "INSERT IGNORE INTO probe VALUES (1, 10)",
    "CREATE PROCEDURE IF NOT EXISTS commits() COMMIT",
    "CREATE PROCEDURE IF NOT EXISTS commits_and_selects() BEGIN COMMIT; SELECT 1; END",
    "CREATE ROLE IF NOT EXISTS auditor",
    "GRANT SELECT ON other.* TO auditor",
    "SET GLOBAL local_infile = ON",
    "SET GLOBAL max_allowed_packet = 64 * 1024 * 1024",
)


# What each driver calls the cursor that reads row by row, and the permission to send local files.
UNBUFFERED = {
    "asyncmy": ("asyncmy.cursors", "SSCursor"),
    "aiomysql": ("aiomysql", "SSCursor"),
    "mysql.connector.aio": ("mysql.connector.aio.cursor", "MySQLCursor"),
}
LOCAL_INFILE = {
    "asyncmy": {"local_infile": True},
    "aiomysql": {"local_infile": True},
    "mysql.connector.aio": {"allow_local_infile": True},
}


def unbuffered(driver: str) -> Any:
    """The driver's cursor class that reads row by row."""
    module, name = UNBUFFERED[driver]
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Account:
    """Who a test is, to the server."""

    user: str
    password: str


@contextmanager
def on_demand(start: Callable[[str], AbstractContextManager[Server]]) -> Iterator[Callable[[str], Server]]:
    """Servers by name, started when first asked for, and ours until the end; each has the schema of the tests."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def get(name: str) -> Server:
            if name not in running:
                running[name] = stack.enter_context(start(name))
                with Admin(running[name]) as admin:
                    admin.prepare_schema()
            elif name.endswith("-broken"):  # by a test that failed half-way
                running[name].thaw()
                running[name].start()
            return running[name]

        yield get


class Admin:
    """A plain synchronous connection with all privileges."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reconnect()

    def reconnect(self) -> None:
        """After the server was away."""
        self._connection = pymysql.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=self.server.password,
            database=self.server.database,
            autocommit=True,
            read_timeout=60,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, sql: str, *args: object) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, args or None)
            return list(cursor.fetchall())

    def value(self, sql: str, *args: object) -> Any:
        """Run one statement; the first column of its first row."""
        return self.rows(sql, *args)[0][0]

    def error(self, sql: str) -> int | None:
        """The number of the error that one statement ends in, such as 1205 for a lock; None if it does not."""
        self.rows("SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
        try:
            self.rows(sql)
        except pymysql.err.Error as error:
            return int(error.args[0])
        return None

    def status(self, name: str) -> int:
        """One of the server's own counters."""
        return int(self.rows("SHOW GLOBAL STATUS LIKE %s", name)[0][1])

    def connection_ids(self, user: str) -> list[int]:
        """The connections that an account has, as the server counts them."""
        return sorted(
            int(row[0]) for row in self.rows("SELECT id FROM information_schema.processlist WHERE user = %s", user)
        )

    def kill(self, connection_id: int) -> None:
        """Kill a connection; fine if it is gone."""
        try:
            self.rows(f"KILL {connection_id}")
        except pymysql.err.Error as error:
            if error.args[0] != 1094:  # ER_NO_SUCH_THREAD
                raise

    @contextmanager
    def holding_a_row(self) -> Iterator[Callable[[], object]]:
        """The row of `probe` with id 1 is locked, its value is 10; call what is given to let go before the end."""
        self.rows("UPDATE probe SET value = 10 WHERE id = 1")
        self.rows("BEGIN")
        self.rows("SELECT * FROM probe WHERE id = 1 FOR UPDATE")
        yield lambda: self.rows("ROLLBACK")
        self.rows("ROLLBACK")

    def prepare_schema(self) -> None:
        """The tables that the tests use."""
        for sql in _SCHEMA:
            self.rows(sql)

    def create(self, account: Account, grant: str = "ALL PRIVILEGES ON *.*", more: str = "") -> None:
        """Make an account."""
        self.rows(f"CREATE USER {account.user}@'%' IDENTIFIED BY '{account.password}' {more}")
        self.rows(f"GRANT {grant} TO {account.user}@'%'")
        self.rows(f"GRANT auditor TO {account.user}@'%'")

    def drop(self, account: Account) -> None:
        """Remove an account."""
        self.rows(f"DROP USER {account.user}@'%'")


async def rows(connection: PooledConnection, sql: str, args: Any = None) -> Sequence[Any]:
    """Run one statement on a borrowed connection; its rows."""
    async with connection.cursor() as cursor:
        await cursor.execute(sql, args)
        return list(await cursor.fetchall() or ()) if cursor.description else []


async def value(connection: PooledConnection, sql: str, args: Any = None) -> Any:
    """Run one statement on a borrowed connection; the first column of its first row."""
    return (await rows(connection, sql, args))[0][0]


async def eventually(look: Callable[[], T], good: Callable[[T], bool] = bool, patience: float = PATIENCE) -> T:
    """What `look` returns once it is good; the last answer when patience is at its end."""
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        answer = look()
        if good(answer) or asyncio.get_running_loop().time() > deadline:
            return answer
        await asyncio.sleep(0.02)
