"""Starlette: pools that live as long as the application, streams that end, failures as 503, and health routes.

app = Starlette(
    routes=[*health_routes(), ...], lifespan=pool_lifespan(pool), exception_handlers=exception_handlers()
)
"""

from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool.integrations.extras import needs
from async_mysqlpool.integrations.failures import FAILURES, STATUS, explain
from async_mysqlpool.integrations.pools import find_pool, is_ready, open_pools

with needs("starlette"):
    from starlette import responses
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import BaseRoute, Route
    from starlette.websockets import WebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

    from starlette.applications import Starlette
    from starlette.types import Receive, Scope, Send

    from async_mysqlpool import ConnectionPool
    from async_mysqlpool.integrations.pools import PoolSource

__all__ = ["StreamingResponse", "exception_handlers", "get_pool", "health_routes", "pool_lifespan"]

_STATE = "async_mysqlpool"
_TRY_AGAIN_LATER = 1013  # the WebSocket's close code for what is a 503 in HTTP


def pool_lifespan(
    *pools: PoolSource,
    wrap: Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]] | None = None,
    open_timeout: float | None = 30.0,
    drain_timeout: float | None = 10.0,
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """The `lifespan=` of an application: opens the pools, waits for their minimum, and drains them at the end.

    Args:
        *pools: pools that are not open yet, or functions that make one, called at each start. The first is the
            default; the others are found by their `name`.
        wrap: a lifespan of your own. It runs inside: the pools are open before it and closed after it, and what it
            yields stays in `request.state`.
        open_timeout: seconds to go on trying while a server cannot be reached; None: the first failure ends the start.
        drain_timeout: seconds that borrowers have to finish at the end; None waits for ever.

    The start raises:
        ConnectError: a server refuses us, or could not be reached within `open_timeout`.
        ConfigurationError: no pool, or two of the same name.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[dict[str, Any], None]:
        async with open_pools(pools, open_timeout=open_timeout, drain_timeout=drain_timeout) as opened:
            # Mounted applications see only the state that we yield; a test that enters the lifespan by hand, only this.
            setattr(app.state, _STATE, opened)
            async with nullcontext() if wrap is None else wrap(app) as state:
                yield {**(state or {}), _STATE: opened}

    return lifespan


def get_pool(where: HTTPConnection | Starlette, name: str | None = None) -> ConnectionPool:
    """The pool of that name, or the first one, of a request, a WebSocket or an application.

    Raises:
        ConfigurationError: there is none of that name, or the application's lifespan has none.
    """
    return find_pool(_pools(where), name)


def _pools(where: HTTPConnection | Starlette) -> Mapping[str, ConnectionPool] | None:
    if isinstance(where, HTTPConnection):
        return where.scope.get("state", {}).get(_STATE) or _pools(where.app)
    return getattr(where.state, _STATE, None)


class StreamingResponse(responses.StreamingResponse):
    """Starlette's, which also closes its generator when the client goes away.

    Starlette leaves a generator that waits in a ``yield`` to the garbage collector, and with it the connection that
    the generator has borrowed.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            aclose = getattr(self.body_iterator, "aclose", None)  # not every iterator has one
            if aclose is not None:
                await aclose()


def exception_handlers() -> dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]:
    """The `exception_handlers=` of an application: 503 with Retry-After for a pool that has nothing to give.

    The body says nothing about the inside; the log does. Mistakes in the program stay what they are: a 500.
    """
    return dict.fromkeys(FAILURES, _answer)


async def _answer(connection: HTTPConnection, error: Any) -> Response:
    failure = explain(error)
    if isinstance(connection, WebSocket):
        await connection.close(_TRY_AGAIN_LATER)
        return cast("Response", None)  # what Starlette takes for "answered already"
    return JSONResponse(failure.body, STATUS, failure.headers)


def health_routes(prefix: str = "/health", timeout: float = 1.0) -> list[BaseRoute]:
    """Two routes: ``/live`` does not touch the database; ``/ready`` borrows from each pool and runs ``SELECT 1``.

    Args:
        prefix: of both paths.
        timeout: seconds within which every pool must have answered; else 503.
    """

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(request: Request) -> Response:
        if await is_ready(_pools(request), timeout):
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, STATUS)

    return [Route(f"{prefix}/live", live), Route(f"{prefix}/ready", ready)]
