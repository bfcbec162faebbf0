"""One session of the fake server: what a client can change in it, and the little SQL that does so.

As on a real server, COM_RESET_CONNECTION rolls back and clears variables, locks and temporary tables, brings autocommit
and the character set to the *server's* defaults, and leaves the current database and role alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FakeError", "Result", "Session", "sleeps"]


class FakeError(Exception):
    """An error of the fake server or its client: number and text, as PyMySQL's have them."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)


@dataclass(slots=True)
class Result:
    """What one statement gives back."""

    rows: Sequence[tuple[Any, ...]] = ()
    columns: Sequence[str] = ()
    rowcount: int = 0
    lastrowid: int | None = None


@dataclass(eq=False)
class Session:
    """The server's side of one connection.

    Attributes:
        defaults: the server's values of session variables.
        held: named locks of the whole server, with the id of the session that has each.
        statement: what the server is working on for this session, if it is; until the loop's time `busy_until`.
        loop: of its client.
        waiters: what its client waits for.
        changed: the last statement has changed what the server's session tracker watches.
        ended: the server has closed it; the client has `noticed`, or will with its next call.
    """

    id: int
    database: str | None
    defaults: Mapping[str, Any] = field(repr=False)
    held: dict[str, int] = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    user_variables: dict[str, Any] = field(default_factory=dict[str, Any])
    temporary_tables: set[str] = field(default_factory=set[str])
    role: str = "NONE"
    in_transaction: bool = False
    savepoints: list[str] = field(default_factory=list[str])
    statement: str | None = None
    waiters: set[asyncio.Future[None]] = field(default_factory=set["asyncio.Future[None]"])
    busy_until: float = 0.0
    changed: bool = False
    last_command: float = 0.0
    ended: bool = False
    noticed: bool = False

    @property
    def port(self) -> int:
        """The client's end."""
        return 40_000 + self.id

    @property
    def locks(self) -> set[str]:
        """Names of the locks that this session has."""
        return {name for name, owner in self.held.items() if owner == self.id}

    def get(self, variable: str) -> Any:
        """The value of a session variable."""
        name = variable.lower()
        if name not in self.variables and name not in self.defaults:
            raise FakeError(1193, f"Unknown system variable '{name}'")
        return self.variables.get(name, self.defaults.get(name))

    def reset(self) -> None:
        """COM_RESET_CONNECTION."""
        self.end()
        self.variables.clear()
        self.user_variables.clear()
        self.temporary_tables.clear()

    def end(self) -> None:
        """What the end of a session takes with it: its transaction and its locks."""
        self.in_transaction = False
        self.savepoints.clear()
        for name in self.locks:
            del self.held[name]

    def run(self, sql: str) -> Result:
        """Carry out one statement; what is not known here changes one row if its name says so, else nothing."""
        text = sql.strip().rstrip(";").strip()
        verb = text.partition(" ")[0].upper()
        self.changed = verb in {"BEGIN", "START", "SET", "USE", "PREPARE"} or "TEMPORARY" in text.upper()
        if verb in _VERBS:
            return _VERBS[verb](self, text)
        if verb in {"INSERT", "UPDATE", "DELETE", "REPLACE"}:
            self.touch()
            return Result(rowcount=1)
        return Result()

    def touch(self) -> None:
        """Without autocommit any statement on data opens a transaction."""
        if not int(self.get("autocommit")):
            self.in_transaction = self.changed = True


# -- statements ---------------------------------------------------------------------------------------------------


def _begin(session: Session, text: str) -> Result:
    _finish(session, text)
    session.in_transaction = True
    return Result()


def _finish(session: Session, text: str) -> Result:
    if "SAVEPOINT" in text.upper():
        return _savepoint(session, text)
    session.in_transaction = False
    session.savepoints.clear()
    return Result()


def _savepoint(session: Session, text: str) -> Result:
    """SAVEPOINT, RELEASE SAVEPOINT and ROLLBACK TO SAVEPOINT; they die with the transaction."""
    name = text.split()[-1]
    if text.upper().startswith("SAVEPOINT"):
        session.savepoints = [*(other for other in session.savepoints if other != name), name]
    elif name not in session.savepoints:
        raise FakeError(1305, f"SAVEPOINT {name} does not exist")
    else:
        kept = session.savepoints.index(name) + text.upper().startswith("ROLLBACK")
        del session.savepoints[kept:]
    return Result()


def _use(session: Session, text: str) -> Result:
    session.database = _rest(text).strip("` ")
    return Result()


def _set(session: Session, text: str) -> Result:
    body = _rest(text)
    if re.match(r"(SESSION\s+)?TRANSACTION\s", body, re.IGNORECASE):
        return Result()
    if names := re.match(r"NAMES\s+'?(\w+)", body, re.IGNORECASE):
        for end in ("client", "results", "connection"):
            session.variables[f"character_set_{end}"] = names[1]
        session.variables["collation_connection"] = f"{names[1]}_general_ci"
        return Result()
    if role := re.fullmatch(r"ROLE\s+`?(\w+)`?", body, re.IGNORECASE):
        session.role = role[1]
        return Result()
    for assignment in _split(body):
        name, _, expression = (part.strip() for part in assignment.partition("="))
        if name.startswith("@") and not name.startswith("@@"):
            session.user_variables[name[1:].rstrip(": ")] = _value(session, expression)
        else:
            plain = re.sub(r"^(@@)?(SESSION[.\s]\s*)?", "", name, flags=re.IGNORECASE).lower()
            session.get(plain)  # raises if there is no such variable
            session.variables[plain] = _value(session, expression)
    return Result()


def _create_or_drop(session: Session, text: str) -> Result:
    if table := re.match(r"(CREATE|DROP)\s+TEMPORARY\s+TABLE\s+`?(\w+)", text, re.IGNORECASE):
        tables = session.temporary_tables
        (tables.add if table[1].upper() == "CREATE" else tables.discard)(table[2])
        return Result()
    return _finish(session, "")  # all other DDL commits


def _select(session: Session, text: str) -> Result:
    if re.search(r"\sFROM\s", text, re.IGNORECASE):
        session.touch()
        raise FakeError(
            1146, f"the fake server has no tables; use server.answer(...) to say what it replies to: {text}"
        )
    columns = [re.split(r"\s+AS\s+", part, flags=re.IGNORECASE) for part in _split(_rest(text))]
    row = tuple(_value(session, column[0]) for column in columns)
    return Result([row], [column[-1] for column in columns], rowcount=1)


def _show(session: Session, text: str) -> Result:
    if not re.fullmatch(r"SHOW\s+SESSION\s+VARIABLES", text, re.IGNORECASE):
        return Result()
    rows = [(name, str(session.get(name))) for name in sorted({*session.defaults, *session.variables})]
    return Result(rows, ("Variable_name", "Value"), rowcount=len(rows))


def _do(session: Session, text: str) -> Result:
    for expression in _split(_rest(text)):
        _value(session, expression)
    return Result()


_VERBS: dict[str, Callable[[Session, str], Result]] = {
    "BEGIN": _begin,
    "START": _begin,
    "COMMIT": _finish,
    "ROLLBACK": _finish,
    "SAVEPOINT": _savepoint,
    "RELEASE": _savepoint,
    "USE": _use,
    "SET": _set,
    "CREATE": _create_or_drop,
    "DROP": _create_or_drop,
    "SELECT": _select,
    "SHOW": _show,
    "DO": _do,
}

# -- expressions --------------------------------------------------------------------------------------------------


def _value(session: Session, expression: str) -> Any:
    text = expression.strip()
    for pattern, evaluate in _COMPILED:
        if match := pattern.fullmatch(text):
            return evaluate(session, match)
    raise FakeError(
        1064, f"the fake server does not understand {text!r}; use server.answer(...) to say what it replies"
    )


def _assign(session: Session, match: re.Match[str]) -> Any:
    session.user_variables[match[1]] = value = _value(session, match[2])
    return value


def _get_lock(session: Session, match: re.Match[str]) -> int:
    return int(session.held.setdefault(match[1], session.id) == session.id)


def _release_lock(session: Session, match: re.Match[str]) -> int | None:
    if match[1] not in session.locks:
        return 0 if match[1] in session.held else None
    del session.held[match[1]]
    return 1


_EXPRESSIONS: dict[str, Callable[[Session, re.Match[str]], Any]] = {
    r"-?\d+": lambda _, match: int(match[0]),
    r"-?\d*\.\d+(?:e[+-]?\d+)?": lambda _, match: float(match[0]),
    r"'((?:[^']|'')*)'": lambda _, match: match[1].replace("''", "'"),
    r"NULL": lambda _, __: None,
    r"ON|TRUE": lambda _, __: 1,
    r"OFF|FALSE": lambda _, __: 0,
    r"CONVERT\(0x([0-9a-f]+) USING utf8mb4\)": lambda _, match: bytes.fromhex(match[1]).decode(),
    r"@@(?:SESSION\.)?(\w+)": lambda session, match: session.get(match[1]),
    r"@(\w+)\s*:=\s*(.+)": _assign,
    r"@(\w+)": lambda session, match: session.user_variables.get(match[1]),
    r"(?:DATABASE|SCHEMA)\(\)": lambda session, _: session.database,
    r"CURRENT_ROLE\(\)": lambda session, _: session.role,
    r"CONNECTION_ID\(\)": lambda session, _: session.id,
    r"GET_LOCK\('(\w+)'.*\)": _get_lock,
    r"RELEASE_LOCK\('(\w+)'\)": _release_lock,
    r"SLEEP\([\d.]+\)": lambda _, __: 0,
    r"\w+": lambda _, match: match[0],
}
_COMPILED = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), evaluate) for pattern, evaluate in _EXPRESSIONS.items()]


def _rest(text: str) -> str:
    return text.split(None, 1)[1]


def sleeps(sql: str) -> float:
    """Seconds that the server works on a statement: SLEEP(n) in it."""
    match = re.search(r"\bSLEEP\(([\d.]+)\)", sql, re.IGNORECASE)
    return float(match[1]) if match else 0.0


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no quotes and no parentheses."""
    parts = re.findall(r"(?:'(?:[^']|'')*'|\([^()]*\)|[^,'(])+", text)
    return [part.strip() for part in parts]
