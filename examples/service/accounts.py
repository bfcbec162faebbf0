"""The SQL of the service: what a row is, and functions that take a connection, or the pool where they stream."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from async_mysqlpool import ConnectionPool, PooledConnection

TABLES = (
    """CREATE TABLE IF NOT EXISTS account (
        id INT AUTO_INCREMENT PRIMARY KEY,
        owner VARCHAR(100) NOT NULL,
        balance BIGINT NOT NULL
    ) ENGINE=InnoDB CHARSET utf8mb4""",
    """CREATE TABLE IF NOT EXISTS transfer (
        id INT AUTO_INCREMENT PRIMARY KEY,
        source INT NOT NULL,
        target INT NOT NULL,
        amount BIGINT NOT NULL,
        made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        INDEX (source)
    ) ENGINE=InnoDB""",
)


@dataclass
class Account:
    id: int
    owner: str
    balance: int  # in cents


@dataclass
class Transfer:
    id: int
    source: int
    target: int
    amount: int
    made: datetime

    def as_csv(self) -> str:
        return f"{self.id},{self.source},{self.target},{self.amount},{self.made.isoformat()}\n"


class Totals(BaseModel):  # anything can be `rows=`; this one turns the Decimal that SUM gives into an int
    accounts: int
    balance: int


class TransferRefusedError(Exception):
    """There is no such account, or not enough money in it."""


async def create_tables(pool: ConnectionPool) -> None:
    for statement in TABLES:
        await pool.execute(statement)


async def add_account(conn: PooledConnection, owner: str, balance: int) -> Account:
    async with conn.cursor() as cursor:
        await cursor.execute("INSERT INTO account (owner, balance) VALUES (%s, %s)", (owner, balance))
        added = cursor.lastrowid
    assert added is not None
    return Account(added, owner, balance)


async def find_account(conn: PooledConnection, account_id: int) -> Account | None:
    return await conn.fetch_one("SELECT id, owner, balance FROM account WHERE id = %s", (account_id,), rows=Account)


async def search_accounts(conn: PooledConnection, owner: str, *, timeout: float) -> list[Account]:
    return await conn.fetch_all(
        "SELECT id, owner, balance FROM account WHERE owner LIKE %s ORDER BY id",
        (f"%{owner}%",),
        rows=Account,
        timeout=timeout,
    )


async def totals(conn: PooledConnection) -> Totals:
    found = await conn.fetch_one(
        "SELECT COUNT(*) AS accounts, COALESCE(SUM(balance), 0) AS balance FROM account", rows=Totals
    )
    assert found is not None
    return found


async def transfer(conn: PooledConnection, source: int, target: int, amount: int) -> Transfer:
    """Both accounts are locked in the order of their ids, so two opposite transfers cannot wait for each other."""
    locked = await conn.fetch_all(
        "SELECT id, owner, balance FROM account WHERE id IN (%s, %s) ORDER BY id FOR UPDATE",
        (source, target),
        rows=Account,
    )
    balances = {account.id: account.balance for account in locked}
    if source not in balances or target not in balances:
        raise TransferRefusedError("no such account")
    if balances[source] < amount:
        raise TransferRefusedError("not enough money")
    await conn.execute_many(
        "UPDATE account SET balance = balance + %s WHERE id = %s", [(-amount, source), (amount, target)]
    )
    async with conn.cursor() as cursor:
        await cursor.execute(
            "INSERT INTO transfer (source, target, amount) VALUES (%s, %s, %s)", (source, target, amount)
        )
        made = await conn.fetch_one("SELECT * FROM transfer WHERE id = %s", (cursor.lastrowid,), rows=Transfer)
    assert made is not None
    return made


async def all_transfers(pool: ConnectionPool) -> AsyncGenerator[str]:
    """Lines of CSV, on a connection that the stream borrows for itself."""
    async with pool.stream("SELECT * FROM transfer ORDER BY id", rows=Transfer, timeout=600) as transfers:
        async for made in transfers:
            yield made.as_csv()


async def transfers_of(conn: PooledConnection, account: Account) -> AsyncGenerator[str]:
    """The same for one account, on the connection of the request."""
    sql = "SELECT * FROM transfer WHERE source = %s ORDER BY id"
    async with conn.stream(sql, (account.id,), rows=Transfer, timeout=60) as transfers:
        async for made in transfers:
            yield made.as_csv()
