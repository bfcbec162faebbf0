"""The core's tests run against a fake server, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from async_mysqlpool.testing.fake import FakeServer
from async_mysqlpool.testing.virtual import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], VirtualTimeLoop]]:
    """Every async test in this folder gets a loop whose clock jumps."""
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server; the test fails if the pool broke the protocol on any of its connections."""
    server = FakeServer()
    yield server
    assert server.violations == []
