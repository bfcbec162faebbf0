"""mysql.connector.aio, Oracle's own driver.

Private parts used, seen in 26.10: `MySQLConnection._do_handshake`, `._do_auth`, `._handshake`, `._ssl_disabled`,
`._client_flags`, `._unix_socket`, `._host`, `._socket` (`_reader`, `_writer`, `_netbroker`), `._handle_server_status`,
`._charset`, `._autocommit`, `._time_zone`, `._sql_mode`, `._in_transaction`, `._have_next_result`, `._cursors`,
`StreamReader._buffer`.
"""

from __future__ import annotations

import math
import struct
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from mysql.connector.aio import MySQLConnection
from mysql.connector.aio.cursor import MySQLCursor, MySQLCursorBuffered
from mysql.connector.aio.network import NetworkBrokerPlain
from mysql.connector.constants import ClientFlag
from mysql.connector.errors import DatabaseError, Error
from mysql.connector.network import PACKET_HEADER_LENGTH

from async_mysqlpool.drivers.login import Login, LoginRefusedError, default_context, not_mysql
from async_mysqlpool.drivers.settings import put_back, take
from async_mysqlpool.drivers.transport import TransportDriver
from async_mysqlpool.wire.packets import CLIENT_SESSION_TRACK
from async_mysqlpool.wire.transport import abort

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Generator, Sequence

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


class _Broker(NetworkBrokerPlain):
    """The driver's reader of packets, that does not wait for the rest of what is none: a greeting is number 0."""

    @staticmethod
    def get_header(pkt: bytes) -> tuple[int, int]:
        length, number = NetworkBrokerPlain.get_header(pkt)
        if number:
            raise not_mysql()
        return length, number

    def plain(self) -> NetworkBrokerPlain:
        """The driver's own, for what follows."""
        plain = NetworkBrokerPlain()
        plain._pktnr = self._pktnr
        return plain


class _Connection(MySQLConnection):
    """The driver's, whose logins are read along with."""

    login = Login(None)
    own_tls = False  # configured by the driver's own options

    async def _do_handshake(self) -> None:
        socket: Any = self._socket
        socket._netbroker = broker = _Broker()
        try:
            await super()._do_handshake()
        except (IndexError, ValueError, struct.error) as exc:
            raise not_mysql() from exc
        except DatabaseError as exc:
            if type(exc) is DatabaseError and exc.errno == -1:  # another version of the protocol
                raise not_mysql() from exc
            raise
        socket._netbroker = broker.plain()
        handshake: Any = self._handshake
        context = self.login.greeted(handshake["capabilities"], handshake["auth_plugin"], bool(self._unix_socket))
        # Without, the driver would look at a cipher that is not there.
        self._ssl_disabled = context is None
        self._client_flags &= ~ClientFlag.SSL
        if context is not None:
            self._client_flags |= ClientFlag.SSL
            if not self.own_tls:
                socket.build_ssl_context = partial(_given, context)
            socket.switch_to_ssl = partial(_encrypt, socket, self._host)

    async def _do_auth(self) -> None:
        with self._overheard():
            await super()._do_auth()

    async def cmd_change_user(self, *args: Any, **kwargs: Any) -> Any:
        """Another login, on the same connection."""
        with self._overheard():
            return await super().cmd_change_user(*args, **kwargs)

    @contextmanager
    def _overheard(self) -> Generator[None]:
        socket: Any = self._socket
        read = socket.read

        async def overheard(*args: Any) -> Any:
            packet = await read(*args)
            self.login.heard(bytes(packet[PACKET_HEADER_LENGTH:]))
            return packet

        socket.read = overheard
        try:
            yield
        finally:
            del socket.read


def _given(context: ssl.SSLContext, **_: Any) -> ssl.SSLContext:
    return context


async def _encrypt(socket: Any, host: str, context: ssl.SSLContext) -> None:
    """Begin TLS; the driver's own way leaves out the name that the certificate has to be for.

    What came before is not the server's: whoever steps between could say in plain text what then seems to come by TLS.
    """
    if socket._reader._buffer:
        raise LoginRefusedError("bytes came that a server does not send before TLS; nothing secret was sent")
    await socket._writer.start_tls(context, server_hostname=host)


class ConnectorDriver(TransportDriver):
    """The adapter for mysql.connector.aio's connections. Cursors are buffered unless asked otherwise."""

    name = "mysql.connector.aio"
    cursors = (MySQLCursorBuffered, MySQLCursor)

    async def connect(self, params: ConnectParams) -> Any:
        """The driver keeps its socket when connecting is cancelled, so that is looked after here."""
        login = _login(params)
        raw = _Connection(**_arguments(params))
        raw.login, raw.own_tls = login, _has_own_tls(params)
        try:
            await raw.connect()
            if _misspells_database(params):
                name = str(params.database).replace("`", "``")
                await raw.cmd_query(f"USE `{name}`".encode(raw.python_charset))
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
            raw.converter.set_unicode(raw._use_unicode)

    def encoding(self, raw: Any) -> str:
        """The one in which the driver encodes statements."""
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
        """Its connection to the server; None where it has none any more."""
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
        if kwargs.get("prepared"):
            kwargs = {"buffered": False, **kwargs}  # there are none that are buffered
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
        "database": None if _misspells_database(params) else params.database,
        "charset": params.charset,
        "autocommit": bool(params.autocommit),
        "connection_timeout": math.ceil(params.connect_timeout),
        "buffered": True,  # with unbuffered cursors, rows left unread would spoil the connection for its next user
        **({"unix_socket": params.unix_socket} if params.unix_socket else {"host": params.host, "port": params.port}),
    }
    if params.charset in _COLLATIONS:
        arguments["collation"] = _COLLATIONS[params.charset]
    arguments |= params.connect_args
    arguments["client_flags"] = (arguments.get("client_flags") or ClientFlag.get_default()) | CLIENT_SESSION_TRACK
    return arguments


def _login(params: ConnectParams) -> Login:
    given = params.connect_args
    options = [name for name in given if name.startswith(("ssl_", "tls_"))]
    if options and params.ssl is not None:
        raise TypeError(f"TLS is chosen twice: by ssl={params.ssl!r} and by {options[0]} in connect_args")
    plugin = given.get("auth_plugin")
    return Login(
        False if given.get("ssl_disabled") else params.ssl,
        own=default_context(True) if _has_own_tls(params) else None,  # the driver makes another, by its options
        named={plugin or ""},
        first=plugin,
    )


def _has_own_tls(params: ConnectParams) -> bool:
    return any(name.startswith(("ssl_", "tls_")) and name != "ssl_disabled" for name in params.connect_args)


def _misspells_database(params: ConnectParams) -> bool:
    """Whether the driver, that writes the name of the schema in UTF-8 whatever the character set, gets it wrong."""
    name = params.database
    return name is not None and not name.isascii() and not params.charset.startswith(("utf8", "binary"))


driver: Driver = ConnectorDriver()
