"""The fake server: its sessions, what it answers, and what can befall it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .gate import FOREVER, Gate, pause, wake
from .session import FakeError, Result, Session, sleeps

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FakeServer"]

_DEFAULTS: dict[str, Any] = {
    "autocommit": 1,
    "init_connect": "",
    "session_track_schema": "ON",
    "wait_timeout": 28800,
    "hostname": "fake",
    "port": 3306,
    "server_id": 1,
    "character_set_client": "latin1",
    "character_set_results": "latin1",
    "character_set_connection": "latin1",
    "collation_connection": "latin1_swedish_ci",
    "collation_database": "latin1_swedish_ci",
    "time_zone": "SYSTEM",
    "sql_mode": "STRICT_TRANS_TABLES",
    "innodb_lock_wait_timeout": 50,
}


@dataclass(slots=True)
class _Answer:
    pattern: re.Pattern[str]
    result: Result
    delay: float
    error: BaseException | None
    times: float


@dataclass
class FakeServer:
    """A server in memory. It belongs to no event loop, and may outlive several.

    Attributes:
        max_connections: beyond it connects fail with 1040; None: no limit.
        password: what clients must send; None takes any.
        databases: those that exist; None: every one.
        variables: the server's own values of session variables; change them as SET GLOBAL would.
        stopped: it refuses connects.
        sessions: those that are open, by id.
        connects: how many were opened so far; `peak`: most of them at once.
        log: every statement and command that arrived, with the id of its session.
        violations: what a client did that it must never do: two calls at once, a call before the last reply was read.
    """

    max_connections: int | None = None
    password: str | None = None
    databases: set[str] | None = None
    variables: dict[str, Any] = field(default_factory=_DEFAULTS.copy, repr=False)
    stopped: bool = False
    sessions: dict[int, Session] = field(default_factory=dict[int, Session], init=False)
    connects: int = field(default=0, init=False)
    peak: int = field(default=0, init=False)
    log: list[tuple[int, str]] = field(default_factory=list["tuple[int, str]"], init=False, repr=False)
    violations: list[str] = field(default_factory=list[str], init=False)
    connect: Gate = field(default_factory=Gate, init=False, repr=False)
    ping: Gate = field(default_factory=Gate, init=False, repr=False)
    execute: Gate = field(default_factory=Gate, init=False, repr=False)
    reset: Gate = field(default_factory=Gate, init=False, repr=False)
    close: Gate = field(default_factory=Gate, init=False, repr=False)
    _answers: list[_Answer] = field(default_factory=list[_Answer], init=False, repr=False)
    _started_at: float | None = field(default=-FOREVER, init=False, repr=False)
    _locks: dict[str, int] = field(default_factory=dict[str, int], init=False, repr=False)

    # -- what a test says and asks --------------------------------------------------------------------------------

    @property
    def gates(self) -> tuple[Gate, ...]:
        """All of them."""
        return self.connect, self.ping, self.execute, self.reset, self.close

    @property
    def running(self) -> dict[int, str]:
        """What the server is working on, by session: SHOW PROCESSLIST without those that sleep."""
        return {s.id: s.statement for s in self.sessions.values() if s.statement is not None}

    def statements(self, session_id: int | None = None) -> list[str]:
        """What arrived, of one session or of all."""
        return [text for owner, text in self.log if session_id in {None, owner}]

    def answer(
        self,
        pattern: str,
        rows: Sequence[tuple[Any, ...]] = (),
        columns: Sequence[str] = (),
        *,
        delay: float = 0.0,
        error: BaseException | int | None = None,
        times: float = FOREVER,
        rowcount: int | None = None,
        lastrowid: int | None = None,
    ) -> None:
        """Say what to reply to statements that contain `pattern`.

        Args:
            pattern: a regular expression, in any case of letters. What was said last is tried first.
            rows: of the result.
            columns: their names; default ``c0``, ``c1`` and so on.
            delay: seconds that the server works on it.
            error: reply with this exception, or with the MySQL error of this number, instead of rows.
            times: so many replies, then it is forgotten.
            rowcount: default: as many as there are rows.
            lastrowid: of an INSERT.
        """
        names = columns or [f"c{i}" for i in range(len(rows[0]) if rows else 0)]
        result = Result(rows, names, len(rows) if rowcount is None else rowcount, lastrowid)
        raised = FakeError(error, "injected") if isinstance(error, int) else error
        self._answers.insert(0, _Answer(re.compile(pattern, re.IGNORECASE), result, delay, raised, times))

    def kill(self, session_id: int, *, quietly: bool = False) -> None:
        """End a session. Its client notices at once, or only with its next call if it happens `quietly`.

        Raises:
            FakeError: 1094, there is no such session.
        """
        session = self.sessions.get(session_id)
        if session is None:
            raise FakeError(1094, f"Unknown thread id: {session_id}")
        session.noticed = not quietly
        self._end(session)
        for waiter in list(session.waiters):
            wake(waiter, FakeError(2013, "Lost connection to MySQL server during query"))

    def kill_all(self, *, quietly: bool = False) -> None:
        """End every session."""
        for session_id in list(self.sessions):
            self.kill(session_id, quietly=quietly)

    def stop(self) -> None:
        """Go down: sessions end, connects are refused with 2003."""
        self.stopped = True
        self.kill_all()

    def start(self) -> None:
        """Be back."""
        self.stopped = False
        self._started_at = None

    # -- what the driver does -------------------------------------------------------------------------------------

    def admit(self, password: str, database: str | None) -> Session:
        """A new session.

        Raises:
            FakeError: 2003 down, 1045 wrong password, 1049 no such database, 1040 full.
        """
        if self.stopped:
            raise FakeError(2003, "Can't connect to MySQL server (connection refused)")
        if self.max_connections is not None and len(self.sessions) >= self.max_connections:
            raise FakeError(1040, "Too many connections")
        if self.password is not None and password != self.password:
            raise FakeError(1045, "Access denied")
        if database is not None and self.databases is not None and database not in self.databases:
            raise FakeError(1049, f"Unknown database '{database}'")
        loop = asyncio.get_running_loop()
        if self._started_at is None:
            self._started_at = loop.time()
        self.connects += 1
        session = Session(self.connects, database, self.variables, self._locks, loop)
        session.last_command = loop.time()
        self.sessions[session.id] = session
        self.peak = max(self.peak, len(self.sessions))
        return session

    def work(self, session: Session, sql: str) -> tuple[Result, float]:
        """The result of a statement, and the seconds that it takes."""
        for answer in self._answers:
            if answer.times > 0 and answer.pattern.search(sql):
                answer.times -= 1
                if answer.error is not None:
                    raise answer.error
                return answer.result, answer.delay
        if kill := re.match(r"\s*KILL\s+(?:CONNECTION\s+|(QUERY)\s+)?(\d+)", sql, re.IGNORECASE):
            self._kill_statement(int(kill[2])) if kill[1] else self.kill(int(kill[2]))
            return Result(), 0.0
        if re.match(r"\s*SHOW\s+PROCESSLIST", sql, re.IGNORECASE):
            return Result([_thread(s) for s in self.sessions.values()]), 0.0
        if re.match(r"\s*SHOW\s+GLOBAL\s+STATUS\s+LIKE\s+'Uptime'", sql, re.IGNORECASE):
            return Result([("Uptime", str(self._uptime()))]), 0.0
        return session.run(sql), sleeps(sql)

    async def busy(self, session: Session, sql: str, seconds: float) -> None:
        """Work on a statement, with the client waiting for it."""
        session.statement, session.busy_until = sql, session.loop.time() + seconds
        await pause(seconds, session)
        session.statement = None

    def hang_up(self, session: Session) -> None:
        """The client has left. The server learns of it when it has done what it is working on."""
        loop = session.loop
        if session.statement is None or session.busy_until <= loop.time() or loop.is_closed():
            self._end(session)
        elif session.busy_until < FOREVER:
            loop.call_at(session.busy_until, self._end, session)

    def patience_ends(self, session: Session) -> None:
        """Close a session that said nothing for its `wait_timeout`."""
        idle = session.loop.time() - session.last_command
        if not session.ended and idle > float(session.get("wait_timeout")):
            self.kill(session.id)

    def _uptime(self) -> int:
        """Whole seconds since the first connect after `start`."""
        started_at = self._started_at or 0.0
        return int(min(asyncio.get_running_loop().time() - started_at, 1_000_000.0))

    def _kill_statement(self, session_id: int) -> None:
        session = self.sessions.get(session_id)
        if session is None:
            raise FakeError(1094, f"Unknown thread id: {session_id}")
        if session.statement is not None:
            session.statement = None
            for waiter in list(session.waiters):
                wake(waiter, FakeError(1317, "Query execution was interrupted"))

    def _end(self, session: Session) -> None:
        session.ended, session.statement = True, None
        session.end()
        self.sessions.pop(session.id, None)


def _thread(session: Session) -> tuple[object, ...]:
    """A line of SHOW PROCESSLIST."""
    command = "Sleep" if session.statement is None else "Query"
    return (session.id, "app", f"localhost:{session.port}", session.database, command, 0, "", session.statement)
