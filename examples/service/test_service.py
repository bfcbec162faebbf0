"""The service over HTTP, on the throwaway server."""

import asyncio

import httpx
import pytest

from async_mysqlpool import ConnectionPool


async def add(client: httpx.AsyncClient, owner: str, balance: int) -> int:
    answer = await client.post("/accounts", json={"owner": owner, "balance": balance})
    assert answer.status_code == 201
    return int(answer.json()["id"])


async def test_an_account_comes_back(client: httpx.AsyncClient) -> None:
    account = {"id": await add(client, "Żółw", 5), "owner": "Żółw", "balance": 5}
    assert (await client.get(f"/accounts/{account['id']}")).json() == account
    assert (await client.get("/accounts", params={"owner": "ółw"})).json() == [account]
    assert (await client.get("/totals")).json() == {"accounts": 1, "balance": 5}


async def test_opposite_transfers_at_once_lose_nothing(client: httpx.AsyncClient) -> None:
    ada, bob = await add(client, "Ada", 100), await add(client, "Bob", 100)
    bodies = [{"source": a, "target": b, "amount": 7} for a, b in [(ada, bob), (bob, ada)] * 10]
    answers = await asyncio.gather(*(client.post("/transfers", json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {201}
    assert [(await client.get(f"/accounts/{which}")).json()["balance"] for which in (ada, bob)] == [100, 100]
    assert len((await client.get("/transfers.csv")).text.splitlines()) == 20
    assert len((await client.get(f"/accounts/{ada}/transfers.csv")).text.splitlines()) == 10


async def test_a_refused_transfer_leaves_nothing(client: httpx.AsyncClient) -> None:
    ada, bob = await add(client, "Ada", 1), await add(client, "Bob", 0)
    answer = await client.post("/transfers", json={"source": ada, "target": bob, "amount": 2})
    assert (answer.status_code, answer.json()) == (409, {"detail": "not enough money"})
    assert (await client.get("/transfers.csv")).text == ""


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/accounts/0", "", 404),
        ("/accounts/0/transfers.csv", "", 404),
        ("/health/live", "", 200),
        ("/health/ready", "", 200),
        ("/pool/", "", 403),
        ("/pool/", "guessed", 403),
        ("/pool/", "for the test", 200),
        ("/pool/data", "for the test", 200),
    ],
)
async def test_what_is_answered(client: httpx.AsyncClient, path: str, token: str, status: int) -> None:
    answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status


async def test_a_search_that_takes_too_long_is_a_504(client: httpx.AsyncClient, mysql_pool: ConnectionPool) -> None:
    await add(client, "Ada", 1)
    async with mysql_pool.acquire() as blocker:
        await blocker.execute("LOCK TABLES account WRITE")
        answer = await client.get("/accounts", params={"owner": "Ada"})
    assert (answer.status_code, answer.json()) == (504, {"detail": "The answer took too long."})
