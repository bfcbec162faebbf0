"""aiomysql's pool as its documentation shows it; only the import is another one.

docs/migration/aiomysql.md shows it before.
"""

import asyncio

from settings import dbconfig

from async_mysqlpool.compat import aiomysql


async def test_example() -> None:
    pool = await aiomysql.create_pool(
        host=dbconfig["host"],
        port=dbconfig["port"],
        user=dbconfig["user"],
        password=dbconfig["password"],
        db=dbconfig["database"],
        minsize=1,
        maxsize=5,
        pool_recycle=3600,
    )
    async with pool.acquire() as conn:
        async with conn.cursor() as cur:
            await cur.execute("SELECT 42;")
            print(cur.description)
            (r,) = await cur.fetchone()
            print("answer:", r)
        cur = await conn.cursor(aiomysql.DictCursor)
        await cur.execute("SELECT 42 AS answer")
        print("dict:", await cur.fetchone())
        await cur.close()
    print("size:", pool.size, "free:", pool.freesize)
    pool.close()
    await pool.wait_closed()
    print("closed:", pool.closed)


asyncio.run(test_example())
