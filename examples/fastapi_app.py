"""A FastAPI application: one pool for the life of the application, 503 when the database is busy or away.

ASYNC_MYSQLPOOL_DSN=mysql://app:secret@localhost/test uvicorn --app-dir examples fastapi_app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from async_mysqlpool import AcquireTimeoutError, ConnectError, ConnectionPool, QueueFullError

DSN = os.environ["ASYNC_MYSQLPOOL_DSN"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with ConnectionPool(DSN, max_size=10, queue_timeout=1.0, max_waiting=200) as pool:
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100)) CHARSET utf8mb4"
        )
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def get_pool(request: Request) -> ConnectionPool:
    pool: ConnectionPool = request.app.state.pool
    return pool


Pool = Annotated[ConnectionPool, Depends(get_pool)]


@app.post("/items", status_code=201)
async def add_item(name: str, pool: Pool) -> dict[str, int]:
    async with pool.acquire() as conn, conn.cursor() as cur:
        await cur.execute("INSERT INTO item (name) VALUES (%s)", (name,))
        return {"id": cur.lastrowid or 0}


@app.get("/items/{item_id}")
async def get_item(item_id: int, pool: Pool) -> dict[str, str]:
    # Holds a connection for this one statement only, not while the response is written.
    name = await pool.fetch_value("SELECT name FROM item WHERE id = %s", (item_id,))
    if name is None:
        raise HTTPException(404)
    return {"name": name}


@app.get("/slow")
async def slow(pool: Pool, seconds: float = 1.0) -> str:
    await pool.fetch_value("SELECT SLEEP(%s)", (seconds,))
    return "done"


@app.get("/health")
async def health(pool: Pool) -> dict[str, int]:
    stats = pool.stats()
    return {"in_use": stats.in_use, "idle": stats.idle, "waiting": stats.waiting, "max_size": stats.max_size}


@app.exception_handler(AcquireTimeoutError)
@app.exception_handler(QueueFullError)
async def database_is_busy(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "The database is busy"}, status_code=503, headers={"Retry-After": "1"})


@app.exception_handler(ConnectError)
async def database_is_away(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "The database is not available"}, status_code=503, headers={"Retry-After": "5"})
