"""Six situations, five pools, a throwaway server: what each pool does, as seen by this program and by the server.

    nox -s compare                      # all of it; or: python examples/compare.py
    nox -s compare -- cancelled left    # only these

Each pool is used as its own documentation has it, with its defaults but for the size; only where somebody waits in vain
the wait is cut short. Needs asyncmy, aiomysql, mysql-connector-python and sqlalchemy[asyncio].
"""

import argparse
import asyncio
import contextlib
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing import Server, start_server

Run = Callable[[str], Awaitable[Any]]  # runs a statement on a borrowed connection; the first value of its result
PATIENCE = 3.0  # seconds after which a borrower of this program gives up, if its pool does not


class Pool:
    """One of the pools: how it is opened, and how one borrows from it."""

    name = ""
    pool: Any

    def __init__(self, server: Server, size: int, timeout: float) -> None:
        self.server, self.size, self.timeout = server, size, timeout

    async def open(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def borrow(self) -> AsyncIterator[Run]:
        async with self.pool.acquire() as conn:

            async def run(sql: str) -> Any:
                async with conn.cursor() as cursor:
                    return await by_cursor(cursor, sql)

            yield run

    def who(self) -> str:
        """What it can tell about who holds its connections."""
        raise NotImplementedError

    def account(self, **names: str) -> dict[str, Any]:
        own = {"host": self.server.host, "port": self.server.port, "user": self.server.user}
        return own | {"password": self.server.password, names.get("database", "db"): self.server.database}


async def by_cursor(cursor: Any, sql: str) -> Any:
    await cursor.execute(sql)
    row = await cursor.fetchone() if cursor.description else None
    return None if row is None else row[0]


class Aiomysql(Pool):
    name = "aiomysql"

    async def open(self) -> None:
        import aiomysql

        self.pool = await aiomysql.create_pool(minsize=1, maxsize=self.size, autocommit=True, **self.account())

    async def close(self) -> None:
        self.pool.terminate()
        await self.pool.wait_closed()

    def who(self) -> str:
        return f"size={self.pool.size} freesize={self.pool.freesize}"


class Asyncmy(Aiomysql):
    name = "asyncmy"

    async def open(self) -> None:
        import asyncmy

        self.pool = await asyncmy.create_pool(minsize=1, maxsize=self.size, autocommit=True, **self.account())


class Sqlalchemy(Pool):
    name = "SQLAlchemy"

    async def open(self) -> None:
        from sqlalchemy.ext.asyncio import create_async_engine

        url = self.server.dsn("asyncmy")
        self.engine = create_async_engine(url, pool_size=self.size, max_overflow=0, pool_timeout=self.timeout)

    async def close(self) -> None:
        await self.engine.dispose()

    @contextlib.asynccontextmanager
    async def borrow(self) -> AsyncIterator[Run]:
        async with self.engine.connect() as conn:

            async def run(sql: str) -> Any:
                result = await conn.exec_driver_sql(sql)
                return result.scalar() if result.returns_rows else None

            yield run

    def who(self) -> str:
        return self.engine.pool.status()


class Oracle(Pool):
    name = "mysql.connector.aio"

    async def open(self) -> None:
        from mysql.connector.aio import MySQLConnectionPool

        account = self.account(database="database") | {"autocommit": True}
        if self.server.flavor == "mariadb":  # does not know its default collation; and this one has no TLS
            account |= {"collation": "utf8mb4_general_ci", "ssl_disabled": True}
        self.pool = MySQLConnectionPool(self.size, "compare", **account)
        await self.pool.initialize_pool()

    async def close(self) -> None:
        await self.pool.close_pool()

    @contextlib.asynccontextmanager
    async def borrow(self) -> AsyncIterator[Run]:
        conn = await self.pool.get_connection()

        async def run(sql: str) -> Any:
            async with await conn.cursor() as cursor:
                return await by_cursor(cursor, sql)

        try:
            yield run
        finally:
            await conn.close()

    def who(self) -> str:
        return f"pool_size={self.pool.pool_size}"


class Ours(Pool):
    name = "async_mysqlpool"

    async def open(self) -> None:
        dsn = self.server.dsn("asyncmy")
        self.pool = ConnectionPool(dsn, max_size=self.size, queue_timeout=self.timeout)
        await self.pool.open()

    async def close(self) -> None:
        await self.pool.close()

    def who(self) -> str:
        return "; ".join(map(str, self.pool.leases()))


POOLS: list[type[Pool]] = [Aiomysql, Asyncmy, Sqlalchemy, Oracle, Ours]


# -- the situations: each gives its verdict, which stands in the README's table, and what it saw -----------------------


async def ask(pool: Pool, sql: str) -> Any:
    async with pool.borrow() as run:
        return await run(sql)


async def within(seconds: float, work: Awaitable[Any]) -> tuple[str, Any]:
    """How something ended: "done", "error", or "waits" after so many seconds."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=seconds)
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1)
        return "waits", f"nothing after {seconds:g} s"
    if task.exception() is not None:
        return "error", first_line(task.exception())
    return "done", task.result()


def first_line(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


async def cancelled(pool: Pool, server: Server) -> tuple[str, str]:
    """Five requests, one after the other, are cancelled in the middle of a statement. (One connection.)"""
    statement = f"SELECT SLEEP(20) /* {pool.name} */"
    lasting = 0
    for _ in range(5):
        request = asyncio.create_task(ask(pool, statement))
        await asyncio.sleep(0.3)
        request.cancel()
        await asyncio.wait([request], timeout=1)
        lasting += not request.done()
    await asyncio.sleep(0.5)
    running = await on_the_server(server, statement)
    _, what = await within(PATIENCE, ask(pool, "SELECT 42"))
    saw = f"{lasting} requests did not end; asked for 42, got {what}"
    if lasting:
        return "a request ends when its statement does", saw
    fate = f"{running} statements run on" if running else "the statements are stopped"
    return fate + ("" if what == 42 else ", and who comes next is not served"), saw


async def on_the_server(server: Server, statement: str) -> int:
    """How often the server is running it."""
    async with ConnectionPool(server.dsn("asyncmy"), max_size=1) as monitor:
        list_of_them = "SELECT COUNT(*) FROM information_schema.processlist WHERE info = %s"
        return int(await monitor.fetch_value(list_of_them, (statement,)))


async def left(pool: Pool, server: Server) -> tuple[str, str]:
    """A borrower sets a variable of its session and leaves. (One connection.)"""
    await ask(pool, "SET @tenant = 7")
    seen = await ask(pool, "SELECT @tenant")
    return ("gone" if seen is None else "the next borrower has it"), f"SELECT @tenant: {seen}"


async def exhausted(pool: Pool, server: Server) -> tuple[str, str]:
    """All connections are out, and somebody wants one. (One connection.)"""
    async with pool.borrow() as run:
        await run("SELECT 1")
        how, what = await within(PATIENCE, asyncio.create_task(ask(pool, "SELECT 1")))
    names_them = "compare.py:" in str(what)
    verdict = {"waits": "waits for ever", "error": "an error" + (" that names who holds them" if names_them else "")}
    return verdict.get(how, how), str(what)


async def crowd(pool: Pool, server: Server) -> tuple[str, str]:
    """A thousand tasks want one of ten connections, each for some milliseconds."""
    results = await asyncio.gather(*(ask(pool, "SELECT SLEEP(0.002)") for _ in range(1000)), return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    told = f"{len(errors)} errors" + (f", such as {first_line(errors[0])}" if errors else "")
    return ("all are served" if not errors else "most get an error" if len(errors) > 500 else "some get an error"), told


async def restart(pool: Pool, server: Server) -> tuple[str, str]:
    """The server restarts while five connections are idle; then five requests come. (Five connections.)"""

    async def request() -> None:
        async with pool.borrow() as run:
            await run("SELECT SLEEP(0.1)")

    await asyncio.gather(*(request() for _ in range(5)))
    await asyncio.to_thread(server.restart)
    await asyncio.sleep(0.2)
    ends = [await within(PATIENCE, request()) for _ in range(5)]
    failed = [what for how, what in ends if how != "done"]
    return (f"{len(failed)} of 5 requests fail" if failed else "nobody notices"), "; ".join(failed[:1])


async def who(pool: Pool, server: Server) -> tuple[str, str]:
    """Who holds the connections, and since when?"""
    async with pool.borrow() as run:
        await run("SELECT 1")
        said = pool.who()
    return ("task, line, seconds" if "compare.py:" in said else "numbers at most"), said


SITUATIONS: dict[str, tuple[Callable[[Pool, Server], Awaitable[tuple[str, str]]], int]] = {
    "cancelled": (cancelled, 1),
    "left": (left, 1),
    "exhausted": (exhausted, 1),
    "crowd": (crowd, 10),
    "restart": (restart, 5),
    "who": (who, 2),
}


async def look(kind: type[Pool], situation: str, server: Server) -> tuple[str, str]:
    """One situation with one pool, which is opened for it."""
    play, size = SITUATIONS[situation]
    pool = kind(server, size, timeout=PATIENCE / 2 if situation == "exhausted" else 30)
    await pool.open()
    try:
        return await play(pool, server)
    finally:
        with contextlib.suppress(Exception):  # of what the situation has left behind
            await asyncio.wait_for(pool.close(), 10)


async def main(situations: list[str], flavor: Any) -> None:
    logging.disable()  # drivers and pools complain of what is done to them here
    warnings.simplefilter("ignore")
    with start_server(flavor) as server:
        print(f"{server.flavor} {server.version}")
        for situation in situations:
            print(f"\n{situation}: {SITUATIONS[situation][0].__doc__}")
            for kind in POOLS:
                verdict, saw = await look(kind, situation, server)
                print(f"  {kind.name:20} {verdict:52} {saw[:150]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What five pools do in six situations.")
    parser.add_argument("situations", nargs="*", help=", ".join(SITUATIONS))
    parser.add_argument("--server", choices=["mariadb", "mysql"])
    arguments = parser.parse_args()
    if unknown := set(arguments.situations) - set(SITUATIONS):
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(SITUATIONS)}")
    asyncio.run(main(arguments.situations or list(SITUATIONS), arguments.server))
