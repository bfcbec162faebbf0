"""What aiomysql and asyncmy have in common: both descend from PyMySQL, names of private parts included.

Private parts used: `Connection.query`, `._result`, `._charset`, `._encoding`, `._db`; each driver's file lists its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.settings import put_back, take
from async_mysqlpool.drivers.transport import TransportDriver
from async_mysqlpool.wire.packets import CLIENT_SESSION_TRACK, SERVER_SESSION_STATE_CHANGED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.drivers.base import ConnectParams


class PyMySQLFamily(TransportDriver):
    """The larger part of both adapters."""

    # Set by each driver: the base of the cursors that read row by row, the base of its errors, the attribute that it
    # writes to, and those that are no settings.
    unbuffered_class: Any
    error_class: type[Exception]
    output_attribute: str
    runtime: frozenset[str]

    def output(self, raw: Any) -> tuple[Any, str]:
        """An attribute of the connection itself."""
        return raw, self.output_attribute

    async def ping(self, raw: Any) -> None:
        """The default of the drivers' own ping would reconnect: a new session under an old entry."""
        await raw.ping(reconnect=False)

    async def execute(self, raw: Any, sql: str) -> Sequence[Sequence[Any]]:
        """What a cursor does, without its look for warnings: one round trip, and nothing for the user to see."""
        await raw.query(sql)
        rows: Sequence[Sequence[Any]] = raw._result.rows or ()
        return rows

    def snapshot(self, raw: Any) -> tuple[Any, ...]:
        """Attributes that `autocommit()`, `set_charset()` and every reply change; and all that are settings."""
        return (*self._state(raw), take(raw, self.runtime))

    def restore(self, raw: Any, snapshot: tuple[Any, ...], settings: bool) -> None:
        """What the driver believes of the session is right again, its escaping of strings included."""
        raw._result = None
        raw.server_status = snapshot[4]  # every reply sets it; the rest only methods that count as settings do
        if settings:
            raw._charset, raw._encoding, raw._db, raw.autocommit_mode, _, own = snapshot
            put_back(raw, own)

    def _state(self, raw: Any) -> tuple[Any, ...]:
        # That the session has changed is news only once.
        status = raw.server_status & ~SERVER_SESSION_STATE_CHANGED
        return raw._charset, raw._encoding, raw._db, raw.autocommit_mode, status

    def encoding(self, raw: Any) -> str:
        """The driver has Python's name of it."""
        return str(raw._encoding)

    def arguments(self, params: ConnectParams) -> dict[str, Any]:
        """The driver's own arguments for connect."""
        arguments = dict(params.connect_args)
        arguments["client_flag"] = arguments.get("client_flag", 0) | CLIENT_SESSION_TRACK
        return arguments

    def connection_id(self, raw: Any) -> int:
        """From the server's greeting."""
        return int(raw.thread_id())

    def error_number(self, error: BaseException) -> int | None:
        """Number first, as in PyMySQL."""
        if isinstance(error, self.error_class) and error.args and isinstance(error.args[0], int):
            return error.args[0]
        return None

    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The cursor itself."""
        return raw.cursor(*args, **kwargs)

    def is_buffered(self, cursor: Any) -> bool:
        """All but those that say otherwise by their base class."""
        return not isinstance(cursor, self.unbuffered_class)
