"""Two thousand requests to a FastAPI application, half of them aborted by their clients at any moment."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import uvicorn
from kit import eventually
from lab import SOME, running, settled
from shop import make_app

REQUESTS = 600
AT_ONCE = 50
PATHS = ("row", "blocked", "stream", "background")


@asynccontextmanager
async def serving(app):
    """The application under uvicorn, in this event loop; its port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def request(port, path, token, leave_after=None):
    """The numbers in the answer; or none, and a reset for the server, after that many seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET /{path}/{token} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
        if leave_after is not None:
            await asyncio.sleep(leave_after)
            return None
        answer = await reader.read()
    finally:
        writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return {word for word in body.decode().split() if len(word) > 3}  # shorter ones are lengths of chunks


@SOME
async def test_half_of_the_clients_leave(account, admin, pools, whole):
    pool = await pools(max_size=10, queue_timeout=60)
    noted = []
    turn = asyncio.Semaphore(AT_ONCE)

    async def client(token):
        path = random.choice(PATHS)
        async with turn:
            leaves = token % 2 == 0
            answer = await request(port, path, token, random.random() / 20 if leaves else None)
            if not leaves:
                assert answer == {str(token)}

    async with serving(make_app(pool, noted)) as port:
        async with asyncio.timeout(110):
            await asyncio.gather(*(client(token) for token in range(1000, 1000 + REQUESTS)))
        assert (await settled(pool, lambda stats: stats.in_use + stats.waiting + stats.closing == 0)).in_use == 0
        assert await eventually(lambda: running(admin, account.user), lambda rows: not rows) == []
        assert pool.leases() == []
        for token in range(1000, 1020):
            assert await request(port, PATHS[token % 4], token) == {str(token)}
    assert noted
    assert set(noted) == {0}
    await whole(pool)
