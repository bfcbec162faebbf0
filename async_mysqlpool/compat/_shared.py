"""What the modules of this package have in common: arguments, opening, borrowing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from async_mysqlpool import AcquireTimeoutError, PoolDeadlockError, PooledConnection, QueueFullError
from async_mysqlpool.config import Options
from async_mysqlpool.connection.entry import caller

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from types import TracebackType
    from typing import Self

    from async_mysqlpool import ConnectionPool

__all__ = ["TAKEN", "UNLIMITED", "Borrowing", "ConstructedPool", "Pending", "is_exhausted", "read_arguments", "unused"]

T = TypeVar("T")

# What `acquire` raises when all connections are taken; the originals have one error for it, or wait for ever.
TAKEN = (AcquireTimeoutError, PoolDeadlockError, QueueFullError)

# No server takes more: https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_max_connections
UNLIMITED = 100_000

_ALIASES = {
    "db": "database",
    "passwd": "password",
    "connection_timeout": "connect_timeout",
}
# Here every driver takes a None, an empty text or a 0 for "the default".
_DEFAULTED = {
    "host", "port", "user", "password", "database", "unix_socket", "charset", "connect_timeout", "ssl", "sql_mode",
    "time_zone",
}  # fmt: skip
# Which loop, and which implementation of the protocol: not a question on ours.
_MEANINGLESS = {"loop", "use_pure"}
# Drivers set these once, and a reset would forget them: the pool sets them again.
_VARIABLES = {"sql_mode", "time_zone"}


def read_arguments(arguments: Mapping[str, Any], **defaults: Any) -> Options:
    """The arguments of a driver's connect function as options of our pool; our own options pass as they are.

    What only the driver knows (`init_command`, `local_infile`, ...) goes to it unchanged.

    Args:
        arguments: what the user gave.
        **defaults: options of ours, unless the user gave them.
    """
    options: dict[str, Any] = dict(defaults)
    for_driver: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    for key, value in arguments.items():
        name = _ALIASES.get(key, key)
        if name in _MEANINGLESS or (name in _DEFAULTED and not value):
            continue
        if name in _VARIABLES:
            variables[name] = value
        else:
            (options if name in Options.__annotations__ else for_driver)[name] = value
    for option, given in (("connect_args", for_driver), ("session_variables", variables)):
        if given:
            options[option] = {**options.get(option, {}), **given}
    return cast("Options", options)


def is_exhausted(pool: ConnectionPool) -> bool:
    """Whether somebody who asks now would have to wait for a borrower; connecting and cleaning are not waiting."""
    stats = pool.stats()
    return stats.in_use + stats.waiting >= stats.max_size


def unused(pool: ConnectionPool) -> int:
    """Connections that nobody holds: the idle ones, and those that are being made clean."""
    stats = pool.stats()
    return stats.idle + stats.cleaning


class Borrowing(Awaitable[PooledConnection]):
    """Borrows from `pool` when it is awaited, on behalf of who called before; nothing is asked for until then."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._site = caller()

    def __await__(self) -> Generator[Any, Any, PooledConnection]:
        return self._pool.acquire(site=self._site).__await__()


class Pending(Coroutine[Any, Any, T]):
    """A coroutine that may be used with `async with` instead: what `acquire` and its like return.

    A whole coroutine, because users of the originals hand them to `asyncio.create_task`.
    """

    __slots__ = ("_coroutine", "_leave", "_result")

    def __init__(self, coroutine: Coroutine[Any, Any, T], leave: Callable[[T], Awaitable[object]]) -> None:
        self._coroutine = coroutine
        self._leave = leave

    def send(self, value: Any, /) -> Any:
        """As for every coroutine."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """As for every coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """As for every coroutine."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> T:
        self._result = await self._coroutine
        return self._result

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave(self._result)


class ClosedAtEnd(ABC):
    """What `async with` closes."""

    @abstractmethod
    async def close(self) -> None:
        """Harmless when that has happened already."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class ConstructedPool(ClosedAtEnd):
    """A pool that a constructor makes. `await` or `async with` opens it at once, as the original's constructor does.

    Otherwise the first borrow opens it, so that it can be made where there is no event loop yet.
    """

    _pool: ConnectionPool

    @property
    def pool(self) -> ConnectionPool:
        """The pool behind it, with everything that the original has no name for: `stats()`, `leases()`, `resize()`."""
        return self._pool

    async def _open(self) -> Self:
        await self._pool.open()
        return self

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        return await self._open()

    async def close(self) -> None:
        """Close the pool; borrowers have ten seconds to finish."""
        await self._pool.close()
