"""What an HTTP client is told when the pool has nothing to give: 503, when to come back, and nothing about our inside.

Only failures that pass by themselves are here. A mistake in the program (`ConnectionReleasedError`, say) is none of
them: it stays an exception, which the framework logs with its traceback and answers with its own 500.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from async_mysqlpool import AcquireTimeoutError, ConnectError, PoolClosedError, PoolDeadlockError, QueueFullError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAILURES", "STATUS", "Failure", "explain"]

logger = logging.getLogger("async_mysqlpool.integrations")

STATUS = 503


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason, without a host name, SQL or a path in it; `retry_after` is in seconds."""

    code: str
    detail: str
    retry_after: int

    @property
    def body(self) -> dict[str, str]:
        """The answer's JSON."""
        return {"detail": self.detail, "code": self.code}

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers."""
        return {"Retry-After": str(self.retry_after)}


_BUSY = Failure("database_busy", "The database is busy. Please try again.", 1)
_AWAY = Failure("database_unavailable", "The database is not available. Please try again later.", 5)
_STOPPING = Failure("shutting_down", "The service is shutting down. Please try again.", 1)

FAILURES: Mapping[type[Exception], Failure] = {
    AcquireTimeoutError: _BUSY,
    QueueFullError: _BUSY,
    PoolDeadlockError: _BUSY,
    ConnectError: _AWAY,
    PoolClosedError: _STOPPING,
}


def explain(error: Exception) -> Failure:
    """What to answer for one of `FAILURES`. The log gets what the client must not see."""
    failure = next(failure for kind, failure in FAILURES.items() if isinstance(error, kind))
    fields = {"event": "answered_unavailable", "status": STATUS, "error": type(error).__name__}
    logger.warning("answered %d %s: %s", STATUS, failure.code, error, extra=fields)
    return failure
