"""A FastAPI application as many are: middleware that cancels, streams, background tasks, one pool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import BackgroundTasks, FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from async_mysqlpool import ConnectionPool


def make_app(pool: ConnectionPool, noted: list[int]) -> FastAPI:
    """Routes that use `pool`; the background task appends what it read to `noted`."""
    app = FastAPI()

    async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)

    @app.get("/row/{token}")
    async def row(token: int) -> int:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT %s, SLEEP(0.005)", (token,))
            return int((await cursor.fetchone())[0])

    @app.get("/blocked/{token}")
    async def blocked(token: int) -> int:
        async with pool.transaction() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT SLEEP(0.02) FROM probe WHERE id = 1 FOR UPDATE")
            await cursor.fetchall()
            await cursor.execute("SELECT %s", (token,))
            return int((await cursor.fetchone())[0])

    @app.get("/stream/{token}")
    async def stream(token: int) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                for _ in range(5):
                    await cursor.execute("SELECT %s", (token,))
                    yield f"{(await cursor.fetchone())[0]}\n"
                    await asyncio.sleep(0.002)

        return StreamingResponse(lines())

    @app.get("/background/{token}")
    async def background(token: int, tasks: BackgroundTasks) -> int:
        async def note() -> None:
            noted.append(int(await pool.fetch_value("SELECT %s, SLEEP(0.002)", (token,))) - token)

        tasks.add_task(note)
        return int(await pool.fetch_value("SELECT %s", (token,)))

    return app
