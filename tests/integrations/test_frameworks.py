"""What holds for every framework: a real server process, a real client, load, and clients that go away."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from running import abort, abort_while_blocked, at_rest, client, eventually, quiet

from async_mysqlpool.testing import Server, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from running import Running

    from async_mysqlpool import ConnectionPool

pytestmark = pytest.mark.server

APPS = "tests/integrations/apps"
UVICORN = ("fastapi", "starlette", "litestar")


@pytest.fixture(params=[*UVICORN, "aiohttp"])
def framework(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def app(framework: str, serve: Callable[..., Running], start: Callable[..., Running]) -> Running:
    if framework in UVICORN:
        return serve(APPS, f"{framework}_app:app", "--no-access-log")
    return start(f"{APPS}/{framework}_app.py")


async def test_hundreds_of_requests_half_of_them_aborted_leave_nothing_behind(
    app: Running, framework: str, database: ConnectionPool
):
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    paths = ["/slow/0.03", "/stream/5/0.01"]
    paths += ["/background/0.02"] if framework in UVICORN else []
    paths += ["/early"] if framework in {"fastapi", "litestar"} else []
    paths += ["/held/5/0.01", "/shared"] if framework == "fastapi" else []
    answered: list[int] = []

    async def ask(path: str) -> None:
        answered.append((await http.get(path)).status_code)

    with quiet(app):
        async with client(app) as http, asyncio.TaskGroup() as group:
            for number in range(400):
                path = rng.choice(paths)
                group.create_task(abort(app.url, path, rng.uniform(0, 0.2)) if number % 2 else ask(path))
                await asyncio.sleep(rng.uniform(0, 0.01))
        assert answered == [200] * 200, f"seed {seed}: {app.log}"
        await at_rest(app, database)
        async with client(app) as http:
            assert (await http.get("/slow/0")).status_code == 200
            assert (await http.get("/health/ready")).json() == {"status": "ready"}


async def test_the_statement_of_an_aborted_stream_is_stopped_on_the_server(
    app: Running, database: ConnectionPool, locked_row: None
):
    with quiet(app):
        await abort_while_blocked(app, "/stream/1/1000", database)
        await at_rest(app, database)


async def test_several_pools_by_name(app: Running):
    with quiet(app):
        async with client(app) as http:
            assert (await http.get("/both")).json()[:2] == ["main", "reports"]


async def test_a_transaction_is_committed_before_the_answer_and_rolled_back_by_an_error(
    app: Running, database: ConnectionPool
):
    await database.execute("CREATE OR REPLACE TABLE goods (name VARCHAR(20) PRIMARY KEY)")
    with quiet(app):
        async with client(app) as http:
            assert (await http.post("/items/kept")).status_code == 201
            assert await database.fetch_value("SELECT GROUP_CONCAT(name) FROM goods") == "kept"
            assert (await http.post("/items/refused?fail=1")).status_code == 409
        assert await database.fetch_value("SELECT GROUP_CONCAT(name) FROM goods") == "kept"


@pytest.mark.parametrize("end", ["close", "commit", "ROLLBACK", "CREATE TABLE IF NOT EXISTS made (id INT)"])
async def test_an_endpoint_that_ends_its_transaction_itself_does_not_answer_201(
    app: Running, database: ConnectionPool, end: str
):
    await database.execute("CREATE OR REPLACE TABLE goods (name VARCHAR(20) PRIMARY KEY)")
    async with client(app) as http:
        assert (await http.post("/items/lost", params={"end": end})).status_code == 500
    assert app.wait_for("TransactionError")


async def test_a_mistake_in_the_program_is_a_500_and_tells_the_client_nothing(app: Running):
    async with client(app) as http:
        answer = await http.get("/misuse")
    assert answer.status_code == 500
    assert "retry-after" not in answer.headers
    assert "acquired" not in answer.text
    assert app.wait_for("ConnectionReleasedError")


async def test_a_server_that_is_away_is_a_503_that_leaks_nothing_and_passes(app: Running, mariadb: Server):
    async with client(app) as http:
        assert (await http.get("/slow/0")).status_code == 200
        try:
            mariadb.stop()
        except ServerUnavailable as exc:
            pytest.skip(str(exc))
        try:
            # A connection that has just been used is not asked first whether it lives: its own error is a 500.
            await eventually(lambda: has_status(http, "/slow/0", 503))
            answer = await http.get("/slow/0")
            assert answer.headers["retry-after"] == "5"
            assert answer.headers["content-type"] == "application/json; charset=utf-8" or (
                answer.headers["content-type"] == "application/json"
            )
            assert answer.json() == {
                "code": "database_unavailable",
                "detail": "The database is not available. Please try again later.",
            }
            assert (await http.get("/health/live")).json() == {"status": "alive"}
            unready = await http.get("/health/ready")
            assert (unready.status_code, unready.json()) == (503, {"status": "not ready"})
        finally:
            mariadb.start()
        await eventually(lambda: has_status(http, "/health/ready", 200))
        assert (await http.get("/slow/0")).status_code == 200
    assert f":{mariadb.port}" in app.log, "the log says what the client is not told"


async def has_status(http: object, path: str, status: int) -> bool:
    return (await http.get(path)).status_code == status


async def test_a_signal_lets_running_requests_finish(app: Running):
    async with client(app) as http, client(app) as other:

        async def under_way() -> bool:
            return (await other.get("/stats")).json()["in_use"] == 1

        with quiet(app):
            request = asyncio.create_task(http.get("/slow/1"))
            await eventually(under_way)
            app.signal()
            assert (await request).status_code == 200
