"""A worker service: tasks take jobs from a table until SIGTERM, finish what they have begun, and the pool closes.

python examples/worker.py mysql://app:secret@localhost/test
"""

import asyncio
import os
import signal
import sys

from async_mysqlpool import ConnectionPool, PooledConnection

WORKERS = 8  # more than connections: those that find none wait for their turn
IDLE_PAUSE = 0.5  # seconds between looks at an empty table


async def main(dsn: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async with ConnectionPool(dsn, max_size=4, queue_timeout=None) as pool:
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS job (id INT AUTO_INCREMENT PRIMARY KEY, done_by VARCHAR(20)) ENGINE=InnoDB"
        )
        print(f"working, process {os.getpid()}", flush=True)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work(pool, f"worker {n}", stop)) for n in range(WORKERS)]
        # Here every worker has finished its job; leaving the block closes the connections.
        print(f"drained: {sum(task.result() for task in workers)} jobs done, {pool.stats()}")


async def work(pool: ConnectionPool, name: str, stop: asyncio.Event) -> int:
    """Jobs done, one after the other, until `stop` is set."""

    async def next_job(conn: PooledConnection) -> bool:
        async with conn.cursor() as cur:
            await cur.execute("SELECT id FROM job WHERE done_by IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED")
            if (row := await cur.fetchone()) is None:
                return False
            await asyncio.sleep(0.02)  # the work; a crash here rolls back, and somebody else gets the job
            await cur.execute("UPDATE job SET done_by = %s WHERE id = %s", (name, row[0]))
            return True

    done = 0
    while not stop.is_set():
        if await pool.run_transaction(next_job):
            done += 1
        else:
            try:
                async with asyncio.timeout(IDLE_PAUSE):
                    await stop.wait()
            except TimeoutError:
                pass
    return done


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else os.environ["ASYNC_MYSQLPOOL_DSN"]))
