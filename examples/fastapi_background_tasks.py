"""FastAPI's BackgroundTasks run after the handler gave its connection back: pass the pool, never the connection.

A connection passed on would by then belong to another request. Here that is an error instead: see /wrong.

    ASYNC_MYSQLPOOL_DSN=mysql://app:secret@localhost/test uvicorn --app-dir examples fastapi_background_tasks:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, Request

from async_mysqlpool import ConnectionPool, ConnectionReleasedError, PooledConnection


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with ConnectionPool(os.environ["ASYNC_MYSQLPOOL_DSN"]) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS counter (value INT NOT NULL)")
        await pool.execute("DELETE FROM counter")
        await pool.execute("INSERT INTO counter VALUES (0)")
        app.state.pool = pool
        app.state.failures = []
        yield


app = FastAPI(lifespan=lifespan)


async def update_counter(pool: ConnectionPool) -> None:
    await pool.execute("UPDATE counter SET value = value + 1")


@app.get("/counter")
async def counter(request: Request, background: BackgroundTasks) -> int:
    pool: ConnectionPool = request.app.state.pool
    value = await pool.fetch_value("SELECT value FROM counter")
    background.add_task(update_counter, pool)
    return int(value)


async def update_counter_wrongly(connection: PooledConnection, failures: list[str]) -> None:
    try:
        async with connection.cursor() as cur:
            await cur.execute("UPDATE counter SET value = value + 1")
    except ConnectionReleasedError as error:
        failures.append(f"{type(error).__name__}: {error}")


@app.get("/wrong")
async def wrong(request: Request, background: BackgroundTasks) -> str:
    async with request.app.state.pool.acquire() as connection:
        background.add_task(update_counter_wrongly, connection, request.app.state.failures)
    return "this request's background task fails; /failures says how"


@app.get("/failures")
async def failures(request: Request) -> list[str]:
    found: list[str] = request.app.state.failures
    return found
