"""The pools of a service: opened together, found by name, drained together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from async_mysqlpool import ConfigurationError, ConnectionPool, PoolClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

__all__ = ["PoolSource", "find_pool", "is_ready", "open_pools"]

PoolSource: TypeAlias = ConnectionPool | Callable[[], ConnectionPool]
"""A pool that is not open yet, or what makes one each time that the service starts (in tests: many times)."""

logger = logging.getLogger("async_mysqlpool.integrations")


@asynccontextmanager
async def open_pools(
    sources: Sequence[PoolSource], *, open_timeout: float | None, drain_timeout: float | None
) -> AsyncGenerator[dict[str, ConnectionPool], None]:
    """Open every pool and wait for its minimum; at the end of the block close all of them at the same time.

    Args:
        sources: the first one is the default pool.
        open_timeout: seconds to go on trying while a server cannot be reached; None: the first failure is raised.
        drain_timeout: seconds that borrowers have to finish; None waits for ever.

    Raises:
        ConfigurationError: no pool, or two of the same name.
        ConnectError: a pool could not be opened.
    """
    pools: dict[str, ConnectionPool] = {}
    for source in sources:
        pool = _pool_of(source)
        if pool.name in pools:
            raise ConfigurationError(f"two pools are called {pool.name!r}: give each a name of its own with name=...")
        pools[pool.name] = pool
    if not pools:
        raise ConfigurationError("pass at least one pool")
    try:
        for pool in pools.values():
            await pool.open(timeout=open_timeout)
        yield pools
    finally:
        await asyncio.gather(*(pool.close(drain_timeout) for pool in pools.values()))


def _pool_of(source: object) -> ConnectionPool:
    pool = source() if callable(source) and not isinstance(source, type) else source
    if not isinstance(pool, ConnectionPool):
        what = "this" if pool is source else "what the function gave"
        raise ConfigurationError(
            f"pass a ConnectionPool, or a function that makes one: {what} is a {type(pool).__name__}; for a DSN "
            "pool_lifespan(ConnectionPool(dsn))"
        )
    if pool.closed:
        raise PoolClosedError(
            f"pool {pool.name} was closed when the application stopped before; where it starts several times in a "
            "process, pass a function that makes a pool each time: pool_lifespan(lambda: ConnectionPool(...))"
        )
    return pool


def find_pool(pools: Mapping[str, ConnectionPool] | None, name: str | None) -> ConnectionPool:
    """The pool of that name; None: the first one.

    Raises:
        ConfigurationError: there is none of that name, or none at all.
    """
    if not pools:
        raise ConfigurationError(
            "this application has no pool: pass its lifespan one, and see that the lifespan is run "
            "(httpx.ASGITransport alone does not)"
        )
    if name is None:
        return next(iter(pools.values()))
    if name not in pools:
        raise ConfigurationError(f"no pool is called {name!r}, only {', '.join(map(repr, pools))}")
    return pools[name]


async def is_ready(pools: Mapping[str, ConnectionPool] | None, timeout: float) -> bool:
    """Whether a connection of each pool can be had, and answers, all within `timeout` seconds. The log says why not."""
    pool = None
    try:
        find_pool(pools, None)
        async with asyncio.timeout(timeout):
            for pool in (pools or {}).values():
                await pool.fetch_value("SELECT 1")
    except Exception as exc:  # noqa: BLE001  whatever it is: not ready
        fields = {"pool": pool and pool.name, "event": "not_ready", "error": type(exc).__name__}
        logger.warning("not ready: %s; %r", str(exc) or f"no answer within {timeout:g} s", pool, extra=fields)
        return False
    return True
