"""One physical connection as the pool sees it: its state, its times, who holds it and where that was acquired."""

from __future__ import annotations

import asyncio
import enum
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from async_mysqlpool.wire.unseen import Unseen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import CodeType

    from async_mysqlpool.connection.baseline import Baseline
    from async_mysqlpool.drivers.base import Connected
    from async_mysqlpool.drivers.results import StatementReader

__all__ = [
    "CLEANING",
    "CLOSED",
    "HANDED",
    "IDLE",
    "IN_USE",
    "Block",
    "Entry",
    "Site",
    "State",
    "Unread",
    "caller",
    "site_text",
]

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_PROGRAM = _PACKAGE + "cli" + os.sep  # uses the pool as anybody does


class State(enum.Enum):
    """Where a connection is in its life. Every state but IDLE holds one permit of the pool's semaphore.

    OPENING ────┬──> IDLE ──> IN_USE ──> CLEANING ──┐      CLEANING is also the check before it is lent
                │     ▲                             │
                │     └─────────────────────────────┤
                └──> HANDED ──> IN_USE              │      HANDED: given to a waiter that has not run yet
                        ▲                           │
                        └───────────────────────────┘
    every state ──> CLOSING (politely) ──> CLOSED
    """

    OPENING = "opening"
    IDLE = "idle"
    HANDED = "handed over"
    IN_USE = "in use"
    CLEANING = "cleaning"
    CLOSING = "closing"
    CLOSED = "closed"


IDLE, HANDED, IN_USE, CLEANING, CLOSED = State.IDLE, State.HANDED, State.IN_USE, State.CLEANING, State.CLOSED


class Site:
    """A place in the user's code. The line is looked up only when somebody asks."""

    __slots__ = ("_code", "_instruction")

    def __init__(self, code: CodeType, instruction: int) -> None:
        self._code = code
        self._instruction = instruction

    def __str__(self) -> str:
        line = self._code.co_firstlineno
        for start, end, number in self._code.co_lines():
            if start <= self._instruction < end and number is not None:
                line = number
        return f"{self._code.co_filename}:{line}"


def caller(skip: int = 0) -> Site:
    """The nearest place outside this package on the stack, which has no frames of what is compiled.

    Args:
        skip: frames that are this package's for sure, in either form of it.
    """
    frame = sys._getframe(skip)  # pyright: ignore[reportPrivateUsage]  the fast way, documented in `sys`
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        if frame.f_code.co_filename.startswith(_PROGRAM):
            break
        frame = frame.f_back
    return Site(frame.f_code, frame.f_lasti)


def site_text(site: object) -> str:
    """Where something was acquired, in words; a `site` of the user's may fail to say so."""
    try:
        return str(site)
    except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001
        return f"(its site cannot be told: {type(exc).__name__})"


def _ignore(error: Exception | None) -> None:
    """Until somebody listens."""


class Block(Protocol):
    """A transaction block on a connection; see `lease/transaction.py`."""

    given_back: object | None

    def unsettled(self) -> bool: ...  # noqa: D102  said there
    async def settle(self) -> None: ...  # noqa: D102
    def heard(self) -> None: ...  # noqa: D102
    def failed(self, error: BaseException) -> None: ...  # noqa: D102
    def check_statement(self, query: str | bytes | bytearray, entry: Entry) -> None: ...  # noqa: D102


class Unread(Protocol):
    """A result that is read row by row; see `lease/stream.py`."""

    left: bool

    def is_of(self, lease: object) -> bool: ...  # noqa: D102  said there
    def rest(self) -> Awaitable[None]: ...  # noqa: D102
    def refusal(self) -> Exception: ...  # noqa: D102


class Entry:
    """A physical connection and the pool's notes on it; the driver's object carries none of them.

    Attributes:
        raw: the driver's connection; None while it is being opened.
        wire: what is known of what went over it, and the way past the driver.
        peer: the server's end of it, if it has an address.
        reader: reads results past the driver; None where the driver reads everything.
        pipelines: commands of the pool's own may go out before the replies to others have come.
        killable: the connection's id is the server's own, so a KILL of it stops this one and no other.
        baseline: the session state that every borrower must find.
        broken_off: a call of the driver ended before its reply was complete; nothing can be said on it any more.
        exposed: the driver's own object was within reach of a borrower since its settings were last put back.
        needs_look: something has to be asked before it is lent again: `on_release`, or its role.
        suspect_role: something was read-only: the server, or was it the borrower's own wish?
        reset_error: the server's answer to the reset before the last; the borrower whose command followed must know.
        open_transaction: it is in a block that ends in COMMIT or ROLLBACK, or was in one that ended in neither.
        block: that one, as long as it has not been left.
        abandoned: something comes before anything else: ROLLBACK when that block was left, or what is in `unread`.
        unread: what reads a result row by row on it, or was left before its last row; see `lease/stream.py`.
        doubt: why the session must not be reused, whatever a reset would say.
        on_reset: is told how a reset ended that nobody has waited for.
        task: who acquired it.
        user: who sent the last statement, or acquired it.
        suspect: another connection was lost, so ping this one before handing it out.
        pinged_at: when it last answered a ping, or was made, in the loop's time.
        expires_at: when its lifetime ends, in the loop's time.
    """

    __slots__ = (
        "abandoned",
        "acquired_at",
        "baseline",
        "block",
        "broken_off",
        "connection_id",
        "created_at",
        "doubt",
        "expires_at",
        "exposed",
        "killable",
        "local_port",
        "needs_look",
        "on_reset",
        "open_transaction",
        "peer",
        "pinged_at",
        "pipelines",
        "raw",
        "reader",
        "released_at",
        "reset_error",
        "site",
        "state",
        "suspect",
        "suspect_role",
        "task",
        "unread",
        "user",
        "uses",
        "warned",
        "wire",
    )

    def __init__(self, now: float) -> None:
        self.raw: Any = None
        self.wire: Connected = Unseen()
        self.reader: StatementReader | None = None
        self.pipelines = False
        self.killable = True
        self.baseline: Baseline | None = None
        self.connection_id = 0
        self.local_port: int | None = None
        self.peer: tuple[str, int] | None = None
        self.state = State.OPENING
        self.created_at = now
        self.released_at = now
        self.acquired_at = now
        self.pinged_at = now
        self.expires_at = float("inf")
        self.broken_off = False
        self.exposed = False
        self.needs_look = False
        self.suspect_role = False
        self.open_transaction = False
        self.abandoned = False
        self.block: Block | None = None
        self.reset_error: Exception | None = None
        self.on_reset: Callable[[Exception | None], None] = _ignore
        self.unread: Unread | None = None
        self.doubt: str | None = None
        self.suspect = False
        self.uses = 0
        self.site: object | None = None
        self.task: asyncio.Task[Any] | None = None
        self.user: asyncio.Task[Any] | None = None
        self.warned = False

    @property
    def holder(self) -> asyncio.Task[Any] | None:
        """The task that has to give it back: who acquired it, or whoever used it last when that one has ended."""
        return self.user if self.task is None or self.task.done() else self.task

    @property
    def handed_on(self) -> bool:
        """Whether another task than its holder may be using it, and may give it back."""
        return self.user is not None and self.user is not self.holder and not self.user.done()

    def needs_ping(self, now: float, validate_after: float) -> bool:
        """Whether it was idle for so many seconds, or another one was lost, that its socket alone proves nothing."""
        return self.suspect or now - self.released_at >= validate_after

    def lend(self, now: float, site: object, task: asyncio.Task[Any] | None) -> None:
        """A borrower has it from now on."""
        self.state = IN_USE
        self.acquired_at = now
        self.site = site
        self.task = self.user = task
        self.uses += 1
        self.open_transaction = self.abandoned = False
        if self.wire.touched:
            self.wire.begin()

    @property
    def under_way(self) -> bool:
        """Whether a statement was sent whose reply has not come."""
        return self.broken_off or (self.wire.due > 0 and not self.wire.lost)

    def expose(self) -> None:
        """The borrower has got at the driver's own object, or at a method that may change any setting of it."""
        self.exposed = True
        if self.reader is not None:
            self.reader.exposed = True

    def take_back(self, now: float) -> None:
        """Its borrower is done with it."""
        self.state = CLEANING
        self.released_at = now
        self.site = None
        self.task = self.user = None
        self.warned = False

    def __repr__(self) -> str:
        return f"<connection {self.connection_id} {self.state.value}, used {self.uses} times>"
