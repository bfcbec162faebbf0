"""What is compared: the pools of the drivers, and ours over the same drivers. All are used in the same way."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from async_mysqlpool import ConfigurationError, ConnectionPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from async_mysqlpool.testing import Server

DRIVERS = ("asyncmy", "aiomysql")
RESETS = ("none", "auto", "rollback", "session")  # those that this version has are measured


class Contender(NamedTuple):
    """A pool with an `acquire()` for `async with`, and what it is."""

    label: str
    pool: Any


@asynccontextmanager
async def contenders(
    driver: str, dsn: str, size: int, resets: Iterable[str] = RESETS
) -> AsyncIterator[list[Contender]]:
    """The driver's own pool first, then ours with each kind of reset; all full of open connections."""
    own = await own_pool(driver, dsn, size)
    ours = [(reset, ConnectionPool(dsn, driver=driver, min_size=size, max_size=size, reset=reset, ssl=False,
                                   queue_timeout=None, name=f"{driver} {reset}"))
            for reset in resets if known(reset)]  # fmt: skip
    for _, pool in ours:
        await pool.open()
    try:
        yield [Contender("its own pool", own), *(Contender(f"ours, reset={reset!r}", pool) for reset, pool in ours)]
    finally:
        for _, pool in ours:
            await pool.close()
        own.close()
        await own.wait_closed()


async def own_pool(driver: str, dsn: str, size: int) -> Any:
    """What the driver itself brings."""
    url = urlsplit(dsn)
    return await importlib.import_module(driver).create_pool(
        host=url.hostname,
        port=url.port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        db=url.path.lstrip("/"),
        autocommit=True,
        minsize=size,
        maxsize=size,
    )


def known(reset: Any) -> bool:
    """Whether this version of the pool has this kind of reset."""
    try:
        ConnectionPool(reset=reset)
    except ConfigurationError:
        return False
    return True


def arguments(description: str, **defaults: Any) -> argparse.Namespace:
    """Options that both benchmarks have, and those given: a default of a list takes many values."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--server", choices=["mariadb", "mysql"], default=None, help="which one to start")
    parser.add_argument("--drivers", nargs="+", choices=DRIVERS, default=list(DRIVERS))
    for name, value in defaults.items():
        many = isinstance(value, list)
        parser.add_argument(
            f"--{name}", type=type(value[0] if many else value), nargs="+" if many else None, default=value
        )
    return parser.parse_args()


def machine(server: Server) -> str:
    """Where the figures come from."""
    drivers = ", ".join(f"{name} {version(name)}" for name in DRIVERS)
    name = {"mariadb": "MariaDB", "mysql": "MySQL"}[server.flavor]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{name} {server.version}, {drivers}, async_mysqlpool {version('async-mysqlpool')}"
    )


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """As markdown, aligned for the eye as well."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for line in (head, rule, *lines[1:]):
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        print(f"| {' | '.join(cells)} |")
    sys.stdout.flush()
