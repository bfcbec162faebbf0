"""Cursors of the fake driver, with the interface of PEP 249 as aiomysql and asyncmy have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .session import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from .driver import FakeConnection

__all__ = ["FakeCursor", "FakeDictCursor", "FakeStreamCursor"]


class FakeCursor:
    """Rows are tuples, and all of them have been read when `execute` returns."""

    arraysize = 1

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.closed = False
        self._result = Result()
        self._position = 0

    async def execute(self, query: str, args: Any = None) -> int:
        """Run one statement; ``%s`` and ``%(name)s`` in it are replaced by `args`."""
        self._result = await self.connection.query(query if args is None else query % _literals(args))
        self._position = 0
        return self._result.rowcount

    async def executemany(self, query: str, args: Sequence[Any]) -> int:
        """Run one statement with many sets of arguments."""
        return sum([await self.execute(query, row) for row in args])

    async def callproc(self, procname: str, args: Sequence[Any] = ()) -> Sequence[Any]:
        """Call a stored procedure."""
        await self.execute(f"CALL {procname}({', '.join(map(_literal, args))})")
        return args

    async def fetchone(self) -> Any:
        """The next row, or None."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        start, self._position = self._position, self._position + (size or self.arraysize)
        return [self._row(row) for row in self._result.rows[start : self._position]]

    async def fetchall(self) -> list[Any]:
        """All remaining rows."""
        return await self.fetchmany(len(self._result.rows) + 1)

    async def nextset(self) -> bool | None:
        """The fake server has one result for each statement."""
        return None

    async def close(self) -> None:
        """Close the cursor."""
        self.closed = True

    @property
    def description(self) -> tuple[tuple[Any, ...], ...] | None:
        """The columns of the result; only their names are known."""
        return tuple((name, *[None] * 6) for name in self._result.columns) or None

    @property
    def rowcount(self) -> int:
        """Rows that the last statement returned or changed."""
        return self._result.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The AUTO_INCREMENT value of the last row inserted."""
        return self._result.lastrowid

    def _row(self, row: tuple[Any, ...]) -> Any:
        return row

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class FakeDictCursor(FakeCursor):
    """Rows are dicts."""

    def _row(self, row: tuple[Any, ...]) -> Any:
        return dict(zip(self._result.columns, row, strict=False))


class FakeStreamCursor(FakeCursor):
    """Rows stay on the wire until they are fetched, as with the drivers' SSCursor."""

    async def execute(self, query: str, args: Any = None) -> int:
        """Run one statement."""
        await super().execute(query, args)
        self.connection.unread = len(self._result.rows)
        return -1

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows, each read from the server now."""
        rows = await super().fetchmany(size)
        self.connection.unread = max(0, len(self._result.rows) - self._position)
        return rows


def _literals(args: Any) -> Any:
    if isinstance(args, dict):
        named = cast("Mapping[str, Any]", args)
        return {key: _literal(value) for key, value in named.items()}
    values = cast("Sequence[Any]", args if isinstance(args, (tuple, list)) else (args,))
    return tuple(map(_literal, values))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return str(int(value) if isinstance(value, bool) else value)
    return "'" + str(value).replace("'", "''") + "'"
