"""A semaphore for the pool's capacity: first come, first served, and cheap to leave.

`asyncio.Semaphore` is fair, but a cancelled waiter costs it a search through all the others, there is no way to
fail its waiters when the pool closes or the server is down, and it cannot shrink. This one is an
`asyncio.Semaphore` that can.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")


async def before(deadline: float | None, waiter: asyncio.Future[T]) -> T:
    """The result of a future of one's own, or TimeoutError; a timer is all it takes, and no cancellation."""
    if deadline is None:
        return await waiter
    timer = waiter.get_loop().call_at(deadline, _expire, waiter)
    try:
        return await waiter
    finally:
        timer.cancel()


def was_served(waiter: asyncio.Future[T]) -> bool:
    """Whether a result arrived, taken or not."""
    return waiter.done() and not waiter.cancelled() and waiter.exception() is None


def _expire(waiter: asyncio.Future[T]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class FairSemaphore(asyncio.Semaphore):
    """Permits, handed over in the order in which they were asked for.

    `_value` may be negative after `shrink`: that many permits are still to come back before one is free.
    """

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def free(self) -> int:
        """Permits that nobody holds."""
        return self._value

    @property
    def waiting(self) -> int:
        """Tasks in the queue."""
        return len(self._queue)

    def locked(self) -> bool:
        """Whether `acquire` would have to wait."""
        return self._value <= 0 or bool(self._queue)

    def take(self) -> bool:
        """Take a permit if that needs no waiting; whether it did."""
        if self._value <= 0 or self._queue:
            return False
        self._value -= 1
        return True

    async def acquire(self, deadline: float | None = None) -> Literal[True]:
        """Take a permit, after everybody who asked before.

        Args:
            deadline: in the loop's time; None waits for ever.

        Raises:
            TimeoutError: the deadline passed.
        """
        if self.take():
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[waiter] = None
        try:
            await before(deadline, waiter)
        except BaseException:
            # The permit may have been handed over in the very tick in which this task was cancelled.
            if was_served(waiter):
                self.release()
            raise
        finally:
            self._queue.pop(waiter, None)
        return True

    def release(self) -> None:
        """Give a permit back: to whoever has waited longest, or to the free ones."""
        self._value += 1
        while self._queue and self._value > 0:
            waiter, _ = self._queue.popitem(last=False)
            if not waiter.done():
                self._value -= 1
                waiter.set_result(None)

    def grow(self, permits: int) -> None:
        """Add permits."""
        for _ in range(permits):
            self.release()

    def shrink(self, permits: int) -> None:
        """Take permits away, those still held included: they count as they come back."""
        self._value -= permits

    def fail_waiters(self, make_error: Callable[[], Exception]) -> None:
        """Send everybody in the queue away with an error of their own."""
        while self._queue:
            waiter, _ = self._queue.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(make_error())
