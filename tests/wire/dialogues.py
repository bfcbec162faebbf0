"""Conversations between a driver and a server, made up packet by packet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from hypothesis import strategies as st

from async_mysqlpool.wire import packets as p

MORE = p.SERVER_MORE_RESULTS_EXISTS
CHANGED = p.SERVER_SESSION_STATE_CHANGED
HARMLESS = b"SELECT"  # how statements begin that the model calls harmless


def is_harmless(statement: bytes) -> bool:
    return statement.startswith(HARMLESS)


# -- words ------------------------------------------------------------------------------------------------------------


def integer(value: int) -> bytes:
    """Length-encoded."""
    if value < 0xFB:
        return bytes((value,))
    for first, width in ((0xFC, 2), (0xFD, 3), (0xFE, 8)):
        if value < 1 << 8 * width:
            return bytes((first,)) + value.to_bytes(width, "little")
    raise ValueError(value)


def string(value: bytes) -> bytes:
    return integer(len(value)) + value


def framed(payload: bytes, sequence: int) -> tuple[bytes, int]:
    """A payload in packets, and the next sequence number."""
    out = b""
    while True:
        part, payload = payload[: p.LONGEST], payload[p.LONGEST :]
        out += len(part).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + part
        sequence += 1
        if len(part) < p.LONGEST:
            return out, sequence


def column(name: bytes) -> bytes:
    return string(b"def") + b"\0\0\0" + string(name) + b"\0" + b"\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"


def error(number: int, text: bytes) -> bytes:
    return b"\xff" + number.to_bytes(2, "little") + b"#HY000" + text


# -- what is said -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class News:
    """What an OK or EOF packet says: the words of the model."""

    status: int = 0
    rows: int = 0
    insert_id: int = 0
    warnings: int = 0
    schema: bytes | None = None  # the tracker's, where there is one

    def eof(self) -> bytes:
        return b"\xfe" + self.warnings.to_bytes(2, "little") + self.status.to_bytes(2, "little")

    def ok(self, tracked: bool, first: int = p.OK) -> bytes:
        data = bytes((first,)) + integer(self.rows) + integer(self.insert_id)
        data += self.status.to_bytes(2, "little") + self.warnings.to_bytes(2, "little")
        if tracked and self.status & CHANGED:
            entries = b"\x00" + string(string(b"sql_mode") + string(b"x" * 3))
            if self.schema is not None:
                entries += b"\x01" + string(string(self.schema))
            data += string(b"") + string(entries)
        return data


@dataclass(frozen=True)
class In:
    """A packet of the server's; `news` if it ends a result, and whether of that EOF kind that cannot name a schema."""

    payload: bytes
    news: News | None = None
    eof: bool = False
    error: int | None = None
    begins_rows: bool = False


@dataclass(frozen=True)
class Out:
    """A packet of the driver's within an exchange: of a file, or of an authentication."""

    payload: bytes


Item: TypeAlias = "In | Out"


@dataclass(frozen=True)
class Exchange:
    """One command and its answer."""

    code: int
    text: bytes
    items: tuple[Item, ...]
    asks_for_file: bool = False

    @property
    def plain(self) -> bool:
        """The driver says nothing more after the command."""
        return not any(isinstance(item, Out) for item in self.items)


@dataclass(frozen=True)
class Kind:
    """What client and server have agreed on."""

    deprecate_eof: bool
    tracked: bool
    mysql: bool

    @property
    def capabilities(self) -> int:
        flags = {
            p.CLIENT_DEPRECATE_EOF: self.deprecate_eof,
            p.CLIENT_SESSION_TRACK: self.tracked,
            p.CLIENT_LONG_PASSWORD: self.mysql,
        }
        return sum(flag for flag, is_set in flags.items() if is_set)

    def rows_end(self, news: News) -> In:
        if self.deprecate_eof:
            return In(news.ok(self.tracked, p.EOF), news)
        return In(news.eof(), replace(news, rows=0, insert_id=0), eof=True)

    def ok(self, news: News) -> In:
        return In(news.ok(self.tracked), news)

    def eofs(self) -> list[In]:
        """The packet that stands between columns and rows, where there is one."""
        return [] if self.deprecate_eof else [In(News(p.SERVER_STATUS_AUTOCOMMIT).eof())]


# -- made up ----------------------------------------------------------------------------------------------------------

_BITS = st.sampled_from([0, p.SERVER_STATUS_IN_TRANS, p.SERVER_STATUS_AUTOCOMMIT, CHANGED, CHANGED | 3, 0x0120])
_NUMBERS = st.sampled_from([0, 0, 0, 1, 250, 251, 65535, 65536, 1 << 24, (1 << 64) - 1])


@st.composite
def news(draw: st.DrawFn, more: int = 0) -> News:
    warnings, schema = draw(st.sampled_from([0, 0, 0, 7])), draw(st.sampled_from([None, b"shop", b""]))
    return News(draw(_BITS) | more, draw(_NUMBERS), draw(_NUMBERS), warnings, schema)


@st.composite
def row(draw: st.DrawFn, kind: Kind, columns: int) -> bytes:
    """A text row, or a binary one; now and then as long as several packets, exactly as long as one, or led by 0xFE."""
    shape = draw(st.sampled_from(["text", "text", "text", "binary", "null", "exact", "long", "led by 0xFE"]))
    if shape == "binary":
        return b"\0" * (1 + columns) + draw(st.binary(max_size=20))
    if shape == "null":
        return b"\xfb" * columns
    if shape == "exact":
        return (string(b"x") + b"\xfb" * p.LONGEST)[: p.LONGEST * draw(st.integers(1, 2))].ljust(p.LONGEST, b"\xfb")
    if shape == "long":
        return string(b"y" * (p.LONGEST * draw(st.integers(1, 3)) + draw(st.integers(-4, 4))))
    if shape == "led by 0xFE":
        size = p.LONGEST + draw(st.integers(0, 9)) if kind.deprecate_eof else draw(st.integers(0, 9))
        return b"\xfe" + size.to_bytes(8, "little") + b"\xfe" * size
    return b"".join(string(draw(st.binary(max_size=8))) for _ in range(columns))


@st.composite
def result(draw: st.DrawFn, kind: Kind, more: int) -> list[Item]:
    """A result set, or an OK packet."""
    said = draw(news(more))
    if draw(st.booleans()):
        return [kind.ok(said)]
    columns = draw(st.sampled_from([1, 2, 5, 300]))
    rows = [In(draw(row(kind, columns))) for _ in range(draw(st.integers(0, 4)))]
    names = [In(column(b"%d" % number)) for number in range(columns)]
    return [In(integer(columns), begins_rows=True), *names, *kind.eofs(), *rows, kind.rows_end(said)]


@st.composite
def results(draw: st.DrawFn, kind: Kind, code: int, text: bytes) -> Exchange:
    count = draw(st.sampled_from([1, 1, 1, 2, 3]))
    items = [item for left in range(count, 0, -1) for item in draw(result(kind, MORE if left > 1 else 0))]
    return Exchange(code, text, tuple(items))


@st.composite
def query(draw: st.DrawFn, kind: Kind) -> Exchange:
    start = draw(st.sampled_from([HARMLESS, b"CALL", b""]))
    return draw(results(kind, p.COM_QUERY, start + b" " * draw(st.sampled_from([0, 9, p.LONGEST - 9, p.LONGEST * 2]))))


@st.composite
def load(draw: st.DrawFn, kind: Kind) -> Exchange:
    """LOAD DATA LOCAL; the sequence numbers of the file's packets wrap."""
    blocks = draw(st.sampled_from([[], [b"1\n"], [b"\x01"] * 3, [b"z"] * 600, [b"q" * p.LONGEST, b"q"]]))
    items = [In(b"\xfbfile.csv"), *map(Out, blocks), Out(b""), kind.ok(draw(news()))]
    return Exchange(p.COM_QUERY, b"LOAD", tuple(items), asks_for_file=True)


@st.composite
def execute(draw: st.DrawFn, kind: Kind) -> Exchange:
    code = draw(st.sampled_from([p.COM_STMT_EXECUTE, p.COM_STMT_BULK_EXECUTE]))
    return draw(results(kind, code, b"\1\0\0\0" + draw(st.binary(max_size=80))))


@st.composite
def open_cursor(draw: st.DrawFn, kind: Kind) -> Exchange:
    """With a cursor on the server, no rows follow the columns."""
    said = replace(draw(news()), status=draw(_BITS) | p.SERVER_STATUS_CURSOR_EXISTS)
    items = [In(b"\2"), In(column(b"a")), In(column(b"b")), kind.rows_end(said)]
    return Exchange(p.COM_STMT_EXECUTE, b"\1\0\0\0\1\1\0\0\0", tuple(items))


@st.composite
def rows_only(draw: st.DrawFn, kind: Kind) -> Exchange:
    """What is fetched from such a cursor; and the columns of a table, which look like rows."""
    end = kind.rows_end(draw(news()))
    if draw(st.booleans()):
        names = [In(column(b"%d" % number)) for number in range(draw(st.integers(0, 3)))]
        return Exchange(p.COM_FIELD_LIST, b"items\0", (*names, end))
    rows = [In(draw(row(kind, 2))) for _ in range(draw(st.integers(0, 4)))]
    return Exchange(p.COM_STMT_FETCH, b"\1\0\0\0\5\0\0\0", (*rows, end))


@st.composite
def prepare(draw: st.DrawFn, kind: Kind) -> Exchange:
    columns, parameters = draw(st.sampled_from([0, 1, 3, 260])), draw(st.sampled_from([0, 1, 2]))
    head = b"\0\1\0\0\0" + columns.to_bytes(2, "little") + parameters.to_bytes(2, "little") + b"\0\0\0"
    items = [In(head)]
    for count in (parameters, columns):
        items += [In(column(b"?")) for _ in range(count)] + (kind.eofs() if count else [])
    return Exchange(p.COM_STMT_PREPARE, b"SELECT ?", tuple(items))


@st.composite
def plain(draw: st.DrawFn, kind: Kind) -> Exchange:
    """One packet: OK, or the kind of EOF that some commands answer with."""
    code = draw(st.sampled_from([p.COM_PING, p.COM_INIT_DB, p.COM_STMT_RESET, p.COM_RESET_CONNECTION, 0x0D]))
    said = draw(news())
    return Exchange(code, b"", ((kind.rows_end if code == 0x0D else kind.ok)(said),))


@st.composite
def set_option(draw: st.DrawFn, kind: Kind) -> Exchange:
    return Exchange(p.COM_SET_OPTION, b"\0\0", (kind.rows_end(draw(news())),))


def statistics(kind: Kind) -> st.SearchStrategy[Exchange]:
    return st.just(Exchange(p.COM_STATISTICS, b"", (In(b"Uptime: 1"),)))


@st.composite
def unanswered(draw: st.DrawFn, kind: Kind) -> Exchange:
    code = draw(st.sampled_from([p.COM_STMT_CLOSE, p.COM_STMT_SEND_LONG_DATA]))
    size = draw(st.sampled_from([0, 9, p.LONGEST])) if code == p.COM_STMT_SEND_LONG_DATA else 0
    return Exchange(code, b"\1\0\0\0" + b"\x03" * size, ())


@st.composite
def change_user(draw: st.DrawFn, kind: Kind) -> Exchange:
    asked: list[Item] = [In(b"\xfemysql_native_password\0salt"), Out(b"hash"), In(b"\1\4"), Out(b"password\0")]
    rounds = draw(st.sampled_from([0, 2, 4]))
    return Exchange(p.COM_CHANGE_USER, b"root\0", (*asked[:rounds], kind.ok(draw(news()))))


COMMANDS = [query, query, load, execute, open_cursor, rows_only, prepare, plain, set_option, statistics, unanswered,
            change_user]  # fmt: skip


NUMBERS = st.sampled_from(sorted(p.HANGS_UP)) | st.integers(1, 4082)  # of errors


@st.composite
def exchange(draw: st.DrawFn, kind: Kind, plain_only: bool = False) -> Exchange:
    """Any command, with any answer, which may be an error from any of its packets on."""
    made = draw(draw(st.sampled_from(COMMANDS))(kind).filter(lambda made: made.plain or not plain_only))
    last_out = max((at for at, item in enumerate(made.items) if isinstance(item, Out)), default=-1)
    places = [at for at in range(len(made.items)) if at > last_out or at == 0]
    if places and draw(st.integers(0, 4)) == 0:
        at, number = draw(st.sampled_from(places)), draw(NUMBERS)
        failure = In(error(number, b"e" * draw(st.integers(0, 20))), error=number)
        made = replace(made, items=(*made.items[:at], failure), asks_for_file=made.asks_for_file and at > 0)
    return made


@st.composite
def own(draw: st.DrawFn, kind: Kind) -> Exchange:
    """A command of the pool's."""
    if draw(st.booleans()):
        items: list[Item] = [kind.ok(draw(news()))]
    else:
        items = draw(result(kind, 0))
    if draw(st.integers(0, 5)) == 0:
        number = draw(NUMBERS)
        items = [In(error(number, b"e" * draw(st.integers(0, 40))), error=number)]
    code = draw(st.sampled_from([p.COM_RESET_CONNECTION, p.COM_PING])) if len(items) == 1 else p.COM_QUERY
    return Exchange(code, b"", tuple(items))


@dataclass(frozen=True)
class Turn:
    """Commands of the pool's own, then some of the driver's; all answers come after all commands."""

    own: tuple[Exchange, ...]
    driver: tuple[Exchange, ...]


@st.composite
def turn(draw: st.DrawFn, kind: Kind) -> Turn:
    batch = tuple(draw(st.lists(own(kind), max_size=3)))
    several = draw(st.integers(0, 3)) == 0
    commands = draw(st.lists(exchange(kind, several), min_size=several, max_size=3 if several else 1))
    return Turn(batch, tuple(commands))


@st.composite
def dialogue(draw: st.DrawFn) -> tuple[Kind, list[Turn]]:
    kind = Kind(draw(st.booleans()), draw(st.booleans()), draw(st.booleans()))
    return kind, draw(st.lists(turn(kind), min_size=1, max_size=5))
