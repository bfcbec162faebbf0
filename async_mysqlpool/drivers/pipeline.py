"""Several commands in one write, their replies read behind the driver's back, with asyncio's public means only.

A driver reads through a protocol that is attached to its transport. While replies are due that the driver does not
know of, another protocol takes its place: it eats exactly those packets, puts the driver's own protocol back, and
hands it whatever came after them. The driver's reading is never touched, and the next command of a borrower can
be written before the replies are in. A corked write goes further: it waits for that next command, two ticks of the
loop at most, so that both travel together.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool.drivers.base import COM_QUERY, COM_QUIT, Command, CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CommandFailedError", "Pipeline", "abort", "encode", "say_goodbye"]

_HEADER = 4  # three bytes of length, one of sequence number
_BUFFER = 4096  # an OK packet has some ten bytes
_SHORTEST_OK = 7  # two integers of one byte each, two bytes of flags and of warnings each
_WIDTHS = {b"\xfc": 3, b"\xfd": 4, b"\xfe": 9}  # of length-encoded integers that start so; all others have one byte


class Pipeline(asyncio.BufferedProtocol):
    """The way past a driver for one connection.

    Args:
        holder: the object that holds what the driver writes to,
        output: and the name of that attribute.
        transport: the connection's transport.
        set_status: is told the status flags of the last OK packet.
    """

    def __init__(
        self, holder: Any, output: str, transport: asyncio.Transport, set_status: Callable[[int], None]
    ) -> None:
        self._transport = transport
        self._set_status = set_status
        self._cork = _Cork(holder, output)
        self.flush = self._cork.pull
        self._protocol: asyncio.BaseProtocol = transport.get_protocol()
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = 0  # of the free part of the buffer; before it lies a packet that is not complete
        self._left = 0
        self._ok = b""  # the last OK packet, which the next one nearly always equals, and the status flags in it
        self._status = 0
        self._error: Exception | None = None
        self._on_done: list[Callable[[Exception | None], None]] = []

    @property
    def busy(self) -> bool:
        """Whether replies are still due."""
        return self._left > 0

    def send(self, data: bytes, count: int, on_done: Callable[[Exception | None], None], cork: bool = False) -> None:
        """Write encoded commands, which the server answers with `count` OK or ERR packets.

        Args:
            data: from `encode`.
            count: how many commands.
            on_done: called once, when all replies that are due are in, with the first error. After an error the
                transport is closed, so that the driver cannot take what follows for good.
            cork: wait for the driver's next write, or for `flush`.
        """
        if self._left:
            self._cork.pull()
        self._left += count
        self._on_done.append(on_done)
        self._transport.set_protocol(self)
        if cork:
            self._cork.put(data)
        else:
            self._transport.write(data)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._buffer[self._start :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take complete packets off the front; what is left after the last one is the driver's."""
        data = bytes(self._buffer[: self._start + nbytes])
        while self._left:
            if self._ok and data.startswith(self._ok):
                end = len(self._ok)
            else:
                end = _HEADER + int.from_bytes(data[:3], "little")
                if len(data) < end:
                    self._start = len(data)
                    self._buffer[: self._start] = data
                    return
                self._read(data[:end])
            self._left -= 1
            data = data[end:]
        self._start = 0
        self._finish()
        if data and self._error is None:
            _feed(self._protocol, data)

    def _read(self, packet: bytes) -> None:
        payload = packet[_HEADER:]
        if payload[:1] == b"\0" and len(payload) >= _SHORTEST_OK:
            self._ok, self._status = packet, _ok_status(payload)
        elif self._error is None:
            self._error = _error(payload)

    def _finish(self) -> None:
        self._left = 0
        self._transport.set_protocol(self._protocol)
        if self._error is None:
            self._set_status(self._status)
        on_done, self._on_done = self._on_done, []
        for tell in on_done:
            tell(self._error)
        if self._error is not None:
            self._transport.abort()

    def eof_received(self) -> bool | None:
        """The server hung up: the driver shall learn of it in its own way."""
        self._error = self._error or ConnectionResetError("the server closed the connection")
        self._finish()
        return cast("asyncio.Protocol", self._protocol).eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """As above."""
        self._error = self._error or exc or ConnectionResetError("the connection was lost")
        self._finish()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Flow control is the driver's business."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """As above."""
        self._protocol.resume_writing()


class _Cork:
    """Stands in for the object that a driver writes to, until its first write: then what is held back goes first."""

    def __init__(self, holder: Any, output: str) -> None:
        self._holder = holder
        self._output = output
        self._target: Any = None
        self._held = b""

    def put(self, data: bytes) -> None:
        """Take the place of the driver's object, with `data` to go first."""
        self._held = data
        self._target = getattr(self._holder, self._output)
        self.is_closing = self._target.is_closing  # what drivers ask before they write
        setattr(self._holder, self._output, self)

    def pull(self) -> None:
        """Write what is held back, if it still is. The driver may have let go of its output since."""
        if getattr(self._holder, self._output) is not self:
            return
        if self._target.is_closing():  # nobody is there to read it; some loops raise on a write
            self._held = b""
        self.write(b"")

    def write(self, data: bytes) -> None:
        """Both in one go; the driver has its own object back."""
        setattr(self._holder, self._output, self._target)
        held, self._held = self._held, b""  # a driver may go on with this object for the rest of a large packet
        if held or data:
            self._target.write(held + data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


async def say_goodbye(transport: asyncio.Transport) -> None:
    """COM_QUIT, then wait until the server has hung up: only then has it one connection less."""
    if transport.is_closing():
        return
    hung_up = asyncio.get_running_loop().create_future()
    try:
        transport.set_protocol(_Goodbye(hung_up))
        transport.write(encode([Command(COM_QUIT)]))
        await hung_up
    finally:
        transport.abort()


def abort(transport: asyncio.Transport) -> None:
    """Close the socket at once."""
    try:
        transport.abort()
    except RuntimeError:  # "Event loop is closed", after asyncio.run: nobody does what this would schedule
        with (
            contextlib.suppress(Exception),  # uvloop has closed the socket with itself
            socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as same,
        ):
            same.shutdown(socket.SHUT_RDWR)


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


def encode(commands: Sequence[Command], query_prefix: bytes = b"") -> bytes:
    """The packets of several commands, each starting a sequence of its own."""
    packets: list[bytes] = []
    for code, payload in commands:
        body = bytes((code,)) + (query_prefix if code == COM_QUERY else b"") + payload
        packets.append(len(body).to_bytes(3, "little") + b"\0" + body)
    return b"".join(packets)


def _error(payload: bytes) -> CommandFailedError:
    """The number and the text of an ERR packet, without the SQLSTATE between them."""
    if payload[:1] != b"\xff":
        return CommandFailedError(2027, f"neither an OK nor an ERR packet: {payload[:20]!r}")
    text = payload[9:] if payload[3:4] == b"#" else payload[3:]
    return CommandFailedError(int.from_bytes(payload[1:3], "little"), text.decode("utf-8", "replace"))


def _ok_status(payload: bytes) -> int:
    """The status flags of an OK packet: they follow two length-encoded integers."""
    position = 1
    position += _WIDTHS.get(payload[position : position + 1], 1)
    position += _WIDTHS.get(payload[position : position + 1], 1)
    return int.from_bytes(payload[position : position + 2], "little")


def _feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    if not isinstance(protocol, asyncio.BufferedProtocol):
        cast("asyncio.Protocol", protocol).data_received(data)
        return
    while data:
        room = memoryview(protocol.get_buffer(len(data)))
        chunk = data[: len(room)]
        room[: len(chunk)] = chunk
        protocol.buffer_updated(len(chunk))
        data = data[len(chunk) :]
