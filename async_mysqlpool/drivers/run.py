"""Commands of the pool's own, with their replies waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.base import is_server_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.drivers.base import Connected, Driver
    from async_mysqlpool.wire.packets import Command

__all__ = ["answered", "attempt", "run"]


async def run(driver: Driver, raw: Any, wire: Connected, commands: Sequence[Command]) -> None:
    """Send commands, each when the one before is answered: not everything on the way understands more at once.

    Raises:
        CommandFailedError: one of them was answered by an error; those after it were not sent.
        ConnectionError: the connection was lost.
    """
    for command in commands:
        await answered(wire, driver.encode(raw, [command]), (command.code,))


async def answered(wire: Connected, data: bytes, codes: tuple[int, ...]) -> None:
    """Send encoded commands in one write and wait for the replies; raises as `run` does, with all replies read."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_done(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    wire.send(data, codes, on_done)
    await done


async def attempt(driver: Driver, raw: Any, sql: str) -> Sequence[Sequence[Any]] | None:
    """The rows of a statement; None where the server refuses it."""
    try:
        return await driver.execute(raw, sql)
    except Exception as exc:
        if is_server_error(driver.error_number(exc)):
            return None
        raise
