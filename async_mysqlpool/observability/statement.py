"""A statement in the words of OpenTelemetry's semantic conventions for databases."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from async_mysqlpool.digest import summary

if TYPE_CHECKING:
    from async_mysqlpool.events import StatementEnded, StatementStarted
    from async_mysqlpool.stats import ServerInfo

__all__ = ["error_type", "in_few_words", "is_batch", "operation", "outcome", "where"]

_summary = functools.lru_cache(1024)(summary)
_OPERATIONS = {"begin": "BEGIN", "commit": "COMMIT", "rollback": "ROLLBACK", "callproc": "CALL"}


def where(server: ServerInfo) -> dict[str, str | int]:
    """The attributes that all statements of a pool have."""
    found: dict[str, str | int] = {"db.system.name": server.flavor, "server.address": server.host}
    if server.port is not None:
        found["server.port"] = server.port
    if server.database is not None:
        found["db.namespace"] = server.database
    return found


def in_few_words(statement: StatementStarted) -> str:
    """Its summary: ``SELECT orders customers``, ``BATCH INSERT orders``."""
    words = _summary(statement.digest)
    return f"BATCH {words}" if words and is_batch(statement) else words


def is_batch(statement: StatementStarted) -> bool:
    """Whether it is several operations: one set of arguments is one operation."""
    return statement.method == "executemany" and statement.batch != 1


def operation(statement: StatementStarted) -> dict[str, str | int]:
    """What is known without reading its text."""
    found: dict[str, str | int] = {}
    name = _OPERATIONS.get(statement.method)
    if name is not None:
        found["db.operation.name"] = name
    if statement.method == "callproc":
        found["db.stored_procedure.name"] = statement.digest.removeprefix("CALL ")
    return found


def error_type(error: BaseException, number: int | None = None) -> str:
    """The server's number if there is one, the name of the class otherwise. Never the message: it may hold values."""
    if number is not None:
        return str(number)
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def outcome(event: StatementEnded) -> dict[str, str | int]:
    """How it ended."""
    found: dict[str, str | int] = {}
    if event.number is not None:
        found["db.response.status_code"] = str(event.number)
    if event.error is not None:
        found["error.type"] = error_type(event.error, event.number)
    return found
