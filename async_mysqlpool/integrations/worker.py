"""A service without HTTP: a coroutine with a pool, told by a signal to end, and given the time to.

async def consume(pool: ConnectionPool, shutdown: Shutdown) -> None:
    while not shutdown.requested:
        if not await take_one_job(pool):
            await shutdown.sleep(1.0)

asyncio.run(run_worker(consume, pool))
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from async_mysqlpool.integrations.pools import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from async_mysqlpool import ConnectionPool

__all__ = ["Shutdown", "run_worker"]

_POLITE_CLOSE = 1.0  # seconds at least, for the connections' goodbye


class Shutdown:
    """Tells the service that it shall take no more work."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether to take no more work."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask the service to end, as the first signal does."""
        self._event.set()

    async def wait(self) -> None:
        """Return when there shall be no more work."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep; when there shall be no more work, no longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


async def run_worker(
    service: Callable[[ConnectionPool, Shutdown], Awaitable[None]],
    pool: ConnectionPool,
    *,
    open_timeout: float | None = 30.0,
    drain_timeout: float = 30.0,
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> None:
    """Open the pool, run ``service(pool, shutdown)`` until it returns, close the pool.

    The first signal requests the shutdown. A service that has not returned `drain_timeout` seconds later is cancelled,
    as it is by the second signal; its transactions are rolled back. Call it in the main thread, where signals arrive.

    Args:
        service: takes no more work once ``shutdown.requested``, finishes what it has, and returns.
        pool: not open yet.
        open_timeout: seconds to go on trying while the server cannot be reached; None: the first failure is raised.
        drain_timeout: seconds that the work under way has after the signal.
        signals: which ones end the service.

    Raises:
        ConnectError: the pool could not be opened.
        Exception: whatever the service raises.
    """
    loop = asyncio.get_running_loop()
    shutdown = Shutdown()
    deadline = asyncio.timeout(None)
    serving = False

    def stop() -> None:
        grace = drain_timeout if serving and not shutdown.requested else 0.0
        shutdown.request()
        with suppress(RuntimeError):  # the service has ended, or is being cancelled
            deadline.reschedule(loop.time() + grace)

    with _handled(signals, stop):
        try:
            async with deadline:
                await pool.open(timeout=open_timeout)
                serving = True
                await service(pool, shutdown)
        except TimeoutError:
            if not deadline.expired():
                raise
            logger.warning(
                "%s: the service was cancelled, it had not ended in time after the signal",
                pool.name,
                extra={"pool": pool.name, "event": "service_cancelled"},
            )
        finally:
            ends = deadline.when()
            left = drain_timeout if ends is None else ends - loop.time()
            await pool.close(timeout=max(left, _POLITE_CLOSE))


@contextmanager
def _handled(signals: Sequence[signal.Signals], stop: Callable[[], None]) -> Generator[None, None, None]:
    loop = asyncio.get_running_loop()
    try:
        for number in signals:
            # Windows has none of this: there Ctrl-C cancels the main task, which ends the service and closes the pool.
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, stop)
        yield
    finally:
        for number in signals:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
