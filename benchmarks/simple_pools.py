"""The least that makes what is no such pool borrowed from in the same way: `async with pool.acquire()`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Bare:
    """Connections in a list, for no more tasks than there are connections."""

    def __init__(self, connections: list[Any]) -> None:
        self._idle = connections

    def acquire(self) -> _Taken:
        return _Taken(self._idle)


class _Taken:
    __slots__ = ("_connection", "_idle")

    def __init__(self, idle: list[Any]) -> None:
        self._idle = idle

    async def __aenter__(self) -> Any:
        self._connection = self._idle.pop()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        self._idle.append(self._connection)


class Engine:
    """SQLAlchemy's, whose `connect()` borrows."""

    def __init__(self, engine: Any) -> None:
        self.acquire = engine.connect


class Queued:
    """The pool of mysql.connector.aio, which refuses whom it has no connection for, behind a queue."""

    def __init__(self, pool: Any, size: int) -> None:
        self._pool = pool
        self._free = asyncio.Semaphore(size)

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Any]:
        async with self._free:
            connection = await self._pool.get_connection()
            try:
                yield connection
            finally:
                await connection.close()
