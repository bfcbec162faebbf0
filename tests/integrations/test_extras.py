"""What a framework needs is said where it is missing; and FastAPI's dependencies need no thread."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import httpx
import pytest
from fastapi import FastAPI

from async_mysqlpool import ConnectionPool, PoolClosedError, PoolError
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


def make() -> ConnectionPool:
    return ConnectionPool(driver=FakeDriver(FakeServer()))


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("mysql://u:hunter2@h", "ConfigurationError", ["is a str", "pool_lifespan(ConnectionPool(dsn))"]),
        (None, "ConfigurationError", ["is a NoneType", "a function that makes one"]),
        (lambda: None, "ConfigurationError", ["what the function gave is a NoneType"]),
        (FakeDriver, "ConfigurationError", ["is a type", "pass a ConnectionPool"]),
    ],
)
async def test_what_is_no_pool_is_refused_at_the_start(source, error, words):
    with pytest.raises(PoolError) as caught:
        async with pool_lifespan(source)(FastAPI()):
            pass
    assert type(caught.value).__name__ == error
    assert [word for word in words if word not in str(caught.value)] == []
    assert "hunter2" not in str(caught.value)


async def test_an_application_that_starts_twice_needs_a_function():
    once, often, app = pool_lifespan(make()), pool_lifespan(make), FastAPI()
    for lifespan in (once, often, often):
        async with lifespan(app):
            pass
    with pytest.raises(PoolClosedError, match=r"pool_lifespan\(lambda: ConnectionPool"):
        async with once(app):
            pass
