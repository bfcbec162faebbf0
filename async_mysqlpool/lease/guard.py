"""The driver's own objects, as its borrower may use them: whatever they do or give goes through the lease's guard.

Denied by default: what is not known here is taken for something that may write, change any setting, or give an object
that does.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from async_mysqlpool.misuse import refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from types import TracebackType
    from typing import Self

    from async_mysqlpool.lease.held import Held

__all__ = ["Guarded", "guarded"]


class Guarded:
    """An object of the driver's (a prepared statement, say) whose calls go through the lease's guard."""

    __slots__ = ("_connection", "_target")

    def __init__(self, connection: Held, target: Any) -> None:
        self._connection = connection
        self._target = target

    if not TYPE_CHECKING:  # what the drivers have in common is declared, so that a slip of the pen is an error

        def __getattr__(self, name: str) -> Any:
            self._connection._held  # noqa: B018  raises when the connection went back
            if name.startswith("_"):
                raise AttributeError(
                    f"{name!r}: private parts of the driver's object are reached through .raw of connection and cursor"
                )
            return guarded(self._connection, getattr(self._target, name))

        __enter__ = refusal("a cursor is async: `async with conn.cursor() as cur`")
        __exit__ = None
        __copy__ = __deepcopy__ = refusal("what was made from a borrowed connection cannot be copied: make another one")
        __reduce__ = __reduce_ex__ = refusal("what was made from a borrowed connection cannot be pickled: pickle rows")

        def __iter__(self) -> NoReturn:  # compiled, it must be a method to count
            raise TypeError("it is async: `async for row in cur`, or `for row in await cur.fetchall()`")

    async def __aenter__(self) -> Self:
        return self

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Awaitable[None]:
        closed: Awaitable[None] = getattr(self, "close")()  # noqa: B009  the driver's own
        return closed


_END = object()  # of an iterator


def guarded(connection: Held, value: Any) -> Any:
    """Plain values as they are; what can be called so that whatever it does, or gives, goes through the guard."""
    if not callable(value) or isinstance(value, type):
        return value

    def call(*args: Any, **kwargs: Any) -> Any:
        connection._check_free()
        connection._held.expose()  # it may change any setting of the driver's
        return _covered(connection, value(*args, **kwargs))

    return call


def _covered(connection: Held, result: Any) -> Any:
    """What a call of the driver's gives: nothing that speaks to the server is handed out as it is."""
    if inspect.isawaitable(result):
        return _awaited(connection, result)
    if hasattr(result, "__anext__"):
        return _iterated(connection, result)
    return _owned(connection, result)


async def _awaited(connection: Held, awaitable: Awaitable[Any]) -> Any:
    return _covered(connection, await connection._run(awaitable))


async def _iterated(connection: Held, iterator: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Each step of it is a call of its own."""
    while (item := await connection._run(anext(iterator, _END))) is not _END:
        yield _covered(connection, item)


def _owned(connection: Held, result: Any) -> Any:
    """The driver's connection is the borrowed one; its cursors and prepared statements get a guard."""
    if not connection.detached and result is connection._held.raw:
        return connection
    if hasattr(result, "execute") and not isinstance(result, Guarded):
        return Guarded(connection, result)
    return result
