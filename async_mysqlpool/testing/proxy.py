"""A fault proxy: the network between a pool and a server on a bad day.

It runs in the event loop of the test, listens on a port of its own and carries bytes to the server and back; until it
is told to do something worse. A link is one connection of a client's with the one to the server that belongs to it.

    async with Proxy(server) as proxy, ConnectionPool(server.dsn(), host=proxy.host, port=proxy.port) as pool:
        proxy.freeze()   # cables pulled: no bytes, and nobody is told
        proxy.thaw()     # what was held back arrives
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from .local import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["Address", "Links", "Passage", "Proxy"]

Links: TypeAlias = Literal["all", "open", "new"]
Then: TypeAlias = Literal["freeze", "cut", "half-close"]

_CHUNK = 65536
_TICK = 0.1  # seconds between the portions of a slow link
_FLIPPED = bytes(255 - byte for byte in range(256))
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST instead of FIN


class Address(Protocol):
    """Where the proxy leads to; each `Server` is one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """What a link does to the bytes it carries. `stop` and `garble` count the server's bytes from when they are set."""

    frozen: bool = False
    delay: float = 0.0
    rate: float | None = None
    garble: int | None = None
    stop: int | None = None
    then: Then = "freeze"


_NONE = _Fault()


class Passage:
    """What becomes of a link's bytes on their way: nothing. A subclass may know what they mean."""

    def to_server(self, data: bytes) -> bytes:
        """What goes on of what the client said; it may hold something back until there is more."""
        return data

    def to_client(self, data: bytes) -> bytes:
        """What goes on of what the server said; it may hold something back until there is more."""
        return data


class Proxy:
    """Carries connections to one server; `async with` runs it.

    Each fault replaces the one before, on the links it is meant for: those that are ``"open"`` now, those that are
    ``"new"`` from now on, or ``"all"`` of both.

    Args:
        server: where to; anything with `host` and `port`.
        host: the address to listen on; each of 127.0.0.0/8 is this machine.
        port: the port to listen on; None chooses one.

    Attributes:
        attempts: connections that clients made to it so far.
        reached: those of them that came through to the server.
        peak: most connections there were at once.
        sent: bytes that were carried to the server; `received`: those that came back from it.
        commands: the command byte of every packet that a client sent, as far as it was in the clear.
    """

    def __init__(self, server: Address, *, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.host = host
        self.port = free_port() if port is None else port
        self.attempts = self.reached = self.peak = self.sent = self.received = 0
        self.commands: list[int] = []
        self._server = server
        self._listener: asyncio.Server | None = None
        self._fault = _NONE
        self._links: dict[_Link, None] = {}  # in the order in which they were opened
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """Links that there are now."""
        return len(self._links)

    # -- faults ---------------------------------------------------------------------------------------------------

    def cut(self, count: int | None = None) -> None:
        """Reset open links on both sides, as a firewall does that lost its tables.

        Args:
            count: how many, those that have been open for longest first; None: all of them.
        """
        for link in list(self._links)[:count]:
            link.cut()

    def half_close(self) -> None:
        """Tell the client of every open link that the server will send no more; what the client sends still arrives."""
        for link in list(self._links):
            link.half_close()

    def freeze(self, links: Links = "all") -> None:
        """Hold back every byte, either way, and the news that a side hung up. Nothing is lost, nobody is told."""
        self._set(links, _Fault(frozen=True))

    def slow(self, delay: float = 0.0, rate: float | None = None, links: Links = "all") -> None:
        """Carry everything, but slowly.

        Args:
            delay: seconds before each chunk, either way.
            rate: bytes per second, each way; None for no limit.
            links: which ones.
        """
        self._set(links, _Fault(delay=delay, rate=rate))

    def garble(self, after: int = 0, links: Links = "all") -> None:
        """Flip every bit that the server sends, from its byte number `after` on."""
        self._set(links, _Fault(garble=after))

    def stop(self, after: int = 0, then: Then = "freeze", links: Links = "all") -> None:
        """Let `after` more bytes of the server's through; what comes then is half a reply, mostly.

        Args:
            after: how many, on each link.
            then: freeze, cut or half-close that link.
            links: which ones.
        """
        self._set(links, _Fault(stop=after, then=then))

    def thaw(self) -> None:
        """No fault any more, on no link, open or new; what was held back arrives, in order."""
        self._set("all", _NONE)

    def refuse(self) -> None:
        """Nobody listens any more: new connections are refused, open links stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def accept(self) -> None:
        """Listen again, on the same port."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._connected, self.host, self.port)

    def _set(self, links: Links, fault: _Fault) -> None:
        if links != "open":
            self._fault = fault
        if links != "new":
            for link in self._links:
                link.set(fault)

    # -- carrying -------------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._registered(writer) as link, contextlib.suppress(OSError, asyncio.CancelledError):
            await link.thawed.wait()  # a link that begins frozen does not even reach the server
            far_reader, far_writer = await asyncio.open_connection(self._server.host, self._server.port)
            link.add(far_writer)
            self.reached += 1
            passage = self._passage()
            await _until_one_ends(
                self._to_server(link, passage, reader, far_writer), self._to_client(link, passage, far_reader, writer)
            )

    @contextlib.contextmanager
    def _registered(self, writer: asyncio.StreamWriter) -> Generator[_Link]:
        task = asyncio.current_task()
        if task is not None:
            task.set_name("proxy")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        link = _Link(writer, self._fault)
        self._links[link] = None
        self.attempts += 1
        self.peak = max(self.peak, len(self._links))
        try:
            yield link
        finally:
            self._links.pop(link, None)
            link.close()

    def _passage(self) -> Passage:
        """For a new link."""
        return Passage()

    async def _to_server(
        self, link: _Link, passage: Passage, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        unread = b""
        async for data in link.read(source):
            unread = self._note_commands(unread + data)
            passed = passage.to_server(data)
            self.sent += len(passed)
            target.write(passed)
            await target.drain()

    async def _to_client(
        self, link: _Link, passage: Passage, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        async for data in link.read(source):
            for piece in link.spoil(passage.to_client(data)):
                await link.thawed.wait()
                if not link.half_closed:
                    self.received += len(piece)
                    target.write(piece)
                    await target.drain()

    def _note_commands(self, data: bytes) -> bytes:
        """Note complete packets with number 0; what is left begins another one."""
        while len(data) > 4 and len(data) >= (end := 4 + int.from_bytes(data[:3], "little")):
            if data[3] == 0:
                self.commands.append(data[4])
            data = data[end:]
        return data


class _Link:
    """One connection of a client's, and the one to the server once there is one."""

    def __init__(self, near: asyncio.StreamWriter, fault: _Fault) -> None:
        self.thawed = asyncio.Event()
        self.half_closed = False
        self._near = near
        self._writers: list[asyncio.StreamWriter] = []
        self.add(near)
        self.set(fault)

    def add(self, writer: asyncio.StreamWriter) -> None:
        """One of its ends. Draining it waits until the system has all bytes, so that closing it loses none."""
        writer.transport.set_write_buffer_limits(0)
        self._writers.append(writer)

    def set(self, fault: _Fault) -> None:
        """What happens to the bytes from now on."""
        self._fault = fault
        self._passed = 0
        if fault.frozen:
            self.thawed.clear()
        else:
            self.thawed.set()

    async def read(self, source: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """What one side says, when it may arrive; ends when it may be known that this side hung up."""
        while True:
            try:
                data = await source.read(_CHUNK)
            except ConnectionError:
                data = b""
            await self.thawed.wait()
            if not data:
                return
            rate = self._fault.rate
            size = _CHUNK if rate is None else max(1, int(rate * _TICK))
            for start in range(0, len(data), size):
                chunk = data[start : start + size]
                pause = self._fault.delay + (len(chunk) / rate if rate else 0)
                if pause:
                    await asyncio.sleep(pause)
                    await self.thawed.wait()
                yield chunk

    def spoil(self, data: bytes) -> Iterator[bytes]:
        """The server's bytes, in the pieces and the shape in which they shall arrive."""
        fault, start = self._fault, self._passed
        self._passed += len(data)
        if fault.garble is not None:
            intact = max(0, fault.garble - start)
            yield data[:intact] + data[intact:].translate(_FLIPPED)
        elif fault.stop is not None and self._passed >= fault.stop:
            room = max(0, fault.stop - start)
            yield data[:room]
            self._end(fault.then)
            yield data[room:]
        else:
            yield data

    def _end(self, then: Then) -> None:
        if then == "freeze":
            self.thawed.clear()
        elif then == "cut":
            self.cut()
        else:
            self.half_close()

    def half_close(self) -> None:
        """FIN to the client; what the server says from now on is dropped."""
        self.half_closed = True
        with contextlib.suppress(OSError):  # it is closed
            self._near.write_eof()

    def cut(self) -> None:
        """RST to both."""
        for writer in self._writers:
            with contextlib.suppress(OSError):  # it is closed
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Hang up on both."""
        for writer in self._writers:
            writer.transport.abort()


async def _until_one_ends(*ways: Coroutine[None, None, None]) -> None:
    """When either side hangs up, so do we."""
    tasks = {asyncio.create_task(way, name="proxy") for way in ways}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
