"""A driver of a version that the adapter does not fit: only what it documents is used of it.

That is enough to connect, to ping and to close, but not to reset a session. So every connection is used once: slower,
but right. The log says so, once. Nor is it enough to see that nothing secret is said before a connection is encrypted:
who asks for TLS with `ssl` is refused.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.login import LoginRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from async_mysqlpool.drivers.base import ConnectParams, Driver

__all__ = ["PublicDriver"]

_PATIENCE = 1.0  # seconds for a connect that nobody waits for any more


class PublicDriver:
    """An adapter without the parts that reach into its driver.

    Args:
        adapter: the full one; its documented parts are used.
        connect: the driver's own connect function.
        tested: what to install instead, such as "asyncmy 0.2.x".
        database: the keyword of that function for the default schema.
        without_tls: the one for no TLS; None where the function uses none unless told to.
    """

    resets = pipelines = False

    def __init__(
        self, adapter: Driver, connect: Callable[..., Any], tested: str, database: str, without_tls: str | None
    ) -> None:
        self.name = adapter.name
        self._connect = connect
        self._tested = tested
        self._database = database
        self._without_tls = without_tls
        self._closing: set[asyncio.Future[Any]] = set()
        # What these do is part of every driver's documented interface.
        self.ping = adapter.ping
        self.connection_id = adapter.connection_id
        self.error_number = adapter.error_number
        self.is_buffered = adapter.is_buffered
        self.cursors = adapter.cursors

    async def connect(self, params: ConnectParams) -> Any:
        """With the driver's own function. Cancelled half-way, some never close their socket: it may come to its end.

        Raises:
            LoginRefusedError: TLS is asked for.
        """
        if params.ssl:
            raise LoginRefusedError(
                f"ssl is given, and it is not sure that this version of {self.name} says nothing secret before it "
                f"encrypts: install {self._tested}, or a newer async-mysqlpool"
            )
        optional: dict[str, Any] = {"unix_socket": params.unix_socket} if params.unix_socket is not None else {}
        if params.ssl is False and self._without_tls:
            optional[self._without_tls] = True
        connected = asyncio.ensure_future(
            self._connect(
                host=params.host,
                port=params.port,
                user=params.user,
                password=params.password,
                charset=params.charset,
                autocommit=params.autocommit,
                **{self._database: params.database},
                **optional,
                **params.connect_args,
            )
        )
        try:
            return await asyncio.shield(connected)
        except asyncio.CancelledError:
            connected.add_done_callback(self._abort_late)
            await asyncio.wait([connected], timeout=_PATIENCE)
            connected.cancel()
            raise

    def _abort_late(self, connected: asyncio.Future[Any]) -> None:
        """Nobody wants that connection any more."""
        if not connected.cancelled() and connected.exception() is None:
            self.abort(connected.result())

    async def execute(self, raw: Any, sql: str) -> Sequence[Sequence[Any]]:
        """Through a cursor."""
        cursor = raw.cursor()
        if inspect.isawaitable(cursor):
            cursor = await cursor
        await cursor.execute(sql)
        rows: Sequence[Sequence[Any]] = await cursor.fetchall() if cursor.description else ()
        await cursor.close()
        return rows

    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A cursor, or what has to be awaited for one, from the driver's own `cursor()`."""
        return raw.cursor(*args, **kwargs)

    def listen(self, raw: Any, harmless: object) -> None:
        """What goes over the connection is not listened to: None."""
        return

    def is_heard(self, raw: Any, wire: object) -> bool:
        """Whether the driver still talks through what is listened to: nothing is, so nothing is missed."""
        return True

    def reader(self, raw: Any, wire: object, shapes: object) -> None:
        """Results are never read past this driver: None."""
        return

    def encode(self, raw: Any, commands: object) -> bytes:
        """The bytes of commands that are sent past the driver: none are."""
        return b""

    def encoding(self, raw: Any) -> str:
        """Of statements that are sent past the driver: none are, so any will do."""
        return "utf-8"

    def snapshot(self, raw: Any) -> None:
        """The settings of the driver's object: not looked at, because it is used once."""
        return

    def restore(self, raw: Any, snapshot: Any, settings: bool) -> None:
        """The connection is not used again."""

    def is_dead(self, raw: Any) -> bool:
        """Whether the connection has ended: False, because that is not known before somebody uses it."""
        return False

    def has_unread(self, raw: Any) -> bool:
        """Whether a reply is not read to its end: False, because that is not known."""
        return False

    def local_port(self, raw: Any) -> int | None:
        """Not known."""
        return None

    def peer(self, raw: Any) -> tuple[str, int] | None:
        """Not known."""
        return None

    def socket(self, raw: Any) -> Any:
        """Not known."""
        return

    async def close(self, raw: Any) -> None:
        """Politely, in the driver's own way; that does not wait until the server has hung up."""
        result = getattr(raw, "ensure_closed", raw.close)()
        if inspect.isawaitable(result):
            await result

    def abort(self, raw: Any) -> None:
        """In the driver's own way; where that has to be awaited, somebody has to."""
        result = raw.close()
        if inspect.isawaitable(result):
            closing = asyncio.ensure_future(result)
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
