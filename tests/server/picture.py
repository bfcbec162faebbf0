"""A picture of everything that a borrower can see of its session and of its driver's object, to be compared."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kit import rows

if TYPE_CHECKING:
    from kit import Admin

    from async_mysqlpool import ConnectionPool, PooledConnection

# Session variables that change by themselves between two looks, or from one new connection to the next.
BY_THEMSELVES = (
    "timestamp",  # the picture has YEAR(NOW())
    "statement_id",  # counts the server's statements
    "pseudo_thread_id",  # the picture compares it with CONNECTION_ID()
    "rand_seed1",  # random by nature; a reset draws them again
    "rand_seed2",
)
# What must be asked first: each of these speaks of the statement before, and no longer once a table was touched.
_FIRST = (
    "ROW_COUNT()",
    "LAST_INSERT_ID()",
    "@@warning_count",
    "@@error_count",
    "DATABASE()",
    "CURRENT_ROLE()",
    "CURRENT_USER()",
    "@@pseudo_thread_id = CONNECTION_ID()",
    "YEAR(NOW()) > 2000",
    "IS_USED_LOCK('dirt')",
    "@dirt",
    "@of_server",
)
_THREAD = "performance_schema.threads WHERE PROCESSLIST_ID = CONNECTION_ID()"
_MORE_FIRST: dict[str, tuple[str, ...]] = {"mariadb": ("@@in_transaction",), "mysql": ()}
_SECOND = {
    "mariadb": "SELECT LASTVAL(test.counter), (SELECT COUNT(*) FROM information_schema.PROFILING)",
    "mysql": f"""SELECT (SELECT COUNT(*) FROM information_schema.PROFILING) AS profiles,
        (SELECT COUNT(*) FROM information_schema.OPTIMIZER_TRACE) AS traces,
        (SELECT RESOURCE_GROUP FROM {_THREAD}) AS resource_group""",
}
_MASK = ", ".join(repr(name) for name in BY_THEMSELVES)
_VARIABLES = {
    "mariadb": "SELECT LOWER(VARIABLE_NAME) AS name, SESSION_VALUE AS value FROM information_schema.SYSTEM_VARIABLES "
    f"WHERE SESSION_VALUE IS NOT NULL AND VARIABLE_NAME NOT IN ({_MASK})",
    "mysql": "SELECT VARIABLE_NAME AS name, VARIABLE_VALUE AS value FROM performance_schema.session_variables "
    f"WHERE VARIABLE_NAME NOT IN ({_MASK})",
}
# One row when nothing has changed, rather than six hundred.
_SUM = "SELECT COUNT(*), CAST(SUM(CRC32(CONCAT(name, '=', value))) AS CHAR) FROM ({variables}) AS variables"
# Statements whose rows, or error number, must be those of a new connection.
_PROBES = (
    "SAVEPOINT dirt; ROLLBACK TO SAVEPOINT dirt",  # outside a transaction the first does nothing, so the second fails
    # What a transaction of the borrower's own would be like; READ UNCOMMITTED would show another session's change.
    "START TRANSACTION; SELECT value FROM test.probe WHERE id = 1; UPDATE test.probe SET value = 1 WHERE id = 4711; "  # noqa: ISC004
    "ROLLBACK; SELECT 'back\\slash', 1 || 0",
    "SELECT COUNT(note) FROM test.items WHERE note = 'dirt'",  # a temporary table of that name has no such column
    "EXECUTE dirt",
    "HANDLER dirt READ FIRST",
    "SELECT * FROM test.dirt_temp",
)
_LOCAL_FILE = "LOAD DATA LOCAL INFILE '/tmp/nowhere' INTO TABLE test.items"
_TEXT = 'it\'s a back\\slash, a "quote" and \U0001f600'
# Public attributes of the drivers' connections that say which connection it is, or what it did last.
_OF_THE_CONNECTION = {
    "connected_time", "login", "connection_id", "converter", "host_info", "last_usage", "loop", "salt",
    "server_public_key", "server_status", "server_thread_id", "status_flags", "in_transaction", "unread_result",
    "have_next_result",
}  # fmt: skip


async def picture(pool: ConnectionPool, flavor: str, new: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the next borrower sees. Session variables one by one only when their sum is not that of `new`."""
    async with pool.acquire() as connection:

        async def ask(sql: str, args: Any = None) -> Any:
            try:
                return repr(await _all_rows(connection, sql, args))
            except Exception as error:
                return pool.driver.error_number(error) or repr(error)

        found = await _first(connection, pool, flavor)
        found |= {sql: await ask(sql) for sql in (_SECOND[flavor], *_PROBES)}
        found["variables"] = await ask(_SUM.format(variables=_VARIABLES[flavor]))
        if new is None or found["variables"] != new["variables"]:
            found["each variable"] = await ask(_VARIABLES[flavor])
        found["arguments"] = await ask("SELECT %s, HEX(%s), %s + 1, CAST(1.5 AS DECIMAL(3, 1)), 1e3", (_TEXT, _TEXT, 3))
        if pool.driver.name == "mysql.connector.aio":
            found[_LOCAL_FILE] = await ask(_LOCAL_FILE)
        return found | _settings(connection.raw)


async def _first(connection: PooledConnection, pool: ConnectionPool, flavor: str) -> dict[str, Any]:
    questions = (*_FIRST, *_MORE_FIRST[flavor])
    try:
        answers = await rows(connection, f"SELECT {', '.join(questions)}")
    except Exception as error:
        return {"the first statement": pool.driver.error_number(error) or repr(error)}
    if len(answers) != 1 or not isinstance(answers[0], tuple):
        return {"the first statement": repr(answers)}
    return dict(zip(questions, answers[0], strict=True))


async def _all_rows(connection: PooledConnection, sql: str, args: Any) -> list[Any]:
    found = []
    async with connection.cursor() as cursor:
        await cursor.execute(sql, args)
        while True:
            found.append(list(await cursor.fetchall() or ()) if cursor.description else None)
            if not await cursor.nextset():
                return found


def _settings(raw: Any) -> dict[str, str]:
    """What the driver's object can be told, by its public attributes. Some are coroutines: those ask the server."""
    found = {}
    for name in dir(raw):
        if name.startswith("_") or name in _OF_THE_CONNECTION:
            continue
        with suppress(Exception):  # "not supported", say several properties of one driver
            value = getattr(raw, name)
            if inspect.iscoroutine(value):
                value.close()
            elif isinstance(value, dict):
                found[f".{name}"] = repr(sorted(map(repr, value.items())))
            elif isinstance(value, type) or not callable(value):
                found[f".{name}"] = repr(value)
    for name in ("get_autocommit", "character_set_name"):
        method = getattr(raw, name, None)
        if method is not None and not inspect.iscoroutinefunction(method):
            found[f".{name}()"] = repr(method())
    return found


NOTHING = {"prepared statements": 0, "writing": None, "DDL": None, "locks": 0}


def outside(admin: Admin, flavor: str, user: str, prepared: int, locks: bool) -> dict[str, Any]:
    """What others on the server would notice; blocks the event loop, so the reset must be over."""
    found: dict[str, Any] = {"prepared statements": admin.status("Prepared_stmt_count") - prepared}
    if flavor == "mysql":
        found["locks"] = admin.value(
            "SELECT COUNT(*) FROM performance_schema.metadata_locks JOIN performance_schema.threads "
            "ON OWNER_THREAD_ID = THREAD_ID WHERE PROCESSLIST_USER = %s",
            user,
        )
        found["writing"] = admin.error("SELECT id FROM test.items FOR UPDATE NOWAIT")
    elif locks:
        no_wait = "SET STATEMENT lock_wait_timeout = 0, innodb_lock_wait_timeout = 0 FOR"
        found["writing"] = admin.error(f"{no_wait} UPDATE test.items SET note = note")
        found["DDL"] = admin.error(f"{no_wait} ALTER TABLE test.items COMMENT = ''")
    return NOTHING | found


def difference(new: dict[str, Any], reused: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs: (new, reused) by name."""
    names = new.keys() | (reused.keys() - {"ROW_COUNT()"})
    found = {name: (new.get(name), reused.get(name)) for name in sorted(names) if new.get(name) != reused.get(name)}
    if "the first statement" in reused:  # then the answers to it say nothing
        return {name: values for name, values in found.items() if name not in new}
    each = found.pop("each variable", None)
    if each is not None and each[1] is not None and each[0] is not None and "variables" in found:
        found["variables"] = _of_lists(*each)
    return found


def _of_lists(new: str, reused: str) -> tuple[Any, Any]:
    """The rows of one that the other does not have."""
    if not isinstance(new, str) or not isinstance(reused, str):
        return new, reused
    one, other = (set(text.strip("[]()").split("), (")) for text in (new, reused))
    return sorted(one - other), sorted(other - one)
