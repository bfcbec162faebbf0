"""Spans of statements, transaction blocks, and acquires that had to wait: children of whatever the borrower is in."""

from __future__ import annotations

import os
import time
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from async_mysqlpool import __version__, events
from async_mysqlpool.observability.figures import POOL_NAME
from async_mysqlpool.observability.statement import error_type, in_few_words, is_batch, operation, outcome, where

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.trace import Span, TracerProvider

    from async_mysqlpool.pool import ConnectionPool

__all__ = ["Spans"]

_SCHEMA = "https://opentelemetry.io/schemas/1.36.0"
_CONNECTION = "async_mysqlpool.connection_id"
_READING = {"SELECT", "SHOW", "WITH", "VALUES", "TABLE", "EXPLAIN", "DESCRIBE", "DESC"}
# What attributes were called before the conventions for databases were stable.
_OLD_NAMES = {
    "db.system.name": "db.system", "db.namespace": "db.name", "db.query.text": "db.statement",
    "db.operation.name": "db.operation", "server.address": "net.peer.name", "server.port": "net.peer.port",
}  # fmt: skip


class Spans:
    """An observer.

    Args:
        pool: whose spans these are; not kept alive.
        provider: of tracers; None: the program's own.
        query_text: ``"off"``, ``"sanitized"`` or ``"full"``.
        sqlcommenter: send the span's ``traceparent`` along.

    Where OTEL_SEMCONV_STABILITY_OPT_IN has ``database/dup``, spans have the old names of attributes as well.
    """

    def __init__(
        self, pool: ConnectionPool, provider: TracerProvider | None, query_text: str, sqlcommenter: bool
    ) -> None:
        self._tracer = trace.get_tracer("async_mysqlpool", __version__, provider, _SCHEMA)
        self._pool = weakref.ref(pool)
        self._query_text = query_text
        self._sqlcommenter = sqlcommenter
        self._old_names = "database/dup" in os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
        self._open: dict[events.StatementEvent, tuple[Span, Token[context.Context] | None]] = {}

    # -- acquiring ------------------------------------------------------------------------------------------------

    def on_event(self, event: events.Event) -> None:
        """A span for an acquire that had to wait, or that failed; told of when it is over."""
        if isinstance(event, events.Acquired):
            if event.waited > 0.0:
                self._acquire(event.waited, {_CONNECTION: event.connection_id}, None)
        elif isinstance(event, events.AcquireFailed):
            self._acquire(event.waited, {}, event.error)

    def _acquire(self, waited: float, attributes: dict[str, Any], error: BaseException | None) -> None:
        now = time.time_ns()
        span = self._tracer.start_span(
            "acquire", attributes=self._attributes(attributes), start_time=now - int(waited * 1e9)
        )
        self._end(span, error, now)

    # -- statements and transactions ------------------------------------------------------------------------------

    def on_statement(self, event: events.StatementEvent) -> str | None:
        """Begin a span, or end one."""
        if isinstance(event, events.StatementStarted):
            span = self._begin_statement(event)
            self._open[event] = (span, None)
            return _comment(span) if self._sqlcommenter else None
        if isinstance(event, events.TransactionStarted):
            self._begin_transaction(event)
            return None
        span, token = self._open.pop(event.started, (trace.INVALID_SPAN, None))
        if isinstance(event, events.StatementEnded):
            self._say_rows(span, event)
            span.set_attributes(outcome(event))
        elif token is not None and trace.get_current_span() is span:  # else it is left in another task than entered
            context.detach(token)
        self._end(span, event.error, None, getattr(event, "number", None))
        return None

    def _begin_statement(self, event: events.StatementStarted) -> Span:
        words = in_few_words(event)
        attributes: dict[str, Any] = {_CONNECTION: event.connection_id, **operation(event)}
        if words:
            attributes["db.query.summary"] = words
        if self._query_text == "sanitized":
            attributes["db.query.text"] = event.digest
        elif self._query_text == "full":
            text = event.text
            attributes["db.query.text"] = text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")
        if is_batch(event):
            attributes["db.operation.batch.size"] = event.batch
        attributes = self._attributes(attributes)
        return self._tracer.start_span(
            words or str(attributes.get("db.system.name", "mysql")), kind=SpanKind.CLIENT, attributes=attributes
        )

    def _begin_transaction(self, event: events.TransactionStarted) -> None:
        attributes = self._attributes({_CONNECTION: event.connection_id})
        span = self._tracer.start_span("savepoint" if event.savepoint else "transaction", attributes=attributes)
        self._open[event] = (span, context.attach(trace.set_span_in_context(span)))

    def _say_rows(self, span: Span, event: events.StatementEnded) -> None:
        if event.rows is not None and event.started.digest[:10].partition(" ")[0].upper() in _READING:
            span.set_attribute("db.response.returned_rows", event.rows)

    # -- all ------------------------------------------------------------------------------------------------------

    def _attributes(self, more: dict[str, Any]) -> dict[str, Any]:
        pool = self._pool()
        if pool is None:
            return more
        attributes = {POOL_NAME: pool.name, **where(pool.server), **more}
        if self._old_names:
            attributes |= {old: attributes[new] for new, old in _OLD_NAMES.items() if new in attributes}
        return attributes

    def _end(self, span: Span, error: BaseException | None, now: int | None, number: int | None = None) -> None:
        if error is not None:
            kind = error_type(error, number)
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR, kind))
        span.end(now)


def _comment(span: Span) -> str | None:
    """As sqlcommenter has it: ``traceparent='00-...-01'``."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
    return ",".join(f"{key}='{quote(value, safe='')}'" for key, value in sorted(carrier.items())) or None
