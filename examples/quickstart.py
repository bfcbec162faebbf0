"""The whole of daily life with the pool.

python examples/quickstart.py mysql://app:secret@localhost/shop
"""

import asyncio
import os
import sys

from async_mysqlpool import AcquireTimeoutError, ConnectionPool, PooledConnection


async def main(dsn: str) -> None:
    async with ConnectionPool(dsn, max_size=10, queue_timeout=3.0) as pool:
        # Borrow a connection: it is the driver's own, and goes back at the end of the block.
        async with pool.acquire() as conn, conn.cursor() as cur:
            await cur.execute("CREATE TEMPORARY TABLE basket (item VARCHAR(20), pieces INT)")
            await cur.executemany("INSERT INTO basket VALUES (%s, %s)", [("apple", 3), ("pear", 2)])
            await cur.execute("SELECT item, pieces FROM basket ORDER BY item")
            print("basket:", [tuple(row) for row in await cur.fetchall()])

        # The next borrower gets the same connection as good as new: no basket, no variables, no open transaction.
        # One statement needs no block at all.
        print("server:", await pool.fetch_value("SELECT VERSION()"))
        print("sum:", await pool.fetch_one("SELECT %s + %s AS total", (3, 2)))

        # COMMIT at the end of the block, ROLLBACK when it raises.
        async with pool.transaction() as conn, conn.cursor() as cur:
            await cur.execute("SELECT 1 FOR UPDATE")

        # The same as a function, run again when the server reports a deadlock.
        print("answer:", await pool.run_transaction(answer))

        # When nothing is free in time, the error says who has the connections.
        async with ConnectionPool(dsn, max_size=1, queue_timeout=0.1) as small, small.acquire():
            try:
                await asyncio.create_task(small.fetch_value("SELECT 1"))
            except AcquireTimeoutError as error:
                print("busy:", error)

        print("pool:", pool.stats())


async def answer(conn: PooledConnection) -> int:
    async with conn.cursor() as cur:
        await cur.execute("SELECT 42")
        (value,) = await cur.fetchone()
        return int(value)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else os.environ["ASYNC_MYSQLPOOL_DSN"]))
