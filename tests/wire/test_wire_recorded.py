"""Real conversations of drivers and servers, as record.py has written them down, cut at every byte."""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dialogues import framed, is_harmless
from model import bytewise, whole

from async_mysqlpool.wire.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model import Cut

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.txt"))
FACTS = ["changed", "moved", "wrote", "unheard", "unsafe", "in_transaction"]


@dataclass
class Step:
    """What was said, by turns, and what must be known then."""

    title: str
    turns: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    facts: list[str] = field(default_factory=list[str])


@dataclass
class Recording:
    capabilities: int
    steps: list[Step]


def read(path: Path) -> Recording:
    """Packets that follow each other in one direction are one stream."""
    capabilities, steps = 0, list[Step]()
    packets: list[tuple[str, bytes]] = []
    for line in path.read_text("ascii").splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "capabilities":
            capabilities = int(rest, 16)
        elif mark == "#" and capabilities:
            steps.append(Step(rest))
        elif mark in ("<", ">"):
            number, _, payload = rest.partition(" ")
            packets.append((mark, framed(ast.literal_eval(payload), int(number))[0]))
        elif mark == "=":
            for direction, group in itertools.groupby(packets, lambda packet: packet[0]):
                steps[-1].turns.append((direction, b"".join(data for _, data in group)))
            packets.clear()
            steps[-1].facts = rest.split()
    return Recording(capabilities, steps)


def play(wire: Wire, turns: Iterable[tuple[str, bytes]], cut: Cut) -> None:
    for direction, data in turns:
        if direction == ">":
            wire.sent(data)
        else:
            for part in cut(data):
                assert wire.received(part, 0, len(part)) == 0


def known(wire: Wire) -> list[str]:
    return sorted([name for name in FACTS if getattr(wire, name)] + (["spent"] if wire.spent else []))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_after_each_step_is_known_what_was_noted(path: Path, cut: Cut) -> None:
    recording = read(path)
    wire = Wire(recording.capabilities, is_harmless)
    for step in recording.steps:
        wire.begin()
        wire.spent = None
        play(wire, step.turns, cut)
        assert (step.title, wire.doubt, wire.in_step) == (step.title, None, True)
        assert (step.title, known(wire)) == (step.title, step.facts)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_wherever_a_reply_is_cut_the_connection_is_in_step_only_behind_it(path: Path) -> None:
    recording = read(path)
    for step in recording.steps:
        *before, (direction, last) = step.turns
        if direction == ">":
            continue  # what has no answer
        for at in range(1, len(last)):
            wire = Wire(recording.capabilities, is_harmless)
            play(wire, before, whole)
            wire.received(last, 0, at)
            assert (step.title, at, wire.in_step) == (step.title, at, False)
            wire.received(last, at, len(last))
            assert (step.title, at, wire.doubt, wire.in_step) == (step.title, at, None, True)
            assert (step.title, at, known(wire)) == (step.title, at, step.facts)


def test_each_driver_and_server_is_recorded() -> None:
    drivers, servers = ["aiomysql", "asyncmy", "mysql", "raw-modern", "raw-old"], ["mariadb", "mysql"]
    assert [path.stem for path in RECORDED] == [f"{driver}-{server}" for driver in drivers for server in servers]
