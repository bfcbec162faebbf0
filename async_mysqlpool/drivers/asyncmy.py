"""asyncmy.

Private parts used, seen in 0.2.18: `Connection._transport`, `._proto` (`length`, `pos`), `._stream_broken`,
`._result`, `._charset`, `._encoding`, `._db`, `._stmt_cache`, `._unpreparable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncmy
from asyncmy.cursors import Cursor
from asyncmy.errors import MySQLError

from async_mysqlpool.drivers import pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.drivers.base import Command, ConnectParams, Driver

_REMEMBERED = ("_charset", "_encoding", "_db", "autocommit_mode", "server_status")


class AsyncmyDriver:
    """The adapter for asyncmy's connections."""

    name = "asyncmy"

    async def connect(self, params: ConnectParams) -> Any:
        """The driver's own connect closes its socket when it is cancelled."""
        return await asyncmy.connect(
            host=params.host,
            port=params.port,
            user=params.user,
            password=params.password,
            database=params.database,
            unix_socket=params.unix_socket,
            charset=params.charset,
            autocommit=params.autocommit,
            ssl=params.ssl,
            connect_timeout=params.connect_timeout,
            **params.connect_args,
        )

    async def ping(self, raw: Any) -> None:
        """The default of the driver's own ping would reconnect: a new session under an old entry."""
        await raw.ping(reconnect=False)

    async def execute(self, raw: Any, sql: str) -> Sequence[Sequence[Any]]:
        """One statement through a plain cursor."""
        async with raw.cursor(Cursor) as cursor:
            await cursor.execute(sql)
            return await cursor.fetchall() or ()

    def snapshot(self, raw: Any) -> dict[str, Any]:
        """Attributes that `autocommit()`, `set_charset()` and every reply change."""
        return {name: getattr(raw, name) for name in _REMEMBERED}

    async def reset(self, raw: Any, commands: Sequence[Command], snapshot: dict[str, Any]) -> None:
        """One write; the driver's memory of the session, statements included, goes back at once."""
        for name, value in snapshot.items():
            setattr(raw, name, value)
        raw._result = None
        raw._stmt_cache.clear()
        raw._unpreparable.clear()
        await pipeline.send(raw._transport, commands).done

    def is_dead(self, raw: Any) -> bool:
        """Closed on either side, or bytes came that nobody asked for: a server says why it hangs up."""
        return bool(raw._stream_broken) or raw._proto.length > raw._proto.pos

    def has_unread(self, raw: Any) -> bool:
        """An unbuffered result, or more results of a multi-statement."""
        result = raw._result
        return result is not None and bool(result.unbuffered_active or result.has_next)

    def connection_id(self, raw: Any) -> int:
        """From the server's greeting."""
        return int(raw.thread_id())

    def error_number(self, error: BaseException) -> int | None:
        """Number first, as in PyMySQL."""
        if isinstance(error, MySQLError) and error.args and isinstance(error.args[0], int):
            return error.args[0]
        return None

    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The cursor itself."""
        return raw.cursor(*args, **kwargs)

    async def close(self, raw: Any) -> None:
        """The driver's own `ensure_closed` does not wait for the server."""
        if raw._transport is not None:
            await pipeline.say_goodbye(raw._transport)
        raw.close()

    def abort(self, raw: Any) -> None:
        """No goodbye."""
        transport, raw._transport = raw._transport, None
        if transport is not None:
            pipeline.abort(transport)
        raw.close()


driver: Driver = AsyncmyDriver()
