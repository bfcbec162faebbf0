"""The user's functions that the pool's own tasks call with a connection: `on_connect` and `on_release`.

Each has the connection to itself, for `connect_timeout` seconds. The third, `on_acquire`, runs in the borrower's
task and stands in `hooked.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from async_mysqlpool.connection.opening import is_to_end
from async_mysqlpool.errors import ConnectError
from async_mysqlpool.lease.connection import PooledConnection
from async_mysqlpool.lease.held import end
from async_mysqlpool.remedies import awaitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from async_mysqlpool.capacity.journal import Journal
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.lease.held import Owner

__all__ = ["ask_on_release", "run_on_connect"]

T = TypeVar("T")


class Lender(Protocol):
    """What is known of the pool here; `flow.py` says what each of these is."""

    driver: Driver
    config: PoolConfig
    journal: Journal

    def unfit(self, entry: Entry) -> str | None: ...


async def run_on_connect(lender: Lender, entry: Entry) -> None:
    """The hook, if there is one.

    Raises:
        ConnectError: it failed, or left the connection in the middle of something.
    """
    hook = lender.config.on_connect
    if hook is None:
        return
    try:
        await _call(lender, entry, hook, "on_connect")
    except (Exception, asyncio.CancelledError) as exc:
        if is_to_end(exc):
            raise
        raise ConnectError(f"on_connect failed: {exc!r}") from exc
    if entry.under_way or lender.driver.has_unread(entry.raw):
        raise ConnectError("on_connect left a result unread or a statement unfinished")


async def ask_on_release(lender: Lender, entry: Entry) -> str | None:
    """Why a connection that came back is not to be used again; None if `on_release` keeps it, or there is none."""
    hook = lender.config.on_release
    if hook is None:
        return None
    try:
        keep = await _call(lender, entry, hook, "on_release")
    except (Exception, asyncio.CancelledError) as exc:
        if is_to_end(exc):
            raise
        lender.journal.hook_failed("on_release", entry, exc)
        return "on_release"
    return "on_release" if keep is False else lender.unfit(entry)


async def _call(lender: Lender, entry: Entry, hook: Callable[[Any], Awaitable[T]], name: str) -> T:
    """Its answer. Afterwards it cannot use the connection any more."""
    lease = PooledConnection(cast("Owner", lender), entry)
    try:
        async with asyncio.timeout(lender.config.connect_timeout):
            return cast("T", await awaitable(hook(lease), name))
    finally:
        end(lease)
