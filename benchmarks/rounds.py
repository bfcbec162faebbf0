"""One round: tasks that borrow, work and return, until it is over."""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from jobs import Outcome, outcome
from workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Generator

    from jobs import Job
    from pools import Opened
    from workloads import Work

_EMPTY_BORROWS = 100  # between two looks at the clock


class Round:
    """What the tasks of a round share: whether it is over, and how long each request took until its rows were there."""

    def __init__(self) -> None:
        self.over = False
        self.latencies: list[float] = []
        self.under_way: dict[int, float] = {}
        self._awaited = 0
        self._reached = asyncio.Event()

    def done(self, number: int, seconds: float) -> None:
        self.under_way[number] = 0.0
        self.latencies.append(seconds)
        if len(self.latencies) == self._awaited:
            self._reached.set()

    def fail(self) -> None:
        """Nobody waits for borrows that do not come."""
        self.over = True
        self._reached.set()

    async def reach(self, borrows: int) -> None:
        """From now on, so many."""
        self.latencies.clear()
        self._awaited = borrows
        self._reached.clear()
        await self._reached.wait()


async def one_round(opened: Opened, job: Job) -> Outcome:
    """Tasks that queue, from the moment that all of them do."""
    if job.workload == "nothing":
        return await _empty_borrows(opened.pool, job)
    current = Round()
    work = opened.work(WORKLOADS[job.workload])
    tasks = min(job.tasks, opened.most_tasks)
    clients = [asyncio.create_task(_client(current, n, opened.pool, work, job.pause)) for n in range(tasks)]
    await (current.reach(job.before) if job.before else asyncio.sleep(0))
    with _garbage_left_alone():
        current.latencies.clear()
        began, cpu = perf_counter(), process_time()
        await (current.reach(job.borrows) if job.borrows else asyncio.sleep(job.seconds))
        current.over = True
        ended, cpu = perf_counter(), process_time() - cpu
    done, waiting = current.latencies[:], [ended - since for since in current.under_way.values() if since]
    await asyncio.gather(*clients)  # nobody is cancelled, which would cost connections: who waits gets one, and leaves
    return outcome(ended - began, cpu, done, waiting)


async def _client(current: Round, number: int, pool: Any, work: Work, pause: float) -> None:
    try:
        while not current.over:
            if pause:
                await asyncio.sleep(pause)
            current.under_way[number] = started = perf_counter()
            async with pool.acquire() as connection:
                if current.over:
                    break
                await work(connection)
                current.done(number, perf_counter() - started)
    except BaseException:
        current.fail()
        raise


async def _empty_borrows(pool: Any, job: Job) -> Outcome:
    """One task that borrows and returns, and nothing else."""
    times: list[float] = []
    with _garbage_left_alone():
        began, cpu = perf_counter(), process_time()
        ended = began
        while len(times) * _EMPTY_BORROWS < job.borrows if job.borrows else ended - began < job.seconds:
            for _ in range(_EMPTY_BORROWS):
                async with pool.acquire():
                    pass
            now = perf_counter()
            times.append((now - ended) / _EMPTY_BORROWS)
            ended = now
        cpu = process_time() - cpu
    result = outcome(ended - began, cpu, times)
    return Outcome(len(times) * _EMPTY_BORROWS, result.seconds, result.cpu, result.p50, result.p99)


@contextmanager
def _garbage_left_alone() -> Generator[None]:
    """Looking through a hundred thousand tasks that wait is not what a borrow costs."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def warmed_up(opened: Opened, size: int) -> None:
    """Every connection is used once, all at the same time: nobody measures the ping of one that was idle for long."""
    all_out = asyncio.Barrier(size)
    work = opened.work(WORKLOADS["one"])

    async def touch() -> None:
        async with opened.pool.acquire() as connection:
            await work(connection)
            await all_out.wait()

    await asyncio.gather(*(touch() for _ in range(size)))
