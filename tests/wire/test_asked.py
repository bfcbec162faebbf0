"""Statements that are asked past the driver: who gets the reply, what is known of it, however it comes in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from dialogues import HARMLESS, MORE, In, Kind, News, Out, Turn, column, error, framed, load, own, query, string
from hypothesis import given, settings
from hypothesis import strategies as st
from model import Cut, Facts, bytewise, facts_of, follow, in_chunks, whole

from async_mysqlpool.wire import packets, transport
from async_mysqlpool.wire.transport import BufferedWire, StreamWire
from async_mysqlpool.wire.wakeups import Waiter, wakeups_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialogues import Exchange

    from async_mysqlpool.wire.transport import TransportWire

LONGEST, MOST_KEPT = 64, 300  # so that long packets and replies are short ones
LOOP = asyncio.new_event_loop()  # only to make futures of
_SIZES = st.lists(st.integers(1, 90), min_size=1, max_size=6)
_CUTS = st.one_of(st.just(whole), st.just(bytewise), _SIZES.map(in_chunks))


@pytest.fixture(autouse=True, scope="module")
def short_packets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packets, "LONGEST", LONGEST)
        patch.setattr(transport, "_MOST_KEPT", MOST_KEPT)
        yield
    LOOP.close()


class Streamed(asyncio.Protocol):
    """A driver's protocol that is handed chunks."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.ended = 0

    def data_received(self, data: bytes) -> None:
        self.seen += data

    def eof_received(self) -> None:
        self.ended += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended += 1


class Buffered(Streamed):
    """A driver's protocol with a buffer, which has little room and is read at once."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(7)
        self.length = self.pos = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        if self.pos == self.length:
            self.pos = self.length = 0
        if self.length == len(self.buffer):
            self.buffer = self.buffer + bytearray(5)
        return memoryview(self.buffer)[self.length :]

    def buffer_updated(self, nbytes: int) -> None:
        self.length += nbytes
        self.seen += self.buffer[self.pos : self.length]
        self.pos = self.length


class Socket:
    """A transport: what is written, and who is told what comes."""

    def __init__(self, protocol: Streamed) -> None:
        self.protocol: Any = protocol
        self.written = bytearray()
        self.write = self.written.extend

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return False


class Line:
    """One wire between a driver's protocol and its socket."""

    def __init__(self, kind: Kind, buffered: bool) -> None:
        self.driver = Buffered() if buffered else Streamed()
        self.socket = Socket(self.driver)
        wire: type[TransportWire] = BufferedWire if buffered else StreamWire
        harmless = lambda text: text.startswith(HARMLESS)  # noqa: E731
        self.wire = wire(cast("asyncio.Transport", self.socket), self.socket, kind.capabilities, harmless, LOOP)
        self.answers: list[int | None] = []
        self.answer = Waiter(LOOP, wakeups_of(LOOP))

    def on_done(self, error: Exception | None) -> None:
        self.answers.append(None if error is None else error.args[0])

    def ask(self, statement: bytes) -> None:
        self.answer = self.wire.ask(statement)

    def hear(self, data: bytes) -> None:
        """As an event loop would bring it."""
        if isinstance(self.wire, StreamWire):
            self.wire.data_received(data)
            return
        while data:
            room = cast("Any", self.wire).get_buffer(len(data))
            step = min(len(room), len(data))
            room[:step] = data[:step]
            cast("Any", self.wire).buffer_updated(step)
            data = data[step:]

    @property
    def reply(self) -> bytes | None:
        """What whoever asked was given; None if the driver was."""
        return None if self.answer.result() is None else bytes(self.answer.result())


@dataclass(frozen=True)
class Asking:
    """Commands of the pool's own, held back, and a statement that is asked."""

    own: tuple[Exchange, ...]
    query: Exchange

    @property
    def plain(self) -> bool:
        """One result set, or the beginning of one that ends in an error."""
        size = sum(len(data) for _, data in said(self.query))
        return begins_rows(self.query) and size <= MOST_KEPT

    @property
    def has_more(self) -> bool:
        """Another result follows, or was to follow: it depends on when it comes who gets the first one."""
        return any(isinstance(item, In) and item.news and item.news.status & MORE for item in self.query.items)


def begins_rows(made: Exchange) -> bool:
    first = made.items[0]
    return isinstance(first, In) and first.begins_rows


def said(made: Exchange) -> Iterator[tuple[In | Out, bytes]]:
    """Each item of an answer, as packets."""
    sequence = 1
    for item in made.items:
        data, sequence = framed(item.payload, sequence)
        yield item, data


@st.composite
def asking(draw: st.DrawFn, kind: Kind) -> Asking:
    batch = tuple(draw(st.lists(own(kind), max_size=2)))
    asked = draw(st.one_of(query(kind), query(kind), load(kind)))
    asked = replace(asked, text=asked.text[: LONGEST - 2])
    places = range(len(asked.items)) if asked.plain else ()
    if places and draw(st.integers(0, 3)) == 0:
        at = draw(st.sampled_from(places))
        asked = replace(asked, items=(*asked.items[:at], In(error(1317, b"stopped"), error=1317)))
    return Asking(batch, asked)


def play(line: Line, turn: Asking, cut: Cut) -> bytes:
    """Say and hear one turn; the reply to what was asked, as the server sent it."""
    ours = b"".join(data for made in turn.own for _, data in said(made))
    codes = tuple(made.code for made in turn.own)
    if codes:
        line.wire.send(b"held back", codes, line.on_done, cork=True)
    assert line.socket.written == b""
    statement = framed(bytes((packets.COM_QUERY,)) + turn.query.text, 0)[0]
    line.ask(statement)
    assert bytes(line.socket.written) == (b"held back" if codes else b"") + statement
    reply, due = b"", ours
    for item, data in said(turn.query):
        if isinstance(item, Out):
            assert line.reply is None  # the driver knows that it is asked for a file
            line.wire.write(data)
        else:
            reply, due = reply + data, due + data
            if turn.query.plain:
                continue
            for part in cut(due):
                line.hear(part)
            due = b""
    for part in cut(due) if due else ():
        assert not line.wire.in_step
        line.hear(part)
    return reply


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_the_reply_goes_whole_to_whoever_asked_or_to_the_driver_and_the_facts_are_the_models(
    data: st.DataObject,
) -> None:
    kind = Kind(data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.booleans()))
    line, facts, stale = Line(kind, data.draw(st.booleans())), Facts(), False
    for turn in data.draw(st.lists(asking(kind), min_size=1, max_size=4)):
        line.driver.seen.clear()
        line.socket.written.clear()
        follow(facts, kind, Turn(turn.own, (turn.query,)))
        reply = play(line, turn, data.draw(_CUTS))
        assert facts_of(line.wire, line.answers) == facts
        assert (line.reply or b"") + line.driver.seen == reply
        if not (stale or turn.has_more):  # stale: what an earlier reply announced, and an error made void
            assert (line.reply is not None) == turn.plain
        stale = bool(facts.status & MORE)


@pytest.fixture(params=[False, True], ids=["stream", "buffered"])
def line(request: pytest.FixtureRequest) -> Line:
    return Line(MODERN, request.param)


MODERN = Kind(deprecate_eof=True, tracked=True, mysql=False)
STATEMENT = framed(b"\x03SELECT 1", 0)[0]
REPLY = b"".join(
    framed(payload, number)[0]
    for number, payload in enumerate([b"\1", column(b"a"), string(b"1"), MODERN.rows_end(News(2)).payload], 1)
)


@pytest.mark.parametrize("heard", range(len(REPLY)))
def test_a_reply_that_nobody_waits_for_any_more_is_the_drivers(line: Line, heard: int) -> None:
    line.ask(STATEMENT)
    line.hear(REPLY[:heard])
    line.answer.cancel()
    line.wire.forget()
    assert bytes(line.driver.seen) == REPLY[:heard]
    assert line.wire.due == 1
    line.hear(REPLY[heard:])
    assert bytes(line.driver.seen) == REPLY
    assert line.wire.in_step


@pytest.mark.parametrize("heard", range(len(REPLY)))
@pytest.mark.parametrize("end", ["eof", "lost"])
def test_a_reply_that_is_cut_off_is_the_drivers_to_complain_of(line: Line, heard: int, end: str) -> None:
    line.ask(STATEMENT)
    line.hear(REPLY[:heard])
    line.wire.eof_received() if end == "eof" else line.wire.connection_lost(None)
    assert (line.reply, bytes(line.driver.seen), line.driver.ended) == (None, REPLY[:heard], 1)
    assert line.wire.lost
    assert line.wire.due == 1


TOO_MUCH = {
    "an answer too many": b"\7\0\0\1\0\0\0\2\0\0\0",
    "a server going down": framed(error(1053, b"shutdown"), 0)[0],
}


@pytest.mark.parametrize("more", TOO_MUCH.values(), ids=TOO_MUCH)
def test_whatever_is_not_understood_is_given_to_the_driver_as_it_came(line: Line, more: bytes) -> None:
    if isinstance(line.driver, Buffered):
        line.driver.buffer = bytearray(1000)  # so that it comes in one chunk
    line.ask(STATEMENT)
    line.hear(REPLY[:9])
    line.hear(REPLY[9:] + more)
    assert line.wire.doubt is not None
    assert (line.reply, bytes(line.driver.seen)) == (None, REPLY + more)


def test_a_statement_that_nobody_can_answer_is_the_drivers(line: Line) -> None:
    line.wire.eof_received()
    line.ask(STATEMENT)
    assert line.reply is None
    assert line.wire.due == 1


def test_what_was_read_and_is_given_back_comes_to_the_driver_as_ever(line: Line) -> None:
    line.ask(STATEMENT)
    line.hear(REPLY)
    assert line.reply == REPLY
    assert line.driver.seen == b""
    line.wire.give(line.answer.result())
    assert line.driver.seen == REPLY


def test_the_drivers_next_statement_is_the_drivers_again(line: Line) -> None:
    line.ask(STATEMENT)
    line.hear(REPLY)
    line.wire.write(STATEMENT)
    line.hear(REPLY)
    assert line.driver.seen == REPLY
