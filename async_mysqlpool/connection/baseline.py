"""The state that every borrower of a connection must find, and how it is learned when the connection is new."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.base import is_server_error
from async_mysqlpool.drivers.run import attempt, run
from async_mysqlpool.wire.packets import COM_INIT_DB, COM_QUERY, COM_RESET_CONNECTION, Command, CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from async_mysqlpool.config import Reset, Variable
    from async_mysqlpool.drivers import Connected, Driver

__all__ = ["Baseline", "Packets", "ResetRefusedError", "Wishes", "identify", "learn", "resets_all"]

# Which server it is, where a name may stand for several.
_IDENTITY = "@@hostname, @@port, @@server_id"
# Variables that are no part of the session's state: they say what happened last, or change by themselves.
_FLEETING = frozenset({
    "error_count", "external_user", "gtid_binlog_pos", "gtid_binlog_state", "gtid_current_pos", "gtid_executed",
    "gtid_owned", "gtid_purged", "gtid_slave_pos", "identity", "in_transaction", "insert_id", "last_gtid",
    "last_insert_id", "proxy_user", "pseudo_thread_id", "rand_seed1", "rand_seed2", "skip_replication",
    "statement_id", "timestamp", "warning_count",
})  # fmt: skip
_UNSETTABLE = {1193, 1227, 1229, 1238, 1766, 4031}  # unknown, not allowed, global, read-only: no state of this session
_SHOWN = 1024  # characters of a value that SHOW VARIABLES shows
_TRACKER = "session_track_state_change"
_ROLLBACK = Command(COM_QUERY, b"ROLLBACK")
_WRONG_TYPE = {1231, 1232}


class ResetRefusedError(Exception):
    """COM_RESET_CONNECTION is not known here, or what it takes away cannot be restored."""


@dataclass(slots=True)
class Wishes:
    """What the pool's options add to a new connection.

    Attributes:
        track: have the server tell whenever the session changes, if it can.
        names: SET NAMES, for the character set and collation that statements are in; None: as the driver left it.
    """

    variables: Mapping[str, Variable] = field(default_factory=dict[str, "Variable"])
    init_command: str | None = None
    track: bool = False
    reset: Reset = "session"
    autocommit: bool | None = None
    names: str | None = None


@dataclass(frozen=True, slots=True)
class Packets:
    """Commands, how they are written together, and their command bytes."""

    commands: tuple[Command, ...]
    data: bytes
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state that every borrower must find.

    Attributes:
        reset: brings the session back when the current schema is still that of the baseline.
        reset_if_moved: the same, when it may be another one.
        rollback: ends a transaction, and no more.
        snapshot: what the driver remembers of the session, and its settings.
        hears_schema: the server tells when the current schema changes.
        hears_all: it tells when anything changes that its trackers watch.
        connection_id: the server's own, as far as is known; a proxy may have told another one in its greeting.
        knows_id: the server has a connection of that id that does what ours does.
        wait_timeout: seconds after which the server closes an idle connection.
        server: which server it is, behind a load balancer for instance.
        version: what the server says of itself, such as "11.4.2-MariaDB".
    """

    reset: Packets
    reset_if_moved: Packets
    rollback: Packets
    snapshot: Any
    database: str | None
    autocommit: bool
    hears_schema: bool
    hears_all: bool
    connection_id: int
    knows_id: bool
    wait_timeout: float
    server: str
    version: str


@dataclass(frozen=True, slots=True)
class _Facts:
    """What one statement tells of a new session."""

    connection_id: int
    database: str | None
    server: str
    init_connect: str


async def learn(driver: Driver, raw: Any, wire: Connected, wishes: Wishes) -> Baseline:
    """Bring a new connection into its first state, and learn what a reset leaves of that.

    Raises:
        ResetRefusedError: there is no reset here, or none that brings the session back; the connection is of no use.
    """
    await _wish(driver, raw, wire, wishes)
    facts, knows_id = await _facts(driver, raw), await _knows_id(driver, raw)
    first = await _variables(driver, raw)
    autocommit = wishes.variables.get("autocommit", wishes.autocommit)
    if autocommit is not None and _is_on(first["autocommit"]) != bool(autocommit):
        # The drivers go by the server's greeting, which says nothing of SET GLOBAL autocommit.
        await driver.execute(raw, assignment({"autocommit": autocommit}))
        first = await _variables(driver, raw)
    restore: list[Command] = []
    moved: list[Command] = []
    if resets_all(wishes.reset):
        restore, moved = await _try_reset(driver, raw, wire, wishes, facts, first)
    if wire.in_transaction:
        await run(driver, raw, wire, [_ROLLBACK])  # without autocommit, looking has begun one
    reset = [Command(COM_RESET_CONNECTION), *restore]
    return Baseline(
        reset=_packets(driver, raw, reset),
        reset_if_moved=_packets(driver, raw, [*reset[:1], *moved, *restore]),
        rollback=_packets(driver, raw, [_ROLLBACK]),
        snapshot=driver.snapshot(raw),
        database=facts.database,
        autocommit=_is_on(first["autocommit"]),
        hears_schema=wire.hears and _is_on(first.get("session_track_schema", "OFF")),
        hears_all=wire.hears and _is_on(first.get(_TRACKER, "OFF")),
        connection_id=facts.connection_id,
        knows_id=knows_id,
        wait_timeout=float(first["wait_timeout"]),
        server=facts.server,
        version=first.get("version", ""),
    )


async def _wish(driver: Driver, raw: Any, wire: Connected, wishes: Wishes) -> None:
    if wishes.names is not None:
        await driver.execute(raw, wishes.names)
    if wishes.track:
        await attempt(driver, raw, assignment({_TRACKER: 1}))
    if wishes.variables:
        await driver.execute(raw, assignment(wishes.variables))
    if wishes.init_command:
        await driver.execute(raw, wishes.init_command)
        if wire.due or driver.has_unread(raw):
            raise ValueError("init_command has several results: make it one statement, or use on_connect")


async def _try_reset(
    driver: Driver, raw: Any, wire: Connected, wishes: Wishes, facts: _Facts, first: dict[str, str]
) -> tuple[list[Command], list[Command]]:
    """Reset the session once. What that takes away has to be said again; and what else if the schema has changed."""
    try:
        await run(driver, raw, wire, [Command(COM_RESET_CONNECTION)])
    except Exception as exc:
        if isinstance(exc, CommandFailedError) or is_server_error(driver.error_number(exc)):
            raise ResetRefusedError(str(exc)) from exc
        raise
    encoding = driver.encoding(raw)
    after = await _variables(driver, raw)
    lost = {name: value for name, value in first.items() if after.get(name) != value}
    home: list[Command] = []
    if facts.database is not None:
        home.append(Command(COM_INIT_DB, facts.database.encode(encoding, "surrogateescape")))
    restore = [await _restoring(driver, raw, lost)] if lost else []
    if not lost.keys().isdisjoint({"collation_database", "character_set_database"}):
        restore.extend(home)  # these go by the schema; LOAD DATA, for one, goes by them
    restore = [command for command in restore if command.payload]
    restore.extend(await _set_role(driver, raw))
    for text in (facts.init_connect, wishes.init_command):
        if text:
            restore.append(Command(COM_QUERY, text.encode(encoding, "surrogateescape")))
    if restore:
        await run(driver, raw, wire, restore)
        again = await _variables(driver, raw)
        missing = sorted(name for name, value in first.items() if again.get(name) != value and name in lost)
        if missing:
            raise ResetRefusedError(f"these session variables cannot be restored: {', '.join(missing)}")
    return restore, home


async def _restoring(driver: Driver, raw: Any, lost: Mapping[str, str]) -> Command:
    """One SET that brings back the variables that are lost, as far as they are settable; it is carried out here."""
    literals: dict[str, str] = {}
    for name, value in sorted(lost.items(), key=lambda item: item[0] != "sql_mode"):
        if name in {"collation_database", "character_set_database"}:
            continue
        for literal in _literals(value):
            try:
                await driver.execute(raw, f"SET @@SESSION.{name} = {literal}")
            except Exception as exc:
                number = driver.error_number(exc)
                if number in _UNSETTABLE:
                    break
                if number not in _WRONG_TYPE:
                    raise
            else:
                literals[name] = literal
                break
    text = "SET " + ", ".join(f"@@SESSION.{name} = {literal}" for name, literal in literals.items())
    return Command(COM_QUERY, text.encode("ascii") if literals else b"")


async def _facts(driver: Driver, raw: Any) -> _Facts:
    columns = f"CONNECTION_ID(), DATABASE(), @@init_connect, {_IDENTITY}"
    number, database, init_connect, *server = (await driver.execute(raw, f"SELECT {columns}"))[0]
    return _Facts(int(number), _text(database), _server(*server), _text(init_connect) or "")


async def _variables(driver: Driver, raw: Any) -> dict[str, str]:
    """All session variables that are state."""
    rows = await driver.execute(raw, "SHOW SESSION VARIABLES")
    found = {str(_text(row[0])): str(_text(row[1])) for row in rows if _text(row[0]) not in _FLEETING}
    for name, value in found.items():
        if len(value) >= _SHOWN:
            found[name] = str(_text((await driver.execute(raw, f"SELECT @@{name}"))[0][0]))
    return found


async def _knows_id(driver: Driver, raw: Any) -> bool:
    """Whether CONNECTION_ID() is this connection's id on the server: some proxies answer that themselves."""
    token = secrets.token_hex(8)
    which = f"id = CONNECTION_ID() AND info LIKE '%{token}%'"
    rows = await attempt(driver, raw, f"SELECT COUNT(*) FROM information_schema.processlist WHERE {which}")  # noqa: S608
    return rows is None or int(rows[0][0]) > 0


async def _set_role(driver: Driver, raw: Any) -> list[Command]:
    """What brings the role back, which a reset does not; nothing where the account has none to change to."""
    rows = await attempt(driver, raw, "SELECT CURRENT_ROLE()")
    if rows is None:
        return []  # a server without roles
    role = _text(rows[0][0])
    if role is None or role == "NONE":
        if not await _has_roles(driver, raw):
            return []
        role = "NONE"
    elif "@" not in role:  # MySQL quotes them itself
        role = f"`{role}`"
    return [Command(COM_QUERY, f"SET ROLE {role}".encode(driver.encoding(raw), "surrogateescape"))]


async def _has_roles(driver: Driver, raw: Any) -> bool:
    rows = await attempt(driver, raw, "SELECT COUNT(*) FROM information_schema.applicable_roles")
    return rows is None or int(rows[0][0]) > 0


async def identify(driver: Driver, raw: Any) -> str:
    """Which server a connection leads to, in the words of `Baseline.server`."""
    return _server(*(await driver.execute(raw, f"SELECT {_IDENTITY}"))[0])


def _server(host: Any, port: Any, server_id: Any) -> str:
    return f"{_text(host)}:{port}/{server_id}"


def resets_all(mode: Reset) -> bool:
    """Whether the mode makes a session as good as new."""
    return mode in {"session", "auto"}


def _packets(driver: Driver, raw: Any, commands: Sequence[Command]) -> Packets:
    return Packets(tuple(commands), driver.encode(raw, commands), tuple(command.code for command in commands))


def _text(value: Any) -> str | None:
    """Some drivers have bytes for it, depending on their settings."""
    return value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else value


def _is_on(value: str) -> bool:
    return value in {"ON", "1"}


def _literals(value: str) -> list[str]:
    """How a value of SHOW VARIABLES may have to be written: numbers as they are, all else in quotes."""
    quoted = literal(value)
    return [value, quoted] if value.lstrip("-").replace(".", "", 1).isdigit() else [quoted, "NULL"]


def assignment(variables: Mapping[str, Variable]) -> str:
    """SET of session variables."""
    return "SET " + ", ".join(f"@@SESSION.{name} = {literal(value)}" for name, value in variables.items())


def literal(value: Variable) -> str:
    """A value in SQL that means the same under every sql_mode (backslashes do not, nor do double quotes)."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return repr(value)
    if "\\" in value or not value.isascii():
        return f"CONVERT(0x{value.encode().hex()} USING utf8mb4)"
    return "'" + value.replace("'", "''") + "'"
