"""What is known of a pool's statements: a bounded table, and who else is told of each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from async_mysqlpool import events
from async_mysqlpool.connection.entry import site_text
from async_mysqlpool.digest import digest
from async_mysqlpool.stats import StatementStats

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Insight", "StatementTable", "Throttle"]

_MOST_DIGESTS = 200
_MOST_TEXTS = 512  # whose digest is remembered
_LONGEST_TEXT = 4096  # characters of one
_MOST_LINES = 10  # of the log, a second
_OTHERS = ""  # the digest of all for which there is no room
# Statements by which transactions begin and end, which no borrower has written.
_FIXED = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "START TRANSACTION"})


class Say(Protocol):
    """Writes a line into the log; `Journal.say`."""

    def __call__(
        self, level: int, text: str, *values: object, exc_info: BaseException | None = None, **fields: object
    ) -> None: ...


class Throttle:
    """Lets ten lines a second through: where everything is slow, the log must not make it slower."""

    def __init__(self) -> None:
        self._since = self._lines = 0
        self._left_out = 0

    def admits(self) -> str | None:
        """What to add to the line, such as how many were left out before it; None if it is to be left out."""
        second = int(time.monotonic())
        if second != self._since:
            self._since, self._lines = second, 0
        self._lines += 1
        if self._lines > _MOST_LINES:
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return f" ({left_out} such lines were left out before)" if left_out else ""


class _Row:
    __slots__ = ("count", "errors", "longest", "rows", "total")

    def __init__(self) -> None:
        self.count = self.errors = self.rows = 0
        self.total = self.longest = 0.0

    def add(self, count: int, errors: int, rows: int, total: float, longest: float) -> None:
        self.count += count
        self.errors += errors
        self.rows += rows
        self.total += total
        self.longest = max(self.longest, longest)


class StatementTable:
    """Statements by digest. When it is full, the half that took least time altogether becomes one row."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def add(self, digest: str, took: float, rows: int | None, failed: bool) -> None:
        """One statement has ended."""
        row = self._rows.get(digest)
        if row is None:
            if len(self._rows) > _MOST_DIGESTS:
                self._make_room()
            row = self._rows[digest] = _Row()
        row.add(1, failed, rows or 0, took, took)

    def _make_room(self) -> None:
        others = self._rows.pop(_OTHERS, None) or _Row()
        ordered = sorted(self._rows.items(), key=lambda item: -item[1].total)
        for _, row in ordered[_MOST_DIGESTS // 2 :]:
            others.add(row.count, row.errors, row.rows, row.total, row.longest)
        self._rows = dict(ordered[: _MOST_DIGESTS // 2])
        self._rows[_OTHERS] = others

    def read(self) -> list[StatementStats]:
        """Those that took most time altogether first."""
        found = [
            StatementStats(digest, row.count, row.errors, row.rows, row.total, row.longest)
            for digest, row in self._rows.items()
        ]
        return sorted(found, key=lambda statement: -statement.total)


class Insight:
    """One pool's `Watch`.

    Args:
        pool: its name.
        slow: seconds above which a statement is logged; None: never.
        say: writes into the log.
    """

    def __init__(self, pool: str, slow: float | None, say: Say) -> None:
        self.pool = pool
        self.table = StatementTable()
        self.observers: Sequence[Any] = ()
        self._slow = slow
        self._say = say
        self._throttle = Throttle()
        self._known: OrderedDict[tuple[str | bytes, bool], str] = OrderedDict()

    def started(self, event: events.StatementStarted | events.TransactionStarted) -> str | None:
        """Tell the observers; the last comment that one of them wants to be sent along."""
        comment = None
        for observer in self.observers:
            comment = self._tell(observer, event) or comment
        return comment

    def statement_ended(
        self, started: events.StatementStarted, took: float, rows: int | None, error: BaseException | None,
        number: int | None,
    ) -> None:  # fmt: skip
        """Count it, tell the observers, log it if it was slow."""
        self.table.add(started.digest, took, rows, error is not None)
        if self.observers:
            event = events.StatementEnded(self.pool, started, took, rows, error, number)
            for observer in self.observers:
                self._tell(observer, event)
        if self._slow is not None and took > self._slow:
            self._log(started, took, rows, error)

    def transaction_ended(self, started: events.TransactionStarted, took: float, error: BaseException | None) -> None:
        """Tell the observers."""
        event = events.TransactionEnded(self.pool, started, took, error)
        for observer in self.observers:
            self._tell(observer, event)

    def _tell(self, observer: Any, event: events.StatementEvent) -> str | None:
        try:
            comment = observer.on_statement(event)
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001
            self._say(
                logging.ERROR,
                "%s: an observer failed on a statement: %r",
                self.pool,
                exc,
                exc_info=exc,
                event="observer_failed",
            )
            return None
        return comment if isinstance(comment, str) else None

    def digest(self, text: Any, escapes: bool) -> str:
        """The statement without its values; remembered, since texts come again."""
        if not isinstance(text, (str, bytes)):
            text = bytes(text) if isinstance(text, bytearray) else str(text)
        if text in _FIXED:
            return str(text)
        if len(text) > _LONGEST_TEXT:
            return digest(text, escapes)
        key = (text, escapes)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = digest(text, escapes)
            if len(self._known) > _MOST_TEXTS:
                self._known.popitem(last=False)
        return known

    def _log(
        self, started: events.StatementStarted, took: float, rows: int | None, error: BaseException | None
    ) -> None:
        more = self._throttle.admits()
        if more is None:
            return
        site = site_text(started.site)
        outcome = type(error).__name__ if error is not None else f"{'?' if rows is None else rows} rows"
        self._say(
            logging.WARNING,
            "%s: slow statement, %.3f s, %s, on connection %d acquired at %s after a wait of %.3f s: %s%s",
            self.pool, took, outcome, started.connection_id, site, started.waited, started.digest, more,
            event="slow_statement", connection_id=started.connection_id, seconds=took, rows=rows,
            error=type(error).__name__ if error is not None else None, site=site, waited=started.waited,
            digest=started.digest,
        )  # fmt: skip
