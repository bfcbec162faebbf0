"""What must be known after each turn of a dialogue, and who plays dialogues to a wire.

The model never parses anything: it knows what each packet says because the dialogue says it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from dialogues import CHANGED, MORE, Exchange, In, Kind, Out, Turn, framed, is_harmless

from async_mysqlpool.wire import packets as p
from async_mysqlpool.wire.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass
class Facts:
    """What is known at the end of a turn."""

    due: int = 0
    own_due: int = 0
    in_step: bool = True
    doubt: str | None = None
    spent: bool = False
    status: int = 0
    touched: bool = False
    moved: bool = False
    changed: bool = False
    unheard: bool = False
    wrote: bool = False
    unsafe: bool = False
    answers: list[int | None] = field(default_factory=list[int | None])  # of batches of the pool's own: first error


def facts_of(wire: Wire, answers: list[int | None]) -> Facts:
    return Facts(
        wire.due, wire.own_due, wire.in_step, wire.doubt, wire.spent is not None, wire.status, wire.touched, wire.moved,
        wire.changed, wire.unheard, wire.wrote, wire.unsafe, list(answers),
    )  # fmt: skip


def follow(facts: Facts, kind: Kind, turn: Turn) -> None:
    """The model: what one turn changes."""
    for made in turn.driver:
        facts.touched = True
        facts.spent |= made.code in {p.COM_CHANGE_USER, p.COM_SET_OPTION}
        if made.code == p.COM_QUERY:
            facts.unsafe |= not (is_harmless(made.text) and len(made.text) < p.LONGEST)
        else:
            facts.unsafe |= made.code != p.COM_PING
    if turn.own:
        numbers = [item.error for made in turn.own for item in made.items if isinstance(item, In) and item.error]
        facts.answers.append(numbers[0] if numbers else None)
    for item in (item for made in turn.own for item in made.items if isinstance(item, In)):
        facts.spent |= item.error in p.HANGS_UP
        if item.news:
            facts.status = item.news.status
    for made in turn.driver:
        facts.unsafe |= made.asks_for_file
        for item in made.items:
            if isinstance(item, In):
                _follow_packet(facts, kind, item)


def _follow_packet(facts: Facts, kind: Kind, item: In) -> None:
    facts.unsafe |= item.begins_rows and kind.mysql and not kind.deprecate_eof
    if item.error:
        facts.unheard = facts.unsafe = True
        facts.spent |= item.error in p.HANGS_UP
    if said := item.news:
        facts.status = said.status
        facts.unheard = False
        if said.status & CHANGED:
            facts.changed = True
            facts.moved |= True if item.eof else kind.tracked and said.schema is not None
        facts.wrote |= said.rows > 0
        facts.unsafe |= said.insert_id > 0 or said.warnings > 0 or bool(said.status & MORE)


# -- played -----------------------------------------------------------------------------------------------------------

Cut: TypeAlias = "Callable[[bytes], Iterable[bytes]]"


class Player:
    """Plays dialogues to a wire, cut as told, and holds each step against what must be."""

    def __init__(self, kind: Kind, cut_out: Cut, cut_in: Cut, within: tuple[int, int] | None = None) -> None:
        self.wire = Wire(kind.capabilities, is_harmless)
        self.answers: list[int | None] = []
        self._cut_out, self._cut_in = cut_out, cut_in
        self._within = within  # bytes before and behind each chunk, in a bytearray

    def on_done(self, error: Exception | None) -> None:
        self.answers.append(None if error is None else error.args[0])

    def play(self, turn: Turn) -> None:
        if turn.own:
            self.wire.expect(tuple(made.code for made in turn.own), self.on_done)
        sequences = [self.say(bytes((made.code,)) + made.text, 0) for made in turn.driver]
        ours = b"".join(said for made in turn.own for said, _ in self._answers(made, 1))
        if len(turn.driver) == 1 and not turn.driver[0].plain:
            self._converse(turn.driver[0], sequences[0], ours)
            return
        theirs = [
            said for made, next_ in zip(turn.driver, sequences, strict=True) for said, _ in self._answers(made, next_)
        ]
        self.hear(ours + b"".join(theirs), len(ours))

    def _answers(self, made: Exchange, sequence: int) -> Iterator[tuple[bytes, int]]:
        for item in made.items:
            said, sequence = framed(item.payload, sequence)
            yield said, sequence

    def _converse(self, made: Exchange, sequence: int, ours: bytes) -> None:
        """Question and answer by turns."""
        before = len(ours)
        for item in made.items:
            if isinstance(item, Out):
                sequence = self.say(item.payload, sequence)
            else:
                said, sequence = framed(item.payload, sequence)
                self.hear(ours + said, before)
                ours, before = b"", 0

    def say(self, payload: bytes, sequence: int) -> int:
        """The driver writes; before its last byte, and before the answer, nothing is in step."""
        data, sequence = framed(payload, sequence)
        parts = list(self._cut_out(data))
        for part in parts[:-1]:
            self.wire.sent(part)
            assert not self.wire.in_step
        self.wire.sent(parts[-1])
        return sequence

    def hear(self, data: bytes, ours: int) -> None:
        """The server answers; of each chunk, the wire tells which part is ours."""
        heard = 0
        for part in self._cut_in(data) if data else ():
            assert not self.wire.in_step
            assert self._receive(part) == max(0, min(ours - heard, len(part)))
            assert self.wire.doubt is None
            heard += len(part)

    def _receive(self, part: bytes) -> int:
        if self._within is None:
            return self.wire.received(part, 0, len(part))
        before, behind = self._within
        buffer = bytearray(b"\xfe" * before + part + b"\xff" * behind)
        return self.wire.received(buffer, before, before + len(part))


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def in_chunks(sizes: list[int]) -> Cut:
    """As long as the given ones, over and over."""

    def cut(data: bytes) -> Iterator[bytes]:
        at, turn = 0, 0
        while at < len(data):
            yield data[at : at + sizes[turn % len(sizes)]]
            at += sizes[turn % len(sizes)]
            turn += 1

    return cut
