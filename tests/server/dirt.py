"""Kinds of dirt that a borrower can leave in a session, and the ways in which a statement reaches the server.

Every kind is tried in every way, on every driver and server: one more line here is one more of each. What a server
does not do in some way (USE in a procedure, say) it refuses when the way is prepared.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pymysql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit import Admin

_ROW = "INSERT INTO test.items (note) VALUES ('dirt')"


@dataclass(frozen=True)
class Kind:
    """One kind of dirt: what it is called, and the statements that make it, each of them one a borrower may send."""

    name: str
    statements: tuple[str, ...]

    def numbered(self, number: int) -> list[str]:
        """The statements, with `number` in what must have a name of its own."""
        return [sql.replace("{n}", str(number)) for sql in self.statements]

    @property
    def holds_locks(self) -> bool:
        """Whether others on the server would have to wait for it. For a prepared XA transaction they shall."""
        if self.name.startswith("XA, prepared"):
            return False
        return any(word in " ".join(self.statements) for word in ("LOCK", "BACKUP", "FLUSH", "XA ", "BEGIN", "HANDLER"))


# name: SQL, one statement or several. {create} makes the pool's schema again, {n} is another number each time.
_BOTH: dict[str, str | tuple[str, ...]] = {
    "user variable": "SET @dirt = 'left behind'",
    "user variable of a name in quotes": "SET @`dirt` = 1",
    "user variable assigned in SELECT": "SELECT @dirt := 7",
    "SELECT INTO user variable": "SELECT 7 INTO @dirt",
    "user variable assigned in WHERE": "DO (SELECT COUNT(*) FROM test.items WHERE (@dirt := id) > 0)",
    "time_zone": "SET time_zone = '+05:00'",
    "timestamp": "SET timestamp = 1000",
    "pseudo_thread_id": "SET pseudo_thread_id = 1",
    "sql_mode": "SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'",
    "sql_mode that makes || an OR": "SET sql_mode = ''",
    "sql_select_limit": "SET sql_select_limit = 1",
    "sql_safe_updates": "SET sql_safe_updates = 1",
    "sql_auto_is_null": "SET sql_auto_is_null = 1",
    "sql_notes": "SET sql_notes = 0",
    "foreign_key_checks": "SET foreign_key_checks = 0",
    "unique_checks": "SET unique_checks = 0",
    "group_concat_max_len": "SET group_concat_max_len = 10",
    "lc_time_names": "SET lc_time_names = 'de_DE'",
    "max_error_count": "SET max_error_count = 0",
    "max_join_size": "SET max_join_size = 5000",
    "wait_timeout": "SET wait_timeout = 100",
    "lock_wait_timeout": "SET lock_wait_timeout = 3, innodb_lock_wait_timeout = 3",
    "auto_increment_increment": "SET auto_increment_increment = 10",
    "default_storage_engine": "SET default_storage_engine = MyISAM",
    "completion_type": "SET completion_type = CHAIN",
    "optimizer_switch": "SET optimizer_switch = 'index_merge=off'",
    "insert_id": "SET insert_id = 900",
    "last_insert_id": "SET last_insert_id = 900",
    "the schema's tracker": "SET session_track_schema = OFF",
    "the tracker of changes, and more": ("SET session_track_state_change = 0", "SET @dirt = 1"),
    "all trackers": "SET session_track_system_variables = '', session_track_transaction_info = 'OFF'",
    "SET NAMES": "SET NAMES latin1",
    "SET NAMES with a collation": "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
    "SET NAMES of a narrow set": "SET NAMES ascii",
    "SET CHARACTER SET": "SET CHARACTER SET latin1",
    "character_set_results": "SET character_set_results = NULL",
    "collation_connection": "SET collation_connection = utf8mb4_unicode_ci",
    "collation_database": "SET collation_database = latin1_bin",
    "autocommit": "SET autocommit = 0",
    "autocommit, rows read": ("SET autocommit = 0", "SELECT COUNT(*) FROM test.items INTO @dirt"),
    "autocommit, rows written": ("SET autocommit = 0", _ROW),
    "isolation of the session": "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "isolation of the next transaction": "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "read only session": "SET SESSION TRANSACTION READ ONLY",
    "read only next transaction": "SET TRANSACTION READ ONLY",
    "USE": "USE other",
    "USE, untracked": ("SET session_track_schema = OFF", "USE other"),
    "USE there and back": ("USE other", "USE home"),
    "own schema dropped": ("DROP DATABASE home", "{create}"),
    "own schema dropped, by its other name": ("DROP SCHEMA IF EXISTS home", "{create}"),
    "ALTER DATABASE": ("ALTER DATABASE home COLLATE utf8mb4_bin", "DROP DATABASE home", "{create}"),
    "role": "SET ROLE auditor",
    "no role": "SET ROLE NONE",
    "temporary table": "CREATE TEMPORARY TABLE test.dirt_temp (a INT)",
    "temporary table over another": "CREATE TEMPORARY TABLE test.items (a INT)",
    "named lock": "DO GET_LOCK('dirt', 0)",
    "named lock by SELECT": "SELECT GET_LOCK('dirt', 0)",
    "named lock twice": "DO GET_LOCK('dirt', 0), GET_LOCK('dirt', 0)",
    "named lock in a subquery": "SELECT (SELECT GET_LOCK('dirt', 0)) + 1 AS a",
    "LOCK TABLES READ": "LOCK TABLES test.items READ",
    "LOCK TABLES WRITE": "LOCK TABLES test.items WRITE",
    "FLUSH TABLES WITH READ LOCK": "FLUSH TABLES WITH READ LOCK",
    "FLUSH one table WITH READ LOCK": "FLUSH TABLES test.items WITH READ LOCK",
    "FLUSH TABLES FOR EXPORT": "FLUSH TABLES test.items FOR EXPORT",
    "HANDLER": ("HANDLER test.items OPEN AS dirt", "HANDLER dirt READ FIRST"),
    "prepared statement": "PREPARE dirt FROM 'SELECT 1'",
    "prepared statement, executed": ("PREPARE dirt FROM 'SELECT ? + 1'", "SET @dirt = 1", "EXECUTE dirt USING @dirt"),
    "transaction": "BEGIN",
    "transaction that wrote": ("START TRANSACTION", _ROW),
    "transaction that read": ("START TRANSACTION", "SELECT COUNT(*) FROM test.items INTO @dirt"),
    "transaction, read only": "START TRANSACTION READ ONLY",
    "transaction with a snapshot": "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "transaction with a savepoint": ("START TRANSACTION", "SAVEPOINT dirt", _ROW),
    "transaction, FOR UPDATE": ("START TRANSACTION", "SELECT id FROM test.items LIMIT 1 FOR UPDATE"),
    "transaction, chained": ("START TRANSACTION", "COMMIT AND CHAIN"),
    "XA, active": ("XA START 'dirt{n}'", _ROW),
    "XA, idle": ("XA START 'dirt{n}'", _ROW, "XA END 'dirt{n}'"),
    "XA, prepared": ("XA START 'dirt{n}'", _ROW, "XA END 'dirt{n}'", "XA PREPARE 'dirt{n}'"),
    "XA, prepared, nothing written": ("XA START 'dirt{n}'", "XA END 'dirt{n}'", "XA PREPARE 'dirt{n}'"),
    "LAST_INSERT_ID()": "DO LAST_INSERT_ID(77)",
    "LAST_INSERT_ID() by SELECT": "SELECT LAST_INSERT_ID(77)",
    "LAST_INSERT_ID() by INSERT": (_ROW, "DELETE FROM test.items WHERE note = 'dirt'"),
    "ROW_COUNT() of an UPDATE": "UPDATE test.probe SET value = value + 1 WHERE id > 1",
    "ROW_COUNT() of a DELETE": "DELETE FROM test.items WHERE note = 'dirt'",
    "warnings": "SELECT 1/0, CAST('x' AS SIGNED)",
    "warnings of a DROP": "DROP TABLE IF EXISTS test.nowhere",
    "error: no such table": "SELECT * FROM test.nowhere",
    "error: syntax": "SELEC 1",
    "error: signalled": "SIGNAL SQLSTATE '45000'",
    "error: duplicate key": "INSERT INTO test.probe VALUES (2, 1)",
    "error: killed": "KILL QUERY CONNECTION_ID()",
    "counters of the session": "FLUSH STATUS",
    "profiles": ("SET profiling = 1", "SELECT 1", "SELECT 2", "SET profiling = 0"),
}
_MARIADB: dict[str, str | tuple[str, ...]] = {
    "max_statement_time": "SET max_statement_time = 100",
    "query_cache_type": "SET query_cache_type = OFF",
    "system_versioning_asof": "SET system_versioning_asof = '2020-01-01'",
    "server_id": "SET server_id = 77",
    "USE by EXECUTE IMMEDIATE": "EXECUTE IMMEDIATE 'USE other'",
    "USE by EXECUTE IMMEDIATE of a variable": ("SET @dirt = 'USE other'", "EXECUTE IMMEDIATE @dirt"),
    "USE by EXECUTE": ("PREPARE dirt FROM 'USE other'", "EXECUTE dirt"),
    "USE while the tracker is off": "SET STATEMENT session_track_schema = OFF FOR USE other",
    "role by EXECUTE IMMEDIATE": "EXECUTE IMMEDIATE CONCAT('SET RO', 'LE auditor')",
    "role in an anonymous block": "BEGIN NOT ATOMIC SET ROLE auditor; END",
    "user variable while the tracker is off": "SET STATEMENT session_track_state_change = 0 FOR SET @dirt = 1",
    "LASTVAL()": "SELECT NEXTVAL(test.counter)",
    "LASTVAL() in standard SQL": "SELECT NEXT VALUE FOR test.counter",
    "LASTVAL() by a column's default": "INSERT INTO test.counted () VALUES ()",
    "backup stage": ("BACKUP STAGE START", "BACKUP STAGE BLOCK_DDL"),
    "backup lock": "BACKUP LOCK test.items",
    "temporary sequence": "CREATE TEMPORARY SEQUENCE test.dirt_temp",
}
_MYSQL: dict[str, str | tuple[str, ...]] = {
    "default_collation_for_utf8mb4": "SET default_collation_for_utf8mb4 = 'utf8mb4_general_ci'",
    "max_execution_time": "SET max_execution_time = 100000",
    "optimizer trace": ("SET optimizer_trace = 'enabled=on'", "SELECT id FROM test.items WHERE id = 1"),
    "optimizer trace, switched off again":
        ("SET optimizer_trace = 'enabled=on'", "SELECT id FROM test.items WHERE id = 1",
         "SET optimizer_trace = DEFAULT"),
    "resource group": "SET RESOURCE GROUP dirt",
    "role, by default": "SET ROLE DEFAULT",
    "all roles": "SET ROLE ALL",
    "backup lock": "LOCK INSTANCE FOR BACKUP",
    "variable set by a hint": "SELECT /*+ SET_VAR(sql_safe_updates = 1) */ 1",
    "XA, prepared, not detached":
        ("SET xa_detach_on_prepare = OFF", "XA START 'dirt{n}'", _ROW, "XA END 'dirt{n}'", "XA PREPARE 'dirt{n}'"),
}  # fmt: skip


def kinds(flavor: str, create_home: str, variables: str) -> list[Kind]:
    """All kinds that a server has.

    Args:
        flavor: "mariadb" or "mysql".
        create_home: the statement that makes the pool's schema.
        variables: one that sets every session variable to another value.
    """
    more = {"mariadb": _MARIADB, "mysql": _MYSQL}[flavor]
    found = []
    for name, sql in {**_BOTH, **more, "every session variable": variables}.items():
        statements = (sql,) if isinstance(sql, str) else sql
        found.append(Kind(name, tuple(create_home if part == "{create}" else part for part in statements)))
    return found


# Set by the server for reasons of its own, or bad for the health of the test.
_NOT_SET = {
    "max_relay_log_size",  # MariaDB writes these two into the default replication channel: no session has them
    "sql_slave_skip_counter",
    "gtid_next",  # makes the next statement a special one
    "sql_log_off",
    "debug",
    "lc_messages",  # errors are compared by number, but a language that was not installed logs lines
    "pseudo_slave_mode",  # MySQL: forbids setting other variables
    "pseudo_replica_mode",
    "require_row_format",  # MySQL: forbids most statements
}
_KINDS_OF_THEIR_OWN = ("profiling", "optimizer_trace")  # a connection that heard of these is not lent again


def set_every_variable(admin: Admin) -> str:
    """One SET that gives each session variable a value that it does not have."""
    found = []
    for name, value in admin.rows("SHOW SESSION VARIABLES"):
        if name in _NOT_SET or name.startswith(_KINDS_OF_THEIR_OWN) or "timeout" in name:
            continue
        for other in _other_values(value):
            with suppress(pymysql.err.Error):
                admin.rows(f"SET @@SESSION.{name} = {other}")
                if admin.rows(f"SHOW SESSION VARIABLES LIKE '{name}'")[0][1] != value:
                    found.append(f"@@SESSION.{name} = {other}")
                    break
    admin.reconnect()
    return "SET " + ", ".join(found)


def _other_values(value: str) -> Iterator[str]:
    if value in {"ON", "OFF"}:
        yield "OFF" if value == "ON" else "ON"
    elif value.isdigit():
        yield from (str(int(value) // 2 if int(value) > 100 else int(value) + 1), str(int(value) * 2), "1", "0")
    else:
        yield from ("'latin1_bin'", "'latin1'", "'READ-COMMITTED'", "'MyISAM'", "''", "'time_zone'", "'STATE'")


# -- ways ---------------------------------------------------------------------------------------------------------

FAILURE = "SIGNAL SQLSTATE '45000'"
_BODY = {
    "procedure": "CREATE PROCEDURE test.{name}() SQL SECURITY INVOKER BEGIN {body}; END",
    "procedure that fails": "CREATE PROCEDURE test.{name}() SQL SECURITY INVOKER BEGIN {body}; " + FAILURE + "; END",
    "procedure with results": "CREATE PROCEDURE test.{name}() SQL SECURITY INVOKER BEGIN SELECT 1; {body}; DO 2; END",
    "function": "CREATE FUNCTION test.{name}() RETURNS INT SQL SECURITY INVOKER BEGIN {body}; RETURN 1; END",
    "function that fails": "CREATE FUNCTION test.{name}() RETURNS INT SQL SECURITY INVOKER BEGIN {body}; "
    + FAILURE
    + "; RETURN 1; END",
    "trigger": "CREATE TRIGGER test.{name} BEFORE INSERT ON test.{name} FOR EACH ROW BEGIN {body}; END",
}
_CALL = {
    "procedure": "CALL test.{name}()",
    "procedure that fails": "CALL test.{name}()",
    "procedure with results": "CALL test.{name}()",
    "function": "SELECT test.{name}()",
    "function that fails": "SELECT test.{name}()",
    "function in a WHERE": "SELECT id FROM test.probe WHERE test.{name}() = 2",
    "function in SHOW": "SHOW TABLES FROM test WHERE test.{name}() = 2",
    "function in EXPLAIN ANALYZE": "EXPLAIN ANALYZE SELECT test.{name}()",
    "function in UPDATE": "UPDATE test.probe SET value = value WHERE id = 2 AND test.{name}() = 2",
    "view": "SELECT * FROM test.{name}_view",
    "trigger": "INSERT INTO test.{name} VALUES (1)",
}
ROUTINES = tuple(_CALL)


def prepare(admin: Admin, way: str, number: int, kind: Kind) -> str | None:
    """Make what is needed to reach `kind` by a routine; the statement that does, or None where the server refuses."""
    name = f"dirt_{way.replace(' ', '_')}_{number}".lower()
    body = "; ".join(kind.numbered(number))
    base = way if way in _BODY else "function"
    try:
        if way == "trigger":
            admin.rows(f"CREATE TABLE test.{name} (a INT)")
        admin.rows("SET sql_mode = ''")
        admin.rows(_BODY[base].format(name=name, body=body))
        if way == "view":
            admin.rows(f"CREATE SQL SECURITY INVOKER VIEW test.{name}_view AS SELECT test.{name}() AS a")
        if way == "function in EXPLAIN ANALYZE":
            admin.rows("EXPLAIN ANALYZE SELECT 1")
    except pymysql.err.Error:
        return None
    return _CALL[way].format(name=name)
