"""The live page as its clients see it: what it says, to whom, and that nothing secret is in it."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from async_mysqlpool import AcquireTimeoutError, ConnectionPool
from async_mysqlpool.observability.page import pool_page
from async_mysqlpool.observability.page.history import KEPT, History
from async_mysqlpool.observability.page.state import verdict
from async_mysqlpool.stats import Lease
from async_mysqlpool.testing.fake import FakeDriver, FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from async_mysqlpool.observability.page import PoolPage

SECRET, PARAMETER = "hunter2-the-password", "4929-1234-5678-9012"


@pytest.fixture
async def pool() -> AsyncIterator[ConnectionPool]:
    driver = FakeDriver(FakeServer())
    async with ConnectionPool(driver=driver, name="shop", user="app", password=SECRET, max_size=3) as pool:
        yield pool


@asynccontextmanager
async def client_of(page: Any, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(page, **options)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        try:
            yield client
        finally:
            if hasattr(page, "stop"):
                page.stop()
                await asyncio.sleep(0)


class Listener:
    """One that asks for events, as a server hands its request on."""

    def __init__(self, page: PoolPage, query: str = "", last: str | None = None) -> None:
        headers = [(b"last-event-id", last.encode())] if last else []
        self._scope = {"type": "http", "method": "GET", "path": "/events", "query_string": query.encode()}
        self._scope["headers"] = headers
        self._page, self._sent, self.leaves = page, asyncio.Queue[Any](), asyncio.Event()

    async def _receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._page(self._scope, self._receive, self._sent.put))
        self.start = await self._sent.get()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        self._page.stop()
        await asyncio.wait([self.task])

    async def event(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            lines = (await self._sent.get())["body"].decode().strip().splitlines()
        assert [line.partition(":")[0] for line in lines] == ["retry", "id", "data"]
        data = json.loads(lines[2].partition(": ")[2])
        assert data["position"] == lines[1].partition(": ")[2]
        return data


# -- what it says ---------------------------------------------------------------------------------------------------


async def test_the_page_loads_nothing_from_anywhere(pool: ConnectionPool):
    async with client_of(pool_page(pool)) as client:
        answer = await client.get("/")
        again = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert answer.text.count(f'nonce="{nonce}"') == 2
    assert "{{" not in answer.text
    assert nonce not in again.text
    assert policy.startswith("default-src 'none'")
    for word in ("src=", "@import", "url(", "innerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_the_data_are_those_of_the_pool(pool: ConnectionPool):
    async with client_of(pool_page(pool)) as client, pool.acquire():
        data = (await client.get("/data")).json()
    (shown,) = data["pools"]
    assert (shown["name"], shown["driver"], shown["reset"]) == ("shop", pool.driver.name, "session")
    assert (shown["stats"]["in_use"], shown["stats"]["max_size"]) == (1, 3)
    (lease,) = shown["leases"]
    assert lease["site"].startswith(f"{__file__}:")
    assert data["process"]["pid"]


async def test_several_pools_stand_on_one_page(pool: ConnectionPool):
    other = ConnectionPool(driver=FakeDriver(FakeServer()), name="not yet open")
    async with client_of(pool_page(pool, other)) as client:
        data = (await client.get("/data")).json()
    assert [shown["name"] for shown in data["pools"]] == ["shop", "not yet open"]


async def test_nothing_secret_is_on_it(pool: ConnectionPool):
    page = pool_page(pool)
    async with client_of(page) as client, pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("SELECT %s", (PARAMETER,))
        with suppress(AcquireTimeoutError):
            async with pool.acquire(), pool.acquire(), pool.acquire(timeout=0.01):
                pass
        answers = [(await client.get(path)).text for path in ("/", "/data")]
    async with Listener(page) as listener:
        answers.append(json.dumps(await listener.event()))
    for answer in answers:
        assert SECRET not in answer
        assert PARAMETER not in answer


class WithStatements:
    """A pool that keeps its statements."""

    def __init__(self, pool: ConnectionPool, statements: list[Any]) -> None:
        self._pool, self.statements = pool, lambda: statements

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class Statement:
    def __init__(self, digest: str, count: int, total: float) -> None:
        self.digest, self.count, self.total, self.longest, self.errors = digest, count, total, total / 2, 1


async def test_statements_that_the_pool_keeps_are_shown_the_worst_first(pool: ConnectionPool):
    kept = [Statement("SELECT ?", 10, 1.0), Statement("UPDATE item SET n = ?", 4, 8.0), Statement("", 1, 0.1)]
    async with client_of(pool_page(WithStatements(pool, kept))) as client:  # type: ignore[arg-type]
        data = (await client.get("/data")).json()
    shown = [(one["digest"], one["mean"], one["longest"]) for one in data["pools"][0]["statements"]]
    assert shown == [("UPDATE item SET n = ?", 2.0, 4.0), ("SELECT ?", 0.1, 0.5), ("(others)", 0.1, 0.05)]


# -- to whom --------------------------------------------------------------------------------------------------------


async def may_enter(scope: Any) -> bool:
    return Request(scope).headers.get("x-key") == "let me in"


@pytest.mark.parametrize("authorize", [may_enter, lambda scope: False, lambda scope: None], ids=["async", "no", "none"])
@pytest.mark.parametrize("path", ["/", "/data", "/events", "/nothing"])
async def test_who_may_not_look_sees_nothing(pool: ConnectionPool, authorize: Any, path: str):
    async with client_of(pool_page(pool, authorize=authorize)) as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.text) == (403, "you may not look at this\n")


async def test_who_may_look_does(pool: ConnectionPool):
    async with client_of(pool_page(pool, authorize=may_enter)) as client:
        assert (await client.get("/data", headers={"x-key": "let me in"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("DELETE", "/data", 405),
        ("HEAD", "/", 200),
        ("HEAD", "/events", 404),
    ],
)
async def test_it_only_shows(pool: ConnectionPool, method: str, path: str, status: int):
    async with client_of(pool_page(pool)) as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert (answer.text == "") == (method == "HEAD")


@pytest.mark.parametrize("root", ["", "/behind-a-proxy"])
async def test_mounted_with_and_without_its_slash(pool: ConnectionPool, root: str):
    page = pool_page(pool)
    app = Starlette(routes=[Mount("/admin/pool", page)])
    async with client_of(app, root_path=root) as client:
        assert (await client.get(f"{root}/admin/pool/data")).json()["pools"][0]["name"] == "shop"
        answer = await client.get(f"{root}/admin/pool", follow_redirects=True)
        assert answer.url.path == f"{root}/admin/pool/"
        assert "<title>Connection pool</title>" in answer.text
    page.stop()
    await asyncio.sleep(0)


async def test_a_bare_mount_sends_to_where_its_links_lead(pool: ConnectionPool):
    async with client_of(pool_page(pool), root_path="/pool") as client:
        assert (await client.get("/pool")).headers["location"] == "pool/"


@pytest.mark.parametrize(
    ("root", "path", "status", "location"),
    [
        ("/d", "/data", 200, None),  # where the path is what is below the mount
        ("/d", "/d/data", 200, None),
        ("/pool", "/pool", 307, b"pool/"),
        ("/pool", "", 307, b"pool/"),
    ],
)
async def test_paths_as_frameworks_give_them(
    pool: ConnectionPool, root: str, path: str, status: int, location: bytes | None
):
    sent = list[Any]()

    async def send(message: Any) -> None:
        sent.append(message)

    page = pool_page(pool)
    scope = {"type": "http", "method": "GET", "path": path, "root_path": root, "headers": [], "query_string": b""}
    await page(scope, asyncio.Event().wait, send)
    page.stop()
    assert (sent[0]["status"], dict(sent[0]["headers"]).get(b"location")) == (status, location)


async def test_as_an_application_of_its_own(pool: ConnectionPool):
    page, sent = pool_page(pool), list[Any]()
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await page({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    await page({"type": "websocket", "path": "/"}, receive, send)
    assert sent[-1] == "websocket.close"
    async with Listener(page) as listener:
        assert (await listener.event())["pools"][0]["samples"]  # taken from the start on, before anybody looked


# -- the stream -----------------------------------------------------------------------------------------------------


async def test_events_come_once_a_second_with_what_is_new(pool: ConnectionPool):
    async with Listener(pool_page(pool)) as listener:
        assert dict(listener.start["headers"])[b"content-type"] == b"text/event-stream"
        await listener.event()
        async with pool.acquire():
            numbers, in_use = list[int](), 0
            while not in_use:
                (shown,) = (await listener.event())["pools"]
                assert shown["stats"]["in_use"] == 1
                numbers += [sample["number"] for sample in shown["samples"]]
                in_use = shown["samples"][-1]["in_use"] if shown["samples"] else 0
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))  # none twice, none left out


@pytest.mark.parametrize("by_header", [True, False])
async def test_who_comes_again_gets_what_he_has_missed(pool: ConnectionPool, by_header: bool):
    page = pool_page(pool)
    async with client_of(page) as client:
        async with Listener(page) as listener:
            while (first := await listener.event())["pools"][0]["samples"] == []:
                pass
        position = first["position"]
        query, last = ("", position) if by_header else (f"after={position}", None)
        async with Listener(page, query, last) as listener:
            again = await listener.event()
        assert [sample["number"] for sample in again["pools"][0]["samples"]] != [1]
        of_another_process = (await client.get("/data", params={"after": "1-100000"})).json()
        assert of_another_process["pools"][0]["samples"]


@pytest.mark.parametrize("wrong", ["x", "-", "1-2-3", "999999999999999999999-1", "é"])
async def test_a_position_that_makes_no_sense_is_none(pool: ConnectionPool, wrong: str):
    page = pool_page(pool)
    page.start()
    await asyncio.sleep(0)
    async with client_of(page) as client:
        assert (await client.get("/data", params={"after": wrong})).json()["pools"][0]["samples"]


async def test_a_listener_that_leaves_is_let_go(pool: ConnectionPool):
    async with Listener(pool_page(pool)) as listener:
        await listener.event()
        listener.leaves.set()
        async with asyncio.timeout(20):
            await listener.task


async def test_the_stream_ends_when_the_pool_does(pool: ConnectionPool):
    async with Listener(pool_page(pool)) as listener:
        await listener.event()
        await pool.close()
        async with asyncio.timeout(20):
            await listener.task


async def test_samples_end_when_the_pool_does(pool: ConnectionPool):
    before = asyncio.all_tasks()
    pool_page(pool).start()
    (sampler,) = asyncio.all_tasks() - before
    await pool.close()
    async with asyncio.timeout(20):
        await sampler


# -- the history ----------------------------------------------------------------------------------------------------


async def test_a_sample_is_the_difference_to_the_one_before(pool: ConnectionPool):
    history = History(pool)
    history.take()
    for _ in range(5):
        async with pool.acquire():
            pass
    async with pool.acquire():
        history.take()
    first, second = history.since(0)
    assert (first.in_use, first.rate, first.hold, first.wait) == (0, 0.0, 0.0, 0.0)
    assert second.in_use == 1
    assert second.rate > 0
    assert history.since(1) == [second]
    for _ in range(2 * KEPT):
        history.take()
    assert len(history.since(0)) == KEPT


async def test_what_went_wrong_is_told(pool: ConnectionPool):
    history = History(pool)
    history.take()
    async with pool.acquire() as one, pool.acquire(), pool.acquire():
        for _ in range(2):
            with suppress(AcquireTimeoutError):
                await pool.acquire(timeout=0)
        history.take()
        one.discard()
    assert [incident.text for incident in history.incidents] == ["2 borrowers got no connection in time"]


async def test_what_the_pool_logs_is_read_along_and_stays_as_it_was(pool: ConnectionPool, caplog: Any):
    history, logger = History(pool), logging.getLogger("async_mysqlpool")
    handlers = list(logger.handlers)
    history.start()
    logger.warning("%s: %s", "shop", "the server is back")
    logger.warning("%s: %s", "another pool", "the server is back")
    logger.info("%s: %s", "shop", "nothing to speak of")
    history.stop()
    logger.warning("%s: %s", "shop", "too late")
    assert [(incident.level, incident.text) for incident in history.incidents] == [("warning", "the server is back")]
    assert len(caplog.records) >= 3
    assert logger.handlers == handlers


HELD = [Lease(7, 12.0, "report", "app.py:31")]
CALM = ConnectionPool(driver=FakeDriver(FakeServer()), max_size=4).stats()


@pytest.mark.parametrize(
    ("changes", "leases", "slowest", "closed", "level", "said"),
    [
        ({}, [], 0.0, False, "good", "Nobody waits for a connection."),
        ({}, [], 0.0, True, "bad", "The pool is closed."),
        ({"in_use": 4, "waiting": 3}, HELD, 0.0, False, "bad", "3 tasks wait for a connection, and all 4 are out."),
        ({"in_use": 4, "waiting": 1}, HELD, 0.0, False, "bad", "task 'report' for 12.0 s, acquired at app.py:31"),
        ({"in_use": 2, "waiting": 1}, [], 0.0, False, "busy", "1 task waits for a connection that is being opened"),
        ({"in_use": 1}, HELD, 0.0, False, "busy", "The longest holder is task 'report'"),
        ({"in_use": 4}, [], 0.0, False, "busy", "All 4 connections are out; nobody waits yet."),
        ({}, [], 2.0, False, "busy", "borrows waited for up to 2.0 s"),
    ],
)
def test_the_verdict(changes: Any, leases: Any, slowest: float, closed: bool, level: str, said: str):
    found, text = verdict(replace(CALM, **changes), leases, slowest, closed)
    assert found == level
    assert said in text
