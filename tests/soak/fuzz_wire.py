"""Bytes that a fuzzer makes up, led by what they reach: no exception, no endless loop, no memory without bound.

`python tests/soak/fuzz_wire.py -max_total_time=60`; `nox -s soak` runs it where atheris can be installed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["async_mysqlpool.wire"]):
    from async_mysqlpool.wire import packets as p
    from async_mysqlpool.wire.wire import Wire

CAPABILITIES = [0, p.CLIENT_DEPRECATE_EOF | p.CLIENT_SESSION_TRACK, p.CLIENT_SESSION_TRACK, p.CLIENT_LONG_PASSWORD]


def converse(data: bytes, chunk: int) -> tuple[object, ...]:
    """The first byte says what was agreed on; then turns of a byte each (who speaks, how much) and that much.

    What one turn holds comes in chunks. The facts in the end.
    """
    done: list[Exception | None] = []
    batches = 0
    wire = Wire(CAPABILITIES[data[0] % 4], lambda text: text.startswith(b"S"))
    at = 1
    while at < len(data):
        speaker, size = data[at] & 3, data[at] >> 2
        said, at = data[at + 1 : at + 1 + size], at + 1 + size
        if speaker == 3 and size < 4:
            batches += 1
            wire.expect((p.COM_RESET_CONNECTION, p.COM_QUERY)[: 1 + size % 2], done.append)
        elif speaker == 2:
            for start in range(0, len(said), chunk):
                wire.sent(said[start : start + chunk])
        elif speaker == 1:  # a command, whole
            wire.sent(len(said).to_bytes(3, "little") + b"\0" + said)
        else:
            for start in range(0, len(said), chunk):
                part = said[start : start + chunk]
                ours = wire.received(part, 0, len(part))
                assert 0 <= ours <= len(part)
                assert not (ours and batches == 0)
        assert len(wire._stash) <= p.HEADER + p.LONGEST
    in_step = wire.in_step
    wire.end()
    assert len(done) == batches
    return wire.doubt, wire.due, in_step, wire.status, wire.changed, wire.moved, wire.wrote, wire.unheard, wire.spent


def fuzz(data: bytes) -> None:
    if data:
        assert converse(data, 64) == converse(data, 1) == converse(data, 5)


def seeds(folder: Path) -> None:
    """The recorded conversations, as this fuzzer's words."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "wire"))
    from test_wire_recorded import RECORDED, read

    for path in RECORDED:
        recording = read(path)
        for number, step in enumerate(recording.steps):
            said = bytes((bool(recording.capabilities & p.CLIENT_DEPRECATE_EOF),))
            for direction, data in step.turns:
                for start in range(0, len(data), 63):
                    part = data[start : start + 63]
                    said += bytes((len(part) << 2 | 2 * (direction == ">"),)) + part
            (folder / f"{path.stem}-{number}").write_bytes(said)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        atheris.Setup([*sys.argv, "-timeout=10", "-rss_limit_mb=1024", "-max_len=4096", corpus], fuzz)
        atheris.Fuzz()
