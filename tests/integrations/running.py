"""Programs that run, clients that go away, and waiting for what must become true."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from async_mysqlpool import ConnectionPool

ROOT = Path(__file__).parents[2]
A_HANG = 60.0  # seconds after which something is taken to hang, on the busiest machine


@dataclass
class Running:
    """A program of ours that runs; `url` when it serves HTTP."""

    process: subprocess.Popen[bytes]
    output: Path
    asked_to_stop: bool = False

    @property
    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, pattern: str) -> str:
        """The first group of `pattern` in the output, as soon as it is there."""
        deadline = time.monotonic() + A_HANG
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.log):
                return found[1] if found.groups() else found[0]
            assert self.process.poll() is None, f"it ended before it said {pattern!r}:\n{self.log}"
            time.sleep(0.02)
        raise AssertionError(f"it never said {pattern!r}:\n{self.log}")

    @property
    def url(self) -> str:
        return self.wait_for(r"(?i:running on) (http://127\.0\.0\.1:\d+)")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop."""
        self.asked_to_stop = True
        self.process.send_signal(number)

    def stop(self) -> int:
        """Have it end, if nobody has asked it before, and wait for that; the exit status."""
        if not self.asked_to_stop and self.process.poll() is None:
            self.signal()
        try:
            return self.process.wait(A_HANG)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it does not end:\n{self.log}") from None


async def abort(url: str, path: str, after: float) -> None:
    """Ask for `path` and go away after that many seconds: a reset, as from a client that was killed."""
    address = httpx.URL(url)
    _, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(after)
    finally:
        writer.transport.abort()


async def eventually(check: Callable[[], Awaitable[bool]], what: Callable[[], str] = str) -> None:
    """Wait until `check` holds."""
    try:
        async with asyncio.timeout(A_HANG):
            while not await check():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"this never came true {what()}") from None


@contextmanager
def quiet(program: Running) -> Iterator[None]:
    """The program writes no traceback and no ResourceWarning meanwhile, and ends cleanly afterwards."""
    yield
    assert program.stop() in {0, -signal.SIGTERM}, program.log
    assert "Traceback" not in program.log, program.log
    assert "ResourceWarning" not in program.log, program.log


def client(app: Running) -> httpx.AsyncClient:
    """An HTTP client of the application that gives up only when something hangs."""
    return httpx.AsyncClient(base_url=app.url, timeout=A_HANG)


async def statements(database: ConnectionPool) -> int:
    """How many statements of the application the server is working on."""
    return await database.fetch_value(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE %s AND id <> CONNECTION_ID()",
        ("%of the application%",),
    )


async def abort_while_blocked(app: Running, path: str, database: ConnectionPool) -> None:
    """Five clients ask for what waits for a lock, and go away while the server waits."""

    async def all_wait() -> bool:
        return await statements(database) == 5

    clients = [asyncio.create_task(abort(app.url, path, A_HANG)) for _ in range(5)]
    await eventually(all_wait)
    for one in clients:
        one.cancel()
    await asyncio.wait(clients)


async def at_rest(app: Running, database: ConnectionPool) -> None:
    """Nothing is borrowed, nobody waits, and the server runs no statement of the application."""
    last: dict[str, object] = {}

    async def resting() -> bool:
        async with client(app) as http:
            last.update((await http.get("/stats")).json())
        last["running"] = await statements(database)
        return (last["in_use"], last["waiting"], last["running"]) == (0, 0, 0)

    await eventually(resting, lambda: f"{last}\n{app.log}")
