"""Where the generated streams do not lead: what hostile and broken servers send, calls out of turn, real sizes."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from dialogues import column, error, framed, integer, is_harmless

from async_mysqlpool.wire import packets as p
from async_mysqlpool.wire.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

MODERN = p.CLIENT_DEPRECATE_EOF | p.CLIENT_SESSION_TRACK
OLD = 0
OK = b"\0\0\0\2\0\0\0"
EOF = b"\xfe\0\0\2\0"
OK_END = b"\xfe\0\0\2\0\0\0"
TRACKED = b"\0\0\0\2\x40\0\0"  # flags say that data follow


def answer(*payloads: bytes) -> bytes:
    return b"".join(framed(payload, number)[0] for number, payload in enumerate(payloads, 1))


def asked(capabilities: int, code: int, text: bytes = b"") -> Wire:
    """A wire over which one command has gone."""
    wire = Wire(capabilities)
    wire.sent(framed(bytes((code,)) + text, 0)[0])
    return wire


MALFORMED = {
    "nobody asked": (MODERN, None, [OK]),
    "an error nobody asked for": (MODERN, None, [error(4031, b"timeout")]),
    "an empty packet": (MODERN, p.COM_PING, [b""]),
    "OK, cut off in its flags": (MODERN, p.COM_PING, [b"\0\0\0\2"]),
    "OK, cut off in an integer": (MODERN, p.COM_PING, [b"\0\xfe\1\1"]),
    "OK with NULL rows": (MODERN, p.COM_PING, [b"\0\xfb\0\2\0\0\0"]),
    "OK without the data it promises": (MODERN, p.COM_QUERY, [TRACKED]),
    "tracker's data longer than the packet": (MODERN, p.COM_QUERY, [TRACKED + b"\0\x09\1\2a"]),
    "tracker's entry longer than the data": (MODERN, p.COM_QUERY, [TRACKED + b"\0\x02\0\x70"]),
    "tracker's message longer than anything": (MODERN, p.COM_QUERY, [TRACKED + b"\xfe" + b"\xff" * 8]),
    "an error without a number": (MODERN, p.COM_QUERY, [b"\xff\1"]),
    "a progress report": (MODERN, p.COM_QUERY, [b"\xff\xff\xff\1\1\1\0\0\0\0"]),
    "neither OK nor error": (MODERN, p.COM_PING, [b"\x07hello!!"]),
    "a result set as an answer to a ping": (MODERN, p.COM_PING, [b"\1"]),
    "a result that begins with its end": (MODERN, p.COM_QUERY, [OK_END]),
    "no columns": (MODERN, p.COM_QUERY, [b"\xfc\0\0"]),
    "columns and more": (MODERN, p.COM_QUERY, [b"\1\1"]),
    "a column count cut off": (MODERN, p.COM_QUERY, [b"\xfc\1"]),
    "no EOF behind the columns": (OLD, p.COM_QUERY, [b"\1", column(b"a"), b"\1abcd"]),
    "an EOF of the other kind behind the columns": (OLD, p.COM_QUERY, [b"\1", column(b"a"), OK_END]),
    "an EOF of the other kind behind the rows": (OLD, p.COM_QUERY, [b"\1", column(b"a"), EOF, b"\1a", OK_END]),
    "an old EOF where they are deprecated": (MODERN, p.COM_QUERY, [b"\1", column(b"a"), b"\1a", EOF]),
    "a statement's head cut off": (MODERN, p.COM_STMT_PREPARE, [b"\0\1\0\0\0\1\0\1\0"]),
    "a statement that is none": (MODERN, p.COM_STMT_PREPARE, [b"\1" * 12]),
    "two answers": (MODERN, p.COM_PING, [OK, OK]),
    "a second answer after rows": (MODERN, p.COM_QUERY, [b"\1", column(b"a"), b"\1a", OK_END, b"\1a"]),
    "the longest packet as an answer": (MODERN, p.COM_PING, [b"\0" * p.LONGEST]),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_what_does_not_fit_is_doubt_however_it_is_cut(case: str) -> None:
    capabilities, code, payloads = MALFORMED[case]
    stream = answer(*payloads)
    doubts = set[str | None]()
    for cut in range(min(len(stream), 200)):
        wire = Wire(capabilities) if code is None else asked(capabilities, code)
        for part in (stream[:cut], stream[cut:]):
            assert wire.received(part, 0, len(part)) == 0
        doubts.add(wire.doubt)
        assert not wire.in_step
    assert len(doubts) == 1
    assert doubts != {None}


def test_after_doubt_nothing_is_looked_at_any_more() -> None:
    wire = asked(MODERN, p.COM_PING)
    wire.received(answer(b"\x07hello"), 0, 10)
    doubt = wire.doubt
    for _ in range(3):
        assert wire.received(answer(OK), 0, 11) == 0
        wire.sent(framed(b"\x77", 0)[0])
    assert wire.doubt == doubt
    assert not wire.in_step


@pytest.mark.parametrize(("number", "spent"), [(1064, False), *((number, True) for number in sorted(p.HANGS_UP))])
@pytest.mark.parametrize("before", [[], [b"\1", column(b"a"), b"\1a"]], ids=["at once", "behind rows"])
def test_an_error_after_which_the_server_hangs_up_spends_the_connection(number, spent, before) -> None:
    wire = asked(MODERN, p.COM_QUERY)
    stream = answer(*before, error(number, b"why"))
    wire.received(stream, 0, len(stream))
    assert (wire.due, wire.doubt, bool(wire.spent)) == (0, None, spent)


UNKNOWN = {
    "a command of another protocol": framed(b"\x77", 0)[0],
    "a binlog dump": framed(b"\x12\0\0\0\0", 0)[0],
    "the middle of a sequence": framed(b"\x03SELECT 1", 3)[0],
    "an empty packet": b"\0\0\0\0",
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_goes_out_and_is_not_known_is_doubt_however_it_is_cut(case: str) -> None:
    data = UNKNOWN[case]
    for cut in range(len(data)):
        wire = Wire(MODERN)
        wire.sent(data[:cut])
        wire.sent(data[cut:])
        assert wire.doubt
        assert not wire.in_step


@pytest.mark.parametrize("flag", [p.CLIENT_COMPRESS, p.CLIENT_ZSTD_COMPRESSION, p.CLIENT_OPTIONAL_RESULTSET_METADATA])
def test_a_protocol_that_is_not_followed_is_doubt_from_the_beginning(flag: int) -> None:
    wire = Wire(MODERN | flag)
    assert wire.doubt
    assert wire.received(answer(OK), 0, 11) == 0


STATEMENTS = {
    "harmless": (0, b"SELECT 1", False),
    "not harmless": (0, b"DROP TABLE x", True),
    "none": (0, b"", True),
    "the longest that is looked at": (0, b"SELECT ".ljust(4096, b"1"), False),
    "longer": (0, b"SELECT ".ljust(4097, b"1"), True),
    "without attributes": (p.CLIENT_QUERY_ATTRIBUTES, b"\0\1SELECT 1", False),
    "with attributes": (p.CLIENT_QUERY_ATTRIBUTES, b"\1\1\0\1\3\0\1aSELECT 1", True),
    "where attributes should be": (p.CLIENT_QUERY_ATTRIBUTES, b"SELECT 1", True),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_statement_is_safe_only_where_its_text_was_found_harmless(case: str) -> None:
    flags, text, unsafe = STATEMENTS[case]
    wire = Wire(MODERN | flags, is_harmless)
    wire.sent(framed(b"\3" + text, 0)[0])
    assert wire.unsafe is unsafe
    for split in (1, 4, 5, len(text) + 4):
        wire = Wire(MODERN | flags, is_harmless)
        data = framed(b"\3" + text, 0)[0]
        wire.sent(data[:split])
        wire.sent(data[split:])
        assert wire.unsafe >= unsafe


# -- commands of the pool's own ---------------------------------------------------------------------------------------


def own(*codes: int) -> tuple[Wire, list[Exception | None]]:
    wire, done = Wire(MODERN), list[Exception | None]()
    wire.expect(codes, done.append)
    return wire, done


@pytest.mark.parametrize("length", range(9, 300))
def test_an_error_is_an_error_whatever_its_length(length: int) -> None:
    wire, done = own(p.COM_RESET_CONNECTION)
    stream = answer(error(1227, b"e" * (length - 9)))
    assert wire.received(stream, 0, len(stream)) == len(stream)
    assert [failure.args[0] for failure in done if failure] == [1227]


def test_ok_packets_that_repeat_are_all_counted_and_a_different_one_is_read() -> None:
    wire, done = own(p.COM_PING, p.COM_PING, p.COM_PING, p.COM_PING)
    in_transaction = b"\0\0\0\3\0\0\0"
    stream = b"".join(answer(payload) for payload in (OK, OK, in_transaction, OK))
    for at, (due, status) in enumerate([(3, 2), (2, 2), (1, 3), (0, 2)]):
        assert wire.received(stream, at * 11, at * 11 + 11) == 11
        assert (wire.own_due, wire.status) == (due, status)
    assert done == [None]


@pytest.mark.parametrize("length", [0, p.LONGEST])
def test_of_a_reply_that_cannot_be_no_more_is_the_pools_than_has_come(length: int) -> None:
    wire, done = own(p.COM_RESET_CONNECTION)
    stream = length.to_bytes(3, "little") + b"\1" + OK
    assert wire.received(stream, 0, len(stream)) == p.HEADER
    assert wire.doubt
    assert len(done) == 1


def test_news_in_the_pools_own_replies_are_no_news_of_the_driver() -> None:
    wire, done = own(p.COM_QUERY)
    news = b"\0\1\1\x0a\x40\0\0\0\4\1\2\1a"  # rows, an insert id, another schema; more results
    stream = answer(news, OK)
    assert wire.received(stream, 0, len(stream)) == len(stream)
    assert done == [None]
    assert not any((wire.moved, wire.changed, wire.wrote, wire.unsafe, wire.touched))


def test_the_pool_does_not_speak_while_the_driver_waits() -> None:
    """Its reply would be somewhere behind the driver's, and no front of a chunk."""
    wire, done = asked(MODERN, p.COM_PING), list[Exception | None]()
    wire.expect((p.COM_RESET_CONNECTION,), done.append)
    assert wire.doubt
    assert len(done) == 1
    stream = answer(OK) + answer(OK)
    assert wire.received(stream, 0, len(stream)) == 0


def doubtful(wire: Wire) -> None:
    wire.distrust("for a reason")


def lost(wire: Wire) -> None:
    wire.end()


@pytest.mark.parametrize("break_off", [doubtful, lost])
@pytest.mark.parametrize("when", ["before", "after"])
def test_who_waits_for_the_pools_replies_is_told_once_that_none_will_come(
    break_off: Callable[[Wire], None], when: str
) -> None:
    wire, done = Wire(MODERN), list[Exception | None]()
    if when == "before":
        break_off(wire)
    wire.expect((p.COM_PING, p.COM_PING), done.append)
    if when == "after":
        stream = answer(OK)
        wire.received(stream, 0, len(stream))
        break_off(wire)
    stream = answer(OK) + answer(OK)
    wire.received(stream, 0, len(stream))  # what was under way
    break_off(wire)
    assert [isinstance(failure, Exception) for failure in done] == [True]
    assert not wire.in_step


# -- large ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capabilities", [OLD, MODERN])
@pytest.mark.parametrize("code", [p.COM_QUERY, p.COM_STMT_FETCH])
@pytest.mark.parametrize("more", [-9, -1, 0, 1, 70_000])
def test_a_row_of_16_mb_and_more(capabilities: int, code: int, more: int) -> None:
    """Of real length; its first column begins with 0xFE where the whole row is longer than a packet."""
    first = b"\xfe" + (p.LONGEST + more).to_bytes(8, "little") if more >= 0 else b"\xfd\0\0\0"
    large, after = framed(first.ljust(p.LONGEST + more, b"\xff"), 9)
    columns = [b"\1", column(b"a"), *([] if capabilities else [EOF])] if code == p.COM_QUERY else []
    stream = answer(*columns) + large + framed(b"\1a", after)[0] + framed(OK_END if capabilities else EOF, after)[0]
    wire = asked(capabilities, code, b"SELECT")
    for at in range(0, len(stream), 65_521):
        assert not wire.in_step
        wire.received(stream, at, min(at + 65_521, len(stream)))
    assert wire.doubt is None
    assert wire.in_step
    assert wire.status == 2


@pytest.mark.parametrize("size", [p.LONGEST - 1, p.LONGEST, 2 * p.LONGEST + 5])
def test_a_statement_of_16_mb_and_more(size: int) -> None:
    data, after = framed(b"\3".ljust(size, b"\0"), 0)
    wire = Wire(MODERN)
    for at in range(0, len(data), 1_000_003):
        wire.sent(memoryview(data)[at : at + 1_000_003])
        assert not wire.in_step
    assert wire.due == 1
    stream = framed(OK, after)[0]
    wire.received(stream, 0, len(stream))
    assert wire.in_step


def test_a_large_packet_that_is_read_whole_is_copied_once() -> None:
    """In 16,000 chunks: joined anew with each, it would be 128 GB that are copied."""
    size = 16_000_000
    stream = framed(b"\0\0\0\2\0\0\0" + b"m" * size, 1)[0]
    wire = asked(OLD, p.COM_QUERY)
    tracemalloc.start()
    try:
        for at in range(0, len(stream), 1000):
            wire.received(stream, at, min(at + 1000, len(stream)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert wire.in_step
    assert peak < 4 * size


# -- noise ------------------------------------------------------------------------------------------------------------


def test_noise_ends_in_doubt_or_waits_and_keeps_little() -> None:
    """The same bytes give the same facts, in whatever chunks they come; what is kept is less than one packet."""
    for seed in range(400):
        chance = random.Random(seed)
        words = [OK, EOF, OK_END, b"\1", integer(chance.randrange(400)), b"\0" * 12, chance.randbytes(9)]
        noise = answer(*chance.choices(words, k=30)) + chance.randbytes(chance.randrange(200))
        code = chance.choice([p.COM_QUERY, p.COM_PING, p.COM_STMT_PREPARE, p.COM_STMT_FETCH, p.COM_CHANGE_USER])
        facts = set[tuple[object, ...]]()
        for size in (1, 7, len(noise)):
            wire = asked(seed % 2 * MODERN, code)
            for at in range(0, len(noise), size):
                wire.received(noise, at, min(at + size, len(noise)))
            facts.add((wire.doubt, wire.due, wire.status, wire.changed, wire.moved, wire.wrote, wire.unsafe))
        assert len(facts) == 1
