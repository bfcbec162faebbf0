"""Every error of the pool. Errors of the user's own SQL pass through untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.stats import PoolStats

__all__ = [
    "AcquireTimeoutError",
    "ConcurrentUseError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionReleasedError",
    "ForkedPoolError",
    "PoolClosedError",
    "PoolDeadlockError",
    "PoolError",
    "QueueFullError",
    "ResetFailedError",
    "ServerFullError",
    "ServerUnavailableError",
    "StatementTimeoutError",
    "TransactionError",
    "WrongEventLoopError",
]


def pickled(error: BaseException) -> tuple[Callable[..., BaseException], tuple[Any, ...], dict[str, Any]]:
    """For `__reduce__` of an error whose constructor wants something else than `args`."""
    return _unpickled, (type(error), error.args), error.__dict__


def _unpickled(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    error = kind.__new__(kind)
    error.args = args
    return error


class PoolError(Exception):
    """Base of everything that the pool itself raises. Can be pickled, so it comes back whole from another process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(self)


class ConfigurationError(PoolError, ValueError):
    """An option is unknown, has an impossible value, or contradicts another. Nothing was opened."""


class PoolClosedError(PoolError):
    """The pool is closed or closing, or was never opened; the message says which."""


class AcquireTimeoutError(PoolError, TimeoutError):
    """No connection within the deadline.

    Attributes:
        phase: where the time ran out: ``"queueing"``, ``"connecting"`` or ``"validating"``.
        stats: the pool's :class:`~async_mysqlpool.PoolStats` at that moment.
    """

    def __init__(self, message: str, *, phase: str, stats: PoolStats) -> None:
        super().__init__(message)
        self.phase = phase
        self.stats = stats


class QueueFullError(PoolError):
    """``max_waiting`` tasks wait already; this one was turned away at once."""


class PoolDeadlockError(PoolError):
    """Every connection is held by a task that itself waits for another one."""


class ConnectError(PoolError, ConnectionError):
    """The server refuses this connection for good: bad password, unknown database, bad option. Never retried."""


class ServerUnavailableError(ConnectError):
    """The server cannot be reached, or did not finish the handshake within ``connect_timeout``."""


class ServerFullError(ServerUnavailableError):
    """The server has no connection left for us (server errors 1040, 1203, 1226)."""


class ResetFailedError(PoolError):
    """The session could not be made clean again. The connection was thrown away."""


class ConnectionReleasedError(PoolError):
    """The connection (or a cursor made from it) is used after it went back to the pool."""


class ConcurrentUseError(PoolError):
    """Two tasks use one connection at the same time, or one that is in the middle of a stream. Nothing was sent."""


class StatementTimeoutError(PoolError, TimeoutError):
    """A statement was not done within its own ``timeout``. Its connection is gone.

    Attributes:
        timeout: the seconds that it had.
    """

    def __init__(self, message: str, timeout: float = 0.0) -> None:
        super().__init__(message)
        self.timeout = timeout


class TransactionError(PoolError):
    """A transaction block was, or would have been, ended by something else than the block. Never a success."""


class WrongEventLoopError(PoolError):
    """The pool was opened in one event loop and is used in another."""


class ForkedPoolError(PoolError):
    """The pool was opened before a fork and is used in the child process."""
