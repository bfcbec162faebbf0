"""asyncmy.

Private parts used besides the family's, seen in 0.2.18: `Connection._transport`, `._proto` (`length`, `pos`),
`._stream_broken`, `._stmt_cache`, `._unpreparable`; for logging in also those that `login.oversee` names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncmy.connection import Connection
from asyncmy.cursors import SSCursor
from asyncmy.errors import InternalError, MySQLError

from async_mysqlpool.drivers import pipeline
from async_mysqlpool.drivers.family import PyMySQLFamily
from async_mysqlpool.drivers.login import Names, login_of, oversee

if TYPE_CHECKING:
    import asyncio

    from async_mysqlpool.drivers.base import ConnectParams, Driver

_NAMES = Names(flags="_client_flag", plugin="_auth_plugin_name", read="read_packet")


class AsyncmyDriver(PyMySQLFamily):
    """The adapter for asyncmy's connections."""

    name = "asyncmy"
    unbuffered_class = SSCursor
    error_class = MySQLError
    output_attribute = "_transport"

    async def connect(self, params: ConnectParams) -> Any:
        """The driver's own connect closes its socket when it is cancelled."""
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
        oversee(raw, login_of(raw, params), _NAMES, InternalError)
        await raw.connect()
        return raw

    def transport(self, raw: Any) -> asyncio.Transport | None:
        """Its own attribute."""
        transport: asyncio.Transport | None = raw._transport
        return transport

    def restore(self, raw: Any, snapshot: tuple[Any, ...]) -> None:
        """The server forgets prepared statements with the rest, so the driver's cache of them has to as well."""
        super().restore(raw, snapshot)
        if raw._stmt_cache:
            raw._stmt_cache.clear()

    def is_dead(self, raw: Any) -> bool:
        """Closed on either side, or bytes came that nobody asked for: a server says why it hangs up."""
        return bool(raw._stream_broken) or raw._proto.length > raw._proto.pos

    def abort(self, raw: Any) -> None:
        """The driver's own `close` would wait for its write buffer."""
        transport, raw._transport = raw._transport, None
        if transport is not None:
            pipeline.abort(transport)
        raw.close()


driver: Driver = AsyncmyDriver()
