"""A service as one writes it: accounts, transfers that are safe to repeat, exports row by row, health, the live page.

DSN=mysql://app:secret@db/bank PAGE_TOKEN=... uvicorn --app-dir examples/service --factory service:from_environment
Its tests, on a throwaway server: pytest examples/service
"""

import hmac
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import accounts
from accounts import Account, Totals, Transfer
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.types import Scope

from async_mysqlpool import ConnectionPool, PooledConnection, StatementTimeoutError
from async_mysqlpool.integrations.fastapi import (
    Connection,
    GetConnection,
    GetTransaction,
    Pool,
    StreamingResponse,
    Transaction,
    exception_handlers,
    health_routes,
    pool_lifespan,
)
from async_mysqlpool.observability.page import pool_page

# A read-only transaction for the time of the endpoint, and a connection that stays until the response is sent.
Snapshot = Annotated[PooledConnection, Depends(GetTransaction(read_only=True), scope="function")]
Streamed = Annotated[PooledConnection, Depends(GetConnection())]

router = APIRouter()


class NewAccount(BaseModel):
    owner: str = Field(min_length=1, max_length=100)
    balance: int = Field(default=0, ge=0)


class NewTransfer(BaseModel):
    source: int
    target: int
    amount: int = Field(gt=0)


async def existing(account_id: int, conn: Streamed) -> Account:
    found = await accounts.find_account(conn, account_id)
    if found is None:
        raise HTTPException(404, "no such account")
    return found


@router.post("/accounts", status_code=201)
async def add_account(new: NewAccount, conn: Transaction) -> Account:
    return await accounts.add_account(conn, new.owner, new.balance)


@router.get("/accounts")
async def search_accounts(owner: str, conn: Connection) -> list[Account]:
    return await accounts.search_accounts(conn, owner, timeout=2.0)


@router.get("/accounts/{account_id}")
async def read_account(account: Annotated[Account, Depends(existing)]) -> Account:
    return account


@router.get("/accounts/{account_id}/transfers.csv")
async def transfers_of(account: Annotated[Account, Depends(existing)], conn: Streamed) -> StreamingResponse:
    return StreamingResponse(accounts.transfers_of(conn, account), media_type="text/csv")


@router.post("/transfers", status_code=201)
async def transfer(new: NewTransfer, pool: Pool) -> Transfer:
    async def attempt(conn: PooledConnection) -> Transfer:
        return await accounts.transfer(conn, new.source, new.target, new.amount)

    try:
        return await pool.run_transaction(attempt)
    except accounts.TransferRefusedError as error:
        raise HTTPException(409, str(error)) from error


@router.get("/transfers.csv")
async def all_transfers(pool: Pool) -> StreamingResponse:
    return StreamingResponse(accounts.all_transfers(pool), media_type="text/csv")


@router.get("/totals")
async def totals(conn: Snapshot) -> Totals:
    return await accounts.totals(conn)


async def too_slow(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "The answer took too long."}, status_code=504)


def create_app(pool: ConnectionPool, page_token: str) -> FastAPI:
    """The application; who looks at the live page must send `page_token` as a bearer token."""

    @asynccontextmanager
    async def tables(app: FastAPI) -> AsyncGenerator[None]:
        await accounts.create_tables(pool)
        yield

    def may_look(scope: Scope) -> bool:
        sent = Request(scope).headers.get("authorization", "")
        return hmac.compare_digest(sent.encode(), f"Bearer {page_token}".encode())

    app = FastAPI(
        lifespan=pool_lifespan(pool, wrap=tables),
        exception_handlers={**exception_handlers(), StatementTimeoutError: too_slow},
        routes=health_routes(),
    )
    app.include_router(router)
    app.mount("/pool", pool_page(pool, authorize=may_look))
    return app


def from_environment() -> FastAPI:
    return create_app(ConnectionPool(os.environ["DSN"], max_size=20, queue_timeout=2.0), os.environ["PAGE_TOKEN"])
