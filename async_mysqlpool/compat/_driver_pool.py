"""The pool of aiomysql, which is asyncmy's as well: one class for both `create_pool`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from async_mysqlpool import ConfigurationError, ConnectError, ConnectionPool, Lease, PooledConnection, errors
from async_mysqlpool.compat._shared import UNLIMITED, Borrowing, Pending, read_arguments, unused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["Pool", "PoolClosedError", "opened"]


class PoolClosedError(errors.PoolClosedError, RuntimeError):
    """The pool is closing or closed. The original raises a plain RuntimeError."""


class Pool:
    """What `create_pool` gives. A borrowed connection is a `PooledConnection`, with everything the driver's has."""

    def __init__(
        self,
        driver: str,
        sizes: tuple[int, int],
        echo: bool,
        pool_recycle: float,
        arguments: Mapping[str, Any],
        operational_error: Callable[[int, str], Exception],
    ) -> None:
        minsize, maxsize = sizes
        if minsize < 0:
            raise ConfigurationError(f"minsize should be zero or greater, not {minsize}")
        if maxsize < minsize:
            raise ConfigurationError(f"maxsize should be not less than minsize: {maxsize} < {minsize}")
        limit = pool_recycle if pool_recycle > 0 else None
        self._pool = ConnectionPool(
            **read_arguments(
                {"echo": echo, **arguments},
                driver=driver,
                min_size=minsize,
                max_size=maxsize,
                max_idle_time=limit,
                max_lifetime=limit,
                pooling=pool_recycle != 0,  # nothing may idle longer than 0 seconds
                autocommit=False,
            )
        )
        self._echo = echo
        self._operational_error = operational_error
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None

    @property
    def pool(self) -> ConnectionPool:
        """The pool behind it, with everything that the original has no name for: `stats()`, `leases()`, `resize()`."""
        return self._pool

    @property
    def echo(self) -> bool:
        """Whether the driver logs each statement."""
        return self._echo

    @property
    def minsize(self) -> int:
        """Connections kept open even when nobody needs them."""
        return self._pool.min_size

    @property
    def maxsize(self) -> int | None:
        """Connections open at most; None: no limit."""
        return self._pool.max_size if self._pool.max_size < UNLIMITED else None

    @property
    def size(self) -> int:
        """Connections, those being opened included."""
        return self._pool.size

    @property
    def freesize(self) -> int:
        """Connections that nobody holds."""
        return unused(self._pool)

    @property
    def _used(self) -> list[Lease]:
        """Who holds a connection. Private in the originals; peewee-async asks it for its length."""
        return self._pool.leases()

    @property
    def closed(self) -> bool:
        """Whether the last connection is gone."""
        return self._closing is not None and self._closing.done()

    async def clear(self) -> None:
        """Replace every connection: the free ones now, the others as they come back."""
        self._pool.expire()

    def acquire(self) -> Pending[PooledConnection]:
        """A connection: ``async with pool.acquire() as conn``, or await it and `release`.

        Raises:
            AcquireTimeoutError: none within `queue_timeout` (30 s); says who holds them.
            PoolClosedError: a RuntimeError; the pool is closing.
            Exception: the driver's own, when a connection had to be opened and could not be.
        """
        return Pending(self._acquire(Borrowing(self._pool)), self.release)

    async def _acquire(self, acquire: Awaitable[PooledConnection]) -> PooledConnection:
        if self._closing is not None:
            raise PoolClosedError("Cannot acquire connection after closing pool")
        try:
            return await acquire
        except errors.PoolClosedError as exc:
            raise PoolClosedError(str(exc)) from exc
        except ConnectError as exc:
            raise self._driver_error(exc) from exc

    def release(self, conn: PooledConnection) -> Awaitable[None]:
        """Give a connection back. May be awaited or not, once or often.

        Raises:
            ValueError: it is not of this pool.
        """
        self._pool.release(conn)
        return conn.close()  # has happened: what is left of it is something to await

    def close(self) -> None:
        """Nobody gets a connection any more; those who wait get `PoolClosedError` now, borrowers have ten seconds."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._pool.close(), name=f"{self._pool.name}: close")

    def terminate(self) -> None:
        """Close, and cut the borrowed connections as well."""
        self.close()
        self._pool.terminate()

    async def wait_closed(self) -> None:
        """Wait until every connection is closed. Giving up on this wait changes nothing.

        Raises:
            RuntimeError: `close` was not called.
        """
        if self._closing is None:
            raise RuntimeError(".wait_closed() should be called after .close()")
        await asyncio.shield(self._closing)

    async def open(self) -> Self:
        """Open `minsize` connections."""
        try:
            await self._pool.open()
        except ConnectError as exc:
            raise self._driver_error(exc) from exc
        return self

    def _driver_error(self, error: ConnectError) -> Exception:
        """What the driver's own pool would have raised. A new one each time: several tasks may get it."""
        cause = error.__cause__
        if cause is not None and self._pool.driver.error_number(cause) is not None:
            return type(cause)(*cause.args)  # type: ignore[return-value]  # drivers' errors are exceptions
        return self._operational_error(2003, str(error))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()

    def __repr__(self) -> str:
        return f"<Pool on {self._pool!r}>"


def opened(make: Callable[[], Pool]) -> Pending[Pool]:
    """A pool, opened: to be awaited, or for ``async with``."""

    async def start() -> Pool:
        return await make().open()

    async def end(pool: Pool) -> None:
        pool.close()
        await pool.wait_closed()

    return Pending(start(), end)
