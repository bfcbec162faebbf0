"""Whatever foreign code does when the pool calls it, capacity adds up afterwards.

Foreign code: observers, the text of a `site`, log filters, the driver, hooks, password functions. The next case is one
line of `FOREIGN`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress

import pytest
from support import check_whole, make_pool, value

from async_mysqlpool import PoolError


class Failing:
    """Raises `error` at every call of it while `armed`; otherwise does what it stands for."""

    def __init__(self, error, instead_of=lambda *_, **__: None):
        self.error, self.instead_of, self.armed, self.calls = error, instead_of, False, 0

    def __call__(self, *args, **kwargs):
        if self.armed:
            self.calls += 1
            raise self.error("injected")
        return self.instead_of(*args, **kwargs)


class Site:
    def __init__(self, failing):
        self.failing = failing

    def __str__(self):
        self.failing()
        return "somewhere"


class Observer:
    def __init__(self, failing):
        self.failing = failing

    def on_event(self, event):
        self.failing()


def driver_method(name):
    def install(failing, options, patches):
        def patch(pool):
            failing.instead_of = getattr(pool.driver, name)
            setattr(pool.driver, name, failing)

        patches.append(patch)

    return install


def observer(failing, options, patches):
    options["observers"] = [Observer(failing)]


def site(failing, options, patches):
    options["hold_warning"] = 0.5
    options["site"] = Site(failing)


def log_filter(failing, options, patches):
    options["hold_warning"] = 0.5

    def patch(pool):
        logging.getLogger("async_mysqlpool").addFilter(lambda record: failing() or True)

    patches.append(patch)


def password(failing, options, patches):
    failing.instead_of = lambda: "secret"
    options["password"] = failing


def hook(failing, options, patches):
    async def on_connect(conn):
        failing()

    options["on_connect"] = on_connect


FOREIGN = {
    "observer": observer,
    "site": site,
    "log filter": log_filter,
    "password": password,
    "on_connect": hook,
    **{
        f"driver.{name}": driver_method(name)
        for name in (
            "abort", "close", "connect", "connection_id", "encode", "has_unread", "is_dead", "is_heard", "listen",
            "local_port", "new_cursor", "ping", "restore", "snapshot",
        )
    },
}  # fmt: skip
ERRORS = [ZeroDivisionError, asyncio.CancelledError]


@contextmanager
def own_filters():
    logger = logging.getLogger("async_mysqlpool")
    before = list(logger.filters)
    try:
        yield
    finally:
        logger.filters[:] = before


async def borrow_in_all_ways(pool, **how):
    async with pool.acquire(timeout=3, **how) as conn:
        await value(conn, "SELECT 1")
        conn.thread_id()  # the driver's own, which may change anything
        await asyncio.sleep(6)  # longer than hold_warning, and than maintenance waits between two looks
    conn = await pool.acquire(timeout=3, **how)
    await conn.begin()
    conn.close()
    async with pool.acquire(timeout=3, **how) as conn:
        conn.discard()
    async with pool.transaction() as conn:
        await value(conn, "SELECT 1")
    await pool.check()
    pool.expire()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("name", FOREIGN)
async def test_capacity_adds_up_whatever_fails(server, name, error):
    failing, options, patches = Failing(error), {}, []
    FOREIGN[name](failing, options, patches)
    how = {"site": options.pop("site")} if "site" in options else {}
    with own_filters():
        async with make_pool(server, max_size=2, min_size=1, validate_after=0.1, **options) as pool:
            for patch in patches:
                patch(pool)
            for _ in range(3):
                failing.armed = True
                # What is injected may come out of the call that met it; nothing else may happen.
                with suppress(ZeroDivisionError, asyncio.CancelledError, PoolError):
                    await borrow_in_all_ways(pool, **how)
                failing.armed = False
                await asyncio.sleep(10)
                await check_whole(pool, server)
            assert failing.calls
