"""asyncmy.

Private parts used besides the family's, seen in 0.2.18: `Connection._transport`, `._proto` (`length`, `pos`),
`._stream_broken`, `._stmt_cache`, `._unpreparable`, `._client_flag`; for logging in also those that `login.oversee`
names.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from asyncmy.connection import Connection
from asyncmy.cursors import SSCursor
from asyncmy.errors import InternalError, MySQLError

from async_mysqlpool.drivers.family import PyMySQLFamily
from async_mysqlpool.drivers.login import Names, login_of, oversee
from async_mysqlpool.wire.transport import BufferedWire, abort

if TYPE_CHECKING:
    import asyncio

    from async_mysqlpool.drivers.base import ConnectParams, Driver

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
        super().restore(raw, snapshot, settings)
        if raw._stmt_cache:
            raw._stmt_cache.clear()

    def is_dead(self, raw: Any) -> bool:
        """Closed on either side, or bytes came that nobody asked for: a server says why it hangs up."""
        return bool(raw._stream_broken) or raw._proto.length > raw._proto.pos

    def abort(self, raw: Any) -> None:
        """The driver's own `close` would wait for its write buffer."""
        transport, raw._transport = raw._transport, None
        if transport is not None:
            abort(transport)
        raw.close()


driver: Driver = AsyncmyDriver()
