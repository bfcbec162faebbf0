"""The pool's capacity as an `asyncio.Semaphore`, to whoever knows those; what it does is done in `permits.py`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from async_mysqlpool.capacity.permits import Deadlines, Permits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FairSemaphore"]

T = TypeVar("T")


class FairSemaphore(Permits, asyncio.Semaphore, Generic[T]):
    """A semaphore whose permits may bring something along: what a permit is for.

    Args:
        value, deadlines, refused: see `Permits`.
    """

    def __init__(self, value: int, deadlines: Deadlines, refused: Callable[[T], None]) -> None:
        asyncio.Semaphore.__init__(self, value)
        Permits.__init__(self, value, deadlines, refused)

    @property  # what asyncio's own methods call `free`
    def _value(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.free

    @_value.setter
    def _value(self, value: int) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Only the constructor of asyncio's sets it."""

    async def acquire(self) -> Literal[True]:
        """Take a permit, after everybody who asked before."""
        await self.turn(None)
        return True
