"""Programs that must not pass: each marked line is an error for mypy and for pyright, and no other line is one.

`test_wrong_programs.py` runs both on this file.
"""

from dataclasses import dataclass

from async_mysqlpool import ConnectionPool, Isolation, PooledConnection, PooledCursor


@dataclass
class User:
    id: int
    name: str


async def forgotten_awaits(pool: ConnectionPool, conn: PooledConnection, cursor: PooledCursor) -> None:
    cursor.execute("SELECT 1")  # wrong
    cursor.executemany("INSERT INTO t VALUES (%s)", [(1,)])  # wrong
    cursor.callproc("tidy")  # wrong
    cursor.fetchone()  # wrong
    cursor.fetchmany(5)  # wrong
    cursor.fetchall()  # wrong
    cursor.nextset()  # wrong
    cursor.scroll(1)  # wrong
    cursor.close()  # wrong
    conn.begin()  # wrong
    conn.commit()  # wrong
    conn.rollback()  # wrong
    conn.ping()  # wrong
    conn.select_db("shop")  # wrong
    conn.execute("DELETE FROM t")  # wrong
    conn.execute_many("DELETE FROM t WHERE id = %s", [(1,)])  # wrong
    conn.fetch_all("SELECT 1", rows=User)  # wrong
    pool.execute("DELETE FROM t")  # wrong
    pool.fetch_all("SELECT 1")  # wrong
    pool.fetch_one("SELECT 1", rows=dict)  # wrong
    pool.fetch_value("SELECT 1")  # wrong
    pool.open()  # wrong
    pool.close()  # wrong
    conn.close()
    conn.discard()
    pool.terminate()


async def slips_of_the_pen(pool: ConnectionPool, conn: PooledConnection, cursor: PooledCursor) -> None:
    await cursor.exceute("SELECT 1")  # wrong
    print(cursor.row_count)  # wrong
    print(cursor.description, cursor.rowcount, cursor.lastrowid, cursor.rownumber, cursor.arraysize)
    cursor.rowcount = 3  # wrong
    await conn.comit()  # wrong
    await pool.fetchall("SELECT 1")  # wrong
    await pool.fetch_all("SELECT 1", row=dict)  # wrong
    await pool.fetch_all("SELECT 1", timeout="2")  # wrong
    await pool.fetch_all("SELECT 1", (1,), dict)  # wrong
    await pool.fetch_all("SELECT 1", 1)  # wrong
    async with conn.transaction(isolation="READ-COMMITTED"):  # wrong
        pass
    level: Isolation = "CHAOS"  # wrong
    print(level)


async def wrong_rows(pool: ConnectionPool) -> None:
    users: list[str] = await pool.fetch_all("SELECT 1", rows=User)  # wrong
    user = await pool.fetch_one("SELECT 1", rows=User)
    print(users, user.name)  # wrong
    async for row in pool.stream("SELECT 1", rows=User):
        print(row.nmae)  # wrong
    names: list[str] = await pool.fetch_all("SELECT 1", rows=dict)  # wrong
    print(names)
    changed: str = await pool.execute("DELETE FROM t")  # wrong
    print(changed)
