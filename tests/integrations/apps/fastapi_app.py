"""What real applications do to a pool: slow queries, streams, background tasks, a middleware in between."""

import logging
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from work import add_item, end_it, in_use, query

from async_mysqlpool import ConnectionPool, PooledConnection
from async_mysqlpool.integrations.fastapi import (
    Connection,
    GetConnection,
    GetPool,
    Pool,
    StreamingResponse,
    Transaction,
    exception_handlers,
    health_routes,
    pool_lifespan,
)

DSN = os.environ["ASYNC_MYSQLPOOL_DSN"]
SIZE = int(os.environ.get("POOL_SIZE", "5"))
main = partial(ConnectionPool, DSN, name="main", max_size=SIZE, queue_timeout=20.0)
reports = partial(ConnectionPool, DSN, name="reports", max_size=2)

app = FastAPI(
    lifespan=pool_lifespan(main, reports),
    exception_handlers=exception_handlers(),
    routes=health_routes(timeout=5.0),
)
Held = Annotated[PooledConnection, Depends(GetConnection())]
Reports = Annotated[PooledConnection, Depends(GetConnection("reports"), scope="function")]


@app.middleware("http")
async def outermost(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


class Another(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


app.add_middleware(Another)


@app.get("/slow/{seconds}")
async def slow(seconds: float, conn: Connection) -> int:
    return await query(conn, seconds)


async def user(conn: Annotated[PooledConnection, Depends(GetConnection(), scope="function")]) -> int:
    return await query(conn, 0)


@app.get("/shared")
async def shared(conn: Connection, of_user: Annotated[int, Depends(user)]) -> list[int]:
    return [await query(conn, 0), of_user]


@app.get("/both")
async def both(
    conn: Connection, report: Reports, pool: Pool, other: Annotated[ConnectionPool, Depends(GetPool("reports"))]
) -> list[str]:
    assert await query(conn, 0) != await query(report, 0)
    return [pool.name, other.name]


@app.get("/stream/{rows}/{seconds}")
async def stream(rows: int, seconds: float, pool: Pool) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async with pool.acquire() as conn:
            for _ in range(rows):
                yield f"{await query(conn, seconds)}\n"

    return StreamingResponse(lines())


@app.get("/held/{rows}/{seconds}")
async def held(rows: int, seconds: float, conn: Held) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(rows):
            yield f"{await query(conn, seconds)}\n"

    return StreamingResponse(lines())


@app.get("/early")
async def early(conn: Connection, pool: Pool, tasks: BackgroundTasks) -> StreamingResponse:
    """What the stream and the background task see of a connection of the endpoint."""
    await query(conn, 0)
    tasks.add_task(log_usage, "background", conn, pool)

    async def lines() -> AsyncIterator[str]:
        yield usage(conn, pool)

    return StreamingResponse(lines())


def usage(conn: PooledConnection, pool: ConnectionPool) -> str:
    return f"{pool.stats().in_use} in use, {conn!r}"


async def log_usage(where: str, conn: PooledConnection, pool: ConnectionPool) -> None:
    logging.getLogger("uvicorn.error").info("%s: %s", where, usage(conn, pool))


@app.get("/background/{seconds}")
async def background(seconds: float, conn: Connection, pool: Pool, tasks: BackgroundTasks) -> int:
    async def later() -> None:
        async with pool.acquire() as own:
            await query(own, seconds)

    tasks.add_task(later)
    return await query(conn, seconds)


@app.post("/items/{name}", status_code=201)
async def add(name: str, conn: Transaction, fail: bool = False, end: str = "") -> str:
    await add_item(conn, name)
    await end_it(conn, end)
    if fail:
        raise HTTPException(409, "no, rather not")
    return name


@app.post("/doomed")
async def doomed(conn: Transaction, pool: Pool) -> str:
    """Returns normally, and cannot be committed any more."""
    await pool.execute(f"KILL {await query(conn, 0)}")
    return "done"


@app.get("/misuse")
async def misuse(pool: Pool) -> int:
    async with pool.acquire() as conn:
        pass
    return await query(conn, 0)


@app.get("/whose")
async def whose(conn: Connection, transaction: Transaction, pool: Pool) -> dict[str, list[str]]:
    code = whose.__code__
    assert len({await query(conn, 0), await query(transaction, 0)}) == 2
    return {"here": [f"{code.co_filename}:{code.co_firstlineno}"], "sites": [lease.site for lease in pool.leases()]}


@app.get("/stats")
async def stats(pool: Pool) -> dict[str, object]:
    return in_use(pool)
