"""Permits, handed over in the order in which they were asked for; and deadlines for those who wait for one.

`asyncio.Semaphore` is fair, but a cancelled waiter costs it a search through all the others, there is no way to
fail its waiters when the pool closes or the server is down, it cannot shrink, and a permit cannot bring along the
connection that it stands for.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import OrderedDict, deque
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from async_mysqlpool.wire.wakeups import Waiter, Wakeups, wakeups_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadlines", "Permits", "was_served"]

_Watched: TypeAlias = "asyncio.Future[Any] | Waiter"
_FEW = 100  # waiters that need no sweeping


class Deadlines:
    """Lets futures end in TimeoutError, with one timer for all of them: waiters come and go too fast for one each.

    Most deadlines come in ascending order, everybody having the same timeout: those stand in a line, where coming and
    going costs the same however many there are. The others are in a heap. Whoever is served stays there until its
    deadline or the next sweep, so there are never more than twice as many as there were waiters.
    """

    def __init__(self) -> None:
        self._line: deque[tuple[float, _Watched]] = deque()
        self._heap: list[tuple[float, int, _Watched]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._sweep_at = _FEW

    def watch(self, waiter: _Watched, deadline: float) -> None:
        """Fail `waiter` at `deadline` (the loop's time) unless it is done by then."""
        line = self._line
        while line and line[0][1].done():  # served long ago; those with the earliest deadline usually are
            line.popleft()
        if not line or deadline >= line[-1][0]:
            line.append((deadline, waiter))
        else:
            heapq.heappush(self._heap, (deadline, next(self._number), waiter))
        if len(line) + len(self._heap) >= self._sweep_at:
            self._sweep()
        if deadline < self._rings_at:
            self._set_timer(waiter.get_loop(), deadline)

    def _sweep(self) -> None:
        self._line = deque(watched for watched in self._line if not watched[-1].done())
        self._heap = [watched for watched in self._heap if not watched[-1].done()]
        heapq.heapify(self._heap)
        self._sweep_at = max(_FEW, 2 * (len(self._line) + len(self._heap)))

    def _set_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._ring, loop)
        self._rings_at = when

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._rings_at = None, math.inf
        now = loop.time()
        line, heap = self._line, self._heap
        while line and (line[0][0] <= now or line[0][1].done()):
            _time_out(line.popleft()[1])
        while heap and (heap[0][0] <= now or heap[0][2].done()):
            _time_out(heapq.heappop(heap)[2])
        if line or heap:
            self._set_timer(loop, min(waiting[0][0] for waiting in (line, heap) if waiting))

    def stop(self) -> None:
        """Watch nobody any more."""
        self._line.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()


def _time_out(waiter: _Watched) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class Permits:
    """First come, first served, and cheap to leave.

    Args:
        free: permits at the start.
        deadlines: the timer to use.
        refused: gets what came along with a permit whose waiter was cancelled in that very tick, and the permit.

    Attributes:
        free: permits that nobody holds. May be negative after `shrink`: so many have to come back before one is free.
        queue: those who wait for one.
    """

    def __init__(self, free: int, deadlines: Deadlines, refused: Callable[[Any], None]) -> None:
        self.free = free
        self.queue: OrderedDict[Waiter, None] = OrderedDict()
        self._wakeups: Wakeups | None = None  # of the loop of the first who waits
        self._deadlines = deadlines
        self._refused = refused

    @property
    def waiting(self) -> int:
        """Tasks in the queue."""
        return len(self.queue)

    def locked(self) -> bool:
        """Whether `acquire` would have to wait."""
        return self.free <= 0 or bool(self.queue)

    def take(self) -> bool:
        """Take a permit if that needs no waiting; whether it did."""
        if self.free <= 0 or self.queue:
            return False
        self.free -= 1
        return True

    async def turn(self, deadline: float | None) -> Any:
        """Take a permit, after everybody who asked before; what came along with it, if anything.

        Args:
            deadline: in the loop's time; None waits for ever.

        Raises:
            TimeoutError: the deadline passed.
        """
        if self.take():
            return None
        waiter = self.line_up(asyncio.get_running_loop(), deadline)
        try:
            await waiter
        except BaseException:
            self.leave(waiter)
            raise
        return waiter.result()

    def line_up(self, loop: asyncio.AbstractEventLoop, deadline: float | None) -> Waiter:
        """What gets a permit after everybody who asked before, as `turn` has it.

        Whoever awaits it must `leave` when that ends in an exception.
        """
        if self._wakeups is None:
            self._wakeups = wakeups_of(loop)
        waiter = Waiter(loop, self._wakeups)
        self.queue[waiter] = None
        if deadline is not None:
            self._deadlines.watch(waiter, deadline)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Give a place in the queue up, or what it has brought in the very tick in which its task was cancelled."""
        self.queue.pop(waiter, None)
        if waiter.served():
            gift = waiter.result()
            if gift is None:
                self.release()
            else:
                self._refused(gift)

    def hand_over(self, gift: object) -> bool:
        """Give the caller's permit, and what goes along, to whoever has waited longest; False if nobody waits."""
        while self.queue:
            waiter, _ = self.queue.popitem(last=False)
            if not waiter.done():
                waiter.set_result(gift)
                return True
        return False

    def release(self) -> None:
        """Give a permit back: to whoever has waited longest, or to the free ones."""
        self.free += 1
        while self.queue and self.free > 0:
            waiter, _ = self.queue.popitem(last=False)
            if not waiter.done():
                self.free -= 1
                waiter.set_result(None)

    def grow(self, permits: int) -> None:
        """Add permits."""
        for _ in range(permits):
            self.release()

    def shrink(self, permits: int) -> None:
        """Take permits away, those still held included: they count as they come back."""
        self.free -= permits

    def fail_waiters(self, make_error: Callable[[], Exception]) -> None:
        """Send everybody in the queue away with an error of their own."""
        while self.queue:
            waiter, _ = self.queue.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(make_error())


def was_served(waiter: asyncio.Future[Any]) -> bool:
    """Whether a result arrived, taken or not."""
    return waiter.done() and not waiter.cancelled() and waiter.exception() is None
