"""What a framework needs is said where it is missing; and FastAPI's dependencies need no thread."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import httpx
import pytest
from fastapi import FastAPI

from async_mysqlpool import ConnectionPool
from async_mysqlpool.integrations.fastapi import Pool, pool_lifespan
from async_mysqlpool.testing.fake import FakeDriver, FakeServer

MISSING = """
import sys
class Nowhere:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == {top!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Nowhere())
import async_mysqlpool.integrations.{extra}
"""


@pytest.mark.parametrize("extra", ["starlette", "fastapi", "litestar", "aiohttp", "sqlalchemy"])
def test_a_framework_that_is_missing_is_told_with_its_extra(extra):
    program = MISSING.format(top=extra, extra=extra)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1]
    assert said == (
        f"ImportError: async_mysqlpool.integrations.{extra} needs {extra}: pip install 'async-mysqlpool[{extra}]'"
    )


async def test_the_pool_comes_at_once_while_endpoints_that_block_have_all_threads():
    app = FastAPI(lifespan=pool_lifespan(ConnectionPool(driver=FakeDriver(FakeServer()))))
    free = threading.Event()

    @app.get("/blocking")
    def blocking() -> None:
        free.wait(60)

    @app.get("/size")
    async def size(pool: Pool) -> int:
        return pool.max_size

    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as http:
        blocked = [asyncio.create_task(http.get("/blocking")) for _ in range(45)]  # there are 40 threads
        try:
            await asyncio.sleep(0.1)
            assert (await asyncio.wait_for(http.get("/size"), 30)).json() == 10
            assert not any(task.done() for task in blocked)
        finally:
            free.set()
            await asyncio.gather(*blocked)
