"""Examples that are web applications, under a real uvicorn, asked by a real HTTP client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = pytest.mark.server


def test_items_come_back(programs: Programs):
    with programs.web("fastapi_app:app") as client:
        created = client.post("/items", params={"name": "żółw 🐢"})
        assert created.status_code == 201
        assert client.get(f"/items/{created.json()['id']}").json() == {"name": "żółw 🐢"}
        assert client.get("/items/0").status_code == 404
        assert client.get("/health").json() == {"in_use": 0, "idle": 1, "waiting": 0, "max_size": 10}


def test_a_busy_database_is_a_503_that_says_when_to_come_back(programs: Programs):
    with programs.web("fastapi_app:app") as client, ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: client.get("/slow", params={"seconds": 2}), range(12)))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 503}
        assert codes.count(503) >= 2  # of 10 connections; more on a busy machine, which opens them late
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.headers["Retry-After"] == "1"
        assert client.get("/health").json()["in_use"] == 0


def test_a_client_that_hangs_up_costs_nothing(programs: Programs):
    with programs.web("fastapi_app:app") as client:
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                client.get("/slow", params={"seconds": 1}, timeout=0.2)
        created = client.post("/items", params={"name": "still here"})
        assert created.status_code == 201


def test_a_background_task_needs_the_pool(programs: Programs):
    with programs.web("fastapi_background_tasks:app") as client:
        assert [client.get("/counter").json() for _ in range(3)] == [0, 1, 2]


def test_a_background_task_cannot_use_the_requests_connection(programs: Programs):
    with programs.web("fastapi_background_tasks:app") as client:
        assert client.get("/wrong").status_code == 200
        (failure,) = client.get("/failures").json()
        assert failure.startswith("ConnectionReleasedError")
        assert "pass the pool" in failure
        assert client.get("/counter").json() == 0
