"""For all tests: the servers, each started once in each process, and how many processes run the tests at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from async_mysqlpool.testing import start_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from certificates import Authority

    from async_mysqlpool.events import Event
    from async_mysqlpool.testing import Server

sys.path.append(str(Path(__file__).parent / "server"))  # kit.py: a second look at the server, and patience

_OBSERVED: dict[str, object] = {"performance_schema": "ON", "lock_wait_timeout": 1, "innodb_lock_wait_timeout": 1}
# What comes after the flavor in a server's name. A plain server may be one that ASYNC_MYSQLPOOL_DSN names, so nobody
# stops it; one with options is always ours.
_OPTIONS: dict[str, dict[str, object]] = {
    "": {},
    "latin1": {"character_set_server": "latin1"},
    "broken": {"max_connections": 700},  # tests stop, kill and freeze it
    "tls": {},  # `authority` signs its certificate
    "plain": {"tls_version": ""},  # of MySQL; MariaDB has no certificate unless given one
    "observed": _OBSERVED,
    "odd": {  # what new sessions have is not what the server's variables say
        **_OBSERVED,
        "character_set_server": "latin1",
        "init_connect": "SET @@wait_timeout = 777, @of_server = 'init_connect'",
    },
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `pytest -n auto`. Most tests wait most of the time; each process has servers of its own, some 2 GB."""
    if any(name.startswith("ASYNC_MYSQLPOOL_DSN") for name in os.environ):
        return 0  # one server for all: two processes would see each other's connections
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**30
    return max(min(2 * (os.cpu_count() or 1), gigabytes // 3, 8), 1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of servers that are called "-tls"."""
    from certificates import Authority

    return Authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="session")
def servers(authority: Authority) -> Iterator[Callable[[str], Server]]:
    """A server by name ("mysql", "mysql-latin1", ...), started when first asked for, and ours until the end.

    Nobody else uses it while a test runs: every process of a run in parallel has its own.
    """
    from kit import on_demand

    def start(name: str) -> Server:
        flavor, _, variant = name.partition("-")
        options = _OPTIONS[variant]
        if variant == "tls":
            certificate, key = authority.certificate("127.0.0.1", "localhost")
            options = {"ssl_cert": certificate, "ssl_key": key, "ssl_ca": authority.file}
        return start_server(flavor, options=options)

    with on_demand(start) as get:
        yield get


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event, /) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def recorder() -> Recorder:
    """For `ConnectionPool(observers=[recorder])`."""
    return Recorder()
