"""mysql.connector.aio, Oracle's own driver.

Private parts used, seen in 26.10: `MySQLConnection._do_handshake`, `._handshake`, `._ssl_disabled`, `._socket`
(`_reader`, `_writer`), `._handle_server_status`, `._charset`, `._autocommit`, `._time_zone`, `._sql_mode`,
`._in_transaction`, `._have_next_result`, `._cursors`, `StreamReader._buffer`.
"""

from __future__ import annotations

import math
import ssl
from typing import TYPE_CHECKING, Any

from mysql.connector.aio import MySQLConnection
from mysql.connector.aio.cursor import MySQLCursorBuffered
from mysql.connector.constants import ClientFlag
from mysql.connector.errors import Error

from async_mysqlpool.drivers.settings import put_back, take
from async_mysqlpool.drivers.transport import TransportDriver
from async_mysqlpool.wire.packets import CLIENT_SESSION_TRACK
from async_mysqlpool.wire.transport import abort

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from async_mysqlpool.drivers.base import ConnectParams, Driver

_REMEMBERED = (
    "_charset", "_autocommit", "_time_zone", "_sql_mode", "_in_transaction", "_have_next_result", "_unread_result",
)  # fmt: skip
# Attributes that are the conversation itself, or those above.
_RUNTIME = frozenset({
    *_REMEMBERED, "_socket", "_protocol", "_handshake", "_cursors", "_columns_desc", "_authenticator", "_query",
    "_password", "_server_info", "_local_infile_filenames", "_loop", "_MySQLConnectionAbstract__charset",
})  # fmt: skip

# The driver's default collation for utf8mb4 is one that MariaDB does not know.
_COLLATIONS = {"utf8mb4": "utf8mb4_general_ci"}


class _Connection(MySQLConnection):
    """The driver's, that can live with a server without TLS, where it looks at a cipher that is not there."""

    async def _do_handshake(self) -> None:
        await super()._do_handshake()
        handshake: Any = self._handshake
        if not handshake["capabilities"] & ClientFlag.SSL:
            self._ssl_disabled = True


class ConnectorDriver(TransportDriver):
    """The adapter for mysql.connector.aio's connections. Cursors are buffered unless asked otherwise."""

    name = "mysql.connector.aio"

    async def connect(self, params: ConnectParams) -> Any:
        """The driver keeps its socket when connecting is cancelled, so that is looked after here."""
        raw = _Connection(**_arguments(params))
        try:
            await raw.connect()
            if params.autocommit is None:
                await raw.cmd_query("SET @@SESSION.autocommit = @@GLOBAL.autocommit")
        except BaseException:
            self.abort(raw)
            raise
        return raw

    async def ping(self, raw: Any) -> None:
        """One round trip, and no reconnect."""
        await raw.cmd_ping()

    async def execute(self, raw: Any, sql: str) -> Sequence[Sequence[Any]]:
        """One statement through a buffered cursor."""
        cursor = await raw.cursor(buffered=True)
        await cursor.execute(sql)
        rows: Sequence[Sequence[Any]] = await cursor.fetchall() if cursor.with_rows else ()
        await cursor.close()
        return rows

    def snapshot(self, raw: Any) -> tuple[dict[str, Any], list[tuple[str, Any, Any]]]:
        """Attributes that setters and replies change, and all that are settings."""
        return {name: getattr(raw, name) for name in _REMEMBERED}, take(raw, _RUNTIME)

    def restore(self, raw: Any, snapshot: Any, settings: bool) -> None:
        """What the driver believes of the session is right again."""
        remembered, own = snapshot
        for name, value in remembered.items():
            setattr(raw, name, value)
        raw._cursors.clear()
        if settings:
            put_back(raw, own)
        if raw.converter is not None:
            raw.converter.set_charset(raw._charset.name)

    def encoding(self, raw: Any) -> str:
        """As the driver encodes statements."""
        return str(raw.python_charset)

    def capabilities(self, raw: Any) -> int:
        """What both sides can."""
        return int(raw._client_flags & raw._handshake["capabilities"])

    def output(self, raw: Any) -> tuple[Any, str]:
        """The stream writer of its socket object."""
        return raw._socket, "_writer"

    def query_prefix(self, raw: Any) -> bytes:
        """No query attributes, in the one set of them there must be."""
        return b"\x00\x01" if raw._client_flags & ClientFlag.CLIENT_QUERY_ATTRIBUTES else b""

    def transport(self, raw: Any) -> asyncio.Transport | None:
        """As above."""
        socket = raw._socket
        return None if socket is None or socket._writer is None else socket._writer.transport

    def is_dead(self, raw: Any) -> bool:
        """Closed on either side, or bytes came that nobody asked for: a server says why it hangs up."""
        transport = self.transport(raw)
        if transport is None or transport.is_closing():
            return True
        reader = raw._socket._reader
        return bool(reader._buffer) or reader.at_eof() or reader.exception() is not None

    def has_unread(self, raw: Any) -> bool:
        """In the buffer of its reader."""
        reader = None if raw._socket is None else raw._socket._reader
        return reader is not None and bool(reader._buffer)

    def connection_id(self, raw: Any) -> int:
        """From the server's greeting."""
        return int(raw.connection_id)

    def error_number(self, error: BaseException) -> int | None:
        """The driver says -1 where there is none."""
        return error.errno if isinstance(error, Error) and error.errno and error.errno > 0 else None

    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An awaitable of it. A cursor class may be given by position, as with the other drivers."""
        if args and isinstance(args[0], type):
            return raw.cursor(cursor_class=args[0], **kwargs)
        return raw.cursor(*args, **kwargs)

    def is_buffered(self, cursor: Any) -> bool:
        """Those that say so by their base class."""
        return isinstance(cursor, MySQLCursorBuffered)

    def abort(self, raw: Any) -> None:
        """The driver's own `shutdown` has to be awaited."""
        transport = self.transport(raw)
        if transport is not None:
            raw._socket._is_connected = False
            abort(transport)


def _arguments(params: ConnectParams) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "user": params.user,
        "password": params.password,
        "database": params.database,
        "charset": params.charset,
        "autocommit": bool(params.autocommit),
        "connection_timeout": math.ceil(params.connect_timeout),
        "buffered": True,  # with unbuffered cursors, rows left unread would spoil the connection for its next user
        **({"unix_socket": params.unix_socket} if params.unix_socket else {"host": params.host, "port": params.port}),
    }
    if params.charset in _COLLATIONS:
        arguments["collation"] = _COLLATIONS[params.charset]
    if params.ssl is False:
        arguments["ssl_disabled"] = True
    elif params.ssl is True:
        arguments |= {"ssl_verify_cert": True, "ssl_verify_identity": True, "ssl_ca": _system_authorities()}
    elif isinstance(params.ssl, ssl.SSLContext):
        raise TypeError("this driver takes no ssl.SSLContext: use ssl=True, or connect_args={'ssl_ca': ..., ...}")
    arguments |= params.connect_args
    arguments["client_flags"] = (arguments.get("client_flags") or ClientFlag.get_default()) | CLIENT_SESSION_TRACK
    return arguments


def _system_authorities() -> str | None:
    return ssl.get_default_verify_paths().cafile


driver: Driver = ConnectorDriver()
