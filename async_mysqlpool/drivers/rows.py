"""Rows of the text protocol, made from the bytes of a reply: plain loops over plain types, to be compiled."""

from __future__ import annotations

from typing import Any, TypeAlias

from async_mysqlpool.wire.packets import EOF, HEADER, LONGEST, MalformedError

__all__ = ["Converter", "rows_of"]

# How a column is read: the encoding of its text, None for bytes; and what makes a value of that, None for nothing.
Converter: TypeAlias = "tuple[str | None, Any]"

_NULL = 0xFB


def rows_of(
    reply: bytes, at: int, sequence: int, converters: tuple[Converter, ...]
) -> tuple[list[tuple[Any, ...]], int, int]:
    """The rows that begin at `at` with packet number `sequence`; where they end, and the number of the next packet.

    Raises:
        MalformedError: these are no rows of so many columns, each in one packet.
        IndexError, or whatever a converter raises: nor can they be read.
    """
    rows: list[tuple[Any, ...]] = []
    while True:
        length = reply[at] | reply[at + 1] << 8 | reply[at + 2] << 16
        first = reply[at + HEADER]
        if first >= EOF:  # the end, or an error, or a row with a value that is longer than any reply that is read here
            return rows, at, sequence
        end = at + HEADER + length
        if reply[at + 3] != sequence or length == LONGEST or end > len(reply):
            raise MalformedError("a row is out of order, or no row")
        rows.append(_row(reply, at + HEADER, end, converters))
        sequence = (sequence + 1) & 0xFF
        at = end


def _row(reply: bytes, at: int, end: int, converters: tuple[Converter, ...]) -> tuple[Any, ...]:
    row: list[Any] = []
    for encoding, converter in converters:
        length = reply[at]
        at += 1
        if length == _NULL:
            row.append(None)
            continue
        if length > _NULL:
            width = length - 0xFA  # 0xFC: two bytes, 0xFD: three; longer ones do not occur in one packet
            length = int.from_bytes(reply[at : at + width], "little")
            at += width
        value: Any = reply[at : at + length]
        at += length
        if encoding is not None:
            value = value.decode(encoding)
        row.append(value if converter is None else converter(value))
    if at != end:
        raise MalformedError("a row has other columns")
    return tuple(row)
