"""SQLAlchemy on the same connections: an `AsyncEngine` that borrows from a `ConnectionPool` and keeps none.

SQLAlchemy talks to a borrowed connection as it would to the driver's own, so it is guarded as for everybody else, and
the pool alone judges and cleans what an engine leaves behind. The dialects here are SQLAlchemy's own for asyncmy and
aiomysql, but for where a connection comes from and how it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from async_mysqlpool import ConfigurationError
from async_mysqlpool.connection.baseline import resets_all
from async_mysqlpool.connection.entry import Site
from async_mysqlpool.drivers.base import is_disconnect
from async_mysqlpool.errors import PoolClosedError
from async_mysqlpool.integrations.extras import needs
from async_mysqlpool.lease.held import entry_of, has_more

with needs("sqlalchemy"):
    import sqlalchemy
    from sqlalchemy import URL, Connection, event
    from sqlalchemy.dialects import registry
    from sqlalchemy.dialects.mysql.aiomysql import MySQLDialect_aiomysql
    from sqlalchemy.dialects.mysql.asyncmy import MySQLDialect_asyncmy
    from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect
    from sqlalchemy.dialects.mysql.mysqldb import MySQLExecutionContext_mysqldb
    from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
    from sqlalchemy.ext.asyncio import create_async_engine as _create_async_engine
    from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_mysqlpool import ConnectionPool, PooledConnection

__all__ = ["create_async_engine"]

# pyright: reportPrivateUsage=false

_PASSED_OVER = (*(str(Path(path).parent) for path in (sqlalchemy.__file__, __file__)), str(contextlib.__file__))


def create_async_engine(pool: ConnectionPool, **engine_options: Any) -> AsyncEngine:
    """An engine whose connections are borrowed from `pool`: one for each transaction or block, given back at its end.

    The pool is opened and closed by its owner; `engine.dispose()` leaves it alone. How many connections there are, how
    long one waits for them, when they are checked and how they are cleaned is the pool's business.

    Args:
        pool: over asyncmy or aiomysql. It may be opened later.
        **engine_options: SQLAlchemy's own, but for those of its pool: `echo`, `execution_options`, ...

    Raises:
        ConfigurationError: SQLAlchemy has no asyncio dialect for the pool's driver.
        TypeError: an option that SQLAlchemy does not know, or one of connecting and of its own pool (`connect_args`,
            `pool_size`, ...).
    """
    driver = pool.driver.name
    if driver not in _DIALECTS:
        raise ConfigurationError(
            f"SQLAlchemy has no asyncio dialect for {driver}: give pool {pool.name} driver='asyncmy' or 'aiomysql'"
        )
    if refused := {"creator", "async_creator", "connect_args"} & engine_options.keys():
        raise TypeError(f"{', '.join(refused)}: pool {pool.name} connects; give its arguments to the pool")
    config = pool._config
    url = URL.create(
        f"{pool._scheme}+pooled_{driver}",
        None if callable(config.user) else config.user,
        host=None if callable(config.host) else config.host,
        port=None if callable(config.port) else config.port,
        database=config.database,
        query={"unix_socket": config.unix_socket} if config.unix_socket else {},
    )
    # Users read the number of rows after the connection went back.
    execution_options = {"preserve_rowcount": True, **engine_options.pop("execution_options", {})}
    engine = _create_async_engine(
        url,
        lender=pool,
        poolclass=NullPool,
        pool_reset_on_return=None,  # the pool resets
        execution_options=execution_options,
        **engine_options,
    )
    dialect: Any = engine.sync_engine.dialect
    dialect.since = pool._add_client_flag(dialect.create_connect_args(URL.create(url.drivername))[1]["client_flag"])
    event.listen(engine.sync_engine, "rollback", _abandon_stream)
    return engine


def _abandon_stream(conn: Connection) -> None:
    """Before it rolls back, the driver would read all rows that a stream left unread: end the connection instead."""
    if conn.invalidated or conn.closed:
        return
    dbapi_connection: Any = conn.connection.dbapi_connection
    if dbapi_connection is None:
        return  # its user has invalidated or closed what get_raw_connection() gave
    lease: PooledConnection = dbapi_connection.driver_connection
    if not lease.detached and has_more(lease):
        conn.invalidate()


class _Context(MySQLExecutionContext_mysqldb):
    """Keeps the other thing that users read after the connection went back."""

    def post_exec(self) -> None:
        super().post_exec()
        self._lastrowid = self.cursor.lastrowid

    def get_lastrowid(self) -> int:
        return self._lastrowid


class _Pooled(MySQLDialect_pymysql):
    """What is different when the driver's connection is a borrowed one.

    SQLAlchemy makes one of these for the engine, and hands it the option `lender`.
    """

    supports_statement_cache = True
    execution_ctx_cls = _Context

    def __init__(self, lender: ConnectionPool, **options: Any) -> None:
        super().__init__(**options)
        self._lender = lender
        self.since = 0.0  # connections that are older lack what the engine has asked the pool for
        self._loop: asyncio.AbstractEventLoop

    # -- a connection begins ------------------------------------------------------------------------------------------

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        """The pool has the arguments; the URL is for those who look at it."""
        return super().connect(async_creator_fn=self._borrow)

    async def _borrow(self) -> PooledConnection:
        """SQLAlchemy relies on a transaction that begins by itself."""
        self._loop = asyncio.get_running_loop()
        site = _user()
        lease = await self._lender.acquire(site=site)
        while entry_of(lease).created_at <= self.since:
            lease.discard()
            lease = await self._lender.acquire(site=site)
        try:
            if lease.get_autocommit():
                await lease.autocommit(False)
        except BaseException:
            lease.close()
            raise
        return lease

    def on_connect(self) -> Callable[[Any], None]:
        """No SET NAMES: the character set is there, and so is the collation, which that would change."""
        return lambda _: None

    # -- a connection ends --------------------------------------------------------------------------------------------

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """The pool knows some numbers more."""
        return is_disconnect(self._lender.driver.error_number(e)) or super().is_disconnect(e, connection, cursor)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Where close() has cut the connection off there is nothing left to roll back, and a session can be closed."""
        with contextlib.suppress(PoolClosedError):
            super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call]

    def do_close(self, dbapi_connection: Any) -> None:
        """Give it back."""
        dbapi_connection.run_async(self._give_back)

    async def _give_back(self, lease: PooledConnection) -> None:
        try:
            if not resets_all(self._lender.reset) and not lease.closed:
                await self._restore_autocommit(lease)
        except BaseException:
            _discard(lease)
            raise
        finally:
            lease.close()

    async def _restore_autocommit(self, lease: PooledConnection) -> None:
        """What the pool's own reset does otherwise."""
        baseline = entry_of(lease).baseline
        if baseline is not None and lease.get_autocommit() != baseline.autocommit:
            await lease.rollback()  # turning autocommit on would commit
            await lease.autocommit(baseline.autocommit)

    def do_terminate(self, dbapi_connection: Any) -> None:
        """For good. It was invalidated, or the garbage collector found it: in any thread, amid anything."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the lease's own finalizer does what can be done
            self._loop.call_soon_threadsafe(_discard, self.get_driver_connection(dbapi_connection))


class _Asyncmy(_Pooled, MySQLDialect_asyncmy):
    supports_statement_cache = True


class _Aiomysql(_Pooled, MySQLDialect_aiomysql):
    supports_statement_cache = True


class _AsyncmyMariaDB(MariaDBDialect, _Asyncmy):
    supports_statement_cache = True


class _AiomysqlMariaDB(MariaDBDialect, _Aiomysql):
    supports_statement_cache = True


_DIALECTS = {"asyncmy": (_Asyncmy, _AsyncmyMariaDB), "aiomysql": (_Aiomysql, _AiomysqlMariaDB)}
for _name, (_mysql, _mariadb) in _DIALECTS.items():
    registry.register(f"mysql.pooled_{_name}", __name__, _mysql.__name__)
    registry.register(f"mariadb.pooled_{_name}", __name__, _mariadb.__name__)


def _discard(lease: PooledConnection) -> None:
    if lease.detached:
        return
    if entry_of(lease).under_way:
        lease.close()  # the pool stops the statement on the server, and discards the connection
    else:
        lease.discard()


def _user() -> Site:
    """The nearest place on the stack that is neither SQLAlchemy's nor ours: this is who holds the connection."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_code.co_filename.startswith(_PASSED_OVER) and frame.f_back is not None:
        frame = frame.f_back
    return Site(frame.f_code, frame.f_lasti)
