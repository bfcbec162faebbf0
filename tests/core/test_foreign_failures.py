"""Whatever foreign code does when the pool calls it, capacity adds up afterwards.

Foreign code: observers, the text of a `site`, log filters, the driver, hooks, password functions. The next case is one
line of `FOREIGN`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from support import borrow, check_whole, make_pool, start, ticks, value

from async_mysqlpool import PoolError
from async_mysqlpool.testing.fake import FakeError


class Failing:
    """Raises `error` at calls of it while `armed`, the first ones excepted; otherwise does what it stands for."""

    def __init__(self, error, instead_of=lambda *_, **__: None):
        self.error, self.instead_of, self.armed, self.calls, self.passing = error, instead_of, False, 0, 0

    def arm(self, passing):
        """From now on, but for the first `passing` calls."""
        self.armed, self.passing = True, passing

    def __call__(self, *args, **kwargs):
        self.passing -= self.armed
        if self.armed and self.passing < 0:
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
            method = getattr(pool.driver, name)
            if name == "abort":  # a socket that stays open is not what this is about
                setattr(pool.driver, name, lambda raw: (method(raw), failing()))
                return
            failing.instead_of = method
            setattr(pool.driver, name, failing)

        patches.append(patch)

    return install


def wire_method(name):
    def install(failing, options, patches):
        def patch(pool):
            listen = pool.driver.listen

            def listen_and_fail(*args):
                wire = listen(*args)
                method = getattr(wire, name)

                def call(*args, **kwargs):
                    failing()
                    return method(*args, **kwargs)

                setattr(wire, name, call)
                return wire

            pool.driver.listen = listen_and_fail

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


def answer(name, value):
    def install(failing, options, patches):
        failing.instead_of = lambda: value
        options[name] = failing

    return install


def hook(name):
    def install(failing, options, patches):
        async def call(conn):
            await value(conn, "SELECT 1")
            failing()

        options[name] = call

    return install


FOREIGN = {
    "observer": observer,
    "site": site,
    "log filter": log_filter,
    **{name: answer(name, said) for name, said in {"host": "h", "port": 1, "user": "u", "password": "p"}.items()},
    **{name: hook(name) for name in ("on_connect", "on_acquire", "on_release")},
    **{
        f"driver.{name}": driver_method(name)
        for name in (
            "abort", "close", "connect", "connection_id", "encode", "encoding", "error_number", "execute", "has_unread",
            "is_dead", "is_heard", "listen", "local_port", "new_cursor", "peer", "ping", "restore", "snapshot",
            "socket",
        )
    },
    **{f"wire.{name}": wire_method(name) for name in ("send", "flush")},
}  # fmt: skip
ERRORS = {
    "an exception": ZeroDivisionError,
    "a cancellation": asyncio.CancelledError,
    "a lost connection": partial(FakeError, 2013),
}
INJECTED = (ZeroDivisionError, asyncio.CancelledError, FakeError, PoolError)


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
    try:
        await conn.begin()
    finally:
        conn.close()
    async with pool.acquire(timeout=3, **how) as conn:
        conn.discard()
    async with pool.transaction() as conn:
        await value(conn, "SELECT 1")
    with suppress(FakeError):
        await pool.execute("SELECT wrong")
    await asyncio.wait([start(borrow(pool, 0.1, timeout=3, **how)) for _ in range(5)])  # whose resets are held back
    victim = start(pool.fetch_value("SELECT SLEEP(1000)"))
    await asyncio.sleep(0.5)
    victim.cancel()
    await asyncio.wait([victim])
    await pool.check()
    pool.expire()


def pool_that_meets(server, name, error, **more):
    """A pool, what will fail in it, and what its borrowers say."""
    failing, options, patches = Failing(ERRORS[error]), {}, []
    FOREIGN[name](failing, options, patches)
    how = {"site": options.pop("site")} if "site" in options else {}
    server.answer("wrong", error=1064)
    pool = make_pool(
        server, max_size=2, min_size=1, validate_after=0.1, keepalive=2.3, socket_timeout=5, **options, **more
    )
    for patch in patches:
        patch(pool)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of tasks that met it
    return pool, failing, how


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", FOREIGN)
async def test_capacity_adds_up_whatever_fails(server, name, error):
    with own_filters():
        pool, failing, how = pool_that_meets(server, name, error)
        async with pool:
            for passing in (0, 0, 1, 3, 6, 12):
                failing.arm(passing)
                # What is injected may come out of the call that met it; nothing else may happen.
                with suppress(*INJECTED):
                    await borrow_in_all_ways(pool, **how)
                failing.armed = False
                await asyncio.sleep(10)
                await check_whole(pool, server)
            assert failing.calls


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", FOREIGN)
async def test_a_pool_is_closed_whatever_fails(server, name, error):
    """With a borrower that is in time, one that is cut off in a statement, and an idle connection."""
    with own_filters():
        pool, failing, how = pool_that_meets(server, name, error, connect_timeout=3)
        await pool.open()
        await asyncio.wait([start(borrow(pool, 0.1)) for _ in range(2)])
        holders = [start(pool.fetch_value("SELECT SLEEP(1000)")), start(borrow(pool, 0.2, **how))]
        await ticks(20)
        failing.arm(0)
        with suppress(*INJECTED):
            await pool.close(timeout=1)
        failing.armed = False
        with suppress(*INJECTED):
            await pool.close(timeout=1)
        await asyncio.wait(holders)
        await asyncio.sleep(5)
        assert pool.closed
        assert pool.size == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
