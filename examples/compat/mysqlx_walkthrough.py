"""X DevAPI's connection pool: two of two sessions taken, the third asked for too early, then given.

The program of the article on `mysqlx.get_client`; docs/migration/mysqlx.md shows it before.
"""

import asyncio
from datetime import datetime

from settings import dbconfig

from async_mysqlpool.compat import mysqlx

cnxid_sql = "SELECT CONNECTION_ID() AS ConnectionID"
fmt_id = "Connection {0} ID ..........................: {1}"

connect_args = {
    "host": dbconfig["host"],
    "port": dbconfig["port"],  # 3306, not 33060
    "user": dbconfig["user"],
    "password": dbconfig["password"],
}

client_options = {
    "pooling": {
        "enabled": True,
        "max_size": 2,
        "max_idle_time": 60000,
        "queue_timeout": 3000,
    }
}


async def main() -> None:
    # Create the connection pool
    pool = mysqlx.get_client(connect_args, client_options)

    # Fetch two connections (exhausting the pool) and get the connection ID for each
    connection1 = await pool.get_session()
    id1_row = (await connection1.sql(cnxid_sql).execute()).fetch_one()
    print(fmt_id.format(1, id1_row["ConnectionID"]))
    connection2 = await pool.get_session()
    id2_row = (await connection2.sql(cnxid_sql).execute()).fetch_one()
    print(fmt_id.format(2, id2_row["ConnectionID"]))

    # Attempt to get a third connection
    time = datetime.now().strftime("%H:%M:%S")  # noqa: DTZ005  the time on the reader's clock
    print(f"Starting to request connection 3 .........: {time}")
    try:
        connection3 = await pool.get_session()
    except mysqlx.errors.PoolError as err:
        print(f"Unable to fetch connection 3 .............: {err}")
    time = datetime.now().strftime("%H:%M:%S")  # noqa: DTZ005
    print(f"Request for connection 3 completed .......: {time}")

    # Return connection 1 to the pool
    await connection1.close()

    # Try to get connection 3 again
    connection3 = await pool.get_session()
    id3_row = (await connection3.sql(cnxid_sql).execute()).fetch_one()
    print(fmt_id.format(3, id3_row["ConnectionID"]))

    # Close all connections
    await connection2.close()
    await connection3.close()
    await pool.close()


asyncio.run(main())
