"""What a borrower does with the connection, and the tables that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Work: TypeAlias = "Callable[[Any], Awaitable[None]]"
"""Takes a connection and does one borrower's work on it."""


class Statement(NamedTuple):
    """SQL with the drivers' `%s`, and whether it has rows to fetch."""

    sql: str
    has_rows: bool = True


@dataclass(frozen=True)
class Workload:
    """The statements of one borrow, all with the same argument; in a transaction or not."""

    title: str
    statements: tuple[Statement, ...]
    argument: Callable[[], tuple[int, ...] | None] = lambda: None
    in_transaction: bool = False


ITEMS, ACCOUNTS = 1000, 1000
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS bench_item (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8, 2))",
    "CREATE TABLE IF NOT EXISTS bench_account (id INT PRIMARY KEY, balance BIGINT)",
    "REPLACE INTO bench_item VALUES " + ", ".join(f"({n}, 'item number {n}', {n}.25)" for n in range(1, ITEMS + 1)),
    "REPLACE INTO bench_account VALUES " + ", ".join(f"({n}, 0)" for n in range(1, ACCOUNTS + 1)),
)

_turn = count()


def _next_account() -> tuple[int]:
    """One after the other, so that no two borrowers lock the same row."""
    return (next(_turn) % ACCOUNTS + 1,)


WORKLOADS = {
    "nothing": Workload("borrow and return, nothing sent", ()),
    "one": Workload("SELECT 1", (Statement("SELECT 1"),)),
    "ten": Workload(
        "10 rows of 3 columns, with an argument",
        (Statement("SELECT id, name, price FROM bench_item WHERE id <= %s"),),
        argument=lambda: (10,),
    ),
    "thousand": Workload("1,000 rows of 3 columns", (Statement("SELECT id, name, price FROM bench_item"),)),
    "transaction": Workload(
        "a transaction: BEGIN, SELECT, UPDATE, COMMIT",
        (
            Statement("SELECT balance FROM bench_account WHERE id = %s FOR UPDATE"),
            Statement("UPDATE bench_account SET balance = balance + 1 WHERE id = %s", has_rows=False),
        ),
        argument=_next_account,
        in_transaction=True,
    ),
}


def by_cursor(workload: Workload) -> Work:
    """As asyncmy and aiomysql have it, and therefore our connections."""

    async def work(connection: Any) -> None:
        argument = workload.argument()
        if workload.in_transaction:
            await connection.begin()
        async with connection.cursor() as cursor:
            for sql, has_rows in workload.statements:
                await cursor.execute(sql, argument)
                if has_rows:
                    await cursor.fetchall()
        if workload.in_transaction:
            await connection.commit()

    return work


def by_awaited_cursor(workload: Workload) -> Work:
    """As mysql.connector.aio has it: its `cursor()` is to be awaited, and no argument is an empty tuple."""

    async def work(connection: Any) -> None:
        argument = workload.argument() or ()
        async with await connection.cursor() as cursor:
            if workload.in_transaction:
                await cursor.execute("BEGIN")
            for sql, has_rows in workload.statements:
                await cursor.execute(sql, argument)
                if has_rows:
                    await cursor.fetchall()
        if workload.in_transaction:
            await connection.commit()

    return work


def by_engine(workload: Workload) -> Work:
    """As SQLAlchemy has it, without its expression language."""

    async def work(connection: Any) -> None:
        argument = workload.argument()
        if workload.in_transaction:
            async with connection.begin():
                await statements(connection, argument)
        else:
            await statements(connection, argument)

    async def statements(connection: Any, argument: tuple[int, ...] | None) -> None:
        for sql, has_rows in workload.statements:
            result = await connection.exec_driver_sql(sql, argument)
            if has_rows:
                result.all()

    return work


def by_blocking_cursor(workload: Workload) -> Callable[[Any], None]:
    """As PEP 249 has it, for threads."""

    def work(connection: Any) -> None:
        argument = workload.argument()
        if workload.in_transaction:
            connection.begin()
        cursor = connection.cursor()
        for sql, has_rows in workload.statements:
            cursor.execute(sql, argument)
            if has_rows:
                cursor.fetchall()
        cursor.close()
        if workload.in_transaction:
            connection.commit()

    return work
