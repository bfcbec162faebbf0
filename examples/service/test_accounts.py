"""The SQL, each test in a transaction that is rolled back."""

import accounts
import pytest
from accounts import Account, Totals, TransferRefusedError

from async_mysqlpool import ConnectionPool, PooledConnection


async def test_a_transfer_moves_money(mysql_transaction: PooledConnection) -> None:
    ada = await accounts.add_account(mysql_transaction, "Ada", 100)
    bob = await accounts.add_account(mysql_transaction, "Bob", 0)
    made = await accounts.transfer(mysql_transaction, ada.id, bob.id, 30)
    assert (made.source, made.target, made.amount) == (ada.id, bob.id, 30)
    assert await accounts.find_account(mysql_transaction, ada.id) == Account(ada.id, "Ada", 70)
    assert await accounts.find_account(mysql_transaction, bob.id) == Account(bob.id, "Bob", 30)
    assert await accounts.totals(mysql_transaction) == Totals(accounts=2, balance=100)


@pytest.mark.parametrize(
    ("amount", "known", "reason"), [(101, True, "not enough money"), (1, False, "no such account")]
)
async def test_a_transfer_is_refused(
    mysql_transaction: PooledConnection, amount: int, known: bool, reason: str
) -> None:
    ada = await accounts.add_account(mysql_transaction, "Ada", 100)
    bob = await accounts.add_account(mysql_transaction, "Bob", 0)
    with pytest.raises(TransferRefusedError, match=reason):
        await accounts.transfer(mysql_transaction, ada.id, bob.id if known else 0, amount)
    assert await accounts.search_accounts(mysql_transaction, "Ada", timeout=5) == [ada]


async def test_a_stream_that_is_left_gives_its_connection_back(mysql_pool: ConnectionPool) -> None:
    await mysql_pool.execute_many("INSERT INTO transfer (source, target, amount) VALUES (%s, 2, 3)", [(1,)] * 500)
    lines = accounts.all_transfers(mysql_pool)
    assert (await anext(lines)).startswith("1,1,2,3,")
    assert mysql_pool.stats().in_use == 1
    await lines.aclose()
    assert mysql_pool.stats().in_use == 0
