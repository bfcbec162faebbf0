"""What a pool tells about itself, to whoever asks, in any thread, and to whoever wants to be told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from async_mysqlpool.connection.entry import State
from async_mysqlpool.errors import ConfigurationError
from async_mysqlpool.lease.queries import Queries
from async_mysqlpool.remedies import remedy
from async_mysqlpool.stats import Counters, PoolStats, ServerInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.capacity.capacity import Capacity
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.events import Observer
    from async_mysqlpool.stats import Lease, StatementStats

__all__ = ["View"]


class View(Queries):
    """The part of a pool that only looks; `ConnectionPool` sets what it looks at."""

    _config: PoolConfig
    _capacity: Capacity
    _min_size: int
    _max_size: int

    @property
    def queue_timeout(self) -> float | None:
        """Seconds that an acquire waits at most unless told otherwise; None: for ever."""
        return self._config.queue_timeout

    @property
    def server(self) -> ServerInfo:
        """Where it leads; nothing secret."""
        config = self._config
        host, port = (config.unix_socket, None) if config.unix_socket else (config.host, config.port)
        host, port = "" if callable(host) else host, None if callable(port) else port
        return ServerInfo(host, port, config.database, self._capacity.version if self._capacity else "")

    @property
    def size(self) -> int:
        """Physical connections, those being opened or closed included."""
        return len(self._capacity.entries) if self._capacity else 0

    @property
    def idle(self) -> int:
        """Connections that wait for a borrower."""
        return self._capacity.idle.qsize() if self._capacity else 0

    @property
    def waiting(self) -> int:
        """Tasks that wait for a connection."""
        return self._capacity.waiting if self._capacity else 0

    def stats(self) -> PoolStats:
        """The numbers of this moment, and the counters since the pool was opened."""
        count = Counter(entry.state for entry in tuple(self._capacity.entries)) if self._capacity else Counter[State]()
        counters = self._capacity.journal.counters if self._capacity else Counters()
        suggestion = self._capacity.advisor.suggestion if self._capacity else None
        return PoolStats(
            min_size=self._min_size,
            max_size=self._max_size,
            size=self.size,
            idle=count[State.IDLE],
            in_use=count[State.IN_USE] + count[State.HANDED],
            opening=count[State.OPENING],
            cleaning=count[State.CLEANING],
            closing=count[State.CLOSING],
            waiting=self.waiting,
            held_time=self._capacity.held_time if self._capacity else 0.0,
            suggested_size=suggestion.size if suggestion else None,
            suggested_because=suggestion.because if suggestion else "",
            **counters.copy(),
        )

    def leases(self) -> list[Lease]:
        """Who holds a connection, the longest first."""
        return self._capacity.leases() if self._capacity else []

    def statements(self) -> list[StatementStats]:
        """What takes time, by statement without its values: the most of it first. Some 200 of them are kept apart.

        Empty unless statements are watched: by `watch_statements`, `slow_statement` or an observer of statements.
        """
        insight = self._capacity.journal.insight if self._capacity else None
        return insight.table.read() if insight else []

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Have an observer told from now on, of connections that are lent from now on; the result puts an end to that.

        One that has an `on_statement` method is told of statements, too.

        Raises:
            ConfigurationError: it is no observer.
        """
        if advice := remedy("observers", [observer]):
            raise ConfigurationError(f"observe() takes one observer: {advice}")
        observing = [observer]  # until it is stopped, once: whoever observes twice goes on with the other one

        def change(observers: tuple[Observer, ...]) -> None:
            self._config = replace(self._config, observers=observers)
            if self._capacity:
                self._capacity.journal.observe(observers)

        def stop() -> None:
            others = list(self._config.observers)
            if observing:
                del others[[other is observer for other in others].index(True)], observing[:]
            change(tuple(others))

        change((*self._config.observers, observer))
        return stop
