"""aiomysql.

Private parts used besides the family's, seen in 0.3.2: `Connection._connect`, `._reader`, `._writer`,
`_ContextManager._coro`, `StreamReader._buffer`; for logging in also those that `login.oversee` names, and for reading
results those of `AiomysqlReader`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiomysql  # pyright: ignore[reportMissingTypeStubs]  it has none
from aiomysql.connection import MySQLResult  # pyright: ignore[reportMissingTypeStubs]
from pymysql.err import InternalError, MySQLError, OperationalError

from async_mysqlpool.drivers.family import PyMySQLFamily
from async_mysqlpool.drivers.login import Names, login_of, oversee
from async_mysqlpool.drivers.results import DICTIONARY_METHODS, Originals, StatementReader
from async_mysqlpool.drivers.rows import rows_of
from async_mysqlpool.wire.packets import CLIENT_DEPRECATE_EOF
from async_mysqlpool.wire.transport import StreamWire, abort

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from async_mysqlpool.drivers.base import Connected, ConnectParams, Driver
    from async_mysqlpool.drivers.results import Rows, Shape, Shapes


def _transport(raw: Any) -> asyncio.Transport | None:
    return None if raw._writer is None else raw._writer.transport


_NAMES = Names("client_flag", "_server_auth_plugin", "_read_packet", _transport)


# Attributes that are the conversation itself, or the state that the family's part looks after.
_RUNTIME = frozenset({
    "_charset", "_encoding", "_db", "autocommit_mode", "server_status", "_writer", "_reader", "_result",
    "_affected_rows", "_next_seq_id", "_last_usage", "_close_reason", "host_info", "_password", "salt", "_loop",
})  # fmt: skip


class AiomysqlDriver(PyMySQLFamily):
    """The adapter for aiomysql's connections."""

    name = "aiomysql"
    cursors = (aiomysql.Cursor, aiomysql.SSCursor)
    unbuffered_class = aiomysql.SSCursor
    error_class = MySQLError
    output_attribute = "_writer"
    runtime = _RUNTIME

    async def connect(self, params: ConnectParams) -> Any:
        """`aiomysql.connect` keeps the socket when it is cancelled during the handshake, so its two steps are here."""
        connection_class: Any = aiomysql.Connection
        raw = connection_class(
            host=params.host,
            port=params.port,
            user=params.user,
            password=params.password.encode().decode("latin1"),  # which the driver makes bytes of
            db=params.database,
            unix_socket=params.unix_socket,
            charset=params.charset,
            autocommit=params.autocommit,
            connect_timeout=params.connect_timeout,
            **self.arguments(params),
        )
        give_up = oversee(raw, login_of(raw, params), _NAMES, InternalError)
        try:
            await raw._connect()
        except BaseException:
            give_up()
            self.abort(raw)
            raise
        return raw

    def transport(self, raw: Any) -> asyncio.Transport | None:
        """Through its stream writer."""
        return _transport(raw)

    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The driver wraps a cursor into an awaitable, although it is there already; the usual one is made without."""
        if args or kwargs:
            return super().new_cursor(raw, args, kwargs)._coro.result()
        return raw.cursorclass(raw, raw.echo)

    def capabilities(self, raw: Any) -> int:
        """What both sides can."""
        return int(raw.client_flag & raw.server_capabilities)

    def has_unread(self, raw: Any) -> bool:
        """In the buffer of its reader."""
        return raw._reader is not None and bool(raw._reader._buffer)

    def is_dead(self, raw: Any) -> bool:
        """Closed on either side, or bytes came that nobody asked for: a server says why it hangs up."""
        reader = raw._reader
        if raw._writer is None or raw._writer.transport.is_closing():
            return True
        return bool(reader._buffer) or reader.at_eof() or reader.exception() is not None

    def abort(self, raw: Any) -> None:
        """The driver's own finalizer finds nothing left to warn of."""
        transport = self.transport(raw)
        if transport is not None:
            abort(transport)
        raw._writer = raw._reader = None

    def reader(self, raw: Any, wire: Connected, shapes: Shapes) -> StatementReader | None:
        """For its own connections, as long as nobody had changed them when this file was loaded."""
        if not AiomysqlReader.methods.known or type(raw) is not _CONNECTION or not isinstance(wire, StreamWire):
            return None
        eof_follows = not self.capabilities(raw) & CLIENT_DEPRECATE_EOF
        reader = AiomysqlReader(self, raw, wire, shapes, eof_follows)
        return reader if eof_follows and reader.is_usual() else None


_CONNECTION: Any = aiomysql.Connection
_PLAIN: Any = aiomysql.Cursor
_DICTIONARY: Any = aiomysql.DictCursor
_RESULT: Any = MySQLResult


_METHODS = ("query", "cursor", "_execute_command", "_read_query_result", "_read_packet", "_write_bytes")
_CURSORS = ("execute", "_query", "_do_get_result", "fetchone", "fetchmany", "fetchall", "mogrify", "_escape_args")
_RESULTS = ("read", "_read_rowdata_packet", "_read_row_from_packet")
_SERVER_LOST = 2013


class AiomysqlReader(StatementReader):
    """Reads rows here: the driver makes an object of each packet."""

    __slots__ = ()
    decoders = "decoders"
    methods = Originals({_PLAIN: _CURSORS, _CONNECTION: _METHODS, _RESULT: _RESULTS})
    dictionary = _DICTIONARY
    dictionary_methods = Originals({_DICTIONARY: DICTIONARY_METHODS})

    def is_usual(self) -> bool:
        """Nobody wants to have statements in the log."""
        raw = self.raw
        return not raw._echo and bool(raw.use_unicode) and raw.__dict__.keys().isdisjoint(_METHODS)

    def literal(self) -> Callable[[Any], str]:
        """There is but one."""
        escape: Callable[[Any], str] = self.raw.escape
        return escape

    def kind(self, args: tuple[Any, ...]) -> bool | None:
        """One class, or none at all for that of the connection."""
        wanted = args[0] if args else self.raw.cursorclass
        return False if wanted is _PLAIN else True if wanted is _DICTIONARY else None

    def rows(self, shape: Shape, reply: bytearray, at: int, sequence: int) -> tuple[list[tuple[Any, ...]], int, int]:
        """One after the other."""
        return rows_of(bytes(reply), at, sequence, shape.converters)

    def check_open(self) -> None:
        """Without this, the driver would stumble over the parts that are gone."""
        if self.raw._reader is None:
            raise OperationalError(_SERVER_LOST, "Lost connection to MySQL server during query")

    def install(self, cursor: Any, shape: Shape, rows: Rows, number: int, query: str) -> None:
        """Properties are in front of most of these, so here are the attributes behind them."""
        cursor._result, cursor._rows, cursor._executed, cursor._last_executed = shape.result, rows, query, query
        cursor._description, cursor._rowcount = shape.result.description, len(rows)
        cursor._lastrowid, cursor._rownumber = shape.result.insert_id, number
        if type(cursor) is _DICTIONARY:
            cursor._fields = shape.names

    def close(self, cursor: Any) -> None:
        """Leave the cursor in the state in which the driver's own `close` leaves it."""
        cursor._connection = None


driver: Driver = AiomysqlDriver()
