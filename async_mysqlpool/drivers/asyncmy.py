"""asyncmy.

Private parts used besides the family's, seen in 0.2.14 to 0.2.18: `Connection._transport`, `._proto` (`length`, `pos`),
`._stream_broken`, `._stmt_cache`, `._unpreparable`, `._client_flag`; for logging in also those that `login.oversee`
names, and for reading results those of `AsyncmyReader`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from asyncmy import connection, protocol
from asyncmy.connection import Connection
from asyncmy.cursors import Cursor, DictCursor, SSCursor
from asyncmy.errors import InternalError, MySQLError

from async_mysqlpool.drivers.family import PyMySQLFamily
from async_mysqlpool.drivers.login import Names, login_of, oversee
from async_mysqlpool.drivers.results import DICTIONARY_METHODS, Originals, StatementReader
from async_mysqlpool.wire.transport import BufferedWire, abort

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from async_mysqlpool.drivers.base import Connected, ConnectParams, Driver
    from async_mysqlpool.drivers.results import Rows, Shape, Shapes

_NAMES = Names("_client_flag", "_auth_plugin_name", "read_packet", attrgetter("_transport"))


# Attributes that are the conversation itself, or the state that the family's part looks after.
_RUNTIME = frozenset({
    "_charset", "_db", "autocommit_mode", "_close_reason", "_stream_broken", "_unpreparable", "_tls_established",
    "host_info", "_transport", "_proto", "_result", "_affected_rows", "_next_seq_id", "server_status", "_connected",
    "_last_usage", "_stmt_cache", "_password", "password", "salt", "_secure", "_encoding", "_deprecate_eof",
    "_loop",
})  # fmt: skip


class AsyncmyDriver(PyMySQLFamily):
    """The adapter for asyncmy's connections."""

    name = "asyncmy"
    cursors = (Cursor, SSCursor)
    unbuffered_class = SSCursor
    error_class = MySQLError
    output_attribute = "_transport"
    runtime = _RUNTIME
    wire_class = BufferedWire

    async def connect(self, params: ConnectParams) -> Any:
        """The driver's own connect closes its socket when it fails, or is cancelled, but without haste."""
        connection_class: Any = Connection
        raw = connection_class(
            host=params.host,
            port=params.port,
            user=params.user,
            password=params.password.encode(),  # of a text, the driver would make latin-1
            database=params.database,
            unix_socket=params.unix_socket,
            charset=params.charset,
            autocommit=params.autocommit,
            connect_timeout=params.connect_timeout,
            **self.arguments(params),
        )
        give_up = oversee(raw, login_of(raw, params), _NAMES, InternalError)
        try:
            await raw.connect()
        except BaseException:
            give_up()
            raise
        return raw

    def transport(self, raw: Any) -> asyncio.Transport | None:
        """Its own attribute."""
        transport: asyncio.Transport | None = raw._transport
        return transport

    def capabilities(self, raw: Any) -> int:
        """What both sides can."""
        return int(raw._client_flag & raw.server_capabilities)

    def has_unread(self, raw: Any) -> bool:
        """In its buffer."""
        proto = raw._proto
        return proto is not None and bool(proto.length > proto.pos)

    def restore(self, raw: Any, snapshot: tuple[Any, ...], settings: bool) -> None:
        """The server forgets prepared statements with the rest, so the driver's cache of them has to as well."""
        PyMySQLFamily.restore(self, raw, snapshot, settings)
        if statements := raw._stmt_cache:
            statements.clear()

    def is_dead(self, raw: Any) -> bool:
        """Closed on either side, or bytes came that nobody asked for: a server says why it hangs up."""
        return bool(raw._stream_broken) or raw._proto.length > raw._proto.pos

    def abort(self, raw: Any) -> None:
        """The driver's own `close` would wait for its write buffer."""
        transport, raw._transport = raw._transport, None
        if transport is not None:
            abort(transport)
        raw.close()

    def reader(self, raw: Any, wire: Connected, shapes: Shapes) -> StatementReader | None:
        """For its own connections, as long as nobody had changed them when this file was loaded."""
        known = _parse is not None and AsyncmyReader.methods.known
        if not known or type(raw) is not _CONNECTION or not isinstance(wire, BufferedWire):
            return None
        reader = AsyncmyReader(self, raw, wire, shapes, eof_follows=not raw._deprecate_eof)
        return reader if reader.is_usual() else None


_CONNECTION: Any = Connection
_DICTIONARY: Any = DictCursor


# Of the connection; the cursor itself cannot be changed.
_METHODS = ("query", "cursor", "_execute_command", "_read_query_result", "read_packet", "_write_bytes")


_parse: Any = getattr(protocol, "parse_rows_from_buffer", None)  # not in old versions


class AsyncmyReader(StatementReader):
    """Reads with the driver's own parser of rows."""

    __slots__ = ()
    decoders = "_decoders"
    methods = Originals({_CONNECTION: _METHODS})
    dictionary = _DICTIONARY
    dictionary_methods = Originals({_DICTIONARY: DICTIONARY_METHODS})

    def is_usual(self) -> bool:
        """Nobody is told of statements, prepares them or limits the time for their replies."""
        raw = self.raw
        if getattr(raw, "_query_callback", None) is not None or raw._echo or raw._stmt_cache_size or raw._read_timeout:
            return False
        return bool(raw._connected and raw._use_unicode) and raw.__dict__.keys().isdisjoint(_METHODS)

    def literal(self) -> Callable[[Any], str]:
        """Knows the connection's own encoders."""
        literal: Callable[[Any], str] = self.raw.literal
        return literal

    def kind(self, args: tuple[Any, ...]) -> bool | None:
        """One class, or none at all for that of the connection."""
        wanted = (args[0] if args else None) or self.raw._cursor_cls
        return False if wanted is Cursor else True if wanted is _DICTIONARY else None

    def rows(self, shape: Shape, reply: bytearray, at: int, sequence: int) -> tuple[list[tuple[Any, ...]], int, int]:
        """In one go."""
        rows: list[tuple[Any, ...]] = []
        at, sequence = _parse(reply, at, len(reply), shape.converters, sequence, rows, not self._eof_follows)
        return rows, at, sequence

    def note_status(self, status: int) -> None:
        """None at all are no flags."""
        if status:
            self.raw.server_status = status

    def install(self, cursor: Any, shape: Shape, rows: Rows, number: int, query: str) -> None:
        """All of them are attributes that can be set."""
        cursor._result, cursor._rows, cursor._executed = shape.result, rows, query
        cursor.description, cursor.rowcount = shape.result.description, len(rows)
        cursor.lastrowid, cursor.rownumber = shape.result.insert_id, number
        if type(cursor) is _DICTIONARY:
            cursor._fields = shape.names

    def close(self, cursor: Any) -> None:
        """Leave the cursor in the state in which the driver's own `close` leaves it."""
        cursor.connection = None


class _Older(AsyncmyDriver):
    """Up to 0.2.17, which does not see that it has closed its stream itself, and takes no large reply from us."""

    def is_dead(self, raw: Any) -> bool:
        """Closed by us, or as above."""
        return raw._transport is None or raw._transport.is_closing() or AsyncmyDriver.is_dead(self, raw)

    def reader(self, raw: Any, wire: Connected, shapes: Shapes) -> StatementReader | None:
        """The driver reads everything."""
        return None


driver: Driver = AsyncmyDriver() if hasattr(connection, "_ConnectionState") else _Older()
