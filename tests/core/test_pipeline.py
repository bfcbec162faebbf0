"""Written past the driver: corked resets, on a transport that writes down what it is given."""

from __future__ import annotations

import asyncio

import pytest

from async_mysqlpool.drivers.base import COM_RESET_CONNECTION, Command
from async_mysqlpool.drivers.pipeline import Pipeline, encode

RESET = encode([Command(COM_RESET_CONNECTION)])
OK = b"\x07\0\0\x01\0\0\0\x02\0\0\0"
ERR = b"\x09\0\0\x01\xff\x48\x04#08S01"


class Transport(asyncio.Transport):
    """Raises on a write when it is closed, as uvloop's do."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.received = bytearray()
        self.protocol: asyncio.BaseProtocol = Reader(self.received)

    def write(self, data) -> None:
        if self.closed:
            raise RuntimeError("the handle is closed")
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def get_protocol(self):
        return self.protocol

    def set_protocol(self, protocol) -> None:
        self.protocol = protocol

    def arrive(self, data: bytes) -> None:
        """As an event loop does it."""
        if isinstance(self.protocol, asyncio.BufferedProtocol):
            room = self.protocol.get_buffer(len(data))
            room[: len(data)] = data
            self.protocol.buffer_updated(len(data))
        else:
            self.protocol.data_received(data)


class Reader(asyncio.Protocol):
    def __init__(self, received: bytearray) -> None:
        self.data_received = received.extend


class Holder:
    """A driver's connection, as far as this goes."""

    def __init__(self) -> None:
        self.output = self.transport = Transport()
        self.statuses: list[int] = []
        self.answers: list[Exception | None] = []
        self.pipeline = Pipeline(self, "output", self.transport, self.statuses.append)

    def send(self, *, count: int = 1, cork: bool = False) -> None:
        self.pipeline.send(RESET * count, count, self.answers.append, cork)


@pytest.fixture
def holder() -> Holder:
    return Holder()


def test_a_corked_reset_travels_with_the_next_command_and_only_once(holder):
    holder.send(cork=True)
    output = holder.output  # a driver may keep it for the other packets of a large command
    output.write(b"first")
    output.write(b"second")
    holder.output.write(b"third")
    assert holder.transport.written == [RESET + b"first", b"second", b"third"]


def test_a_corked_reset_goes_alone_when_nothing_is_written(holder):
    holder.send(cork=True)
    assert holder.transport.written == []
    holder.pipeline.flush()
    holder.pipeline.flush()
    assert holder.transport.written == [RESET]
    assert holder.output is holder.transport


def test_nothing_is_written_to_a_connection_that_is_gone(holder):
    holder.send(cork=True)
    holder.transport.closed = True
    holder.pipeline.flush()
    assert holder.transport.written == []
    assert holder.output is holder.transport


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 7, 11, 13, 100])
@pytest.mark.parametrize("second", [OK, OK[:7] + b"\x03" + OK[8:]])
def test_replies_in_pieces_of_any_size(holder, chunk, second):
    for _ in range(3):
        holder.send(count=2)
        replies = OK + second + b"rows"
        for place in range(0, len(replies), chunk):
            holder.transport.arrive(replies[place : place + chunk])
    assert bytes(holder.transport.received) == b"rows" * 3
    assert holder.answers == [None] * 3
    assert holder.statuses == [second[7]] * 3


def test_an_error_among_the_replies_closes_the_connection(holder):
    holder.send()
    holder.transport.arrive(OK)
    holder.send(count=2)
    holder.transport.arrive(ERR + OK + b"rows")
    assert [type(answer).__name__ for answer in holder.answers] == ["NoneType", "CommandFailedError"]
    assert holder.transport.closed
    assert bytes(holder.transport.received) == b""
