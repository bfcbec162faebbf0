"""What looks like production, where a load of our own would be felt by others."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from async_mysqlpool import TransactionError
from async_mysqlpool.cli.check.server import Questions, ask_server
from async_mysqlpool.cli.output import Exit, console
from async_mysqlpool.drivers.base import READ_ONLY_TRANSACTION
from async_mysqlpool.lease.held import entry_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool import ConnectionPool, PooledConnection
    from async_mysqlpool.config import PoolConfig

__all__ = ["Surroundings", "look_around", "reasons_to_ask", "refuse_unless", "room_for", "run_once"]

_NAMES = re.compile(r"(^|[^a-z])(prod|production|live|master|primary)([^a-z]|$)", re.IGNORECASE)
_BUSY = 5.0  # statements per second that are not ours
_WATCHED = 1.0  # seconds
_OURS = 4  # statements of our own while we watch
_SHARE = 0.5  # of the connections that are free


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the load would be put.

    Attributes:
        others: clients that are connected besides us.
        busy: their statements per second.
        writes: which of the statements to run is refused in a transaction that only reads, in the server's view.
        free: connections that the server has left for this account.
    """

    local: bool
    host: str
    database: str | None
    others: int
    busy: float
    writes: str | None
    free: int


def reasons_to_ask(where: Surroundings) -> list[str]:
    """Why somebody has to say that this may be done."""
    found: list[str] = []
    if not where.local:
        found.append(f"the server is not on this machine but at {where.host}")
    if where.others > 0:
        found.append(f"{where.others} other clients are connected to it")
    if where.busy > _BUSY:
        found.append(f"it runs {where.busy:,.0f} statements a second for others")
    if _NAMES.search(where.host) or _NAMES.search(where.database or ""):
        found.append("its name, or that of the database, says production")
    if where.writes is not None:
        found.append(f"this statement writes, and would run thousands of times: {where.writes}")
    return found


def refuse_unless(yes: bool, where: Surroundings) -> None:
    """Say why, and end, unless it was said that this may be done.

    Raises:
        typer.Exit: with `Exit.REFUSED`.
    """
    reasons = reasons_to_ask(where)
    if yes or not reasons:
        return
    err = console(stderr=True)
    err.print("[bold yellow]this may be production:[/]")
    for reason in reasons:
        err.print(f"  - {reason}", soft_wrap=True, markup=False)
    err.print("this puts as much load on the server as it takes; if that is all right, say --yes")
    raise typer.Exit(Exit.REFUSED)


def room_for(where: Surroundings, wanted: int) -> int:
    """The largest size to try: never more than half of the connections that are free."""
    return max(1, min(wanted, int(where.free * _SHARE)))


async def look_around(pool: ConnectionPool, config: PoolConfig, statements: Sequence[str]) -> Surroundings:
    """Each statement runs once, so that a mistake in it is found now.

    Raises:
        Exception: of the driver's, for a statement that fails.
    """
    about = await ask_server(pool, config)
    writes = None
    for sql in statements:
        writes = writes or (sql if await _writes(pool, sql) else None)
    async with pool.acquire() as connection:
        busy = await _busy(Questions(pool.driver, entry_of(connection).raw))
    allowed = min(about.max_connections, about.max_user_connections or about.max_connections)
    others = about.connected - pool.size
    return Surroundings(about.local, config.address, config.database, others, busy, writes, allowed - others)


async def _writes(pool: ConnectionPool, sql: str) -> bool:
    """Whether the server refuses it in a transaction that only reads; it runs and is undone."""
    try:
        async with pool.transaction(read_only=True) as connection:
            await run_once(connection, sql)
    except TransactionError:
        return True
    except Exception as error:
        if pool.driver.error_number(error) != READ_ONLY_TRANSACTION:
            raise
        return True
    return False


async def run_once(connection: PooledConnection, sql: str) -> None:
    """Run a statement and fetch its rows, if it has any."""
    async with connection.cursor() as cursor:
        await cursor.execute(sql)
        if cursor.description:
            await cursor.fetchall()


async def _busy(ask: Questions) -> float:
    before = int((await ask.named("SHOW GLOBAL STATUS", ("Questions",)))["Questions"])
    await asyncio.sleep(_WATCHED)
    after = int((await ask.named("SHOW GLOBAL STATUS", ("Questions",)))["Questions"])
    return max(0.0, after - before - _OURS) / _WATCHED
