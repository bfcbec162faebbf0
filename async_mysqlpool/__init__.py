"""The asyncio connection pool for MySQL and MariaDB.

The map, in the order in which bytes become a borrow; a file imports only from those before it, for types, too:

    _compiled.py    which files are compiled as well, and which form is loaded
    digest.py       a statement without its values
    stats.py        numbers, leases, and the sentences in errors
    errors.py       every error of the pool
    remedies.py     what people pass by mistake, and what they meant
    misuse.py       what is used as something that it is not: says what to write instead
    events.py       what observers are told
    wire/           what went over a connection, from its packets
    drivers/        the seam to the drivers: one file each, no policy; results read past them
    dsn.py          options in one text
    config.py       options, defaults, checks
    client_options.py  X DevAPI's form of them
    connection/     one physical connection
        baseline.py     the state that every borrower must find, and how it is learned
        entry.py        its states, its times, who holds it
        session.py      how a session is made clean again, and when it is clean already
        silence.py      what the kernel does with a peer that is silent
        opening.py      connecting: within a time, paced by a backoff
        killer.py       stops the statements of borrowers that went away
    lease/          what the borrower holds
        held.py         who may use a connection, one call at a time, until it goes back
        guard.py        the driver's own objects, as a borrower may use them
        transaction.py  blocks and retries
        stream.py       rows as they come, and those that nobody reads; the deadline of a statement
        statements.py   one statement and what comes of it, on a connection or on the pool
        declared.py     what the drivers' connections have, for type checkers
        connection.py   the connection and its cursors
        watched.py      the same for those whose statements somebody wants to know of
        queries.py      the pool's helpers, which borrow for themselves
    capacity/       who gets a connection, how it comes back
        permits.py      permits, first come, first served, and deadlines
        semaphore.py    the same as an asyncio.Semaphore
        idle.py         the idle connections, the last one in on top
        advice.py       how large the pool should be, from what its last minutes say
        insight.py      statements: counted, told of, logged when slow
        journal.py      counters, events, log lines
        hooks.py        on_connect and on_release
        workers.py      the pool's own tasks: open, clean, check, close, kill
        flow.py         the way round: taken, lent, given back, offered
        capacity.py     all else that becomes of connections and permits
        acquire.py      the fast path and the slow one: deadline, account, explanation
        hooked.py       the same with on_acquire and other options that each borrow has to look after
        maintenance.py  the background task: a pure plan, and the loop that has it carried out
    view.py         what a pool tells about itself
    forks.py        what a forked child must not do
    life.py         open, close, terminate
    pool.py         acquire, release, what to look at and to change

and around it, using only what is public:

    integrations/   Starlette, FastAPI, Litestar, aiohttp, workers, SQLAlchemy
    compat/         the pools that people have today
    observability/  what the pool does, in tools that people have; a live page
    testing/        throwaway servers, a fake driver, a fault proxy, a loop with virtual time
    cli/            the command line: demo, check, bench, tune, top
"""

from async_mysqlpool import _compiled  # the first import: it decides in which form the others are loaded
from async_mysqlpool.capacity.acquire import Acquire
from async_mysqlpool.config import Options, Reset
from async_mysqlpool.drivers import Driver
from async_mysqlpool.errors import (
    AcquireTimeoutError,
    ConcurrentUseError,
    ConfigurationError,
    ConnectError,
    ConnectionReleasedError,
    ForkedPoolError,
    PoolClosedError,
    PoolDeadlockError,
    PoolError,
    QueueFullError,
    ResetFailedError,
    ServerFullError,
    ServerUnavailableError,
    StatementTimeoutError,
    TransactionError,
    WrongEventLoopError,
)
from async_mysqlpool.events import Observer
from async_mysqlpool.lease.connection import PooledConnection, PooledCursor
from async_mysqlpool.lease.stream import RowStream
from async_mysqlpool.lease.transaction import Isolation
from async_mysqlpool.pool import ConnectionPool
from async_mysqlpool.stats import ConnectionInfo, Lease, PoolStats, ServerInfo, StatementStats

__version__ = "0.1.0"

compiled: bool = _compiled.is_compiled()
"""Whether the hot path runs compiled; otherwise the same text is interpreted."""

__all__ = [
    "Acquire",
    "AcquireTimeoutError",
    "ConcurrentUseError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionInfo",
    "ConnectionPool",
    "ConnectionReleasedError",
    "Driver",
    "ForkedPoolError",
    "Isolation",
    "Lease",
    "Observer",
    "Options",
    "PoolClosedError",
    "PoolDeadlockError",
    "PoolError",
    "PoolStats",
    "PooledConnection",
    "PooledCursor",
    "QueueFullError",
    "Reset",
    "ResetFailedError",
    "RowStream",
    "ServerFullError",
    "ServerInfo",
    "ServerUnavailableError",
    "StatementStats",
    "StatementTimeoutError",
    "TransactionError",
    "WrongEventLoopError",
    "compiled",
]
