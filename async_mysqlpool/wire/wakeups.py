"""Whoever waits for a connection or a reply goes on as soon as it is there, without a detour through the event loop.

A future of asyncio's asks the loop to go on with its task in the next round. Most of what the pool's borrowers wait for
happens while bytes of a server are read: their replies come, and the connection that the one gives back is what the
next has waited for. So those who are woken meanwhile are collected, and all of them go on at the end of that reading,
in the same call of the loop; and if they are woken at other times, all of them go on in the loop's next round.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextvars import Context

__all__ = ["Waiter", "Wakeups", "wakeups_of"]

_AT_ONCE = 64  # tasks that go on one after the other before the loop looks after others

_PENDING, _FINISHED, _CANCELLED = 0, 1, 2


class Wakeups:
    """The waiters of one event loop that are done and whose tasks have to go on.

    Attributes:
        nests: the loop may be run by a task of its own (`nest_asyncio`), which waits for others that are done then.
    """

    __slots__ = ("__weakref__", "_done", "_held", "_runs_soon", "nests")

    def __init__(self) -> None:
        self._done: deque[Waiter] = deque()
        self._held = False
        self._runs_soon = False
        self.nests = False

    def hold(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Collect those who are done until `run`; whether that is to be called, as nobody collects them already.

        Not within the step of a task, as tasks do not go on within each other.
        """
        if self._held or asyncio.current_task(loop) is not None:
            return False
        self._held = True
        return True

    def add(self, waiter: Waiter) -> None:
        """Let its task go on, soon."""
        self._done.append(waiter)
        if not self._runs_soon and (self.nests or not self._held):
            self._runs_soon = True
            waiter.loop.call_soon(self._run_soon)

    def run(self) -> None:
        """The end of `hold`: go on with those who are done, and with those who are done because of that."""
        self._go_on(_AT_ONCE)

    def _run_soon(self) -> None:
        self._runs_soon = False
        self._go_on(len(self._done))

    def _go_on(self, most: int) -> None:
        self._held = True
        try:
            while self._done and most > 0:
                most -= 1
                self._done.popleft().go_on()
        finally:
            self._held = False
            if self._done and not self._runs_soon:
                self._runs_soon = True
                self._done[0].loop.call_soon(self._run_soon)


# Without a reference to the loop in it, so that the loop can go.
_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Wakeups] = WeakKeyDictionary()


def wakeups_of(loop: asyncio.AbstractEventLoop) -> Wakeups:
    """Those of a loop."""
    wakeups = _of_loops.get(loop)
    if wakeups is None:
        wakeups = _of_loops[loop] = Wakeups()
    wakeups.nests = hasattr(loop, "_nest_patched")
    return wakeups


class Waiter:
    """What one task waits for: ``await waiter``, then take its `result()`.

    As far as tasks are concerned it is a future, but for a single task, and it gives nothing when awaited.

    Args:
        loop: of the task.
        wakeups: `wakeups_of` that loop.
    """

    __slots__ = (
        "__weakref__", "_asyncio_future_blocking", "_callback", "_context", "_outcome", "_state", "_wakeups", "loop",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, wakeups: Wakeups) -> None:
        self.loop = loop
        self._wakeups = wakeups
        self._state = _PENDING
        self._outcome: Any = None  # the result, an exception, or the message of a cancellation
        self._callback: Callable[[Waiter], object] | None = None
        self._context: Context | None = None
        self._asyncio_future_blocking = False  # by this mark asyncio knows what it may wait for

    def done(self) -> bool:
        """Whether there is a result, or will never be one."""
        return self._state != _PENDING

    def cancelled(self) -> bool:
        """Whether its task was cancelled before there was a result."""
        return self._state == _CANCELLED

    def served(self) -> bool:
        """Whether a result arrived, taken or not."""
        return self._state == _FINISHED and not isinstance(self._outcome, _Failed)

    def set_result(self, result: object) -> None:
        """Let its task go on with that. It must not be done."""
        self._finish(_FINISHED, result)

    def set_exception(self, error: BaseException) -> None:
        """Let that be raised in its task. It must not be done."""
        self._finish(_FINISHED, _Failed(error))

    def cancel(self, msg: object = None) -> bool:
        """The task is cancelled; whether there was no result yet."""
        if self._state != _PENDING:
            return False
        self._finish(_CANCELLED, msg)
        return True

    def _finish(self, state: int, outcome: object) -> None:
        self._state = state
        self._outcome = outcome
        if self._callback is not None:
            self._wakeups.add(self)

    def result(self) -> Any:
        """What the task goes on with, or raises."""
        if self._state == _CANCELLED:
            raise asyncio.CancelledError() if self._outcome is None else asyncio.CancelledError(self._outcome)
        if self._state == _PENDING:
            raise asyncio.InvalidStateError("there is no result yet")
        if isinstance(self._outcome, _Failed):
            raise self._outcome.error
        return self._outcome

    def go_on(self) -> None:
        """Run the next step of the task."""
        callback, self._callback = self._callback, None
        if callback is None or self._context is None:
            return
        try:
            self._context.run(callback, self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:  # noqa: BLE001  as the loop has it
            self.loop.call_exception_handler({"message": f"Exception in {callback!r}", "exception": exc})

    # -- what tasks call ------------------------------------------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The one in which it may be awaited."""
        return self.loop

    def add_done_callback(self, callback: Callable[[Waiter], object], *, context: Context) -> None:
        """The step of the task that follows."""
        self._callback, self._context = callback, context
        if self._state != _PENDING:
            self._wakeups.add(self)

    def __await__(self) -> Generator[Any, None, None]:
        return self  # type: ignore[return-value] # pyright: ignore[reportReturnType]  any iterator does

    def __iter__(self) -> Iterator[Waiter]:
        return self

    def __next__(self) -> Waiter:
        if self._state == _PENDING:
            self._asyncio_future_blocking = True
            return self
        raise StopIteration


class _Failed:
    """An outcome that is to be raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error
