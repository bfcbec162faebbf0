"""aiomysql.

Private parts used besides the family's, seen in 0.3.2: `Connection._connect`, `._reader`, `._writer`,
`_ContextManager._coro`, `StreamReader._buffer`; for logging in also those that `login.oversee` names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiomysql  # pyright: ignore[reportMissingTypeStubs]  it has none
from pymysql.err import InternalError, MySQLError

from async_mysqlpool.drivers.family import PyMySQLFamily
from async_mysqlpool.drivers.login import Names, login_of, oversee
from async_mysqlpool.wire.transport import abort

if TYPE_CHECKING:
    import asyncio

    from async_mysqlpool.drivers.base import ConnectParams, Driver


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


driver: Driver = AiomysqlDriver()
