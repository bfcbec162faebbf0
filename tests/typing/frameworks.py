"""Never run, only checked: what an editor knows of dependencies and connections in a user's application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, assert_type

import aiohttp.web
import litestar
from fastapi import Depends, FastAPI
from litestar.datastructures import State
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from async_mysqlpool import ConnectionPool, PooledConnection, PooledCursor
from async_mysqlpool.integrations import aiohttp as with_aiohttp
from async_mysqlpool.integrations import litestar as with_litestar
from async_mysqlpool.integrations.fastapi import Connection, GetConnection, GetPool, GetTransaction, Pool, Transaction
from async_mysqlpool.integrations.starlette import exception_handlers, get_pool, health_routes, pool_lifespan
from async_mysqlpool.integrations.worker import Shutdown, run_worker

DSN = "mysql://app:secret@localhost/shop"
pool = ConnectionPool(DSN)
make_reports = partial(ConnectionPool, DSN, name="reports")


@asynccontextmanager
async def own_lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    assert_type(get_pool(app), ConnectionPool)
    yield


@asynccontextmanager
async def own_state(app: Starlette) -> AsyncGenerator[dict[str, int], None]:
    yield {"answer": 42}


# -- FastAPI ----------------------------------------------------------------------------------------------------------

app = FastAPI(
    lifespan=pool_lifespan(pool, make_reports, wrap=own_lifespan),
    exception_handlers=exception_handlers(),
    routes=health_routes(),
)

Reports = Annotated[PooledConnection, Depends(GetConnection("reports"), scope="function")]
Streamed = Annotated[PooledConnection, Depends(GetConnection())]
Snapshot = Annotated[
    PooledConnection, Depends(GetTransaction(isolation="REPEATABLE READ", read_only=True), scope="function")
]
ReportsPool = Annotated[ConnectionPool, Depends(GetPool("reports"))]


@app.get("/")
async def endpoint(
    conn: Connection, tx: Transaction, pool: Pool, reports: Reports, held: Streamed, old: Snapshot, other: ReportsPool
) -> int:
    assert_type(conn, PooledConnection)
    assert_type(tx, PooledConnection)
    assert_type(pool, ConnectionPool)
    assert_type(reports, PooledConnection)
    assert_type(held, PooledConnection)
    assert_type(old, PooledConnection)
    assert_type(other, ConnectionPool)
    async with conn.cursor() as cursor:
        assert_type(cursor, PooledCursor)
        await cursor.execute("SELECT %s", (1,))
        assert_type(cursor.rowcount, int)
    async with conn.transaction(isolation="SERIALIZABLE") as same:
        assert_type(same, PooledConnection)
    await tx.commit()
    return await pool.execute("DELETE FROM t WHERE id = %s", (1,))


# -- Starlette --------------------------------------------------------------------------------------------------------


async def home(request: Request) -> Response:
    async with get_pool(request, "reports").acquire() as conn:
        assert_type(conn, PooledConnection)
    return JSONResponse(None)


async def not_found(request: Request, error: Exception) -> Response:
    return JSONResponse(None, 404)


starlette_app = Starlette(
    routes=[*health_routes(prefix="/_health", timeout=0.5), Route("/", home)],
    lifespan=pool_lifespan(pool, wrap=own_state, open_timeout=None, drain_timeout=20.0),
    exception_handlers={**exception_handlers(), 404: not_found},
)


# -- Litestar, aiohttp ------------------------------------------------------------------------------------------------


@litestar.get("/")
async def handler(conn: PooledConnection, request: litestar.Request[None, None, State]) -> int:
    assert_type(with_litestar.get_pool(request.app), ConnectionPool)
    return conn.cursor().rowcount


litestar_app = litestar.Litestar(
    [*with_litestar.health_handlers(), handler],
    lifespan=[with_litestar.pool_lifespan(pool)],
    dependencies={"conn": with_litestar.connection(), "tx": with_litestar.transaction("reports")},
    exception_handlers={**with_litestar.exception_handlers()},
)


async def view(request: aiohttp.web.Request) -> aiohttp.web.Response:
    async with with_aiohttp.get_pool(request).acquire() as conn:
        assert_type(conn, PooledConnection)
    return aiohttp.web.json_response(None)


aiohttp_app = aiohttp.web.Application(middlewares=[with_aiohttp.pool_errors])
aiohttp_app.cleanup_ctx.append(with_aiohttp.pool_context(pool, make_reports))
aiohttp_app.add_routes([aiohttp.web.get("/", view), *with_aiohttp.health_routes()])


# -- worker -----------------------------------------------------------------------------------------------------------


async def service(pool: ConnectionPool, shutdown: Shutdown) -> None:
    while not shutdown.requested:
        await shutdown.sleep(1.0)


def main() -> None:
    asyncio.run(run_worker(service, pool, drain_timeout=5.0))
