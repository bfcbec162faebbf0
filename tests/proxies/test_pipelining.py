"""Not everything between a pool and a server understands pipelined commands: no borrow may fail of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from between import BORROWS, RESETS, crowd
from lab import ALL, DRIVERS, EACH_DRIVER

from async_mysqlpool.testing.mysql_proxy import Drops, MySQLProxy, Persona, Stalls, Swaps

if TYPE_CHECKING:
    from between import Servers

    from async_mysqlpool.testing import Server

FEW = 24  # borrows that are enough to see what is sent
EACH_RESET = pytest.mark.parametrize("reset", RESETS)
BAD = {"swaps": Swaps(), "drops": Drops(), "stalls": Stalls()}
EACH_BAD = pytest.mark.parametrize("persona", BAD.values(), ids=BAD)


def told(warnings: Any) -> list[str]:
    """What the pool warned of, but for what its borrowers left open."""
    return [text for text in warnings() if "left open" not in text]


class Counts(Persona):
    """Carries everything. Counts the segments of several commands, and those that end in a borrower's first one."""

    def __init__(self) -> None:
        self.pipelined = self.of_borrowers = 0

    def pass_on(self, commands, link):
        self.pipelined += len(commands) > 1
        self.of_borrowers += len(commands) > 1 and b"@dirty" in commands[-1]
        return commands


@EACH_DRIVER
@EACH_RESET
async def test_behind_real_programs(relay: Server, driver: str, reset: str, pool_at: Any):
    async with pool_at(relay, driver, reset=reset) as pool:
        assert await crowd(pool, reset) == {"ok": BORROWS}


@ALL
@EACH_RESET
@EACH_BAD
async def test_behind_bad_ones(
    servers: Servers,
    driver: str,
    flavor: str,
    reset: str,
    persona: Persona,
    pool_at: Any,
    warnings: Any,
):
    server, options = servers(flavor), {"reset": reset, "validation_timeout": 0.2}
    async with MySQLProxy(server, persona) as proxy, pool_at(server, driver, proxy, **options) as pool:
        assert await crowd(pool, reset) == {"ok": BORROWS}
    assert len(told(warnings)) == 1


@EACH_DRIVER
@EACH_RESET
@pytest.mark.parametrize("pipelining", [None, True])
async def test_used_where_it_works(
    servers: Servers, driver: str, reset: str, pipelining: bool | None, pool_at: Any, warnings: Any
):
    server, counts = servers("mariadb"), Counts()
    async with (
        MySQLProxy(server, counts) as proxy,
        pool_at(server, driver, proxy, reset=reset, pipelining=pipelining) as pool,
    ):
        assert await crowd(pool, reset, FEW) == {"ok": FEW}
    assert counts.of_borrowers > 0
    assert told(warnings) == []


@ALL
@EACH_RESET
async def test_told_not_to_nothing_is_pipelined(servers: Servers, driver: str, flavor: str, reset: str, pool_at: Any):
    server, counts = servers(flavor), Counts()
    async with (
        MySQLProxy(server, counts) as proxy,
        pool_at(server, driver, proxy, reset=reset, pipelining=False) as pool,
    ):
        assert await crowd(pool, reset, FEW) == {"ok": FEW}
    assert counts.pipelined == 0


@EACH_RESET
async def test_told_to_it_is_used_even_where_it_fails(servers: Servers, reset: str, pool_at: Any):
    server = servers("mysql")
    async with (
        MySQLProxy(server, Swaps()) as proxy,
        pool_at(server, DRIVERS[0], proxy, reset=reset, pipelining=True) as pool,
    ):
        assert (await crowd(pool, reset))["ok"] < BORROWS


@ALL
async def test_two_servers_behind_one_name(driver: str, flavor: str, servers: Servers, pool_at: Any):
    """What was proved for one server says nothing of another."""
