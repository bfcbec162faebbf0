"""aiohttp: pools in `cleanup_ctx`, failures as 503, and health routes.

app = web.Application(middlewares=[pool_errors])
app.cleanup_ctx.append(pool_context(pool))
app.add_routes(health_routes())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from async_mysqlpool import ConnectionPool
from async_mysqlpool.integrations.extras import needs
from async_mysqlpool.integrations.failures import FAILURES, STATUS, explain
from async_mysqlpool.integrations.pools import find_pool, is_ready, open_pools

with needs("aiohttp"):
    from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.typedefs import Handler

    from async_mysqlpool.integrations.pools import PoolSource

__all__ = ["get_pool", "health_routes", "pool_context", "pool_errors"]

_POOLS = web.AppKey("async_mysqlpool", dict[str, ConnectionPool])


def pool_context(
    *pools: PoolSource, open_timeout: float | None = 30.0, drain_timeout: float | None = 10.0
) -> Callable[[web.Application], AsyncIterator[None]]:
    """For `app.cleanup_ctx`: opens the pools, waits for their minimum, and drains them at the end.

    Args:
        *pools: pools that are not open yet, or functions that make one. The first is the default.
        open_timeout: seconds to go on trying while a server cannot be reached; None: the first failure ends the start.
        drain_timeout: seconds that borrowers have to finish at the end; None waits for ever.
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with open_pools(pools, open_timeout=open_timeout, drain_timeout=drain_timeout) as opened:
            app[_POOLS] = opened
            yield

    return context


def get_pool(request: web.Request, name: str | None = None) -> ConnectionPool:
    """The pool of that name, or the first one. Raises ConfigurationError when there is none."""
    return find_pool(request.config_dict.get(_POOLS), name)


@web.middleware
async def pool_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """503 with Retry-After for a pool that has nothing to give; the log says why, the body does not."""
    try:
        return await handler(request)
    except tuple(FAILURES) as exc:
        failure = explain(exc)
        return web.json_response(failure.body, status=STATUS, headers=failure.headers)


def health_routes(prefix: str = "/health", timeout: float = 1.0) -> list[web.RouteDef]:
    """Two routes: ``/live`` does not touch the database; ``/ready`` has each pool answer within `timeout` seconds."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def ready(request: web.Request) -> web.Response:
        if await is_ready(request.config_dict.get(_POOLS), timeout):
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready"}, status=STATUS)

    return [web.get(f"{prefix}/live", live), web.get(f"{prefix}/ready", ready)]
