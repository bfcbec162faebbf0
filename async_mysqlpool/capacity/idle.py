"""The idle connections: an `asyncio.LifoQueue`, and fast, as nobody ever waits for it to fill or to empty."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IdleStack"]

T = TypeVar("T")


class IdleStack(asyncio.LifoQueue[T]):
    """The last one in is the first one out, so that those that nobody needs grow old at the bottom.

    Who may take from it the semaphore decides: there is nobody to be woken.
    """

    _queue: list[T]

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._queue

    def put_nowait(self, item: T) -> None:
        """On top."""
        self._queue.append(item)

    def sort(self, key: Callable[[T], float]) -> None:
        """The largest on top: one that was away for a moment goes back to its place."""
        self._queue.sort(key=key)

    def get_nowait(self) -> T:
        """From the top.

        Raises:
            asyncio.QueueEmpty: there is none.
        """
        if not self._queue:
            raise asyncio.QueueEmpty
        return self._queue.pop()
