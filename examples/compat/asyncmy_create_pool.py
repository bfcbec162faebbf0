"""asyncmy's pool as its README shows it; only the import is another one.

docs/migration/asyncmy.md shows it before.
"""

import asyncio

from settings import dbconfig

from async_mysqlpool.compat import asyncmy


async def run() -> None:
    pool = await asyncmy.create_pool(**dbconfig)
    async with pool.acquire() as conn:
        async with conn.cursor() as cursor:
            await cursor.execute("SELECT 1")
            ret = await cursor.fetchone()
            assert ret == (1,)
            print("row:", ret)
        async with conn.cursor(cursor=asyncmy.cursors.DictCursor) as cursor:
            await cursor.execute("SELECT 42 AS answer")
            print("dict:", await cursor.fetchone())
    print("size:", pool.size, "free:", pool.freesize)
    pool.close()
    await pool.wait_closed()
    print("closed:", pool.closed)


if __name__ == "__main__":
    asyncio.run(run())
