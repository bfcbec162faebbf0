"""A TCP proxy in front of a server: a network that can be slow, silent or deaf."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

    from async_mysqlpool.testing import Server


class Proxy:
    """Forwards connections; `async with` runs it.

    Attributes:
        reachable: connections made while this is unset are accepted and hear nothing until it is set.
        commands: the command byte of everything that clients sent, as far as they sent it in the clear.
        attempts: connections so far; `greeted`: those that reached the server; `peak`: most of them waiting at once.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._deaf: set[asyncio.StreamWriter] = set()
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.commands: list[int] = []
        self.attempts = self.greeted = self.peak = 0

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        assert self._listener is not None
        return self._listener.sockets[0].getsockname()[1]

    def drop_silently(self) -> None:
        """From now on nothing gets through on the connections that are open, and nobody is told."""
        self._deaf |= self._writers

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.attempts += 1
        self.peak = max(self.peak, self.attempts - self.greeted)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._forward(reader, writer)
        writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.reachable.wait()
        far_reader, far_writer = await asyncio.open_connection(self._server.host, self._server.port)
        self.greeted += 1
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            # When either side hangs up, so do we.
            ways = (reader, far_writer, True), (far_reader, writer, False)
            copies = {asyncio.create_task(self._copy(*way), name="proxy") for way in ways}
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        finally:
            self._writers -= ends
            far_writer.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, listen: bool) -> None:
        unread = b""
        while data := await source.read(65536):
            if listen:
                unread = self._listen(unread + data)
            if target not in self._deaf:
                target.write(data)
                await target.drain()

    def _listen(self, data: bytes) -> bytes:
        """Note complete commands (their packet has number 0); what is left begins another packet."""
        while len(data) > 4 and len(data) >= (end := 4 + int.from_bytes(data[:3], "little")):
            if data[3] == 0:
                self.commands.append(data[4])
            data = data[end:]
        return data
