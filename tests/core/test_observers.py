"""Events, counters and log lines: each when and only when it is due."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

import pytest
from support import borrow, check_sum, make_pool, start, ticks

from async_mysqlpool import events
from async_mysqlpool.testing.fake import fail, slow


async def test_the_events_of_a_plain_life_in_order(server, recorder):  # SCENARIOS 173
    async with make_pool(server, observers=[recorder], name="shop", reset="none") as pool:
        server.connect.set(slow(0.5))
        await borrow(pool, 2)
        await asyncio.sleep(1)
    assert recorder.events == [
        events.ConnectionOpened("shop", 1, pytest.approx(0.5)),
        events.Acquired("shop", 1, pytest.approx(0.5)),
        events.Released("shop", 1, pytest.approx(2)),
        events.ConnectionClosed("shop", 1, "shutdown", pytest.approx(3.25, abs=0.3)),
    ]


async def test_every_event_is_frozen_and_names_its_pool():
    kinds = [getattr(events, name) for name in events.__all__ if dataclasses.is_dataclass(getattr(events, name))]
    assert len(kinds) >= 11
    for kind in kinds:
        assert kind.__dataclass_params__.frozen
        assert dataclasses.fields(kind)[0].name == "pool"


async def test_whoever_gets_none_is_told_of_with_the_error(server, recorder):
    async with make_pool(server, max_size=1, max_waiting=1, observers=[recorder], queue_timeout=1) as pool:
        holder = start(borrow(pool, 5))
        await asyncio.sleep(0.1)
        waiting, cancelled = start(borrow(pool)), None
        await ticks()
        refused = start(borrow(pool))
        await asyncio.gather(waiting, refused, return_exceptions=True)
        cancelled = start(borrow(pool))
        await ticks()
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        failed = recorder.of(events.AcquireFailed)
        assert [type(event.error).__name__ for event in failed] == [
            "QueueFullError", "AcquireTimeoutError", "CancelledError",
        ]  # fmt: skip
        assert [event.waited for event in failed] == [0, pytest.approx(1), 0]
        await holder


@pytest.mark.parametrize(
    ("reason", "provoke"),
    [
        ("discarded", lambda pool, server, conn: conn.discard()),
        ("expired", lambda pool, server, conn: (conn.close(), pool.expire())),
        ("broken", lambda pool, server, conn: (server.kill_all(), conn.discard() if False else conn.close())),
    ],
)
async def test_every_end_has_one_event_with_its_reason(server, recorder, reason, provoke):  # SCENARIOS 135
    async with make_pool(server, observers=[recorder], reset="none") as pool:
        conn = await pool.acquire()
        provoke(pool, server, conn)
        await asyncio.sleep(2)
        await borrow(pool)
    assert [event.reason for event in recorder.of(events.ConnectionClosed)] == [reason, "shutdown"]
    assert pool.stats().closed == {reason: 1, "shutdown": 1}


async def test_an_observer_that_fails_changes_nothing_and_is_logged(server, caplog, recorder):
    class Broken:
        def on_event(self, event):
            raise ZeroDivisionError

    async with make_pool(server, observers=[Broken(), recorder]) as pool:
        assert await borrow(pool) == 1
    assert len(recorder.of(events.Acquired)) == 1
    assert "an observer failed" in caplog.text


async def test_counters(server):  # SCENARIOS 176-179
    async with make_pool(server, max_size=1, queue_timeout=1) as pool:
        holder = start(borrow(pool, 3))
        await asyncio.sleep(0.5)
        late = start(borrow(pool))
        gone = start(borrow(pool))
        patient = start(borrow(pool, timeout=10))
        await asyncio.sleep(0.5)
        gone.cancel()
        await ticks()
        assert pool.stats().waiting == 2
        await asyncio.gather(holder, late, gone, patient, return_exceptions=True)
        stats = pool.stats()
        check_sum(stats)
        assert (stats.acquired, stats.timeouts, stats.cancelled, stats.opened) == (2, 1, 1, 1)
        assert stats.waited == 3  # those who did not get one at once, whatever came of it, but for the one who left
        assert stats.wait_time == pytest.approx(1 + 2.5, abs=0.01)


async def test_times_are_summed_up(server):
    server.connect.set(slow(0.5))
    async with make_pool(server, max_size=2) as pool:
        await asyncio.gather(borrow(pool, 2), borrow(pool, 3))
        holder = start(borrow(pool, 10))
        await asyncio.sleep(4)
        stats = pool.stats()
        assert (stats.acquired, stats.opened) == (3, 2)
        assert stats.connect_time == pytest.approx(1)
        assert stats.held_time == pytest.approx(5)  # of those who are done
        await holder
        assert pool.stats().held_time == pytest.approx(15)


async def test_an_outage_is_told_with_its_length_at_each_attempt(server, recorder):
    server.connect.next(fail(2003))
    pool = make_pool(server, min_size=1, observers=[recorder])
    await pool.open(timeout=10)
    assert recorder.of(events.ReconnectFailed) == []  # there was nothing yet that could be lost
    for _ in range(2):
        server.stop()
        await asyncio.sleep(100)
        told = recorder.of(events.ReconnectFailed)
        assert [event.attempts for event in told] == list(range(1, len(told) + 1))
        assert told[0].lasting == 0
        assert 90 < told[-1].lasting <= 100
        assert len(told) > 40  # somebody may want to give up after a minute, whatever the number of attempts
        server.start()
        await asyncio.sleep(10)
        assert pool.idle == 1
        recorder.events.clear()
    await pool.close()


async def test_as_long_as_other_connections_are_there_nothing_is_told_of_an_outage(server, recorder):
    async with make_pool(server, max_size=3, observers=[recorder]) as pool, pool.acquire():
        server.connect.set(fail(1040))
        waiting = start(borrow(pool, timeout=20))
        await asyncio.wait([waiting])
        assert len(recorder.of(events.ConnectFailed)) > 5
        assert recorder.of(events.ReconnectFailed) == []


async def test_gauges_while_connections_open_and_close(server):
    async with make_pool(server, max_size=3) as pool:
        server.connect.set(slow(1))
        server.close.set(slow(0.5))
        tasks = [start(borrow(pool, 1)) for _ in range(2)]
        await asyncio.sleep(0.5)
        assert (pool.stats().opening, pool.size, pool.waiting) == (2, 2, 2)
        await asyncio.sleep(1)
        assert (pool.stats().in_use, pool.waiting) == (2, 0)
        await asyncio.gather(*tasks)
        await ticks(10)
        pool.expire()
        await asyncio.sleep(0.1)
        assert (pool.stats().closing, pool.size) == (2, 2)
        await asyncio.sleep(1)
        assert pool.size == 0


async def test_normal_use_logs_nothing(server, caplog):  # SCENARIOS 184
    caplog.set_level(logging.DEBUG, logger="async_mysqlpool")
    async with make_pool(server, max_size=3, max_idle_time=5) as pool:
        await asyncio.gather(*(borrow(pool, 1) for _ in range(10)))
        await asyncio.sleep(60)
        await borrow(pool)
    assert [record for record in caplog.records if record.name == "async_mysqlpool"] == []


async def test_trouble_is_logged_once(server, caplog):
    caplog.set_level(logging.WARNING)
    server.connect.set(fail(2003, "no route"))
    async with make_pool(server) as pool:
        for _ in range(10):
            await asyncio.gather(borrow(pool), return_exceptions=True)
            await asyncio.sleep(5)
        server.connect.set(slow(0))
        await borrow(pool)
    assert caplog.text.count("no route") == 1
    assert caplog.text.count("the server is back") == 1


class Meter:
    """Wants the times of borrows, as numbers."""

    def __init__(self):
        self.told = []

    def on_event(self, event):
        self.told.append(type(event).__name__)

    def on_wait(self, seconds):
        self.told.append(("wait", seconds))

    def on_use(self, seconds):
        self.told.append(("use", seconds))


async def test_a_meter_is_given_numbers_instead_of_events(server, recorder):
    meter = Meter()
    server.connect.set(slow(0.5))
    async with make_pool(server, observers=[meter, recorder], reset="none") as pool:
        await borrow(pool, 2)
    assert meter.told == ["ConnectionOpened", ("wait", 0.5), ("use", 2), "ConnectionClosed"]
    assert len(recorder.of(events.Acquired)) == len(recorder.of(events.Released)) == 1


async def test_a_meter_that_fails_changes_nothing_and_is_logged(server, caplog):
    class Broken(Meter):
        def on_wait(self, seconds):
            raise ZeroDivisionError

        on_use = on_wait

    async with make_pool(server, observers=[Broken()]) as pool:
        assert await borrow(pool) == 1
        assert await borrow(pool) == 1
    assert caplog.text.count("an observer failed on a time") == 4
