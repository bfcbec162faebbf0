"""What is used as something that it is not: each such use raises an error that says what to write instead.

Type checkers know better and see none of this; it costs nothing where things are used as they should be. With an
`__exit__` that is None nothing passes for a context manager, and what may be handed about has no `__await__`:
frameworks look for those to see what they were given.
"""

from __future__ import annotations

import functools
import warnings
from contextlib import _AsyncGeneratorContextManager  # pyright: ignore[reportPrivateUsage]  there is no public name
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["Guidance", "block", "not_attribute", "refusal", "resource_warnings_shown", "warn_never_awaited"]

P = ParamSpec("P")
T = TypeVar("T")


def refusal(message: str, kind: type[Exception] = TypeError) -> Callable[..., NoReturn]:
    """A method that only says so."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise kind(message)

    return refuse


def not_attribute(name: str, what: str, instead: str) -> NoReturn:
    """For a `__getattr__` that has nothing to give.

    Raises:
        AttributeError: always.
    """
    raise AttributeError(f"{what} has no {name!r}: {instead}", name=name)


def warn_never_awaited(site: str) -> None:
    """Of `pool.acquire()` by itself; its line stands in the message, and is where the warning is said to come from."""
    file, _, line = site.rpartition(":")
    message = f"pool.acquire() was never awaited, at {site}: `async with pool.acquire() as conn`, or `await` it"
    warnings.warn_explicit(message, RuntimeWarning, file or site, int(line) if line.isdigit() else 1)


def resource_warnings_shown() -> bool:
    """Whether somebody wants to hear of things that were forgotten."""
    for action, _, kind, module, _ in warnings.filters:
        if issubclass(ResourceWarning, kind) and module is None:
            return action != "ignore"
    return True


class _Block(_AsyncGeneratorContextManager[T]):
    """An `async with` block, which somebody may await, or take for what it gives."""

    form = ""  # how it is written

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            raise TypeError(f"this is a block of async code: {self.form}")

        __await__ = __enter__
        __exit__ = None

        def __getattr__(self, name: str) -> NoReturn:
            not_attribute(name, "a block", f"what it gives has, {self.form}")


def block(
    form: str,
) -> Callable[[Callable[P, AsyncGenerator[T, None]]], Callable[P, AbstractAsyncContextManager[T]]]:
    """As `contextlib.asynccontextmanager`, and used in another way it says the right `form`."""

    def decorate(fn: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, AbstractAsyncContextManager[T]]:
        kind: type[_Block[T]] = type("Block", (_Block,), {"form": form})

        @functools.wraps(fn)
        def make(*args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[T]:
            return kind(fn, args, kwargs)

        return make

    return decorate


_BORROW = "async with pool.acquire() as conn"
_OF_A_CONNECTION = dict.fromkeys(
    ("commit", "rollback", "begin", "ping", "raw", "discard", "autocommit", "select_db", "start_transaction"),
    f"that is a connection's: {_BORROW}",
)
_OF_A_CURSOR = dict.fromkeys(
    ("fetchall", "fetchone", "fetchmany", "executemany", "callproc", "rowcount", "lastrowid"),
    "that is a cursor's: async with pool.cursor() as cur",
)
# Of the pools of aiomysql, asyncmy, Oracle, psycopg and SQLAlchemy.
_OF_OTHER_POOLS = {
    "wait_closed": "close() waits: await pool.close()",
    "clear": "to replace all connections: pool.expire()",
    "dispose": "await pool.close()",
    "freesize": "pool.idle",
    "minsize": "pool.min_size",
    "maxsize": "pool.max_size",
    **dict.fromkeys(("get_connection", "get_session", "getconn", "get", "connect", "connection"), _BORROW),
    **dict.fromkeys(("putconn", "put"), "pool.release(conn), or leave the block"),
    **dict.fromkeys(("query", "fetch", "fetchrow", "fetchval"), "fetch_all(), fetch_one(), fetch_value()"),
}


class Guidance:
    """For those who take the pool for something else, or for what they know from another pool."""

    if not TYPE_CHECKING:
        __enter__ = refusal("the pool is async: `async with pool:`")
        __exit__ = None

        def __reduce_ex__(self, protocol: int) -> object:
            if self.__dict__.get("_loop") is None:  # it was not opened: to another process it is as good as a new one
                return super().__reduce_ex__(protocol)
            raise TypeError(
                "an open pool can be neither copied nor pickled: its connections are there once, in this process. Make "
                "one in each process, or pass it on before it is opened"
            )

        def __getattr__(self, name: str) -> NoReturn:
            for names in (_OF_A_CONNECTION, _OF_A_CURSOR, _OF_OTHER_POOLS):
                if name in names:
                    not_attribute(name, "the pool", names[name])
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """The pool's own methods borrow by `acquire(site=...)`, so one that replaces it must take that."""
        super().__init_subclass__(**kwargs)
        acquire = cls.__dict__.get("acquire")
        parameters = list(signature(acquire).parameters.values()) if callable(acquire) else []
        if parameters and not any(p.name == "site" or p.kind is Parameter.VAR_KEYWORD for p in parameters):
            raise TypeError(
                f"{cls.__qualname__}.acquire must also take `site` and hand it on: "
                "def acquire(self, timeout=30.0, *, site=None): return super().acquire(timeout, site=site)"
            )
