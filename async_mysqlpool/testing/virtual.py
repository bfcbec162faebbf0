"""An event loop in which no test ever sleeps: when nothing is ready, the clock jumps to the next timer.

Hours pass in microseconds, durations come out exact, and a test that would hang raises `LoopStalledError` instead. Made
for code that waits for timers and for other tasks; sockets and threads do not know of its clock.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["LoopStalledError", "VirtualTimeLoop", "run_virtual"]

T = TypeVar("T")
_PATIENCE = 7 * 24 * 3600.0  # seconds; background tasks set timers for ever, so a hang shows as time going by


class LoopStalledError(RuntimeError):
    """Nothing can happen any more: no timer is set, or only those of background tasks, for a week of virtual time."""


class _JumpingSelector(selectors.DefaultSelector):
    """Looks what is ready, and has the clock moved where a real one would sleep."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, for `asyncio.Runner(loop_factory=VirtualTimeLoop)`."""

    def __init__(self) -> None:
        self._now = 1000.0  # like real clocks, it does not start at zero
        self._patience = self._now + _PATIENCE
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self._now

    def _jump(self, seconds: float | None) -> None:
        self._now += seconds or 0.0
        if seconds is None or self._now > self._patience:
            self._patience = self._now + _PATIENCE  # whoever cleans up after the error may need time
            raise LoopStalledError("; ".join(["nothing can happen any more", *map(_where, asyncio.all_tasks(self))]))


def _where(task: asyncio.Task[Any]) -> str:
    stack = task.get_stack(limit=1)
    place = f" at {stack[-1].f_code.co_filename}:{stack[-1].f_lineno}" if stack else ""
    return f"task {task.get_name()!r} waits{place}"


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop with virtual time, as `asyncio.run` does on a real one.

    Raises:
        LoopStalledError: it would have hung.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
