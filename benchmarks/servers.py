"""A throwaway server with the tables of the workloads."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from contenders import Account
from workloads import SCHEMA

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing import start_server

if TYPE_CHECKING:
    from collections.abc import Generator


class Flavor(StrEnum):
    """Servers that can be started."""

    MARIADB = "mariadb"
    MYSQL = "mysql"


@contextmanager
def bench_server(flavor: Flavor, **options: object) -> Generator[tuple[Account, str]]:
    """Where it is, and its version."""
    with start_server(flavor.value, options=options) as server:
        account = Account(server.host, server.port, server.user, server.password, server.database)
        asyncio.run(_fill(account))
        yield account, server.version


async def _fill(account: Account) -> None:
    async with ConnectionPool(**vars(account), ssl=False) as pool:
        for statement in SCHEMA:
            await pool.execute(statement)
