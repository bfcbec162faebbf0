"""What Litestar applications do to a pool."""

import os
from collections.abc import AsyncIterator
from functools import partial

from litestar import Litestar, Request, get, post
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import HTTPException
from litestar.logging import LoggingConfig
from litestar.response import Response, Stream
from work import add_item, end_it, in_use, query

from async_mysqlpool import ConnectionPool, PooledConnection
from async_mysqlpool.integrations.litestar import (
    connection,
    exception_handlers,
    get_pool,
    health_handlers,
    pool_lifespan,
    transaction,
)

DSN = os.environ["ASYNC_MYSQLPOOL_DSN"]
main = partial(ConnectionPool, DSN, name="main", max_size=5, queue_timeout=20.0)
reports = partial(ConnectionPool, DSN, name="reports", max_size=2)


@get("/slow/{seconds:float}")
async def slow(seconds: float, conn: PooledConnection) -> int:
    return await query(conn, seconds)


@get("/stream/{rows:int}/{seconds:float}")
async def stream(rows: int, seconds: float, request: Request) -> Stream:
    async def lines() -> AsyncIterator[str]:
        async with get_pool(request.app).acquire() as conn:
            for _ in range(rows):
                yield f"{await query(conn, seconds)}\n"

    return Stream(lines())


@get("/early")
async def early(conn: PooledConnection, request: Request) -> Stream:
    await query(conn, 0)

    async def lines() -> AsyncIterator[str]:
        yield f"{get_pool(request.app).stats().in_use} in use, {conn!r}"

    return Stream(lines())


@get("/background/{seconds:float}")
async def background(seconds: float, request: Request) -> Response[None]:
    async def later() -> None:
        async with get_pool(request.app).acquire() as conn:
            await query(conn, seconds)

    return Response(None, background=BackgroundTask(later))


@post("/items/{name:str}")
async def add(name: str, tx: PooledConnection, fail: bool = False, end: str = "") -> None:
    await add_item(tx, name)
    await end_it(tx, end)
    if fail:
        raise HTTPException(status_code=409)


@get("/misuse")
async def misuse(request: Request) -> int:
    async with get_pool(request.app).acquire() as conn:
        pass
    return await query(conn, 0)


@get("/both")
async def both(conn: PooledConnection, report: PooledConnection, request: Request) -> list[str]:
    assert await query(conn, 0) != await query(report, 0)
    return [get_pool(request.app).name, get_pool(request.app, "reports").name]


@get("/stats")
async def stats(request: Request) -> dict[str, object]:
    return in_use(get_pool(request.app))


app = Litestar(
    [*health_handlers(timeout=5.0), slow, stream, early, background, add, misuse, both, stats],
    lifespan=[pool_lifespan(main, reports)],
    dependencies={"conn": connection(), "tx": transaction(), "report": connection("reports")},
    exception_handlers=exception_handlers(),
    logging_config=LoggingConfig(log_exceptions="always", disable_stack_trace={HTTPException}),
)
