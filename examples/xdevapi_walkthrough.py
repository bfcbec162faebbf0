"""X DevAPI's pool walk-through, line by line: two connections in the pool, and a third one wanted.

The options are X DevAPI's own, milliseconds included; `acquire` stands where its program has `get_session`.

    python examples/xdevapi_walkthrough.py mysql://app:secret@localhost/test
"""

import asyncio
import os
import sys
from datetime import datetime

from async_mysqlpool import ConnectionPool, PooledConnection, PoolError

CNXID_SQL = "SELECT CONNECTION_ID() AS ConnectionID"
FMT_ID = "Connection {0} ID ..........................: {1}"

CLIENT_OPTIONS = {
    "pooling": {
        "enabled": True,
        "max_size": 2,
        "max_idle_time": 60000,
        "queue_timeout": 3000,
    }
}


async def main(connect_args: str) -> None:
    # Create the connection pool
    pool = ConnectionPool.from_client_options(connect_args, CLIENT_OPTIONS)
    await pool.open()

    # Fetch two connections (exhausting the pool) and get the connection ID for each
    connection1 = await pool.acquire()
    print(FMT_ID.format(1, await connection_id(connection1)))
    connection2 = await pool.acquire()
    print(FMT_ID.format(2, await connection_id(connection2)))

    # Attempt to get a third connection
    print(f"Starting to request connection 3 .........: {time()}")
    try:
        await pool.acquire()
    except PoolError as err:
        print(f"Unable to fetch connection 3 .............: {err}")
    print(f"Request for connection 3 completed .......: {time()}")

    # Return connection 1 to the pool
    await connection1.close()

    # Try to get connection 3 again
    connection3 = await pool.acquire()
    print(FMT_ID.format(3, await connection_id(connection3)))

    # Return the others, and close all connections
    await connection2.close()
    await connection3.close()
    await pool.close()


async def connection_id(connection: PooledConnection) -> int:
    async with connection.cursor() as cursor:
        await cursor.execute(CNXID_SQL)
        row = await cursor.fetchone()
        return int(row[0])


def time() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else os.environ["ASYNC_MYSQLPOOL_DSN"]))
