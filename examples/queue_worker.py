"""Consumers of a queue table: any number of processes, each job done once, none lost when a process is killed.

python examples/queue_worker.py mysql://app:secret@localhost/test

A job is taken with `FOR UPDATE SKIP LOCKED` and done inside the same transaction: nobody else sees it meanwhile, and if
this process dies the server rolls back and the job is free again. SIGTERM: finish the jobs under way, take no more.
"""

import asyncio
import os
import sys

from async_mysqlpool import ConnectionPool, PooledConnection
from async_mysqlpool.integrations.worker import Shutdown, run_worker

CONSUMERS = 4
IDLE_PAUSE = 0.5  # seconds between looks at an empty queue


async def consume(pool: ConnectionPool, shutdown: Shutdown) -> None:
    print("consuming", flush=True)
    async with asyncio.TaskGroup() as group:
        for _ in range(CONSUMERS):
            group.create_task(one_after_the_other(pool, shutdown))
    print("drained", flush=True)


async def one_after_the_other(pool: ConnectionPool, shutdown: Shutdown) -> None:
    while not shutdown.requested:
        # Again after a deadlock; each attempt is a transaction of its own.
        if not await pool.run_transaction(take_and_do_one):
            await shutdown.sleep(IDLE_PAUSE)


async def take_and_do_one(conn: PooledConnection) -> bool:
    async with conn.cursor() as cursor:
        await cursor.execute("SELECT id, payload FROM queue ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
        job = await cursor.fetchone()
        if job is None:
            return False
        job_id, payload = job
        await cursor.execute("INSERT INTO result (queue_id, text) VALUES (%s, UPPER(%s))", (job_id, payload))
        await asyncio.sleep(0.05)  # stands for the real work
        await cursor.execute("DELETE FROM queue WHERE id = %s", (job_id,))
        return True


async def create_tables(dsn: str) -> None:
    async with ConnectionPool(dsn) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS queue (id INT AUTO_INCREMENT PRIMARY KEY, payload VARCHAR(100))")
        await pool.execute("CREATE TABLE IF NOT EXISTS result (queue_id INT PRIMARY KEY, text VARCHAR(100))")


async def main(dsn: str) -> None:
    await create_tables(dsn)
    await run_worker(consume, ConnectionPool(dsn, max_size=CONSUMERS), drain_timeout=20.0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else os.environ["ASYNC_MYSQLPOOL_DSN"]))
