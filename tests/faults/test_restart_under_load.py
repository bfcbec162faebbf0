"""The server goes away and comes back while a hundred tasks use ten connections."""

from __future__ import annotations

import asyncio

import pytest
from lab import ALL, DRIVERS, FLAVORS, SOME, ask, outcomes, settled

from async_mysqlpool import AcquireTimeoutError, PoolError, ServerUnavailableError

TASKS = 100
ENDINGS = ["stop", "kill"]  # politely, as in an upgrade, and as in a crash: each for each driver and each server


@pytest.fixture
def load():
    """A hundred tasks that ask, each for tokens of its own, until they are told to stop; what became of it all."""
    return Load()


class Load:
    def __init__(self):
        self.going = True
        self.served = 0
        self.errors = []
        self.wrong = []

    async def run(self, pool):
        await asyncio.gather(*(self._ask_on(pool, number) for number in range(TASKS)))

    async def _ask_on(self, pool, number):
        token = number
        while self.going:
            token += TASKS
            try:
                await ask(pool, token)
            except AssertionError as error:
                self.wrong.append(error)
            except Exception as error:
                self.errors.append(error)
                await asyncio.sleep(0.02)  # as an application answers 503 and gets the next request
            else:
                self.served += 1

    async def serves(self, more=3 * TASKS):
        """That many more were served."""
        goal = self.served + more
        async with asyncio.timeout(60):
            while self.served < goal:
                await asyncio.sleep(0.01)


@ALL
async def test_server_restarted_under_load(admin, driver, flavor, load, pools, proxy, server, whole):
    ending = ENDINGS[(DRIVERS.index(driver) + FLAVORS.index(flavor)) % 2]
    pool = await pools(max_size=10, queue_timeout=20)
    running = asyncio.create_task(load.run(pool))
    await load.serves()
    await asyncio.to_thread(getattr(server, ending))
    assert load.wrong == []
    await asyncio.sleep(0.2)  # down
    await asyncio.to_thread(server.start)
    admin.reconnect()
    await load.serves()
    load.going = False
    await running
    assert load.wrong == []
    # Whoever was not served was told why: by the driver in the middle of a statement, or by the pool at once.
    told = [error for error in load.errors if isinstance(error, PoolError)]
    assert {type(error) for error in told} <= {ServerUnavailableError}, load.errors
    await whole(pool)


@SOME
async def test_all_connections_cut_under_load(load, pools, proxy, whole):
    """Ten resets in a row by the network: each costs a statement for each connection, and a new one."""
    pool = await pools(max_size=10, queue_timeout=30)
    running = asyncio.create_task(load.run(pool))
    for _ in range(10):
        await load.serves(TASKS)
        proxy.cut()
    await load.serves()
    load.going = False
    await running
    assert load.wrong == []
    assert not [error for error in load.errors if isinstance(error, PoolError)]  # a connect that was cut is made again
    assert len(load.errors) <= 10 * pool.max_size
    assert proxy.attempts <= 12 * pool.max_size  # each was replaced once, and a connect may be cut as well
    await whole(pool)


@SOME
async def test_attempts_are_paced_while_the_server_is_down(pools, proxy, server, whole):
    """A thousand who want a connection make no storm: `max_connecting` attempts for each step of the backoff."""
    pool = await pools(max_size=50, max_connecting=4, queue_timeout=30)
    server.kill()
    before = proxy.attempts
    async with asyncio.timeout(60):
        ended = await outcomes([ask(pool, number) for number in range(1000)])
    assert ended["ok"] == 0
    assert sum(ended.values()) == 1000
    # All of them were told by the first attempts to fail, not each by its own.
    assert proxy.attempts - before <= 3 * 4
    for _ in range(5):
        await outcomes([ask(pool, number) for number in range(50)])
    # The pause grows: 50, 100, 200 ... ms, so the rounds take longer, not more attempts.
    assert proxy.attempts - before <= 8 * 4
    await asyncio.to_thread(server.start)
    await until_it_answers(pool)
    await whole(pool)


async def until_it_answers(pool):
    async with asyncio.timeout(60):
        while (await outcomes([ask(pool, 1)]))["ok"] == 0:
            await asyncio.sleep(0.02)


@SOME
async def test_waiters_learn_the_cause_at_once(pools, server):
    """Not after the thirty seconds that they were ready to wait."""
    pool = await pools(max_size=2, queue_timeout=600)
    server.kill()
    errors = await asyncio.gather(*(ask(pool, number) for number in range(50)), return_exceptions=True)
    told = [error for error in errors if isinstance(error, PoolError)]
    assert len(told) >= len(errors) - pool.max_size  # the others had a connection and did not know
    assert {type(error) for error in told} == {ServerUnavailableError}
    assert all(str(error).startswith("cannot connect as") and error.__cause__ for error in told)


@SOME
async def test_waiters_are_served_when_it_is_back_before_their_deadline(pools, proxy, server, admin):
    """A silent network is no refusal: who waits goes on waiting, and is served when it is over."""
    pool = await pools(max_size=5, queue_timeout=60, connect_timeout=30)
    await only_silence(pool, proxy)
    asking = [asyncio.create_task(ask(pool, number)) for number in range(50)]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in asking)
    proxy.thaw()
    assert await outcomes(asking) == {"ok": 50}


@SOME
async def test_waiters_time_out_with_the_cause(pools, proxy):
    pool = await pools(max_size=1, queue_timeout=0.3, connect_timeout=30)
    await only_silence(pool, proxy)
    with pytest.raises(AcquireTimeoutError) as caught:
        await ask(pool, 1)
    assert caught.value.phase in {"connecting", "queueing"}


async def only_silence(pool, proxy):
    """No connection is left, and who wants to open one hears nothing."""
    proxy.freeze("new")
    pool.expire()
    assert (await settled(pool, lambda stats: stats.idle + stats.closing == 0)).idle == 0
