"""What the pool advises about its size, on servers in theory: what they can do is a formula, so the best is known."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support import make_pool, others_hold, start

from async_mysqlpool.capacity.advice import EVERY, Advisor, Look
from async_mysqlpool.testing.fake import FakeServer

if TYPE_CHECKING:
    from async_mysqlpool.capacity.advice import Suggestion

ROUNDS = 40  # suggestions that are followed, one after the other


@dataclass(frozen=True)
class Theory:
    """A server: `cpus` share work of `cpu` seconds, `lock` seconds go one after the other, `sleep` disturbs nobody."""

    cpus: int = 64
    cpu: float = 0.0
    lock: float = 0.0
    sleep: float = 0.0
    crosstalk: float = 0.0

    def rate(self, size: int) -> float:
        cpu = self.cpu * (1 + self.crosstalk * (size - 1))
        limits = [size / (cpu + self.lock + self.sleep)]
        limits += [self.cpus / cpu] if cpu else []
        limits += [1 / self.lock] if self.lock else []
        return min(limits)


class Service:
    """So many borrows a second are wanted of a pool on such a server; `held` is how much longer than a statement."""

    def __init__(self, server: Theory, wanted: float, size: int, held: float = 1.0, seed: int = 1) -> None:
        self.server, self.wanted, self.size, self.held = server, wanted, size, held
        self.advisor, self._clock, self._acquired = Advisor(), 0.0, 0.0
        self._chance = random.Random(seed)

    def minute(self, full: bool = False) -> Suggestion | None:
        able = self.server.rate(self.size) / self.held
        short = self.wanted > 0.95 * able
        rate = min(self.wanted, able)
        out = rate / self.server.rate(1) * self.held  # connections on the mean, where none is in another's way
        for _ in range(13):
            noise = self._chance.uniform(0.97, 1.03)
            in_use = self.size if short else min(self.size, self._by_chance(out))
            busy = round(in_use / self.held)
            waiting = 20 if short else 0
            self.advisor.note(Look(self._clock, self.size, self.size, in_use, busy, waiting, int(self._acquired), full))
            self._clock += EVERY
            self._acquired += rate * EVERY * noise
        return self.advisor.suggestion

    def _by_chance(self, mean: float) -> int:
        """What a look finds, if connections come and go at random: Poisson's law."""
        count, product = 0, self._chance.random()
        while product > math.exp(-mean):
            count, product = count + 1, product * self._chance.random()
        return count

    def follow(self) -> int:
        """Resize as advised, minute after minute, until the advice is what there is; the size then."""
        for _ in range(ROUNDS):
            said = self.minute()
            assert said is not None
            assert said.because
            if said.size == self.size:
                return self.size
            self.size = said.size
        raise AssertionError(f"no end: {self.size}, {self.advisor.suggestion}")


ENDLESS = 1e9
# A server, the borrows a second that are wanted, and the sizes that are as good as any.
CASES = {
    "CPU-bound, 4 CPUs": (Theory(cpus=4, cpu=0.01), ENDLESS, (4, 6)),
    "CPU-bound, 16 CPUs": (Theory(cpus=16, cpu=0.01), ENDLESS, (14, 22)),
    "CPU-bound, CPUs in each other's way": (Theory(cpus=8, cpu=0.01, crosstalk=0.02), ENDLESS, (6, 10)),
    "all behind one lock": (Theory(lock=0.01), ENDLESS, (1, 2)),
    "a lock for a quarter of it": (Theory(cpu=0.03, lock=0.01), ENDLESS, (3, 6)),
    "I/O, more than is wanted": (Theory(sleep=0.02), 2000, (42, 80)),
    "I/O, and a light load": (Theory(sleep=0.02), 200, (5, 14)),
    "CPU-bound, and a light load": (Theory(cpus=4, cpu=0.01), 200, (3, 9)),
}


@pytest.mark.parametrize("began", [1, 4, 10, 64])
@pytest.mark.parametrize("name", CASES)
def test_who_follows_the_advice_ends_at_a_good_size(name: str, began: int):
    server, wanted, (low, high) = CASES[name]
    for seed in range(20):
        assert low <= Service(server, wanted, began, seed=seed).follow() <= high


def test_it_stays_there():
    service = Service(Theory(cpus=4, cpu=0.01), ENDLESS, 10)
    size = service.follow()
    assert {service.minute().size for _ in range(20)} == {size}


def test_connections_that_are_held_without_need_are_no_reason_for_more():
    said = Service(Theory(sleep=0.01), ENDLESS, 10, held=4.0).minute()
    assert said is not None
    assert said.size == 10
    assert "without a statement under way for 80% of the time" in said.because


def test_a_server_that_became_slow_is_not_crowded():
    service = Service(Theory(sleep=0.01), 100, 4)
    for _ in range(15):
        service.minute()
    service.server = Theory(sleep=0.12)
    service.minute()
    said = service.minute()
    assert said is not None
    assert (said.size, "look at the server" in said.because) == (4, True)


@pytest.mark.parametrize("seed", range(50))
def test_a_minute_of_a_light_load_is_too_little_to_tell_a_crowd(seed: int):
    service = Service(Theory(sleep=0.02), 60, 4, seed=seed)
    service.minute()
    service.wanted = 300.0
    service.minute()
    said = service.minute()
    assert said is not None
    assert said.size == 6


def test_a_server_that_is_full_is_asked_for_no_more():
    service = Service(Theory(sleep=0.02), ENDLESS, 10)
    service.minute(full=True)
    said = service.minute()
    assert said is not None
    assert (said.size, "1040" in said.because) == (10, True)


def test_nothing_is_said_before_there_is_something_to_go_by():
    advisor = Advisor()
    assert advisor.suggestion is None
    for number in range(12):
        advisor.note(Look(number * EVERY, 10, 1, 1, 1, 0, number, False))
    assert advisor.suggestion is None


def test_a_pool_that_nobody_uses_gets_no_advice():
    assert Service(Theory(sleep=0.01), 0.0, 10).minute() is None


async def test_the_pool_says_so_in_its_stats():
    async with make_pool(FakeServer(), max_size=2) as pool, others_hold(pool, 2):
        assert pool.stats().suggested_size is None
        waiters = [start(pool.fetch_value("SELECT 1")) for _ in range(3)]
        await asyncio.sleep(120)
        stats = pool.stats()
        assert stats.suggested_size is None  # nothing was borrowed
        assert stats.suggested_because == ""
        for waiter in waiters:
            waiter.cancel()
        await asyncio.wait(waiters)


@pytest.mark.parametrize(
    ("sql", "held", "size", "said"),
    [
        ("SELECT SLEEP(1)", 0.0, 3, "nothing says that the server is crowded"),
        ("SELECT 1", 1.0, 2, "give them back sooner"),
    ],
)
async def test_the_pool_sees_whether_statements_are_under_way(sql: str, held: float, size: int, said: str):
    async def work() -> None:
        while True:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(sql)
                await asyncio.sleep(held)

    async with make_pool(FakeServer(), max_size=2, queue_timeout=None) as pool:
        tasks = [start(work()) for _ in range(8)]
        await asyncio.sleep(130.5)
        stats = pool.stats()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert stats.suggested_size == size, stats.suggested_because
    assert said in stats.suggested_because


async def test_a_pool_that_is_large_enough_says_so():
    async with make_pool(FakeServer(), max_size=20) as pool:
        for _ in range(120):
            async with pool.acquire():
                await asyncio.sleep(1)
        stats = pool.stats()
    assert stats.suggested_size == 2
    assert stats.suggested_because.startswith("at most 1 of 20 were in use in ")
