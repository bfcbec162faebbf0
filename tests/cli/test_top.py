"""`async-mysqlpool top`: live pages in a terminal."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from cli import run, run_json
from starlette.requests import Request

from async_mysqlpool import ConnectionPool
from async_mysqlpool.observability.page import pool_page
from async_mysqlpool.testing.fake import FakeDriver, FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOBODY = "http://127.0.0.1:1/pool"


@asynccontextmanager
async def page_of(**options: Any) -> AsyncIterator[tuple[str, ConnectionPool]]:
    """The address of a page, and whose it is."""
    async with ConnectionPool(driver=FakeDriver(FakeServer()), name="shop", max_size=4) as pool:
        config = uvicorn.Config(pool_page(pool, **options), port=0, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", pool
        server.should_exit = True
        await task


async def test_several_processes_one_of_which_does_not_answer():
    async with page_of() as (url, pool), pool.acquire():
        result = await asyncio.to_thread(run, "top", url, NOBODY, COLUMNS="200")
    assert (result.returncode, result.stderr) == (1, "")
    for text in ("shop", "calm", "1 of 4", f"{__file__}:", "no answer", "Connection refused"):
        assert text in result.stdout
    assert "\x1b" not in result.stdout


async def test_json_for_programs():
    async with page_of() as (url, _):
        ours, nobodys = await asyncio.to_thread(run_json, "top", url, NOBODY, code=1)
    assert (ours["url"], ours["error"], ours["pools"][0]["stats"]["max_size"]) == (url, None, 4)
    assert nobodys["error"]


async def test_who_may_look_only_with_a_key():
    async with page_of(authorize=lambda scope: Request(scope).headers.get("x-key") == "1") as (url, _):
        refused = await asyncio.to_thread(run, "top", url)
        assert (refused.returncode, "no answer: HTTP 403" in refused.stdout) == (1, True)
        allowed = await asyncio.to_thread(run, "top", url, "-H", "X-Key: 1")
        assert (allowed.returncode, "shop" in allowed.stdout) == (0, True)


async def test_names_are_no_commands_to_the_terminal():
    async with page_of() as (url, pool), pool.acquire(site="\x1b]0;mine\x07 [red]markup[/]"):
        result = await asyncio.to_thread(run, "top", url, COLUMNS="200")
    assert "?]0;mine? [red]markup[/]" in result.stdout
    assert "\x1b" not in result.stdout


def test_mistakes_are_said():
    for arguments, said in (
        (["localhost:8000"], "is no address of a page"),
        ([NOBODY, "-H", "nonsense"], "Name: value"),
    ):
        result = run("top", *arguments, COLUMNS="200")
        assert (result.returncode, said in result.stderr) == (2, True)
