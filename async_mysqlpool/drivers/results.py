"""Results read by us: a statement that was seen before is asked past its driver, and its rows are made here.

The driver runs a statement in its own way first, and what it made of the column definitions is remembered: their bytes,
and with which converters it reads each column. From then on the statement is written here, and waited for once; where
the reply begins with the same bytes, its rows are made with those converters and look as the driver would have made
them. Any other reply is given to the driver as it came, and the driver's own `execute` goes on from there.

Nothing of this happens where it could be told: on a driver whose methods somebody has replaced, with settings that
change what is read or want to be told of it, while another result is still to be read.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from async_mysqlpool.wire import packets as p

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from async_mysqlpool.wire.transport import TransportWire
    from async_mysqlpool.wire.wakeups import Waiter

__all__ = ["DICTIONARY_METHODS", "Originals", "Rows", "Shape", "Shapes", "StatementReader"]

Rows: TypeAlias = "tuple[tuple[Any, ...], ...] | list[dict[str, Any]]"

# Of the cursors that give dicts: the same in all drivers that descend from PyMySQL.
DICTIONARY_METHODS = ("execute", "_query", "_do_get_result", "_conv_row", "fetchone", "fetchmany", "fetchall")

_MOST_SHAPES = 512  # statements of a pool
_LONGEST_TEXT = 4096  # characters of one
_MOST_COLUMNS = 250  # as long as their number fits in one byte
_PATIENCE = 8  # replies in a row that looked different than expected; then a statement is left to the driver


class Shape:
    """What the result of a statement looks like.

    Attributes:
        head: the packets of a reply up to the last column definition.
        sequence: the number of the packet behind them.
        encoding: of the connection, in which texts are read.
        decoders: types of columns, and what the driver's table of converters says of them.
        converters: the driver's own, one for each column.
        result: the driver's own object for such a result, without rows.
        names: of the columns, as a cursor has them that gives dicts.
        packet: the statement as it is without arguments.
        misses: replies in a row that did not begin with `head`.
    """

    __slots__ = ("converters", "decoders", "encoding", "head", "misses", "names", "packet", "result", "sequence")

    def __init__(self, text: str, raw: Any, result: Any, decoders: Mapping[int, Any]) -> None:
        fields: list[Any] = result.fields
        payloads = [bytes((len(fields),)), *(field.get_all_data() for field in fields)]
        self.head = b"".join(p.framed(payload, number) for number, payload in enumerate(payloads, 1))
        self.sequence = len(payloads) + 1
        self.encoding: str = raw._encoding
        self.decoders = tuple({field.type_code: decoders.get(field.type_code) for field in fields}.items())
        self.converters: tuple[Any, ...] = tuple(result.converters)
        self.result = _without_rows(result, raw)
        self.names = _names(fields)
        self.packet = packet_of(text, self.encoding)
        self.misses = 0

    def equals(self, other: Shape) -> bool:
        """Whether both read the same reply in the same way."""
        return (self.head, self.encoding, self.decoders) == (other.head, other.encoding, other.decoders)


def packet_of(text: str, encoding: str) -> bytes | None:
    """A query, as the drivers encode it; None if it is too long for one packet."""
    payload = text.encode(encoding, "surrogateescape")
    if len(payload) >= p.LONGEST - 1:
        return None
    return p.encode([p.Command(p.COM_QUERY, payload)])


def _without_rows(result: Any, raw: Any) -> Any:
    blank = result.__class__(raw)
    blank.connection = None
    for name in ("insert_id", "warning_count", "message", "field_count", "description", "has_next", "fields"):
        setattr(blank, name, getattr(result, name))
    blank.converters = result.converters
    return blank


def _names(fields: Iterable[Any]) -> list[str]:
    """Of two columns of one name, the second one is called after its table as well."""
    names: list[str] = []
    for field in fields:
        names.append(f"{field.table_name}.{field.name}" if field.name in names else field.name)
    return names


class Shapes(OrderedDict[str, "Shape | bool"]):
    """What the statements of a pool return. Those that were not said for longest are forgotten.

    True: seen once; nothing is learned of statements that never come again. False: it looks different each time.
    """

    def put(self, text: str, shape: Shape | bool) -> None:
        """Remember that of a statement."""
        self[text] = shape
        if len(self) > _MOST_SHAPES:
            self.popitem(last=False)


class Adapter(Protocol):
    """What is needed of a driver's adapter; see `base.Driver` and `PyMySQLFamily`."""

    output_attribute: str

    def has_unread(self, raw: Any) -> bool: ...
    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...


class StatementReader:
    """Asks statements on one connection.

    Args:
        driver: the adapter of its driver.
        raw: the driver's connection.
        wire: what it talks through.
        shapes: what is known of statements, shared by all connections of a pool.
        eof_follows: whether an EOF packet stands between columns and rows.

    Attributes:
        exposed: somebody may have changed the connection's settings since the pool has seen to them.
    """

    __slots__ = ("_driver", "_eof_follows", "_shapes", "exposed", "raw", "wire")

    # Set by each driver:
    decoders = ""  # what the connection calls its table of converters, by type of column
    methods: Any = None  # `Originals` that send a statement and read its result
    dictionary: Any = None  # the class of the cursor that gives dicts
    dictionary_methods: Any = None  # `Originals` of that

    def __init__(self, driver: Adapter, raw: Any, wire: TransportWire, shapes: Shapes, eof_follows: bool) -> None:
        self._driver = driver
        self.raw = raw
        self.wire = wire
        self._shapes = shapes
        self._eof_follows = eof_follows
        self.exposed = False

    # -- set by each driver ---------------------------------------------------------------------------------------

    def is_usual(self) -> bool:
        """Whether no setting of the connection changes what is read, or has somebody told of it."""
        raise NotImplementedError

    def literal(self) -> Callable[[Any], str]:
        """The driver's function that makes one of several arguments a part of a statement."""
        raise NotImplementedError

    def kind(self, args: tuple[Any, ...]) -> bool | None:
        """Which cursor is wanted: False the driver's plain one, True the one that gives dicts, None another one."""
        raise NotImplementedError

    def rows(self, shape: Shape, reply: bytearray, at: int, sequence: int) -> tuple[list[tuple[Any, ...]], int, int]:
        """The rows that begin at `at` in packet number `sequence`; where they end, and the number of the next packet.

        Whatever it raises, the driver reads them again and raises what it raises.
        """
        raise NotImplementedError

    def install(self, cursor: Any, shape: Shape, rows: Rows, number: int, query: str) -> None:
        """Make the driver's cursor look as if it had executed `query` itself, and `number` rows were fetched."""
        raise NotImplementedError

    def close(self, cursor: Any) -> None:
        """Make the driver's cursor a closed one."""
        raise NotImplementedError

    def note_status(self, status: int) -> None:
        """What the driver would have remembered of the flags, where they stand in an OK packet."""
        return

    def check_open(self) -> None:
        """Before the driver reads: raise what it would have raised, had the connection been closed meanwhile."""
        return

    # -- the same for all -----------------------------------------------------------------------------------------

    def is_idle(self) -> bool:
        """Whether a statement can be asked now, and the driver's own methods are what would have sent it."""
        raw, wire, result = self.raw, self.wire, self.raw._result
        if not wire.is_of(getattr(raw, self._driver.output_attribute)):
            return False
        if wire.due or wire.lost or wire.doubt is not None or self._driver.has_unread(raw):
            return False
        if result is not None and (result.has_next or result.unbuffered_active):
            return False
        return bool(self.methods.stand())

    def gives_dicts(self) -> bool:
        """Whether the cursor that gives dicts does that in its own way; its class can be changed."""
        return bool(self.dictionary_methods.stand()) and self.dictionary.dict_type is dict

    def cursor(self, args: tuple[Any, ...]) -> Any:
        """The driver's cursor."""
        return self._driver.new_cursor(self.raw, args, {})

    def find(self, query: object, dictionary: bool) -> Shape | None:
        """What a statement will return, if it may be asked now."""
        if type(query) is not str:  # of any other text it is not sure what the driver makes
            return None
        shape = self._shapes.get(query)
        if not isinstance(shape, Shape) or not self.is_idle() or (dictionary and not self.gives_dicts()):
            return None
        if not self._reads_as(shape):
            return None
        self._shapes.move_to_end(query)
        return shape

    def _reads_as(self, shape: Shape) -> bool:
        """Whether the settings are still those with which the shape was learned."""
        if self.exposed and not (self.is_usual() and shape.encoding == self.raw._encoding):
            return False
        decoders: Mapping[int, Any] = getattr(self.raw, self.decoders)  # in one driver a table of the whole process
        for code, decoder in shape.decoders:  # noqa: SIM110  on every statement's way, so without a generator
            if decoders.get(code) is not decoder:
                return False
        return True

    def mogrify(self, query: str, args: Any) -> str:
        """The statement that the driver's cursor would send."""
        literal = self.literal()
        if isinstance(args, (tuple, list)):
            return query % tuple(map(literal, cast("Sequence[Any]", args)))
        if isinstance(args, dict):
            return query % {key: literal(value) for key, value in cast("dict[str, Any]", args).items()}
        text: str = query % self.raw.escape(args)
        return text

    def ask(self, statement: bytes) -> Waiter:
        """Write a statement; what `read` needs is to be awaited, or `give_up` called."""
        return self.wire.ask(statement)

    def give_up(self, error: BaseException) -> None:
        """The answer was not waited for: the connection is what it would be, had the driver waited."""
        self.wire.forget()
        if isinstance(error, asyncio.CancelledError):
            self.raw._close_on_cancel()

    def read(self, shape: Shape, reply: bytearray | None) -> list[tuple[Any, ...]] | None:
        """The rows of an answer; None if the driver has to read it, with `read_by_driver`."""
        if reply is None:
            return None
        rows = self._read(shape, reply)
        if rows is None:
            self.wire.give(reply)
            return None
        raw = self.raw
        raw._result = shape.result
        raw._affected_rows = len(rows)
        shape.misses = 0
        return rows

    def _read(self, shape: Shape, reply: bytearray) -> list[tuple[Any, ...]] | None:
        """The rows of a whole reply, if it is as expected: the same columns, no warnings, no error, nothing more."""
        if not reply.startswith(shape.head):
            return None
        at, sequence = len(shape.head), shape.sequence
        try:
            if self._eof_follows:
                if reply[at] != 5 or reply[at + p.HEADER] != p.EOF:
                    return None
                at += p.HEADER + 5
                sequence += 1
            rows, at, sequence = self.rows(shape, reply, at, sequence & 0xFF)
            status = _ending(reply, at, sequence, self._eof_follows)
        except Exception:  # noqa: BLE001  the driver says it in its own words
            return None
        if status is None:
            return None
        if not self._eof_follows:
            self.note_status(status)
        return rows

    async def read_by_driver(self, cursor: Any, query: str, args: Any) -> Any:
        """The driver's own `execute`, from where the statement has been sent already."""
        raw = self.raw

        async def sent(command: int, sql: object) -> None:
            del raw._execute_command
            self.check_open()
            raw._result = None
            raw._next_seq_id = 1

        raw._execute_command = sent
        try:
            result = await cursor.execute(query, args)
        finally:
            raw.__dict__.pop("_execute_command", None)
        self._missed(query)
        return result

    def _missed(self, query: str) -> None:
        shape = self._shapes.get(query)
        if isinstance(shape, Shape):
            shape.misses += 1
            if shape.misses > _PATIENCE:
                self._shapes.put(query, False)

    def learn(self, query: object, dictionary: bool) -> None:
        """The driver has just executed this statement."""
        result = self.raw._result
        if result is None or result.description is None or type(query) is not str:
            return
        known = self._shapes.get(query)
        if known is None and len(query) <= _LONGEST_TEXT:
            self._shapes.put(query, True)
        if not known or self.exposed or not self.is_idle() or result.field_count > _MOST_COLUMNS:
            return
        if dictionary and not self.gives_dicts():
            return
        shape = Shape(query, self.raw, result, getattr(self.raw, self.decoders))
        if isinstance(known, Shape):
            if shape.equals(known):
                return
            shape.misses = known.misses
        self._shapes.put(query, shape)


def _ending(reply: bytearray, at: int, sequence: int, eof_follows: bool) -> int | None:
    """The flags with which a reply ends there, if it says nothing else and no other result follows."""
    length = reply[at] | reply[at + 1] << 8 | reply[at + 2] << 16
    if at + p.HEADER + length != len(reply) or reply[at + 3] != sequence or reply[at + 4] != p.EOF:
        return None
    if eof_follows:
        warnings, status = at + 5, at + 7
    elif reply[at + 5] or reply[at + 6]:
        return None
    else:
        status, warnings = at + 7, at + 9
    if reply[warnings] or reply[warnings + 1] or reply[status] & p.SERVER_MORE_RESULTS_EXISTS:
        return None
    return reply[status] | reply[status + 1] << 8


class Originals:
    """Methods of a driver's that somebody may replace to see statements or rows.

    Args:
        methods: class -> the names of its methods.

    Attributes:
        known: all of them were what their module defines when this was made.
    """

    def __init__(self, methods: Mapping[Any, Sequence[str]]) -> None:
        self._functions = [(owner, name, getattr(owner, name)) for owner, names in methods.items() for name in names]
        self.known = all(_is_original(function, owner) for owner, _, function in self._functions)

    def stand(self) -> bool:
        """Whether nobody has replaced any, before this was made or since."""
        for owner, name, function in self._functions:
            if getattr(owner, name) is not function:
                return False
        return self.known


def _is_original(function: Any, owner: Any) -> bool:
    name = getattr(function, "__module__", None)
    if name is None or name not in {base.__module__ for base in owner.__mro__}:
        return False  # some tracers put in functions of their own, under their own names
    module = sys.modules.get(name)
    if type(function) is FunctionType:  # what wraps one says that it is one, too
        # What stands in for another function may borrow its names, but not its code.
        return module is not None and function.__code__.co_filename == module.__file__
    return type(function).__name__ == "cython_function_or_method" and hasattr(module, "__file__")
