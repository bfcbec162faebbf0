"""What happens to a call on its way to the fake server: nothing, a delay, an error, or no end at all."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .session import FakeError

if TYPE_CHECKING:
    from .session import Session

__all__ = ["NEVER", "OK", "Gate", "Step", "fail", "pause", "slow", "wake"]

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Step:
    """What a gate does with one call: hold it for `delay` seconds, then let it through or fail it with `error`."""

    delay: float = 0.0
    error: BaseException | None = None


OK = Step()
NEVER = Step(delay=FOREVER)


def slow(seconds: float) -> Step:
    """Let a call through after this many seconds."""
    return Step(delay=seconds)


def fail(error: BaseException | int, message: str = "injected") -> Step:
    """Fail a call with an exception, or with the MySQL error of this number."""
    return Step(error=FakeError(error, message) if isinstance(error, int) else error)


class Gate:
    """The way of one kind of call from the client to the server and back. `calls` counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self._always = OK
        self._next: deque[Step] = deque()
        self._held: dict[asyncio.Future[None], BaseException | None] = {}

    def set(self, step: Step) -> None:
        """From now on do this with every call; those that are held already stay so."""
        self._always = step

    def next(self, *steps: Step) -> None:
        """Do these with the next calls, one each, before what was `set` holds again."""
        self._next.extend(steps)

    def open(self) -> None:
        """Let everything through again, also the calls that are held now."""
        self._always = OK
        self._next.clear()
        for waiter, error in self._held.items():
            wake(waiter, error)

    async def passed(self, session: Session | None = None) -> None:
        """Wait as long as the gate says, or until the session ends."""
        await self.enter(session)

    def enter(self, session: Session | None = None) -> asyncio.Future[None]:
        """What `passed` awaits: done when the call is through, or with the error that it ends in."""
        self.calls += 1
        step = self._next.popleft() if self._next else self._always
        waiter = pause(step.delay, session, step.error)
        self._held[waiter] = step.error
        waiter.add_done_callback(lambda _: self._held.pop(waiter))
        return waiter


def pause(seconds: float, session: Session | None, error: BaseException | None = None) -> asyncio.Future[None]:
    """A future that ends after some seconds, with or without an error, and before when the session does.

    It takes one turn of the loop at least, as any real I/O.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    if seconds < FOREVER:
        timer = loop.call_later(seconds, wake, waiter, error)
        waiter.add_done_callback(lambda _: timer.cancel())
    if session is not None:
        session.waiters.add(waiter)
        waiter.add_done_callback(session.waiters.discard)
    return waiter


def wake(waiter: asyncio.Future[None], error: BaseException | None = None) -> None:
    """End a pause."""
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
