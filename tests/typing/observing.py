"""Never run, only checked: what a type checker knows of looking at a pool."""

from collections.abc import Callable
from typing import assert_type

from async_mysqlpool import ConnectionPool
from async_mysqlpool.events import Event, StatementEnded, StatementEvent, StatementObserver, StatementStarted
from async_mysqlpool.observability import otel, prometheus
from async_mysqlpool.stats import ServerInfo, StatementStats


class Slowest:
    """An observer of statements."""

    def __init__(self) -> None:
        self.took = 0.0

    def on_event(self, event: Event, /) -> None: ...

    def on_statement(self, event: StatementEvent, /) -> str | None:
        if isinstance(event, StatementEnded):
            assert_type(event.started, StatementStarted)
            self.took = max(self.took, event.took)
        return None


observer: StatementObserver = Slowest()
pool = ConnectionPool("mysql://db.example/shop", slow_statement=0.5, slow_acquire=None, watch_statements=True)
assert_type(pool.observe(observer), Callable[[], None])
assert_type(pool.statements(), list[StatementStats])
assert_type(pool.server, ServerInfo)
assert_type(pool.queue_timeout, float | None)
assert_type(otel.instrument(pool, query_text="off", sqlcommenter=True), Callable[[], None])
assert_type(prometheus.instrument(pool, histograms=False), Callable[[], None])
