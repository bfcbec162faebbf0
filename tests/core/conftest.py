"""The core's tests run against a fake server, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from async_mysqlpool.testing.fake import FakeServer
from async_mysqlpool.testing.virtual import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# The machine draws few examples in the default run; the profile "soak" is for as long as somebody has time.
_COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "stateful_step_count": 30}
settings.register_profile("default", max_examples=60, database=None, report_multiple_bugs=False, **_COMMON)
settings.register_profile("soak", max_examples=5_000, **_COMMON)
settings.load_profile("default")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], VirtualTimeLoop]]:
    """Every async test in this folder gets a loop whose clock jumps."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server; the test fails if the pool broke the protocol on any of its connections."""
    server = FakeServer()
    yield server
    assert server.violations == []
