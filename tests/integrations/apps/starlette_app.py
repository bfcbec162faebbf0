"""What Starlette applications do to a pool."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from work import add_item, end_it, in_use, query

from async_mysqlpool import ConnectionPool
from async_mysqlpool.integrations.starlette import (
    StreamingResponse,
    exception_handlers,
    get_pool,
    health_routes,
    pool_lifespan,
)

DSN = os.environ["ASYNC_MYSQLPOOL_DSN"]
pool = ConnectionPool(DSN, name="main", max_size=5, queue_timeout=20.0)
reports = ConnectionPool(DSN, name="reports", max_size=2)


async def slow(request: Request) -> Response:
    async with pool.acquire() as conn:
        return JSONResponse(await query(conn, request.path_params["seconds"]))


async def stream(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        async with get_pool(request).acquire() as conn:
            for _ in range(request.path_params["rows"]):
                yield f"{await query(conn, request.path_params['seconds'])}\n"

    return StreamingResponse(lines())


async def background(request: Request) -> Response:
    async def later() -> None:
        async with pool.acquire() as conn:
            await query(conn, request.path_params["seconds"])

    return JSONResponse(None, background=BackgroundTask(later))


async def add(request: Request) -> Response:
    async with get_pool(request).transaction() as conn:
        await add_item(conn, request.path_params["name"])
        await end_it(conn, request.query_params.get("end", ""))
        if "fail" in request.query_params:
            raise HTTPException(409)
    return Response(status_code=201)


async def both(request: Request) -> Response:
    return JSONResponse([get_pool(request).name, get_pool(request, "reports").name, request.state.greeting])


async def misuse(request: Request) -> Response:
    async with pool.acquire() as conn:
        pass
    return JSONResponse(await query(conn, 0))


async def stats(request: Request) -> Response:
    return JSONResponse(in_use(pool))


@asynccontextmanager
async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": await get_pool(app).fetch_value("SELECT 'hello'")}
    logging.getLogger("uvicorn.error").info("last words: %s", await pool.fetch_value("SELECT 'goodbye'"))


app = Starlette(
    routes=[
        *health_routes(timeout=5.0),
        Route("/slow/{seconds:float}", slow),
        Route("/stream/{rows:int}/{seconds:float}", stream),
        Route("/background/{seconds:float}", background),
        Route("/items/{name}", add, methods=["POST"]),
        Route("/misuse", misuse),
        Route("/stats", stats),
        Route("/both", both),
        Mount("/mounted", Starlette(routes=[Route("/both", both)])),
    ],
    lifespan=pool_lifespan(pool, reports, wrap=own),
    exception_handlers=exception_handlers(),
)
