"""Anything may happen in any order: acquire, release, cancel, kill, freeze, resize, expire, close, time passing.

SCENARIOS 199. The model knows only who holds what; the pool must agree with it, and add up, at every step.
`pytest tests/core/test_state_machine.py --hypothesis-profile=soak` looks for longer.
"""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support import check_sum, check_whole, connection_id, make_pool, start, ticks, value

from async_mysqlpool import AcquireTimeoutError, ConnectError, PooledConnection, PoolError
from async_mysqlpool.lease.held import entry_of
from async_mysqlpool.testing.fake import NEVER, OK, FakeError, FakeServer, fail, slow
from async_mysqlpool.testing.virtual import VirtualTimeLoop

indexes = st.integers(0, 50)


async def speaks(conn: PooledConnection) -> None:
    await value(conn, "SELECT 1")


EXTRAS = {"on_acquire": speaks, "on_release": speaks, "max_uses": 2, "min_idle": 1, "keepalive": 3.3}


ALLOWED = (AcquireTimeoutError, ConnectError, FakeError, PoolError)  # the last two out of on_acquire


class PoolMachine(RuleBasedStateMachine):
    """The model: tasks that ask for a connection, and connections that are held."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.server = FakeServer()
        self.asking: list[asyncio.Task[PooledConnection]] = []
        self.held: list[PooledConnection] = []
        self.max_size = 0

    @initialize(
        max_size=st.integers(1, 4), min_size=st.integers(0, 2), pipelines=st.booleans(), reset=st.sampled_from(
            ["session", "rollback", "none"]
        ), pooling=st.booleans(), extras=st.sets(st.sampled_from(sorted(EXTRAS)))
    )  # fmt: skip
    def open(self, max_size, min_size, pipelines, reset, pooling, extras) -> None:
        self.max_size = max_size
        self.pool = make_pool(
            self.server, max_size=max_size, min_size=min(min_size, max_size), pipelines=pipelines, reset=reset,
            max_idle_time=20, max_lifetime=50, queue_timeout=30, connect_timeout=3, pooling=pooling,
            **{name: EXTRAS[name] for name in extras},
        )  # fmt: skip
        self.runner.run(self.pool.open())

    def run(self, steps: int = 3) -> None:
        self.runner.run(ticks(steps))

    @rule(timeout=st.sampled_from([0, 0.5, 5, 30]))
    def acquire(self, timeout) -> None:
        async def ask() -> PooledConnection:
            return await self.pool.acquire(timeout=timeout)

        async def go() -> None:
            self.asking.append(start(ask()))
            await ticks(2)

        self.runner.run(go())

    @precondition(lambda self: self.held)
    @rule(index=indexes, how=st.sampled_from(["close", "discard", "release", "forget"]))
    def give_back(self, index, how) -> None:
        conn = self.held.pop(index % len(self.held))

        async def go() -> None:
            if how == "forget":
                conn.close()
                conn.close()
            elif how == "release":
                self.pool.release(conn)
            else:
                getattr(conn, how)()
            await ticks(2)

        self.runner.run(go())

    @precondition(lambda self: self.held)
    @rule(
        index=indexes,
        sql=st.sampled_from(["SELECT 1", "BEGIN", "SET @x = 1", "USE elsewhere", "SELECT nothing FROM x"]),
    )
    def execute(self, index, sql) -> None:
        conn = self.held[index % len(self.held)]

        async def go() -> None:
            try:
                async with asyncio.timeout(2):
                    await conn.cursor().execute(sql)
            except TimeoutError:
                self.held.remove(conn)
                conn.close()
            except (FakeError, PoolError):
                pass

        self.runner.run(go())

    @precondition(lambda self: self.held)
    @rule(index=indexes, after=st.integers(0, 4))
    def cancel_a_statement_and_give_back(self, index, after) -> None:
        conn = self.held.pop(index % len(self.held))

        async def use() -> None:
            async with conn:
                await value(conn, "SELECT SLEEP(5)")

        async def go() -> None:
            task = start(use())
            await ticks(after)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            conn.close()  # the task may have been cancelled before it ran

        self.runner.run(go())

    @precondition(lambda self: self.asking)
    @rule(index=indexes)
    def cancel_one_who_asks(self, index) -> None:
        task = self.asking[index % len(self.asking)]
        if task.done():
            return
        task.cancel()
        self.run(2)

    @precondition(lambda self: self.server.sessions)
    @rule(index=indexes, quietly=st.booleans())
    def kill(self, index, quietly) -> None:
        sessions = sorted(self.server.sessions)
        self.server.kill(sessions[index % len(sessions)], quietly=quietly)
        self.run()

    @rule(
        gate=st.sampled_from(["connect", "ping", "execute", "reset", "close"]),
        mood=st.sampled_from([OK, OK, slow(0.2), slow(2), NEVER, fail(1105), fail(2013), fail(1040)]),
    )
    def weather(self, gate, mood) -> None:
        getattr(self.server, gate).open()
        getattr(self.server, gate).set(mood)
        self.run()

    @rule()
    def all_clear(self) -> None:
        for gate in self.server.gates:
            gate.open()
        self.server.start()
        self.run()

    @rule()
    def stop_server(self) -> None:
        self.server.stop()
        self.run()

    @rule(max_size=st.integers(1, 5))
    def resize(self, max_size) -> None:
        self.max_size = max_size
        self.runner.run(self.pool.resize(min_size=min(self.pool.min_size, max_size), max_size=max_size))
        self.run()

    @rule()
    def expire(self) -> None:
        async def go() -> None:
            self.pool.expire()
            await ticks(2)

        self.runner.run(go())

    @rule()
    def check(self) -> None:
        self.runner.run(self.pool.check())

    @rule(seconds=st.sampled_from([0.01, 0.3, 1, 4, 25, 100]))
    def time_passes(self, seconds) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @invariant()
    def everything_adds_up(self) -> None:
        if not self.max_size:
            return
        for task in [task for task in self.asking if task.done()]:
            self.asking.remove(task)
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                self.held.append(task.result())
            else:
                assert isinstance(error, ALLOWED), repr(error)
        stats = self.pool.stats()
        living = stats.idle + stats.in_use + stats.opening + stats.cleaning + stats.closing
        assert living == stats.size == self.pool.size, stats
        assert len({id(entry_of(conn)) for conn in self.held}) == len(self.held), "one connection has two holders"
        assert len(self.held) <= stats.in_use <= len(self.held) + len(self.asking), stats
        assert stats.waiting <= len(self.asking)
        assert self.server.violations == []

    def teardown(self) -> None:
        with self.runner:
            if self.max_size:
                self.all_clear()
                self.runner.run(self.finish())

    async def finish(self) -> None:
        for conn in self.held:
            conn.close()
        for task in self.asking:
            task.cancel()
        for result in await asyncio.gather(*self.asking, return_exceptions=True):
            if isinstance(result, PooledConnection):
                result.close()
        await asyncio.sleep(20)
        check_sum(self.pool.stats())
        if self.pool.stats().max_size and self.poolable():
            await check_whole(self.pool, self.server)
        else:
            async with self.pool.acquire(timeout=5) as conn:
                await connection_id(conn)
        await self.pool.close()
        assert self.server.sessions == {}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def poolable(self) -> bool:
        """Without pooling, connections do not stay to be counted."""
        return self.pool.min_size > 0 or self.pool.idle > 0


TestPool = PoolMachine.TestCase
