"""Rows of the text protocol, without a server: made up, read again, cut and out of order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_mysqlpool.drivers.rows import rows_of

SIZES = st.sampled_from([0, 1, 250, 251, 252, 65535, 65536, 70000])
VALUES = st.one_of(st.none(), st.binary(max_size=20), st.builds(bytes, SIZES))
END = b"\xfe\0\0\2\0"


def integer(value: int) -> bytes:
    """Length-encoded."""
    if value < 251:
        return bytes((value,))
    return b"\xfc" + value.to_bytes(2, "little") if value < 65536 else b"\xfd" + value.to_bytes(3, "little")


def packet(payload: bytes, sequence: int) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload


def replied(rows: list[tuple[bytes | None, ...]], sequence: int) -> bytes:
    packets = [b"".join(b"\xfb" if v is None else integer(len(v)) + v for v in row) for row in rows]
    return b"".join(packet(payload, number) for number, payload in enumerate([*packets, END], sequence))


@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[VALUES] * width), max_size=300)), st.integers(0, 255)
)
def test_what_was_written_is_read(rows: list[tuple[bytes | None, ...]], sequence: int) -> None:
    converters = (None, bytes.hex, len, None)[: len(rows[0]) if rows else 1]
    expected = [
        tuple(value if value is None or f is None else f(value) for value, f in zip(row, converters, strict=True))
        for row in rows
    ]
    reply = b"before" + replied(rows, sequence)
    seen = rows_of(reply, 6, sequence, tuple((None, f) for f in converters))
    assert seen == (expected, len(reply) - len(END) - 4, (sequence + len(rows)) & 0xFF)


ROWS: list[tuple[bytes | None, ...]] = [(b"1", "ü".encode()), (None, b"")]


def test_texts_are_decoded_before_they_are_converted() -> None:
    rows, _, _ = rows_of(replied(ROWS, 3), 0, 3, (("ascii", int), ("utf8", None)))
    assert rows == [(1, "ü"), (None, "")]


GOOD = replied(ROWS, 3)
BAD = {
    **{f"cut after {size} bytes": (GOOD[:size], 2) for size in range(len(GOOD) - len(END))},
    "out of order": (GOOD[:3] + b"\7" + GOOD[4:], 2),
    "a column more": (GOOD, 1),
    "a column less": (GOOD, 3),
    "a value longer than its row": (packet(b"\5abc", 3) + packet(END, 4), 1),
    "a value longer than everything": (packet(b"\xfd\xff\xff\xffabc", 3) + packet(END, 4), 1),
}


@pytest.mark.parametrize("case", BAD)
def test_what_are_no_rows_is_an_error(case: str) -> None:
    reply, columns = BAD[case]
    with pytest.raises((ValueError, IndexError)):
        rows_of(reply, 0, 3, ((None, None),) * columns)


@pytest.mark.parametrize("end", [b"\xff\x28\x04#42000no", END, b"\xfe\0\0\2\0\0\0"])
def test_rows_end_before_whatever_is_no_row(end: bytes) -> None:
    reply = GOOD[: -len(END) - 4] + packet(end, 5)
    assert rows_of(reply, 0, 3, ((None, None),) * 2) == (ROWS, len(GOOD) - len(END) - 4, 5)
