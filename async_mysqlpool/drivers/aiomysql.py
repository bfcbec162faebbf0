"""aiomysql.

Private parts used, seen in 0.3.2: `Connection._connect`, `._reader`, `._writer`, `._result`, `._charset`,
`._encoding`, `._db`, `StreamReader._buffer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiomysql
from pymysql.err import MySQLError

from async_mysqlpool.drivers import pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.drivers.base import Command, ConnectParams, Driver

_REMEMBERED = ("_charset", "_encoding", "_db", "autocommit_mode", "server_status")


class AiomysqlDriver:
    """The adapter for aiomysql's connections."""

    name = "aiomysql"

    async def connect(self, params: ConnectParams) -> Any:
        """`aiomysql.connect` keeps the socket when it is cancelled during the handshake, so its two steps are here."""
        raw = aiomysql.Connection(
            host=params.host,
            port=params.port,
            user=params.user,
            password=params.password,
            db=params.database,
            unix_socket=params.unix_socket,
            charset=params.charset,
            autocommit=params.autocommit,
            ssl=params.ssl,
            connect_timeout=params.connect_timeout,
            **params.connect_args,
        )
        try:
            await raw._connect()
        except BaseException:
            self.abort(raw)
            raise
        return raw

    async def ping(self, raw: Any) -> None:
        """The default of the driver's own ping would reconnect: a new session under an old entry."""
        await raw.ping(reconnect=False)

    async def execute(self, raw: Any, sql: str) -> Sequence[Sequence[Any]]:
        """One statement through a plain cursor."""
        async with raw.cursor(aiomysql.Cursor) as cursor:
            await cursor.execute(sql)
            return await cursor.fetchall() or ()

    def snapshot(self, raw: Any) -> dict[str, Any]:
        """Attributes that `autocommit()`, `set_charset()` and every reply change."""
        return {name: getattr(raw, name) for name in _REMEMBERED}

    async def reset(self, raw: Any, commands: Sequence[Command], snapshot: dict[str, Any]) -> None:
        """One write; the driver's memory of the session goes back at once."""
        for name, value in snapshot.items():
            setattr(raw, name, value)
        raw._result = None
        await pipeline.send(raw._writer.transport, commands).done

    def is_dead(self, raw: Any) -> bool:
        """Closed on either side, or bytes came that nobody asked for: a server says why it hangs up."""
        reader = raw._reader
        if raw._writer is None or raw._writer.transport.is_closing():
            return True
        return bool(reader._buffer) or reader.at_eof() or reader.exception() is not None

    def has_unread(self, raw: Any) -> bool:
        """An unbuffered result, or more results of a multi-statement."""
        result = raw._result
        return result is not None and bool(result.unbuffered_active or result.has_next)

    def connection_id(self, raw: Any) -> int:
        """From the server's greeting."""
        return int(raw.thread_id())

    def error_number(self, error: BaseException) -> int | None:
        """Aiomysql raises PyMySQL's errors: number first."""
        if isinstance(error, MySQLError) and error.args and isinstance(error.args[0], int):
            return error.args[0]
        return None

    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An awaitable of the cursor."""
        return raw.cursor(*[cls for cls in args if cls is not None], **kwargs)

    async def close(self, raw: Any) -> None:
        """The driver's own `ensure_closed` does not wait for the server."""
        if raw._writer is not None:
            await pipeline.say_goodbye(raw._writer.transport)
        raw.close()

    def abort(self, raw: Any) -> None:
        """No goodbye."""
        writer, raw._writer = raw._writer, None
        raw._reader = None
        if writer is not None:
            pipeline.abort(writer.transport)


driver: Driver = AiomysqlDriver()
