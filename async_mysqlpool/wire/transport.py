"""A wire in its place: between a driver and its transport, in both directions, for as long as the connection lives.

The driver's protocol and the object that it writes to are its own as ever; in front of the one, and instead of the
other, stands the wire. It hands on what is the driver's and keeps what answers commands of the pool's own. Such
commands can be held back ("corked") to travel with the driver's next one.

A statement can also be asked past the driver (`ask`). To everything else it is one of the driver's; only its reply is
kept back until it is whole, for whoever asked. As soon as it turns out to be more than one plain result, the driver
gets what was kept, and the rest as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool.wire import packets
from async_mysqlpool.wire.reads import keeps_schema, outlives_reset
from async_mysqlpool.wire.wakeups import Waiter, wakeups_of
from async_mysqlpool.wire.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.wire.outgoing import Buffer, OnDone

__all__ = ["BufferedWire", "Output", "StreamWire", "TransportWire", "abort", "say_goodbye"]


_MOST_KEPT = 1 << 20  # bytes of a reply that are kept back until it is whole
_HEADER = packets.HEADER
_NO_RESULT_SET = {packets.OK, packets.LOCAL_INFILE, packets.ERR}


class TransportWire(Wire):
    """A wire on a transport of asyncio's or uvloop's.

    Args:
        transport: whose protocol is the driver's.
        writer: the object that the driver writes to: the transport, or a stream writer on it.
        capabilities, harmless: see `Wire`.
        loop: of the transport.

    Attributes:
        output: what the driver must write to instead of `writer`.
        stirred: something else was sent since `begin` than statements that surely leave the current schema alone.
    """

    __slots__ = ("_answer", "_held", "_inner", "_kept", "_loop", "_transport", "_wakeups", "output", "stirred")

    def __init__(
        self,
        transport: asyncio.Transport,
        writer: Any,
        capabilities: int,
        harmless: Callable[[bytes], bool] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(capabilities, harmless)
        self._transport = transport
        self._inner: Any = transport.get_protocol()
        self._held = b""
        self._loop = loop
        self._wakeups = wakeups_of(loop)
        self._answer: Waiter | None = None
        self._kept = bytearray()  # what has come of the answer
        self.stirred = False
        self.output = Output(writer, self)
        if self.doubt is None:
            transport.set_protocol(cast("asyncio.BaseProtocol", self))

    def begin(self) -> None:
        """A new borrower: what was seen so far is somebody else's."""
        Wire.begin(self)
        self.stirred = False

    def write(self, data: bytes) -> None:
        """What the driver writes; what was held back goes first."""
        if not self._infile:  # what goes out then is no statement but the contents of a file
            self._weigh(data)
        self.sent(data)
        if self._held:
            data, self._held = self._held + data, b""
        self._transport.write(data)

    def ask(self, statement: bytes) -> Waiter:
        """Write a statement for somebody who reads the reply instead of the driver. Nothing else may be under way.

        Args:
            statement: its packet, a whole one.

        Returns:
            What gets the reply when it is whole, if it begins as a result set does and is no longer than 1 MB. If not,
            or where another result is still to come, it gets None: the driver has what has come, and has to read it
            in its own way.
        """
        answer = self._answer = Waiter(self._loop, self._wakeups)
        self.write(statement)
        if self.lost:  # some transports do not say it twice
            self.forget()
        return answer

    def forget(self) -> None:
        """Nobody waits for the answer any more: what has come of it, and what comes, is the driver's."""
        if self._answer is not None:
            self._yield_answer()

    def _keep_reply(self, data: Buffer) -> None:
        """More of the reply to a statement that was asked."""
        kept = self._kept
        kept += data
        size = len(kept)
        if size > _MOST_KEPT or self.doubt is not None or (size > _HEADER and kept[_HEADER] in _NO_RESULT_SET):
            self._yield_answer()
        elif not self.due:
            self._answered(kept)
        elif self.status & packets.SERVER_MORE_RESULTS_EXISTS:
            self._yield_answer()

    def _yield_answer(self) -> None:
        """The driver has to read it."""
        kept = self._kept
        self._answered(None)
        if kept:
            self.give(kept)

    def _answered(self, reply: bytearray | None) -> None:
        answer, self._answer, self._kept = self._answer, None, bytearray()
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def give(self, data: Buffer) -> None:
        """Let the driver have bytes that were kept from it, as if they came just now."""
        self._inner.data_received(bytes(data))

    def _weigh(self, data: bytes) -> None:
        """Of a statement's text only what makes more work is believed."""
        code = data[_HEADER] if len(data) > _HEADER else 0
        if code == packets.COM_PING or (code == packets.COM_QUERY and keeps_schema(data, _HEADER + 1)):
            return
        self.stirred = True
        if outlives_reset(data, _HEADER + 1):
            self.spent: str | None = "a statement was sent whose effects may outlive a reset"

    def send(self, data: bytes, codes: tuple[int, ...], on_done: OnDone, cork: bool = False) -> None:
        """Write commands of the pool's own, whose replies the driver will never see.

        Args:
            data: their packets.
            codes: their command bytes.
            on_done: called once, when all replies are in, with the first error; then the connection is closed after an
                error, so that nobody takes it for good.
            cork: wait for the driver's next write, or for `flush`.
        """
        self.flush()
        self.expect(codes, on_done)
        if self._transport.is_closing():
            self.end()
        elif cork:
            self._held = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write what is held back."""
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():  # some loops raise on a write
            self._transport.write(held)

    def is_of(self, output: object) -> bool:
        """Whether a driver still writes through this wire: it may have opened another connection by itself."""
        return output is self.output

    def abort(self) -> None:
        """Close the socket at once."""
        abort(self._transport)

    def eof_received(self) -> bool | None:
        """The server hung up: the driver learns of it in its own way."""
        self.forget()
        self.end(ConnectionResetError("the server closed the connection"))
        return cast("bool | None", self._inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.forget()
        self.end(exc)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Flow control is the driver's business."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Flow control is the driver's business."""
        self._inner.resume_writing()


class StreamWire(TransportWire, asyncio.Protocol):
    """In front of a protocol that is handed chunks of bytes, as asyncio's streams have it."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """A chunk has come."""
        held = self._wakeups.hold(self._loop)
        try:
            self._take(data)
        finally:
            if held:
                self._wakeups.run()

    def _take(self, data: bytes) -> None:
        ours = self.received(data, 0, len(data))
        if ours:
            data = data[ours:]
        if not data:
            return
        if self._answer is None:
            self._inner.data_received(data)
        else:
            self._keep_reply(data)


class BufferedWire(TransportWire, asyncio.BufferedProtocol):
    """In front of a protocol that has the transport write into its buffer.

    `buffer[pos:length]` is what it has not read yet; what is ours is passed over in there, without copying.
    """

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> Any:
        """Where the next bytes go."""
        return self._inner.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """That many have come."""
        held = self._wakeups.hold(self._loop)
        try:
            self._take(nbytes)
        finally:
            if held:
                self._wakeups.run()

    def _take(self, nbytes: int) -> None:
        inner = self._inner
        start = inner.length
        end = start + nbytes
        ours = self.received(inner.buffer, start, end)
        asked = self._answer is not None
        if ours or asked:
            if inner.pos != start:
                self.distrust("the driver had not read all of an earlier reply")
            reply = inner.buffer[start + ours : end] if asked else b""
            inner.length = inner.pos = end if asked else start + ours
            if reply:
                self._keep_reply(reply)
                return
            nbytes -= ours
        if nbytes and not asked:
            inner.buffer_updated(nbytes)

    def give(self, data: Buffer) -> None:
        """Into its buffer, in as many parts as it has room for."""
        rest = memoryview(data)
        while rest:
            room = memoryview(self._inner.get_buffer(len(rest)))
            step = min(len(room), len(rest))
            room[:step] = rest[:step]
            self._inner.buffer_updated(step)
            rest = rest[step:]


class Output:
    """What a driver writes to: like its own writer or transport, but every byte passes the wire.

    The socket itself is not given away: what is written to it directly would be seen by nobody.
    """

    def __init__(self, target: Any, wire: TransportWire) -> None:
        self._target = target
        self.write = wire.write
        self.is_closing: Callable[[], bool] = target.is_closing

    def writelines(self, data: list[bytes]) -> None:
        """In one go."""
        self.write(b"".join(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the connection, but not its socket."""
        return default if name == "socket" else self._target.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


async def say_goodbye(transport: asyncio.Transport) -> None:
    """COM_QUIT, then wait until the server has hung up: only then has it one connection less."""
    if transport.is_closing():
        return
    hung_up = asyncio.get_running_loop().create_future()
    try:
        transport.set_protocol(_Goodbye(hung_up))
        transport.write(packets.encode([packets.Command(packets.COM_QUIT)]))
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
