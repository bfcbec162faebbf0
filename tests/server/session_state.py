"""Everything about a session that a borrower could notice, and ways to disturb it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from kit import Admin

    from async_mysqlpool.testing.greeting import Flavor

Execute: TypeAlias = "Callable[[str], Awaitable[Sequence[Any]]]"

# Variables that say which connection this is, or what time it is.
PER_CONNECTION = {
    "pseudo_thread_id",  # asked for by itself
    "timestamp",  # asked for as YEAR(NOW())
    "rand_seed1",  # random by nature
    "rand_seed2",
    "statement_id",  # counts the statements of the server
}

# Statements whose answer, or error number, must be that of a new connection.
PROBES = (
    "SELECT DATABASE()",
    "SELECT CURRENT_ROLE()",
    "SELECT @dirty",
    "SELECT LAST_INSERT_ID(), FOUND_ROWS()",
    "SELECT YEAR(NOW()) > 2000",
    "SELECT IS_USED_LOCK('dirty') IS NULL",
    "SELECT * FROM dirty_temp",
    "SELECT COUNT(note) FROM test.items WHERE id < 0",  # a temporary table of that name would not have the column
    "EXECUTE dirty",
    "HANDLER items READ FIRST",
    "SELECT COUNT(*) FROM test.items WHERE note = 'uncommitted'",
    "SELECT COUNT(*) FROM probe",
    "START TRANSACTION",  # refused inside an XA transaction
    "SELECT value FROM test.probe WHERE id = 1",  # READ UNCOMMITTED would show another session's change
    "UPDATE test.probe SET value = 11 WHERE id = 2",  # refused in a READ ONLY transaction
    "ROLLBACK",
    "SELECT 'back\\slash', \"quoted\", HEX('é')",
)


async def state(execute: Execute, error_number: Callable[[BaseException], int | None], own_id: int) -> dict[str, Any]:
    """The whole state of session `own_id`, seen through `execute`."""

    async def ask(sql: str) -> Any:
        try:
            return list(await execute(sql))
        except Exception as error:
            return error_number(error) or repr(error)

    found = {"SHOW WARNINGS": await ask("SHOW WARNINGS")}
    found["id is its own"] = await ask(f"SELECT @@pseudo_thread_id = {own_id}, CONNECTION_ID() = {own_id}")
    variables = await ask("SHOW SESSION VARIABLES")
    if isinstance(variables, list):
        found |= {f"@@{name}": value for name, value in variables if name not in PER_CONNECTION}
    return found | {sql: await ask(sql) for sql in PROBES}


def seen_from_outside(admin: Admin) -> dict[str, Any]:
    """What another session may do: nothing must be locked. Blocks the event loop, so the reset must be over."""
    return {
        "named lock is free": admin.value("SELECT IS_FREE_LOCK('dirty')"),
        "DDL": admin.error("ALTER TABLE test.items COMMENT = ''"),
        "writing": admin.error("UPDATE test.items SET note = note"),
        "global lock": admin.error("CREATE DATABASE IF NOT EXISTS another"),
    }


FREE = {"named lock is free": 1, "DDL": None, "writing": None, "global lock": None}


def difference(new: dict[str, Any], reused: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs: (new, reused) by name."""
    names = new.keys() | reused.keys()
    return {name: (new.get(name), reused.get(name)) for name in names if new.get(name) != reused.get(name)}


_INSERT = "INSERT INTO test.items (note) VALUES ('uncommitted')"
_DIRT: dict[str, tuple[str, ...]] = {
    "user variable": ("SET @dirty = 'left behind'",),
    "user variable assigned in SELECT": ("SELECT @dirty := 7",),
    "SELECT INTO user variable": ("SELECT 7 INTO @dirty",),
    "time_zone": ("SET time_zone = '+05:00'",),
    "sql_mode": ("SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'",),
    "assorted variables": (
        "SET foreign_key_checks = 0, unique_checks = 0, sql_safe_updates = 1, sql_select_limit = 3, wait_timeout = 100",
        "SET group_concat_max_len = 10, lc_time_names = 'de_DE', insert_id = 900, innodb_lock_wait_timeout = 3",
        "SET max_join_size = 5000, net_read_timeout = 7, default_storage_engine = MyISAM",
    ),
    "timestamp": ("SET timestamp = 1000",),
    "pseudo_thread_id": ("SET pseudo_thread_id = 1",),
    "USE": ("USE other",),
    "USE of a name with no ASCII": ("CREATE DATABASE IF NOT EXISTS `schöner`", "USE `schöner`"),
    "autocommit off": ("SET autocommit = 0",),
    "autocommit off, rows read and written": ("SET autocommit = 0", "SELECT * FROM probe", _INSERT),
    "session isolation": ("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",),
    "isolation of the next transaction": ("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",),
    "read only next transaction": ("SET TRANSACTION READ ONLY",),
    "read only session": ("SET SESSION TRANSACTION READ ONLY",),
    "temporary table": ("CREATE TEMPORARY TABLE dirty_temp (a INT)",),
    "temporary table over another": ("CREATE TEMPORARY TABLE test.items (a INT)",),
    "named lock": ("SELECT GET_LOCK('dirty', 0)",),
    "LOCK TABLES": ("LOCK TABLES test.items WRITE",),
    "FLUSH TABLES WITH READ LOCK": ("FLUSH TABLES WITH READ LOCK",),
    "FLUSH one table WITH READ LOCK": ("FLUSH TABLES test.items WITH READ LOCK",),
    "prepared statement": ("PREPARE dirty FROM 'SELECT 1'",),
    "HANDLER": ("HANDLER items OPEN", "HANDLER items READ FIRST"),
    "transaction": ("START TRANSACTION", _INSERT),
    "transaction that only read": ("START TRANSACTION", "SELECT * FROM items"),
    "FOR UPDATE": ("BEGIN", "SELECT * FROM items FOR UPDATE"),
    "XA transaction, active": ("XA START 'dirty'", _INSERT),
    "XA transaction, idle": ("XA START 'dirty too'", _INSERT, "XA END 'dirty too'"),
    "SET ROLE": ("SET ROLE auditor",),
    "LAST_INSERT_ID": ("SELECT LAST_INSERT_ID(77)",),
    "FOUND_ROWS": ("SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 UNION SELECT 3 LIMIT 1",),
    "warnings": ("SELECT 1/0, CAST('x' AS SIGNED)",),
    "SET NAMES": ("SET NAMES latin1",),
    "SET NAMES with a collation": ("SET NAMES utf8mb4 COLLATE utf8mb4_bin",),
    "SET CHARACTER SET": ("SET CHARACTER SET latin1",),
    "results in another character set": ("SET character_set_results = NULL",),
}
_BACKUP_LOCK: dict[str, tuple[str, ...]] = {
    "mysql": ("LOCK INSTANCE FOR BACKUP",),
    "mariadb": ("BACKUP STAGE START", "BACKUP STAGE BLOCK_DDL"),
}


def dirt(flavor: Flavor) -> dict[str, tuple[str, ...]]:
    """Ways to disturb a session, each by name, as SQL."""
    more = {"backup lock": _BACKUP_LOCK[flavor]}
    if flavor == "mariadb":
        more["BACKUP LOCK of a table"] = ("BACKUP LOCK test.items",)
    return _DIRT | more
