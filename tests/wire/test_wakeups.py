"""Tasks that wait for a connection or a reply: who goes on when, whatever else happens meanwhile."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from async_mysqlpool.wire.wakeups import Waiter, wakeups_of

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME")
BROKEN = ValueError("broken")


class Line:
    """Tasks that wait for one waiter each, and the order in which they went on."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.wakeups = wakeups_of(self.loop)
        self.order: list[object] = []
        self.waiters: list[Waiter] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def wait(self, count: int) -> None:
        for _ in range(count):
            waiter = Waiter(self.loop, self.wakeups)
            self.waiters.append(waiter)
            self.tasks.append(asyncio.create_task(self._wait(waiter)))
        await asyncio.sleep(0)

    async def _wait(self, waiter: Waiter) -> None:
        try:
            await waiter
        except BaseException as exc:
            self.order.append(exc)
            raise
        self.order.append(waiter.result())

    def while_reading(self, serve) -> None:
        """As the wire does when bytes have come."""
        first = self.wakeups.hold(self.loop)
        try:
            serve()
            self.order.append("read")
        finally:
            if first:
                self.wakeups.run()

    def serve(self) -> None:
        for number, waiter in enumerate(self.waiters):
            waiter.set_result(number)


@pytest.fixture
async def line():
    return Line()


async def test_who_is_served_while_bytes_are_read_goes_on_at_the_end_of_that(line):
    await line.wait(3)
    line.loop.call_soon(line.while_reading, line.serve)
    line.loop.call_soon(line.order.append, "next in the loop")
    await asyncio.gather(*line.tasks)
    assert line.order == ["read", 0, 1, 2, "next in the loop"]


async def test_tasks_do_not_go_on_within_another_ones_step(line):
    await line.wait(2)
    line.while_reading(line.serve)  # which this test's task does itself
    line.order.append("step")
    await asyncio.gather(*line.tasks)
    assert line.order == ["read", "step", 0, 1]


async def test_others_in_the_loop_have_their_turn_between_very_many(line):
    await line.wait(200)
    line.loop.call_soon(line.while_reading, line.serve)
    line.loop.call_soon(line.order.append, "next in the loop")
    await asyncio.gather(*line.tasks)
    assert line.order.index("next in the loop") < line.order.index(199)
    assert [number for number in line.order if isinstance(number, int)] == list(range(200))


async def test_who_is_served_because_of_that_goes_on_at_once_as_well(line):
    await line.wait(1)

    async def gives_on():
        await first
        line.waiters[0].set_result("given on")

    first = Waiter(line.loop, line.wakeups)
    giver = asyncio.create_task(gives_on())
    await asyncio.sleep(0)
    line.loop.call_soon(line.while_reading, lambda: first.set_result(None))
    line.loop.call_soon(line.order.append, "next in the loop")
    await asyncio.gather(giver, *line.tasks)
    assert line.order == ["read", "given on", "next in the loop"]


# What is done to the waiter and its task -> the outcome of the task, and whether the waiter counts as served.
ENDS = {
    "served": (lambda waiter, task: waiter.set_result(1), 1, True),
    "failed": (lambda waiter, task: waiter.set_exception(BROKEN), BROKEN, False),
    "cancelled": (lambda waiter, task: task.cancel("enough"), asyncio.CancelledError("enough"), False),
    "served, then cancelled": (
        lambda waiter, task: (waiter.set_result(1), task.cancel()),
        asyncio.CancelledError(),
        True,
    ),
    "failed, then cancelled": (
        lambda waiter, task: (waiter.set_exception(BROKEN), task.cancel()),
        asyncio.CancelledError(),
        False,
    ),
}


@pytest.mark.parametrize("reading", [False, True])
@pytest.mark.parametrize("how", ENDS)
async def test_the_ends_of_waiting(line, how, reading):
    end, expected, served = ENDS[how]
    await line.wait(1)
    waiter, task = line.waiters[0], line.tasks[0]
    if reading:
        line.loop.call_soon(line.while_reading, lambda: end(waiter, task))
    else:
        end(waiter, task)
    await asyncio.wait([task])
    assert repr(line.order[-1]) == repr(expected)
    assert (waiter.done(), waiter.served()) == (True, served)
    assert not waiter.cancel()


async def test_what_is_served_already_is_not_waited_for(line):
    waiter = Waiter(line.loop, line.wakeups)
    with pytest.raises(asyncio.InvalidStateError):
        waiter.result()
    waiter.set_result("there")
    await waiter
    assert waiter.result() == "there"


async def test_each_task_goes_on_in_its_own_context(line):
    async def named(name, waiter):
        NAME.set(name)
        await waiter
        line.order.append(NAME.get())

    line.waiters = [Waiter(line.loop, line.wakeups) for _ in range(2)]
    tasks = [asyncio.create_task(named(name, waiter)) for name, waiter in zip("ab", line.waiters, strict=True)]
    await asyncio.sleep(0)
    line.loop.call_soon(line.while_reading, line.serve)
    await asyncio.gather(*tasks)
    assert line.order == ["read", "a", "b"]


def test_a_keyboard_interrupt_in_one_task_leaves_the_others_to_go_on():
    loop, gone_on = asyncio.new_event_loop(), []
    waiters = [Waiter(loop, wakeups_of(loop)) for _ in range(3)]

    async def wait(number):
        await waiters[number]
        if number == 0:
            raise KeyboardInterrupt
        gone_on.append(number)

    tasks = [loop.create_task(wait(number)) for number in range(3)]

    async def serve():
        await asyncio.sleep(0)
        for waiter in waiters:
            waiter.set_result(None)
        await asyncio.wait(tasks)

    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(serve())
        loop.run_until_complete(asyncio.wait(tasks))
        assert isinstance(tasks[0].exception(), KeyboardInterrupt)
        assert gone_on == [1, 2]
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def test_a_waiter_of_another_loop_cannot_be_awaited(line):
    other = asyncio.new_event_loop()
    try:
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            await Waiter(other, wakeups_of(other))
    finally:
        other.close()
