"""What the applications have in common: statements that can be told from others, and a look at the pool."""

from async_mysqlpool import ConnectionPool, PooledConnection

FOREVER = 1000.0


async def query(conn: PooledConnection, seconds: float) -> int:
    """The connection's id, after that many seconds; FOREVER waits for a row that the test has locked.

    A server that sleeps notices by itself that its client has gone; one that waits for a lock does not.
    """
    async with conn.cursor() as cursor:
        if seconds >= FOREVER:
            await cursor.execute("SET SESSION innodb_lock_wait_timeout = 100000")
            await cursor.execute("SELECT name FROM locked FOR UPDATE /* of the application */")
        await cursor.execute("SELECT SLEEP(%s) /* of the application */, CONNECTION_ID()", (seconds,))
        return int((await cursor.fetchone())[1])


async def add_item(conn: PooledConnection, name: str) -> None:
    async with conn.cursor() as cursor:
        await cursor.execute("INSERT INTO goods (name) VALUES (%s)", (name,))


async def end_it(conn: PooledConnection, how: str) -> None:
    """What an endpoint should leave to its transaction block."""
    if how == "close":
        await conn.close()
    elif how == "commit":
        await conn.commit()
    elif how:
        async with conn.cursor() as cursor:
            await cursor.execute(how)


def in_use(pool: ConnectionPool) -> dict[str, object]:
    return {"in_use": pool.stats().in_use, "waiting": pool.waiting, "leases": [str(lease) for lease in pool.leases()]}
