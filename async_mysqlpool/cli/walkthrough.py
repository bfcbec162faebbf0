"""The program with which X DevAPI's pool is usually explained, on ours: two connections, and a third one wanted."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.padding import Padding

from async_mysqlpool import AcquireTimeoutError, ConnectionPool

if TYPE_CHECKING:
    from rich.console import Console

    from async_mysqlpool import PooledConnection

__all__ = ["walk_through"]

CLIENT_OPTIONS = {"pooling": {"enabled": True, "max_size": 2, "max_idle_time": 60_000, "queue_timeout": 3_000}}


async def walk_through(console: Console, dsn: str, driver: str | None) -> None:
    """Take both connections, wait in vain for a third, give one back, and get it."""

    def say(text: str, style: str = "") -> None:
        now = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        console.print(f"  [dim]{now}[/]  {text}", style=style, soft_wrap=True)

    if (task := asyncio.current_task()) is not None:
        task.set_name("walk-through")  # the error below names it
    async with ConnectionPool.from_client_options(dsn, CLIENT_OPTIONS, driver=driver, name="walk-through") as pool:
        say('ConnectionPool.from_client_options(..., {"pooling": {"max_size": 2, "queue_timeout": 3000}})')
        first = await pool.acquire()
        say(f"connection 1 is number [bold]{await _connection_id(first)}[/] on the server")
        second = await pool.acquire()
        say(f"connection 2 is number [bold]{await _connection_id(second)}[/]")
        say("another task wants a third one ...")
        # In a task of its own: one that holds all and wants more is told at once that it waits for itself.
        wanted = asyncio.create_task(_connection(pool), name="third")
        try:
            await wanted
        except AcquireTimeoutError as error:
            say(f"{type(error).__name__} after queue_timeout:", "yellow")
            for line in _sentences(error):
                console.print(Padding(escape(line), (0, 0, 0, 16)), style="yellow")
        await first.close()
        say("connection 1 is given back; a third one, please ...")
        third = await pool.acquire()
        say(f"connection 3 is number [bold]{await _connection_id(third)}[/]: reused, and its session clean", "green")
        await second.close()
        await third.close()


async def _connection(pool: ConnectionPool) -> PooledConnection:
    return await pool.acquire()


async def _connection_id(connection: PooledConnection) -> int:
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT CONNECTION_ID()")
        (number,) = await cursor.fetchone()
    return int(number)


def _sentences(error: Exception) -> list[str]:
    return [part.strip() for part in str(error).split(";")]
