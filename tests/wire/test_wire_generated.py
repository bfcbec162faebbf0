"""The wire and a plain model of it, side by side over made-up conversations, cut in every way."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from dialogues import dialogue
from hypothesis import given, settings
from hypothesis import strategies as st
from model import Facts, Player, bytewise, facts_of, follow, in_chunks, whole

from async_mysqlpool.wire import packets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialogues import Kind, Turn
    from model import Cut

LONGEST = 64  # so that a long packet is a short one

_SIZES = st.lists(st.integers(1, 90), min_size=1, max_size=6)
_CUTS = st.one_of(st.just(whole), st.just(bytewise), _SIZES.map(in_chunks))


@pytest.fixture(autouse=True, scope="module")
def short_packets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packets, "LONGEST", LONGEST)
        yield


def play(
    kind: Kind, turns: list[Turn], cut_out: Cut, cut_in: Cut, within: tuple[int, int] | None = None
) -> list[Facts]:
    """The facts after each turn."""
    player = Player(kind, cut_out, cut_in, within)
    seen: list[Facts] = []
    for turn in turns:
        player.play(turn)
        seen.append(facts_of(player.wire, player.answers))
    return seen


def expected(kind: Kind, turns: list[Turn]) -> list[Facts]:
    facts, seen = Facts(), []
    for turn in turns:
        follow(facts, kind, turn)
        seen.append(copy.deepcopy(facts))
    return seen


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_facts_are_the_models_however_the_streams_are_cut(data: st.DataObject) -> None:
    kind, turns = data.draw(dialogue())
    cut_in = data.draw(_CUTS)
    within = data.draw(st.sampled_from([None, (0, 0), (7, 5)]))
    assert play(kind, turns, whole, cut_in, within) == expected(kind, turns)


@settings(max_examples=200, deadline=None)
@given(dialogue(), _CUTS, _CUTS)
def test_a_command_written_in_parts_is_the_same_command(
    made: tuple[Kind, list[Turn]], cut_out: Cut, cut_in: Cut
) -> None:
    kind, turns = made
    for seen, due in zip(play(kind, turns, cut_out, cut_in), expected(kind, turns), strict=True):
        assert seen.unsafe >= due.unsafe  # a statement in parts is not looked at: at worst there is a reset more
        assert replace(seen, unsafe=True) == replace(due, unsafe=True)
