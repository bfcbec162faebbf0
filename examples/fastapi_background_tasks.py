"""FastAPI's BackgroundTasks run after the endpoint gave its connection back: pass the pool, never the connection.

A connection passed on would by then belong to another request. Here that is an error instead: see /wrong.

    ASYNC_MYSQLPOOL_DSN=mysql://app:secret@localhost/test uvicorn --app-dir examples fastapi_background_tasks:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI

from async_mysqlpool import ConnectionPool, ConnectionReleasedError, PooledConnection
from async_mysqlpool.integrations.fastapi import Connection, Pool, pool_lifespan

pool = ConnectionPool(os.environ["ASYNC_MYSQLPOOL_DSN"])
failed: list[str] = []


@asynccontextmanager
async def tables(app: FastAPI) -> AsyncIterator[None]:
    await pool.execute("CREATE TABLE IF NOT EXISTS counter (value INT NOT NULL)")
    await pool.execute("DELETE FROM counter")
    await pool.execute("INSERT INTO counter VALUES (0)")
    yield


app = FastAPI(lifespan=pool_lifespan(pool, wrap=tables))


async def update_counter(pool: ConnectionPool) -> None:
    await pool.execute("UPDATE counter SET value = value + 1")


@app.get("/counter")
async def counter(pool: Pool, background: BackgroundTasks) -> int:
    background.add_task(update_counter, pool)
    return int(await pool.fetch_value("SELECT value FROM counter"))


async def update_counter_wrongly(connection: PooledConnection) -> None:
    try:
        async with connection.cursor() as cur:
            await cur.execute("UPDATE counter SET value = value + 1")
    except ConnectionReleasedError as error:
        failed.append(f"{type(error).__name__}: {error}")


@app.get("/wrong")
async def wrong(connection: Connection, background: BackgroundTasks) -> str:
    background.add_task(update_counter_wrongly, connection)
    return "this request's background task fails; /failures says how"


@app.get("/failures")
async def failures() -> list[str]:
    return failed
