"""Starlette's parts one by one, on a fake server: lifespan, failures, health."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from running import Running, client, quiet
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

from async_mysqlpool import (
    AcquireTimeoutError,
    ConfigurationError,
    ConnectError,
    ConnectionPool,
    PoolClosedError,
    PoolDeadlockError,
    QueueFullError,
    ServerFullError,
    ServerUnavailableError,
)
from async_mysqlpool.integrations.starlette import (
    StreamingResponse,
    exception_handlers,
    get_pool,
    health_routes,
    pool_lifespan,
)
from async_mysqlpool.testing.fake import NEVER, OK, FakeDriver, FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

SECRET = "db.internal:3306, SELECT password FROM users, /srv/app.py:42"
NUMBERS = ConnectionPool("mysql://h").stats()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def make(server: FakeServer) -> partial[ConnectionPool]:
    return partial(ConnectionPool, driver=FakeDriver(server))


@asynccontextmanager
async def serving(app: Starlette, raise_errors: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """The application with its lifespan entered by hand, as tests of applications often do."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=raise_errors)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


# -- lifespan ---------------------------------------------------------------------------------------------------------


async def test_the_pool_is_open_with_its_minimum_and_closed_afterwards(make: Any, server: FakeServer):
    pool = make(min_size=3)
    async with pool_lifespan(pool)(Starlette()):
        assert pool.size == 3
    assert pool.closed
    assert server.sessions == {}


async def test_the_users_own_lifespan_runs_inside_and_keeps_its_state(make: Any):
    pool = make()
    seen: list[object] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, int]]:
        seen.append(await get_pool(app).fetch_value("SELECT 1"))
        yield {"answer": 42}
        seen.append(pool.closed)

    async with pool_lifespan(pool, wrap=own)(Starlette()) as state:
        assert state["answer"] == 42
    assert seen == [1, False]
    assert pool.closed


async def test_an_error_of_the_users_own_lifespan_closes_the_pool(make: Any):
    pool = make()

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[None]:
        raise ValueError("no")
        yield

    with pytest.raises(ValueError, match="no"):
        async with pool_lifespan(pool, wrap=own)(Starlette()):
            pass
    assert pool.closed


async def test_a_function_that_makes_the_pool_lets_an_application_start_again(make: Any):
    app = Starlette(lifespan=pool_lifespan(make))
    for _ in range(2):
        async with app.router.lifespan_context(app):
            assert await get_pool(app).fetch_value("SELECT 1") == 1


async def test_when_one_pool_cannot_be_opened_none_stays_open(make: Any, server: FakeServer):
    pools = make(name="good"), make(name="bad", password="wrong")
    server.password = ""
    with pytest.raises(ConnectError):
        async with pool_lifespan(*pools)(Starlette()):
            pass
    assert [pool.closed for pool in pools] == [True, True]
    assert server.sessions == {}


async def test_two_pools_of_one_name_are_refused(make: Any):
    with pytest.raises(ConfigurationError, match="two pools are called 'main'"):
        async with pool_lifespan(make(name="main"), make(name="main"))(Starlette()):
            pass


async def test_a_pool_that_is_not_there_is_named_with_those_that_are(make: Any):
    app = Starlette()
    async with pool_lifespan(make(name="main"), make(name="reports"))(app):
        with pytest.raises(ConfigurationError, match="no pool is called 'sales', only 'main', 'reports'"):
            get_pool(app, "sales")


def test_an_application_without_the_lifespan_says_so():
    with pytest.raises(ConfigurationError, match="lifespan"):
        get_pool(Starlette())


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "retry_after"),
    [
        (AcquireTimeoutError(SECRET, phase="queueing", stats=NUMBERS), "database_busy", "1"),
        (QueueFullError(SECRET), "database_busy", "1"),
        (PoolDeadlockError(SECRET), "database_busy", "1"),
        (PoolClosedError(SECRET), "shutting_down", "1"),
        (ConnectError(SECRET), "database_unavailable", "5"),
        (ServerUnavailableError(SECRET), "database_unavailable", "5"),
        (ServerFullError(SECRET), "database_unavailable", "5"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
async def test_a_pool_that_has_nothing_to_give_is_a_503_that_leaks_nothing(
    make: Any, caplog: pytest.LogCaptureFixture, error: Exception, code: str, retry_after: str
):
    async def endpoint(request: Request) -> Response:
        raise error

    app = Starlette(
        routes=[Route("/", endpoint)], lifespan=pool_lifespan(make), exception_handlers=exception_handlers()
    )
    async with serving(app) as http:
        answer = await http.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, retry_after)
    assert answer.json().keys() == {"code", "detail"}
    assert answer.json()["code"] == code
    for part in SECRET.split(", "):
        assert part not in answer.text + str(answer.headers)
    assert SECRET in caplog.text


async def test_a_busy_pool_is_a_503(make: Any):
    async def endpoint(request: Request) -> Response:
        return JSONResponse(await get_pool(request).fetch_value("SELECT 1"))

    pool = make(max_size=1, queue_timeout=0)
    app = Starlette(
        routes=[Route("/", endpoint)], lifespan=pool_lifespan(pool), exception_handlers=exception_handlers()
    )
    async with serving(app) as http:
        async with pool.acquire():
            assert (await http.get("/")).json()["code"] == "database_busy"
        while pool.idle == 0:  # the session is made clean first
            await asyncio.sleep(0)
        assert (await http.get("/")).json() == 1


async def test_a_websocket_is_told_to_try_again_later(make: Any):
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        raise QueueFullError(SECRET)

    app = Starlette(routes=[WebSocketRoute("/", endpoint)], exception_handlers=exception_handlers())
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/", "headers": [], "query_string": b""}, receive, send)
    assert sent[-1] == {"type": "websocket.close", "code": 1013, "reason": ""}


# -- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_whose_client_has_gone_gives_its_connection_back_at_once(make: Any):
    kept: list[object] = []

    async def endpoint(request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            async with get_pool(request).acquire():
                while True:
                    yield "line"

        response = StreamingResponse(lines())
        kept.append(response)  # the garbage collector has no part in this
        return response

    under_way = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await under_way.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            under_way.set()
            await asyncio.Event().wait()  # a client that takes nothing any more

    app = Starlette(routes=[Route("/", endpoint)])
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    async with pool_lifespan(make)(app):
        async with asyncio.timeout(30):
            await app(scope, receive, send)
        assert get_pool(app).stats().in_use == 0
        assert get_pool(app).stats().acquired == 1


# -- health -----------------------------------------------------------------------------------------------------------


async def test_liveness_does_not_touch_the_database(make: Any, server: FakeServer):
    app = Starlette(routes=health_routes(), lifespan=pool_lifespan(make))
    async with serving(app) as http:
        before = list(server.log)
        server.execute.set(NEVER)
        answer = await http.get("/health/live")
        assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
        server.execute.set(OK)
        assert server.log == before


async def test_readiness_asks_every_pool(make: Any, server: FakeServer):
    app = Starlette(
        routes=health_routes(prefix="", timeout=0.05), lifespan=pool_lifespan(make(name="main"), make(name="reports"))
    )
    async with serving(app) as http:
        answer = await http.get("/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
        assert server.statements().count("SELECT 1") == 2


@pytest.mark.parametrize("trouble", ["silent", "busy", "closed", "without a pool"])
async def test_readiness_fails_within_its_time(
    make: Any, server: FakeServer, trouble: str, caplog: pytest.LogCaptureFixture
):
    pool = make(max_size=1)
    lifespan = None if trouble == "without a pool" else pool_lifespan(pool)
    app = Starlette(routes=health_routes(timeout=0.05), lifespan=lifespan)
    async with serving(app) as http:
        held = None
        if trouble == "silent":
            server.execute.set(NEVER)
        elif trouble == "busy":
            held = await pool.acquire()
        elif trouble == "closed":
            await pool.close()
        async with asyncio.timeout(30):
            answer = await http.get("/health/ready")
        server.execute.set(OK)
        if held is not None:
            held.close()
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert "not ready: " in caplog.text


# -- under a real server ----------------------------------------------------------------------------------------------


@pytest.mark.server
async def test_mounted_applications_see_the_pools_and_the_own_lifespan_ends_before_the_pool(
    serve: Callable[..., Running],
):
    app = serve("tests/integrations/apps", "starlette_app:app")
    with quiet(app):
        async with client(app) as http:
            for path in ("/both", "/mounted/both"):
                assert (await http.get(path)).json() == ["main", "reports", "hello"]
    assert "last words: goodbye" in app.log
