"""The cursor of a connection whose results are read by us: the driver's own is made when somebody needs more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.results import packet_of

if TYPE_CHECKING:
    from async_mysqlpool.drivers.results import Rows, Shape, StatementReader

__all__ = ["StandIn", "stand_in"]


def stand_in(reader: StatementReader, args: tuple[Any, ...]) -> StandIn | None:
    """For the cursor that a driver would make of these arguments; None if that is none of its default ones."""
    kind = reader.kind(args) if len(args) < 2 else None
    return None if kind is None else StandIn(reader, args, kind)


class StandIn:
    """Stands where a driver's default cursor would, and does as that would.

    Args:
        reader: of the connection.
        args: what the driver would have been asked for a cursor with.
        dictionary: its rows are dicts.
    """

    # The last result, as long as the driver's cursor does not have it, is one of this shape; None if there is none.
    _shape: Shape | None
    _rows: Rows
    _number: int  # of rows that were fetched
    _query: str

    __slots__ = ("_args", "_closed", "_cursor", "_dictionary", "_number", "_query", "_reader", "_rows", "_shape")

    def __init__(self, reader: StatementReader, args: tuple[Any, ...], dictionary: bool) -> None:
        self._reader = reader
        self._args = args
        self._dictionary = dictionary
        self._cursor: Any = None
        self._shape = None
        self._closed = False

    async def execute(self, query: str, args: Any = None) -> Any:
        """Run one statement."""
        reader = self._reader
        shape = None if self._closed else reader.find(query, self._dictionary)
        if shape is None:
            return await self._execute_by_driver(query, args)
        said, packet = query, shape.packet
        if args is not None:
            said = reader.mogrify(query, args)
            packet = packet_of(said, shape.encoding)
        if packet is None:
            return await self._execute_by_driver(query, args)
        self._shape = None
        answer = reader.ask(packet)
        try:
            await answer
        except BaseException as exc:
            reader.give_up(exc)
            raise
        rows = reader.read(shape, answer.result())
        if rows is None:
            result = await reader.read_by_driver(self._made(), query, args)
            reader.learn(query, self._dictionary)
            return result
        self._shape, self._number, self._query = shape, 0, said
        if self._dictionary and rows:
            self._rows = [dict(zip(shape.names, row, strict=False)) for row in rows]
        else:
            self._rows = tuple(rows)
        return len(rows)

    async def _execute_by_driver(self, query: str, args: Any) -> Any:
        result = await self._ready().execute(query, args)
        self._reader.learn(query, self._dictionary)
        return result

    async def fetchone(self) -> Any:
        """The next row, or None."""
        if self._shape is None:
            return await self._ready().fetchone()
        number = self._number
        if number >= len(self._rows):
            return None
        self._number = number + 1
        return self._rows[number]

    async def fetchall(self) -> Any:
        """All remaining rows."""
        if self._shape is None:
            return await self._ready().fetchall()
        number, self._number = self._number, len(self._rows)
        return self._rows[number:] if number else self._rows

    def closed_at_once(self) -> bool:
        """Close it, if there is no cursor of the driver's yet that would have to be closed; whether that was so."""
        if self._cursor is None:
            self._closed = True
        return self._cursor is None

    async def close(self) -> None:
        """Close the cursor."""
        self._closed = True
        if self._cursor is not None:
            await self._cursor.close()

    @property
    def raw(self) -> Any:
        """The driver's cursor."""
        return self._ready()

    @property
    def description(self) -> Any:
        """The columns of the result."""
        return self._ready().description if self._shape is None else self._shape.result.description

    @property
    def rowcount(self) -> Any:
        """How many rows there are."""
        return self._ready().rowcount if self._shape is None else len(self._rows)

    @property
    def arraysize(self) -> Any:
        """How many rows `fetchmany` fetches."""
        return self._ready().arraysize

    @arraysize.setter
    def arraysize(self, size: int) -> None:
        self._ready().arraysize = size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ready(), name)

    def _made(self) -> Any:
        """The driver's cursor, whatever it knows."""
        if self._cursor is None:
            self._cursor = self._reader.cursor(self._args)
            if self._closed:
                self._reader.close(self._cursor)
        return self._cursor

    def _ready(self) -> Any:
        """The driver's cursor, with the last result."""
        cursor = self._made()
        shape, self._shape = self._shape, None
        if shape is not None:
            self._reader.install(cursor, shape, self._rows, self._number, self._query)
        return cursor
