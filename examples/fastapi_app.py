"""A FastAPI application: one pool for the life of the application, 503 when the database is busy or away.

ASYNC_MYSQLPOOL_DSN=mysql://app:secret@localhost/test uvicorn --app-dir examples fastapi_app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from async_mysqlpool import ConnectionPool
from async_mysqlpool.integrations.fastapi import Pool, Transaction, exception_handlers, health_routes, pool_lifespan

pool = ConnectionPool(os.environ["ASYNC_MYSQLPOOL_DSN"], max_size=10, queue_timeout=1.0, max_waiting=200)


@asynccontextmanager
async def tables(app: FastAPI) -> AsyncIterator[None]:
    await pool.execute(
        "CREATE TABLE IF NOT EXISTS item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100)) CHARSET utf8mb4"
    )
    yield


# The pool is open before `tables` runs. `health_routes()` are /health/live and /health/ready.
app = FastAPI(
    lifespan=pool_lifespan(pool, wrap=tables), exception_handlers=exception_handlers(), routes=health_routes()
)


@app.post("/items", status_code=201)
async def add_item(name: str, conn: Transaction) -> dict[str, int]:
    async with conn.cursor() as cur:
        await cur.execute("INSERT INTO item (name) VALUES (%s)", (name,))
        return {"id": cur.lastrowid or 0}


@app.get("/items/{item_id}")
async def get_item(item_id: int, pool: Pool) -> dict[str, str]:
    # Holds a connection for this one statement only.
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
