"""A FastAPI service whose pool is exposed to Prometheus; DSN is that of a server."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import make_asgi_app

from async_mysqlpool import AcquireTimeoutError, ConnectionPool
from async_mysqlpool.observability.prometheus import instrument

pool = ConnectionPool(os.environ["DSN"], name="shop", min_size=2, max_size=2, queue_timeout=1)
instrument(pool)


@asynccontextmanager
async def lifespan(app):
    async with pool:
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/metrics", make_asgi_app())


@app.get("/sleep/{seconds}")
async def sleep(seconds: float) -> str:
    try:
        await pool.fetch_value("SELECT SLEEP(%s)", (seconds,))
    except AcquireTimeoutError:
        return "timed out"
    return "slept"


@app.get("/leave")
async def leave() -> str:
    async with pool.acquire() as connection:
        await connection.begin()
    return "left"
