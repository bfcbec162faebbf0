"""What a clean session is, and how one is made clean again. Nothing else in the package decides this.

The baseline of a connection is what it was opened with: database, role, character set and collation, autocommit,
`session_variables`, `init_command`, `on_connect`. COM_RESET_CONNECTION rolls back and clears user variables,
temporary tables, locks, prepared statements and session variables; it leaves the current database and the role alone
and puts the server's defaults where the baseline was. What it does to *this* session is tried once, when the
connection is new; from then on only that is said again which the reset takes away.

https://dev.mysql.com/doc/c-api/8.4/en/mysql-reset-connection.html
https://mariadb.com/kb/en/com_reset_connection/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.base import (
    COM_INIT_DB,
    COM_QUERY,
    COM_RESET_CONNECTION,
    Command,
    CommandFailedError,
    is_server_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from async_mysqlpool.config import Reset, Variable
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.entry import Entry

__all__ = [
    "Baseline",
    "NotRestorableError",
    "ResetRefusedError",
    "begin_reset",
    "identify",
    "is_clean",
    "left_open",
    "reset",
    "resets_all",
    "set_up",
]

# The variables that a connection's own options set, the drivers' included, whatever the server's defaults are.
_OWN = ("character_set_client", "character_set_results", "collation_connection", "autocommit", "sql_mode", "time_zone")
# Which server it is, where a name may stand for several.
_IDENTITY = "@@hostname, @@port, @@server_id"
_ROLLBACK = Command(COM_QUERY, b"ROLLBACK")
# An init_command that is a plain SET has one OK packet for a reply, so it can travel with the reset.
_PLAIN_SET = re.compile(r"\s*SET\s[^;]*;?\s*", re.IGNORECASE)


class ResetRefusedError(Exception):
    """The server, or a proxy before it, does not know COM_RESET_CONNECTION."""


class NotRestorableError(Exception):
    """The session cannot be brought back to its baseline; nothing failed."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state that every borrower must find.

    Attributes:
        commands: bring the session back when the current database and role are still those of the baseline.
        commands_if_moved: the same, when it may be another one.
        encoded, encoded_if_moved, encoded_rollback: packets for the pipeline.
        init_command: one that cannot travel with the reset and runs after it.
        snapshot: what the driver remembers of the session.
        wait_timeout: seconds after which the server closes an idle connection.
        server: which server it is, behind a load balancer for instance.
    """

    commands: tuple[Command, ...]
    commands_if_moved: tuple[Command, ...]
    encoded: bytes
    encoded_if_moved: bytes
    encoded_rollback: bytes
    init_command: str | None
    snapshot: Any
    database: str | None
    autocommit: bool
    wait_timeout: float
    server: str


@dataclass(slots=True)
class _State:
    """One look at a session: the variables that matter, and its database."""

    variables: dict[str, Variable]
    collation_database: str
    wait_timeout: float
    server: str
    database: str | None


@dataclass(slots=True)
class Wishes:
    """What the pool's options add to a new connection."""

    variables: Mapping[str, Variable] = field(default_factory=dict[str, "Variable"])
    init_command: str | None = None
    reset: Reset = "session"
    autocommit: bool | None = None


async def set_up(driver: Driver, raw: Any, wishes: Wishes) -> Baseline:
    """Bring a new connection into its first state, and learn what a reset leaves of that.

    Raises:
        ResetRefusedError: the server knows no reset; the connection may be gone by now.
    """
    if wishes.variables:
        await driver.execute(raw, _set(wishes.variables))
    if wishes.init_command:
        await driver.execute(raw, wishes.init_command)
    first = await _look(driver, raw, wishes.variables)
    autocommit = wishes.variables.get("autocommit", wishes.autocommit)
    if autocommit is not None and int(autocommit) != first.variables["autocommit"]:
        # The drivers go by the server's greeting, which says nothing of SET GLOBAL autocommit.
        await driver.execute(raw, _set({"autocommit": autocommit}))
        first.variables["autocommit"] = int(autocommit)
    plain = wishes.init_command is not None and bool(_PLAIN_SET.fullmatch(wishes.init_command))
    restore: list[Command] = []
    moved: list[Command] = []
    if resets_all(wishes.reset):
        restore, moved = await _learn(driver, raw, wishes, first)
        if wishes.init_command and plain:
            restore.append(Command(COM_QUERY, wishes.init_command.encode()))
        if restore:
            await driver.run(raw, restore)
        if wishes.init_command and not plain:
            await driver.execute(raw, wishes.init_command)
    commands = (Command(COM_RESET_CONNECTION), *restore)
    commands_if_moved = (*commands, *(command for command in moved if command not in commands))
    return Baseline(
        commands=commands,
        commands_if_moved=commands_if_moved,
        encoded=driver.encode(raw, commands),
        encoded_if_moved=driver.encode(raw, commands_if_moved),
        encoded_rollback=driver.encode(raw, [_ROLLBACK]),
        init_command=None if plain else wishes.init_command,
        snapshot=driver.snapshot(raw),
        database=first.database,
        autocommit=bool(first.variables["autocommit"]),
        wait_timeout=first.wait_timeout,
        server=first.server,
    )


async def _learn(driver: Driver, raw: Any, wishes: Wishes, first: _State) -> tuple[list[Command], list[Command]]:
    """Reset the session once: what that takes away has to be said again, and what else if somebody said USE or ROLE."""
    try:
        await driver.run(raw, [Command(COM_RESET_CONNECTION)])
    except Exception as exc:
        if isinstance(exc, CommandFailedError) or is_server_error(driver.error_number(exc)):
            raise ResetRefusedError(str(exc)) from exc
        raise
    after = await _look(driver, raw, wishes.variables)
    wanted = {**first.variables, **wishes.variables}
    lost = {name: wanted[name] for name, value in first.variables.items() if after.variables[name] != value}
    restore = [Command(COM_QUERY, _set(lost).encode())] if lost else []
    moved = await _set_role(driver, raw)
    if first.database is not None:
        moved.append(Command(COM_INIT_DB, first.database.encode()))
        if after.collation_database != first.collation_database:
            restore.append(moved[-1])  # LOAD DATA, for one, goes by it
    return restore, moved


async def _look(driver: Driver, raw: Any, variables: Mapping[str, Variable]) -> _State:
    names = [*_OWN, *(name for name in variables if name not in _OWN)]
    columns = [f"@@SESSION.{name}" for name in (*names, "collation_database", "wait_timeout")]
    row = (await driver.execute(raw, f"SELECT {', '.join(columns)}, {_IDENTITY}, DATABASE()"))[0]
    *values, collation, wait_timeout, host, port, server_id, database = row
    server = f"{host}:{port}/{server_id}"
    return _State(dict(zip(names, values, strict=True)), str(collation), float(wait_timeout), server, database)


async def _set_role(driver: Driver, raw: Any) -> list[Command]:
    """What brings the role back: a reset does not."""
    try:
        role = (await driver.execute(raw, "SELECT CURRENT_ROLE()"))[0][0]
    except Exception as exc:
        if is_server_error(driver.error_number(exc)):
            return []  # a server without roles
        raise
    if role is None or role == "NONE":
        role = "NONE"
    elif "@" not in role:  # MySQL quotes them itself
        role = f"`{role}`"
    return [Command(COM_QUERY, f"SET ROLE {role}".encode())]


async def identify(driver: Driver, raw: Any) -> str:
    """Which server a connection leads to, in the words of `Baseline.server`."""
    host, port, server_id = (await driver.execute(raw, f"SELECT {_IDENTITY}"))[0]
    return f"{host}:{port}/{server_id}"


def begin_reset(
    driver: Driver, entry: Entry, mode: Reset, cork: bool, on_done: Callable[[Exception | None], None]
) -> bool:
    """Write what makes the session clean, without waiting for the replies; False if this one has to be waited for."""
    baseline, pipeline = entry.baseline, entry.pipeline
    if baseline is None or pipeline is None:
        return False
    if not resets_all(mode):
        pipeline.send(baseline.encoded_rollback, 1, on_done, cork)
        return True
    if baseline.init_command is not None or (entry.moved and baseline.database is None):
        return False
    driver.restore(entry.raw, baseline.snapshot)
    if entry.moved:
        pipeline.send(baseline.encoded_if_moved, len(baseline.commands_if_moved), on_done, cork)
    else:
        pipeline.send(baseline.encoded, len(baseline.commands), on_done, cork)
    return True


async def reset(driver: Driver, entry: Entry, mode: Reset) -> None:
    """Make the session clean. Whatever this raises, the connection must not be used again."""
    baseline, raw = entry.baseline, entry.raw
    if baseline is None or not resets_all(mode):
        await driver.run(raw, [_ROLLBACK])
        return
    if entry.moved and baseline.database is None and await _database(driver, raw) is not None:
        raise NotRestorableError("a session that has chosen a database cannot go back to none")
    driver.restore(raw, baseline.snapshot)
    await driver.run(raw, baseline.commands_if_moved if entry.moved else baseline.commands)
    if baseline.init_command:
        await driver.execute(raw, baseline.init_command)


async def _database(driver: Driver, raw: Any) -> str | None:
    name: str | None = (await driver.execute(raw, "SELECT DATABASE()"))[0][0]
    return name


def resets_all(mode: Reset) -> bool:
    """Whether the mode makes a session as good as new."""
    return mode in {"session", "auto"}


def is_clean(entry: Entry, mode: Reset, in_transaction: bool) -> bool:
    """Whether there is nothing to reset: no statement was sent, or, with "auto", none that could have left anything.

    The server's session tracker has to agree, and no transaction may be open; any doubt means reset.
    """
    if not entry.touched:
        return True
    if mode == "none":
        return not entry.open_transaction
    if mode != "auto" or entry.dirty or entry.baseline is None:
        return False
    return entry.baseline.autocommit and not in_transaction


def left_open(entry: Entry, in_transaction: bool) -> str | None:
    """What a borrower left open, as far as can be told without asking the server."""
    if in_transaction and (entry.wrote or entry.baseline is None or entry.baseline.autocommit):
        return "transaction"  # without autocommit a mere SELECT begins one, which is nothing to speak of
    return "lock" if entry.locked else None


def _set(variables: Mapping[str, Variable]) -> str:
    return "SET " + ", ".join(f"@@SESSION.{name} = {_literal(value)}" for name, value in variables.items())


def _literal(value: Variable) -> str:
    """A value in SQL that means the same under every sql_mode (backslashes do not, nor do double quotes)."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return repr(value)
    if "\\" in value:
        return f"CONVERT(0x{value.encode().hex()} USING utf8mb4)"
    return "'" + value.replace("'", "''") + "'"
