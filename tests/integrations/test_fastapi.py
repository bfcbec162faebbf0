"""FastAPI under uvicorn: when a connection goes back, and who shares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from running import abort_while_blocked, at_rest, client, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from running import Running

    from async_mysqlpool import ConnectionPool

pytestmark = pytest.mark.server


@pytest.fixture
def app(serve: Callable[..., Running]) -> Running:
    return serve("tests/integrations/apps", "fastapi_app:app")


async def test_a_connection_is_back_before_the_stream_and_the_background_task(app: Running):
    with quiet(app):
        async with client(app) as http:
            answer = await http.get("/early")
        assert answer.text.startswith("0 in use, <PooledConnection released")
        assert app.wait_for(r"background: (\d) in use") == "0"


async def test_a_connection_asked_for_with_request_scope_lasts_as_long_as_the_stream(app: Running):
    with quiet(app):
        async with client(app) as http:
            lines = (await http.get("/held/3/0")).text.split()
        assert len(lines) == 3
        assert len(set(lines)) == 1


async def test_a_connection_with_request_scope_is_stopped_with_its_stream(
    app: Running, database: ConnectionPool, locked_row: None
):
    with quiet(app):
        await abort_while_blocked(app, "/held/1/1000", database)
        await at_rest(app, database)


async def test_all_who_ask_for_a_connection_in_one_request_get_the_same_one(serve: Callable[..., Running]):
    app = serve("tests/integrations/apps", "fastapi_app:app", POOL_SIZE="1")
    with quiet(app):
        async with client(app) as http:
            first, second = (await http.get("/shared")).json()
        assert first == second


async def test_what_a_dependency_borrows_names_the_endpoint(app: Running):
    async with client(app) as http:
        answer = (await http.get("/whose")).json()
    assert answer["sites"] == answer["here"] * 2


async def test_a_commit_that_fails_is_an_error_and_no_false_success(app: Running):
    async with client(app) as http:
        assert (await http.post("/doomed")).status_code == 500
    async with client(app) as http:  # uvicorn hangs up after an exception
        assert (await http.get("/slow/0")).status_code == 200
