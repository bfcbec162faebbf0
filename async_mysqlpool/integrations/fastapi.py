"""FastAPI: dependencies that editors know, and everything that `integrations.starlette` has.

@app.get("/books/{book_id}")
async def book(book_id: int, conn: Connection) -> Book: ...

A connection goes back when the endpoint returns: before the response is sent, before it is streamed, and before
background tasks run. A transaction is committed then, so a COMMIT that fails is an error and never a false 200.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of `__call__` below at run time.

import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from async_mysqlpool import ConnectionPool, PooledConnection
from async_mysqlpool.connection.entry import Site
from async_mysqlpool.integrations.extras import needs
from async_mysqlpool.lease.transaction import Isolation

with needs("fastapi"):
    from fastapi import Depends
    from fastapi import __version__ as _version
    from fastapi.requests import HTTPConnection

from async_mysqlpool.integrations.starlette import (
    StreamingResponse,
    exception_handlers,
    get_pool,
    health_routes,
    pool_lifespan,
)

__all__ = [
    "Connection",
    "GetConnection",
    "GetPool",
    "GetTransaction",
    "Pool",
    "StreamingResponse",
    "Transaction",
    "exception_handlers",
    "get_pool",
    "health_routes",
    "pool_lifespan",
]

if "scope" not in inspect.signature(Depends).parameters:
    raise ImportError(
        f"async_mysqlpool.integrations.fastapi needs FastAPI 0.121 or later, this is {_version}: "
        "before that a dependency cannot say when it is given back. Upgrade FastAPI, or call get_pool(request) of "
        "async_mysqlpool.integrations.starlette in your endpoints"
    )


# Callables that are equal when they mean the same: FastAPI then borrows once for a request, however many ask for it.
@dataclass(frozen=True)
class GetPool:
    """For `Depends`: the pool called `name`; None: the first one of the lifespan."""

    name: str | None = None

    async def __call__(self, connection: HTTPConnection) -> ConnectionPool:
        """Called by FastAPI; async, or it would queue for a thread, behind endpoints that block."""
        return get_pool(connection, self.name)


@dataclass(frozen=True)
class GetConnection:
    """For `Depends`: a connection of the pool called `name`, borrowed once for all who ask for it in a request.

    ``Depends(GetConnection(), scope="function")`` gives it back when the endpoint returns; ``scope="request"`` holds it
    until the response is sent, for a generator that streams from it.
    """

    name: str | None = None

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[PooledConnection]:
        """Called by FastAPI."""
        async with get_pool(connection, self.name).acquire(site=_endpoint(connection)) as borrowed:
            yield borrowed


@dataclass(frozen=True)
class GetTransaction:
    """For `Depends`: a connection in a transaction, rolled back when the endpoint raises (HTTPException as well)."""

    name: str | None = None
    isolation: Isolation | None = None
    read_only: bool = False

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[PooledConnection]:
        """Called by FastAPI."""
        pool = get_pool(connection, self.name)
        async with (
            pool.acquire(site=_endpoint(connection)) as borrowed,
            borrowed.transaction(self.isolation, self.read_only),
        ):
            yield borrowed


def _endpoint(connection: HTTPConnection) -> Site | None:
    """Whose errors say where: the framework calls a dependency, so the line that acquires tells nothing."""
    code = getattr(connection.scope.get("endpoint"), "__code__", None)
    return None if code is None else Site(code, 0)


Pool = Annotated[ConnectionPool, Depends(GetPool())]
"""The pool."""

Connection = Annotated[PooledConnection, Depends(GetConnection(), scope="function")]
"""A connection until the endpoint returns."""

Transaction = Annotated[PooledConnection, Depends(GetTransaction(), scope="function")]
"""A connection in a transaction, committed when the endpoint returns and rolled back when it raises."""
