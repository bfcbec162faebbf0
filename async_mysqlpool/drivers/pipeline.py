"""Several commands in one write, their replies read behind the driver's back, with asyncio's public means only.

A driver reads through a protocol that is attached to its transport. While replies are due that the driver does not
know of, another protocol takes its place: it eats exactly those packets, puts the driver's own protocol back, and
hands it whatever came after them. The driver's reading is never touched, and the next command of a borrower can
be written before the replies are in.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from async_mysqlpool.drivers.base import COM_QUIT, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER = 4  # three bytes of length, one of sequence number


class CommandFailedError(Exception):
    """The server answered a pipelined command with an error: `args` are its number and text."""


class Replies(asyncio.Protocol):
    """Eats one OK or ERR packet for each command, then gives the transport back to the driver.

    `done` is set with None, or with the first error. Nobody has to wait for it.
    """

    def __init__(self, transport: asyncio.Transport, count: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.server_status = 0
        self._transport = transport
        self._protocol = transport.get_protocol()
        self._left = count
        self._buffer = b""
        self._error: Exception | None = None

    def data_received(self, data: bytes) -> None:
        """Take complete packets off the front; what is left after the last one is the driver's."""
        buffer = self._buffer + data
        start = 0
        while self._left and len(buffer) - start >= _HEADER:
            end = start + _HEADER + int.from_bytes(buffer[start : start + 3], "little")
            if len(buffer) < end:
                break
            self._packet(buffer[start + _HEADER : end])
            self._left -= 1
            start = end
        self._buffer = buffer[start:]
        if not self._left:
            self._finish(self._error)
            if self._buffer:
                _feed(self._protocol, self._buffer)

    def _packet(self, payload: bytes) -> None:
        if payload[:1] == b"\x00":
            self.server_status = _ok_status(payload)
        elif self._error is None:
            number = int.from_bytes(payload[1:3], "little") if payload[:1] == b"\xff" else 2027
            text = payload[3:].decode("utf-8", "replace") if payload[:1] == b"\xff" else "malformed packet"
            self._error = CommandFailedError(number, text)

    def _finish(self, error: Exception | None) -> None:
        self._transport.set_protocol(self._protocol)
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
                self.done.exception()  # it is no mistake if nobody waits for it

    def eof_received(self) -> bool | None:
        """The server hung up: the driver shall learn of it in its own way."""
        self._finish(ConnectionResetError("the server closed the connection"))
        return cast("asyncio.Protocol", self._protocol).eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """As above."""
        self._finish(exc or ConnectionResetError("the connection was lost"))
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Flow control is the driver's business."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """As above."""
        self._protocol.resume_writing()


def send(transport: asyncio.Transport, commands: Sequence[Command]) -> Replies:
    """Write all commands at once and have their replies read in the background."""
    replies = Replies(transport, len(commands))
    transport.set_protocol(replies)
    transport.write(b"".join(map(_packet, commands)))
    return replies


async def say_goodbye(transport: asyncio.Transport) -> None:
    """COM_QUIT, then wait until the server has hung up: only then has it one connection less."""
    if transport.is_closing():
        return
    hung_up = asyncio.get_running_loop().create_future()
    try:
        transport.set_protocol(_Goodbye(hung_up))
        transport.write(_packet(Command(COM_QUIT)))
        await hung_up
    finally:
        transport.abort()


def abort(transport: asyncio.Transport) -> None:
    """Close the socket at once."""
    # "Event loop is closed", from a finalizer after asyncio.run: the transport's own finalizer closes the socket.
    with contextlib.suppress(RuntimeError):
        transport.abort()


class _Goodbye(asyncio.Protocol):
    """Nobody listens any more; only the end matters."""

    def __init__(self, hung_up: asyncio.Future[None]) -> None:
        self._hung_up = hung_up

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self._hung_up.done():
            self._hung_up.set_result(None)


def _packet(command: Command) -> bytes:
    return (len(command.payload) + 1).to_bytes(3, "little") + bytes((0, command.code)) + command.payload


def _ok_status(payload: bytes) -> int:
    """The status flags of an OK packet: they follow two length-encoded integers."""
    position = 1
    for _ in range(2):
        position += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(payload[position], 1)
    return int.from_bytes(payload[position : position + 2], "little")


def _feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    if not isinstance(protocol, asyncio.BufferedProtocol):
        cast("asyncio.Protocol", protocol).data_received(data)
        return
    while data:
        room = memoryview(protocol.get_buffer(len(data)))
        taken = min(len(room), len(data))
        room[:taken] = data[:taken]
        protocol.buffer_updated(taken)
        data = data[taken:]
