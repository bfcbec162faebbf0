"""The pool's driver for the fake server, and connections with the interface that aiomysql's and asyncmy's have."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from async_mysqlpool.wire.packets import COM_INIT_DB, COM_RESET_CONNECTION, Command

from .cursor import FakeCursor, FakeStreamCursor
from .server import FakeServer
from .session import FakeError, Result, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from async_mysqlpool.drivers.base import ConnectParams

    from .gate import Gate

__all__ = ["FakeConnection", "FakeDriver", "FakeWire"]

T = TypeVar("T")


class FakeDriver:
    """What `ConnectionPool(driver=...)` takes to talk to a `FakeServer`.

    Args:
        server: default: one of its own, at `.server`.
        pipelines: whether resets travel with the release, or have to be waited for.
    """

    name = "fake"
    cursors = (FakeCursor, FakeStreamCursor)

    resets = True

    def __init__(self, server: FakeServer | None = None, pipelines: bool = True) -> None:
        self.server = server or FakeServer()
        self.pipelines = pipelines

    async def connect(self, params: ConnectParams) -> FakeConnection:
        """A session of its own, in the client's character set and autocommit mode."""
        await self.server.connect.passed()
        session = self.server.admit(params.password, params.database)
        session.run(f"SET NAMES {params.charset}")
        if params.autocommit is not None:
            session.variables["autocommit"] = int(params.autocommit)
        return FakeConnection(self.server, session, params)

    async def ping(self, raw: FakeConnection) -> None:
        """COM_PING."""
        await raw.ping(reconnect=False)

    async def execute(self, raw: FakeConnection, sql: str) -> Sequence[Sequence[Any]]:
        """One statement; its rows."""
        return (await raw.query(sql)).rows

    def snapshot(self, raw: FakeConnection) -> tuple[str, str | None, bool | None]:
        """What the connection believes about its session."""
        return raw.charset, raw.db, raw.autocommit_mode

    def restore(self, raw: FakeConnection, snapshot: Any, settings: bool) -> None:
        """Believe that again."""
        raw.charset, raw.db, raw.autocommit_mode = snapshot
        raw.unread = 0

    def listen(self, raw: FakeConnection, harmless: Callable[[bytes], bool] | None) -> FakeWire:
        """The connection's own."""
        raw.wire.harmless = harmless
        return raw.wire

    def is_heard(self, raw: FakeConnection, wire: object) -> bool:
        """It never reconnects."""
        return True

    def reader(self, raw: FakeConnection, wire: object, shapes: object) -> None:
        """Nothing is read past it."""
        return

    def encode(self, raw: FakeConnection, commands: Sequence[Command]) -> bytes:
        """One line each."""
        return b"\n".join(bytes((command.code,)) + command.payload for command in commands)

    def encoding(self, raw: FakeConnection) -> str:
        """Any."""
        return "utf-8"

    def is_dead(self, raw: FakeConnection) -> bool:
        """Closed on either side."""
        raw.server.patience_ends(raw.session)
        return raw.closed or raw.session.noticed

    def has_unread(self, raw: FakeConnection) -> bool:
        """Rows of a `FakeStreamCursor`."""
        return raw.unread > 0

    def connection_id(self, raw: FakeConnection) -> int:
        """The id of the session."""
        return raw.thread_id()

    def local_port(self, raw: FakeConnection) -> int:
        """As in the process list."""
        return raw.session.port

    def peer(self, raw: FakeConnection) -> tuple[str, int] | None:
        """There is only one server."""
        return None

    def socket(self, raw: FakeConnection) -> None:
        """There is none."""
        return

    def error_number(self, error: BaseException) -> int | None:
        """Number first, as in PyMySQL."""
        return error.args[0] if isinstance(error, FakeError) else None

    def is_buffered(self, cursor: Any) -> bool:
        """All but `FakeStreamCursor`."""
        return not isinstance(cursor, FakeStreamCursor)

    def new_cursor(self, raw: FakeConnection, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FakeCursor:
        """The cursor itself."""
        return raw.cursor(*args, **kwargs)

    async def close(self, raw: FakeConnection) -> None:
        """COM_QUIT."""
        await raw.call(raw.server.close, lambda: raw.note("COM_QUIT"))
        raw.close()

    def abort(self, raw: FakeConnection) -> None:
        """No goodbye."""
        raw.close()


class FakeWire:
    """What is known of a connection, as `wire.Wire` has it; and commands that are answered before its next call.

    An error among the answers closes the connection.
    """

    def __init__(self, connection: FakeConnection) -> None:
        self.harmless: Callable[[bytes], bool] | None = None
        self.sees = self.hears = True
        self.status = 0
        self.doubt: str | None = None
        self.spent: str | None = None
        self.in_transaction = False  # as the last reply said
        self.begin()
        self._connection = connection
        self._waiting: deque[tuple[list[Command], Callable[[Exception | None], None]]] = deque()
        self._replies: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """A new borrower."""
        self.stirred = False  # its trackers cannot be switched off
        self.touched = self.moved = self.changed = self.unheard = self.unsafe = self.wrote = False

    def heard(self, sql: str, result: Result | None) -> None:
        """A statement was answered; None: by an error."""
        session = self._connection.session
        self.touched = True
        self.unsafe = self.unsafe or self.harmless is None or not self.harmless(sql.encode())
        self.in_transaction = session.in_transaction
        self.unheard = result is None
        if result is not None:
            self.changed = self.changed or session.changed
            self.moved = self.moved or session.database != self._connection.home
            self.wrote = self.wrote or (not result.columns and result.rowcount > 0)

    @property
    def due(self) -> int:
        """Whether a reply is still to come, or to be read."""
        return int(self._connection.under_way or self._connection.unread > 0)

    @property
    def own_due(self) -> int:
        """Batches of the pool's own that are not answered."""
        return len(self._waiting) + (self._replies is not None)

    @property
    def lost(self) -> bool:
        """Closed on either side."""
        return self._connection.closed or self._connection.session.noticed

    @property
    def in_step(self) -> bool:
        """Whether nothing is due."""
        return not (self.due or self.own_due or self.lost)

    def is_of(self, output: object) -> bool:
        """It has no output."""
        return True

    def send(
        self, data: bytes, codes: tuple[int, ...], on_done: Callable[[Exception | None], None], cork: bool = False
    ) -> None:
        """Through the reset gate, after what was sent before; with `cork` not before the next call or `flush`."""
        connection = self._connection
        commands = [Command(line[0], line[1:]) for line in data.split(b"\n")]
        if tuple(command.code for command in commands) != codes:
            connection.server.violations.append(f"connection {connection.session.id} miscounts its pipelined commands")
        self.flush()
        self._waiting.append((commands, on_done))
        if not cork:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._replies is not None or not self._waiting:
            return
        commands, on_done = self._waiting.popleft()
        replies = self._replies = self._connection.server.reset.enter(self._connection.session)
        replies.add_done_callback(lambda _: self._answered(replies, commands, on_done))

    def _answered(
        self, replies: asyncio.Future[None], commands: Sequence[Command], on_done: Callable[[Exception | None], None]
    ) -> None:
        self._replies = None
        on_done(self._carried_out(replies, commands))
        self.flush()

    def _carried_out(self, replies: asyncio.Future[None], commands: Sequence[Command]) -> Exception | None:
        if replies.cancelled() or self._connection.session.ended:
            return ConnectionResetError("the connection was lost")
        try:
            replies.result()
            self._connection.carry_out(commands)
            self.in_transaction = self._connection.session.in_transaction
        except Exception as exc:  # noqa: BLE001  whatever the test has injected
            self._connection.close()
            return exc
        return None

    async def finished(self) -> None:
        """Send what waits, and wait for the replies; being cancelled here disturbs them not."""
        self.flush()
        while self._replies is not None:
            await asyncio.wait([self._replies])

    def abort(self) -> None:
        """Close the connection."""
        self._connection.close()

    def give_up(self) -> None:
        """The connection is closed."""
        waiting, self._waiting = self._waiting, deque()
        for _, on_done in waiting:
            on_done(ConnectionResetError("the connection was closed"))
        if self._replies is not None:
            self._replies.cancel()


class FakeConnection:
    """The client's side of a session, with the methods that aiomysql's and asyncmy's connections have.

    Like theirs, it does not guard itself: a call while another one is under way, or after one that was left before its
    reply came, is a violation (`FakeServer.violations`) and fails with 2014.
    """

    def __init__(self, server: FakeServer, session: Session, params: ConnectParams) -> None:
        self.server = server
        self.session = session
        self.host = params.host
        self.user = params.user
        self.db = params.database
        self.charset = params.charset
        self.autocommit_mode = params.autocommit
        self.closed = False
        self.unread = 0  # rows of a FakeStreamCursor that nobody has fetched yet
        self.in_transaction = False
        self.under_way = False
        self.home = params.database
        self.wire = FakeWire(self)

    async def call(self, gate: Gate, work: Callable[[], T]) -> T:
        """One exchange with the server, through a gate."""
        self.wire.touched = True
        with self._exchange():
            await self._reach(gate)
            return work()

    async def query(self, sql: str) -> Result:
        """One statement."""
        with self._exchange():
            await self._reach(self.server.execute)
            self.note(sql)
            self.wire.touched = True
            try:
                result, seconds = self.server.work(self.session, sql)
                if seconds:
                    await self.server.busy(self.session, sql, seconds)
            except BaseException:
                self.wire.heard(sql, None)
                raise
            self.wire.heard(sql, result)
            return result

    @contextmanager
    def _exchange(self) -> Generator[None]:
        """From the command to its reply. An error of the server's is a reply as well; a lost connection is the end."""
        self.server.patience_ends(self.session)
        if self.closed or self.session.noticed:
            raise FakeError(2006, "MySQL server has gone away")
        if self.under_way:
            self.server.violations.append(f"connection {self.session.id} was used with a reply still to come")
            raise FakeError(2014, "Commands out of sync")
        self.under_way = True
        try:
            yield
        except FakeError as exc:
            if 2000 <= exc.args[0] < 3000:
                self.close()
            self.under_way = False
            raise
        self.under_way = False
        self.in_transaction = self.session.in_transaction
        self.session.last_command = self.session.loop.time()

    async def _reach(self, gate: Gate) -> None:
        await self.wire.finished()
        await gate.passed(self.session)
        if self.closed or self.session.ended:
            raise FakeError(2013, "Lost connection to MySQL server during query")

    def note(self, text: str) -> None:
        """Write into the server's log."""
        self.server.log.append((self.session.id, text))

    def carry_out(self, commands: Sequence[Command]) -> None:
        """What the server does with commands of the protocol."""
        for command in commands:
            text = command.payload.decode()
            if command.code == COM_RESET_CONNECTION:
                self.note("COM_RESET_CONNECTION")
                self.session.reset()
            elif command.code == COM_INIT_DB:
                self.note(f"USE {text}")
                self.session.database = text
            else:
                self.note(text)
                self.server.work(self.session, text)

    # -- what drivers have ----------------------------------------------------------------------------------------

    def cursor(self, cursor_class: type[FakeCursor] | None = None) -> FakeCursor:
        """A cursor of the given class."""
        return (cursor_class or FakeCursor)(self)

    async def begin(self) -> None:
        """BEGIN."""
        await self.query("BEGIN")

    async def commit(self) -> None:
        """COMMIT."""
        await self.query("COMMIT")

    async def rollback(self) -> None:
        """ROLLBACK."""
        await self.query("ROLLBACK")

    async def autocommit(self, mode: bool) -> None:
        """SET autocommit."""
        self.autocommit_mode = mode
        await self.query(f"SET autocommit = {int(mode)}")

    async def select_db(self, db: str) -> None:
        """Change the database."""
        self.db = db
        await self.query(f"USE {db}")

    async def ping(self, reconnect: bool = True) -> None:
        """COM_PING. Like the drivers' own it would by default open a new session, so the fake refuses the default.

        Raises:
            AssertionError: `reconnect` is not False.
        """
        if reconnect:
            raise AssertionError("ping() without reconnect=False silently opens another session")
        await self.call(self.server.ping, lambda: self.note("COM_PING"))

    def thread_id(self) -> int:
        """The id of the session."""
        return self.session.id

    def close(self) -> None:
        """Close the socket."""
        if self.closed:
            return
        self.closed = True
        self.wire.give_up()
        if not self.session.ended:
            self.server.hang_up(self.session)
