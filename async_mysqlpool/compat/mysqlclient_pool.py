"""`mysqlclient_pool.ConnectionPool` on ours: ``from async_mysqlpool.compat.mysqlclient_pool import ConnectionPool``."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from async_mysqlpool import (
    ConnectError,
    PoolClosedError,
    PooledConnection,
    PooledCursor,
    ServerFullError,
    ServerUnavailableError,
)
from async_mysqlpool import ConnectionPool as OurPool
from async_mysqlpool.compat._shared import TAKEN, UNLIMITED, Borrowing, ConstructedPool, read_arguments, unused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Self

__all__ = ["ConnectionPool"]


class _ClosedError(PoolClosedError, RuntimeError):
    """The pool is closed. The original raises a plain RuntimeError."""


class ConnectionPool(ConstructedPool):
    """A pool that grows as it must and keeps `size` connections.

    Args:
        config: for the driver's connect function (`host`, `user`, `database`, ...), or options of
            `async_mysqlpool.ConnectionPool`; with `max_size` it grows no further.
        size: connections that it keeps.
        timeout: seconds to go on trying, when opened, while the server cannot be reached.
        fillup: open `size` connections at the start. Otherwise they come as they are needed.

    Raises:
        ConfigurationError: an option of the pool is impossible.
        TimeoutError: when opened: the server could not be reached within `timeout`.
    """

    class DrainedError(ServerUnavailableError):
        """No connection is there, and none can be opened: the server cannot be reached."""

    class OverflowError(ServerFullError, ConnectionRefusedError):  # noqa: A001  the original's name
        """No connection is there, and the server takes no more of them, or `max_size` are out."""

    def __init__(self, config: Mapping[str, Any], size: int = 10, timeout: float = 5, fillup: bool = True) -> None:
        self.config = config
        self.size = size
        self._timeout = timeout
        self._pool = OurPool(
            **read_arguments(
                config,
                min_size=size if fillup else 0,
                max_size=UNLIMITED,
                max_idle_time=None,
                autocommit=False,
            )
        )

    async def _open(self) -> Self:
        try:
            await self._pool.open(timeout=self._timeout)
        except ServerUnavailableError as exc:
            raise TimeoutError(
                "Unable to fill up the connection pool due to inability to connect to the database server after "
                f"{self._timeout:g} seconds: {exc}"
            ) from exc
        except ConnectError as exc:
            raise self._driver_error(exc) from exc
        return self

    @property
    def capacity(self) -> int:
        """Connections that nobody holds."""
        return unused(self._pool)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._pool.closed

    def fetch(self, auto_manage: bool = True, cursor_type: Any = None) -> AbstractAsyncContextManager[PooledCursor]:
        """A cursor for a block, on a connection of its own.

        Args:
            auto_manage: COMMIT at the end of the block, or ROLLBACK when it raises.
            cursor_type: one of the driver's cursor classes, such as its ``DictCursor``.

        Raises:
            ConnectionPool.DrainedError: the server cannot be reached.
            ConnectionPool.OverflowError: the server is full, or `max_size` connections are out for too long.
            RuntimeError: the pool is closed.
            Exception: the driver's own, when the server refuses the account or the database.
        """
        return self._fetch(Borrowing(self._pool), auto_manage, () if cursor_type is None else (cursor_type,))

    @asynccontextmanager
    async def _fetch(
        self, acquire: Awaitable[PooledConnection], auto_manage: bool, cursor_type: tuple[Any, ...]
    ) -> AsyncGenerator[PooledCursor]:
        connection = await self._pull(acquire)
        try:
            async with connection.cursor(*cursor_type) as cursor:
                yield cursor
            if auto_manage:
                await connection.commit()
        except Exception:
            if auto_manage and not connection.detached:
                await self._roll_back(connection)
            raise
        finally:
            if not connection.detached and unused(self._pool) >= self.size:
                connection.discard()
            connection.close()

    async def _roll_back(self, connection: PooledConnection) -> None:
        """The block's own error is what the caller must see; where ROLLBACK fails, the pool sees to the connection."""
        try:
            await connection.rollback()
        except Exception:  # noqa: BLE001
            connection.discard()

    async def _pull(self, acquire: Awaitable[PooledConnection]) -> PooledConnection:
        try:
            await self._pool.open(wait=False)
            return await acquire
        except (ServerUnavailableError, *TAKEN) as exc:
            reason = exc if isinstance(exc, ServerUnavailableError) else exc.__cause__
            drained = isinstance(reason, ServerUnavailableError) and not isinstance(reason, ServerFullError)
            raise (self.DrainedError if drained else self.OverflowError)(str(exc)) from exc
        except ConnectError as exc:
            raise self._driver_error(exc) from exc
        except PoolClosedError as exc:
            raise _ClosedError(f"The connection pool is closed: {exc}") from exc

    def _driver_error(self, error: ConnectError) -> BaseException:
        """What the driver said. A new one each time: several tasks may get it."""
        cause = error.__cause__
        known = cause is not None and self._pool.driver.error_number(cause) is not None
        return type(cause)(*cause.args) if cause is not None and known else error
