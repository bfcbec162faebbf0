"""Litestar: lifespan, dependencies that end when the handler returns (before the response is sent), 503, health."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from async_mysqlpool import ConnectionPool, PooledConnection
from async_mysqlpool.integrations.extras import needs
from async_mysqlpool.integrations.failures import FAILURES, STATUS, explain
from async_mysqlpool.integrations.pools import PoolSource, find_pool, is_ready, open_pools

with needs("litestar"):
    from litestar import Litestar, Request, Response, get
    from litestar.di import Provide
    from litestar.types import ControllerRouterHandler, Scope

__all__ = ["connection", "exception_handlers", "get_pool", "health_handlers", "pool_lifespan", "transaction"]

_Borrow = Callable[[ConnectionPool], AbstractAsyncContextManager[PooledConnection]]


def pool_lifespan(
    *pools: PoolSource, open_timeout: float | None = 30.0, drain_timeout: float | None = 10.0
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """For `lifespan=[...]`, arguments as for Starlette's. Put it first: the lifespans after it can use the pools."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None, None]:
        async with open_pools(pools, open_timeout=open_timeout, drain_timeout=drain_timeout) as opened:
            app.state.async_mysqlpool = opened
            yield

    return lifespan


def get_pool(app: Litestar, name: str | None = None) -> ConnectionPool:
    """The pool of that name, or the first one. Raises ConfigurationError when there is none."""
    return find_pool(app.state.get("async_mysqlpool"), name)


def connection(name: str | None = None) -> Provide:
    """A dependency: a connection until the handler returns, of the pool called `name`; None: of the first one."""
    return _provide(name, lambda pool: pool.acquire())


def transaction(name: str | None = None) -> Provide:
    """A dependency: a connection in a transaction, committed when the handler returns, rolled back when it raises."""
    return _provide(name, lambda pool: pool.transaction())


def _provide(name: str | None, borrow: _Borrow) -> Provide:
    async def dependency(scope: Scope) -> AsyncIterator[PooledConnection]:
        async with borrow(get_pool(scope["litestar_app"], name)) as borrowed:
            yield borrowed

    return Provide(dependency)


def exception_handlers() -> dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]:
    """503 with Retry-After for a pool that has nothing to give; the log says why, the body does not."""

    def answer(_: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        failure = explain(error)
        return Response(failure.body, status_code=STATUS, headers=failure.headers, media_type="application/json")

    return dict.fromkeys(FAILURES, answer)


def health_handlers(prefix: str = "/health", timeout: float = 1.0) -> list[ControllerRouterHandler]:
    """``/live`` does not touch the database; ``/ready`` has each pool answer within `timeout` seconds."""

    @get(f"{prefix}/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @get(f"{prefix}/ready")
    async def ready(scope: Scope) -> Response[dict[str, str]]:
        good = await is_ready(scope["litestar_app"].state.get("async_mysqlpool"), timeout)
        return Response({"status": "ready" if good else "not ready"}, status_code=200 if good else STATUS)

    return [live, ready]
