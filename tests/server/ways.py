"""How statements leave a borrower, and what else it may do by the driver's own methods."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kit import Admin, rows, unbuffered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from async_mysqlpool import PooledConnection

    Send = Callable[[PooledConnection, str, Sequence[str]], Awaitable[None]]
    Method = Callable[[PooledConnection], Awaitable[Any]]

CANCELLED_AFTER = 0.02  # seconds


async def as_text(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    for sql in statements:
        await rows(connection, sql)


async def with_comments(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    await as_text(connection, driver, [sql.replace(" ", "/* x */ ", 1) for sql in statements])


async def in_bytes(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    for sql in statements:
        await rows(connection, sql.encode())  # type: ignore[arg-type]


async def followed_by_an_error(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    await as_text(connection, driver, [*statements, "SELECT nothing_of_that_name"])


async def as_several(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("; ".join(["SELECT 1", *statements, "SELECT 2"]))
        while await cursor.nextset():
            pass


async def as_several_that_fail(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("; ".join([*statements, "SELECT nothing_of_that_name"]))
        while await cursor.nextset():
            pass


async def as_several_left_unread(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    cursor = await connection.cursor()
    await cursor.execute("; ".join([*statements, "SELECT 1", "SELECT 2"]))


async def with_rows_left_unread(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    await as_text(connection, driver, statements)
    cursor = await connection.cursor(unbuffered(driver))
    await cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3")
    await cursor.fetchone()


async def by_execute(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    for sql in statements:
        await rows(connection, f"PREPARE way FROM {_literal(sql)}")
        await rows(connection, "EXECUTE way")
        await rows(connection, "DEALLOCATE PREPARE way")


async def by_execute_immediate(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    for sql in statements:
        await rows(connection, f"EXECUTE IMMEDIATE {_literal(sql)}")


async def behind_the_guard(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    raw = connection.raw
    for sql in statements:
        cursor = raw.cursor()
        if asyncio.iscoroutine(cursor):
            cursor = await cursor
        await cursor.execute(sql)
        if cursor.description:
            await cursor.fetchall()
        await cursor.close()


async def and_cancelled(connection: PooledConnection, driver: str, statements: Sequence[str]) -> None:
    await as_text(connection, driver, statements)
    with suppress(TimeoutError):
        async with asyncio.timeout(CANCELLED_AFTER):
            await rows(connection, "SELECT SLEEP(5)")


def _literal(sql: str) -> str:
    return "'" + sql.replace("\\", "\\\\").replace("'", "''") + "'"


WAYS: dict[str, Send] = {
    "text": as_text,
    "text with comments": with_comments,
    "text as bytes": in_bytes,
    "text, then an error": followed_by_an_error,
    "several statements": as_several,
    "several statements, the last fails": as_several_that_fail,
    "several statements, results unread": as_several_left_unread,
    "text, then rows unread": with_rows_left_unread,
    "EXECUTE": by_execute,
    "EXECUTE IMMEDIATE": by_execute_immediate,
    "raw": behind_the_guard,
    "text, then cancelled": and_cancelled,
}


# -- the driver's own methods -------------------------------------------------------------------------------------


def _dict_cursor(driver: str) -> Any:
    return importlib.import_module(f"{driver}.cursors").DictCursor


async def _reconnected(connection: PooledConnection) -> None:
    connection.raw.close()
    await connection.raw.ping(reconnect=True)


async def _query(connection: PooledConnection, sql: str) -> None:
    await connection.query(sql)


async def _prepared(connection: PooledConnection, sql: str) -> None:
    await (await connection.prepare(sql)).execute(())


async def _set(connection: PooledConnection, name: str, value: Any) -> None:
    setattr(connection.raw, name, value)


async def _call(connection: PooledConnection, name: str, *args: Any, **kwargs: Any) -> None:
    """A method of the driver's connection through the lease, whether it is to be awaited or not."""
    result = getattr(connection, name)(*args, **kwargs)
    if hasattr(result, "__await__"):
        await result


async def _decoded(connection: PooledConnection) -> None:
    raw = connection.raw
    raw.decoders = {**raw.decoders, 246: lambda value: f"decoded {value!r}"}


async def _attribute(connection: PooledConnection) -> None:
    cursor = await connection.cursor()
    cursor.add_attribute("dirt", "left behind")


async def _half_read(connection: PooledConnection) -> None:
    async for _ in connection.cmd_query_iter("SET @dirt = 1; SELECT 1; SELECT 2"):
        break


async def _prepared_cursor(connection: PooledConnection) -> None:
    cursor = await connection.cursor(prepared=True)
    await cursor.execute("SELECT ? + 1", (1,))


_FAMILY: dict[str, Method] = {
    "select_db": lambda c: c.select_db("other"),
    "select_db, raw": lambda c: c.raw.select_db("other"),
    "select_db of nothing": lambda c: c.select_db("nowhere"),
    "autocommit": lambda c: c.autocommit(False),
    "autocommit, raw": lambda c: c.raw.autocommit(False),
    "set_charset": lambda c: c.set_charset("latin1"),
    "set_charset, raw": lambda c: c.raw.set_charset("cp1251"),
    "begin": lambda c: c.begin(),
    "begin, raw": lambda c: c.raw.begin(),
    "ping that reconnects": _reconnected,
    "ping": lambda c: c.raw.ping(),
    "query": lambda c: _query(c, "SET @dirt = 1"),
    "query that moves": lambda c: _query(c, "USE other"),
    "query, role": lambda c: _query(c, "SET ROLE auditor"),
    "autocommit_mode": lambda c: _set(c, "autocommit_mode", value=False),
    "kill": lambda c: c.kill(c.thread_id()),
    "callproc": lambda c: c.cursor().callproc("test.dirt_role"),
    "show_warnings": lambda c: c.show_warnings(),
}  # fmt: skip
_AIOMYSQL: dict[str, Method] = {
    "cursorclass": lambda c: _set(c, "cursorclass", _dict_cursor("aiomysql")),
    "decoders": _decoded,
    "decoders, all": lambda c: _set(c, "decoders", {}),
    "encoders": lambda c: _set(c, "encoders", {str: lambda value, _=None: "'encoded'"}),
    "use_unicode": lambda c: _set(c, "use_unicode", value=False),
    "sql_mode": lambda c: _set(c, "sql_mode", "ANSI"),
    "init_command": lambda c: _set(c, "init_command", "SET @dirt = 1"),
}
_ASYNCMY: dict[str, Method] = {
    "prepare": lambda c: _prepared(c, "SELECT 1"),
    "prepare, role": lambda c: _prepared(c, "SET ROLE auditor"),
    "prepare, variable": lambda c: _prepared(c, "SET @dirt = 1"),
}
_CONNECTOR: dict[str, Method] = {
    "cmd_init_db": lambda c: c.cmd_init_db("other"),
    "cmd_init_db, raw": lambda c: c.raw.cmd_init_db("other"),
    "set_database": lambda c: c.set_database("other"),
    "cmd_change_user": lambda c: c.cmd_change_user("somebody", "else", "other"),
    "cmd_change_user, raw": lambda c: c.raw.cmd_change_user("somebody", "else", "other"),
    "cmd_change_user that is refused": lambda c: c.cmd_change_user("somebody", "wrong", "other"),
    "reconnect": lambda c: c.reconnect(),
    "reconnect, raw": lambda c: c.raw.reconnect(),
    "ping that reconnects": lambda c: c.raw.ping(reconnect=True),
    "disconnect and connect": lambda c: c.raw.connect(),
    "cmd_reset_connection": lambda c: c.cmd_reset_connection(),
    "reset_session": lambda c: c.reset_session({"dirt": 1}, {"time_zone": "+05:00"}),
    "cmd_query": lambda c: c.cmd_query("SET @dirt = 1"),
    "cmd_query, role": lambda c: c.cmd_query("SET ROLE auditor"),
    "cmd_query that moves": lambda c: c.cmd_query("USE other"),
    "cmd_query_iter half read": _half_read,
    "cmd_stmt_prepare": lambda c: c.cmd_stmt_prepare(b"SELECT 1"),
    "prepared cursor": _prepared_cursor,
    "cmd_debug": lambda c: c.cmd_debug(),
    "cmd_statistics": lambda c: c.cmd_statistics(),
    "set_autocommit": lambda c: c.set_autocommit(False),
    "set_charset_collation": lambda c: c.set_charset_collation("latin1"),
    "set_time_zone": lambda c: c.set_time_zone("+05:00"),
    "set_sql_mode": lambda c: c.set_sql_mode("ANSI"),
    "start_transaction": lambda c: c.start_transaction(),
    "start_transaction of a level": lambda c: c.start_transaction(isolation_level="SERIALIZABLE"),
    "set_converter_class": lambda c: _call(c, "set_converter_class", _Converter()),
    "set_converter_class, raw": lambda c: _set(c, "converter_class", _Converter()),
    "set_allow_local_infile_in_path": lambda c: _call(c, "set_allow_local_infile_in_path", "/tmp"),
    "set_client_flags": lambda c: _call(c, "set_client_flags", [-(1 << 17)]),
    "query_attrs_append": lambda c: _call(c, "query_attrs_append", ("dirt", "left behind")),
    "add_attribute": _attribute,
    "raise_on_warnings": lambda c: _set(c, "raise_on_warnings", value=True),
    "get_warnings": lambda c: _set(c, "get_warnings", value=True),
    "read_timeout": lambda c: _set(c, "read_timeout", 77),
    "write_timeout": lambda c: _set(c, "write_timeout", 77),
    "can_consume_results": lambda c: _set(c, "can_consume_results", value=True),
    "use_unicode": lambda c: _set(c, "use_unicode", value=False),
    "callproc": lambda c: _callproc(c),
}


async def _callproc(connection: PooledConnection) -> None:
    async with connection.cursor() as cursor:
        await cursor.callproc("test.dirt_role")


def _Converter() -> Any:
    from mysql.connector.conversion import MySQLConverter

    class Converter(MySQLConverter):  # type: ignore[misc]
        """Another than the usual one."""

        def to_python(self, *_: Any) -> str:
            return "converted"

    return Converter


METHODS: dict[str, dict[str, Method]] = {
    "asyncmy": _FAMILY | _ASYNCMY,
    "aiomysql": _FAMILY | _AIOMYSQL,
    "mysql.connector.aio": _CONNECTOR,
}


def prepare_methods(admin: Admin) -> None:
    """What the methods speak of."""
    admin.rows("CREATE PROCEDURE test.dirt_role() SQL SECURITY INVOKER SET ROLE auditor")
    admin.rows("CREATE USER somebody@'%' IDENTIFIED BY 'else'")
    admin.rows("GRANT ALL PRIVILEGES ON *.* TO somebody@'%'")
