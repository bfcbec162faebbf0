"""Never run, only checked: what an editor and a type checker know of the pool's own interface."""

from collections.abc import Sequence
from typing import Any, assert_type

from async_mysqlpool import (
    AcquireTimeoutError,
    ConnectError,
    ConnectionPool,
    Lease,
    Observer,
    PooledConnection,
    PooledCursor,
    PoolError,
    PoolStats,
)
from async_mysqlpool.drivers import Driver
from async_mysqlpool.events import Acquired, ConnectionClosed, Event
from async_mysqlpool.testing.fake import FakeDictCursor, FakeDriver, FakeServer, slow
from async_mysqlpool.testing.virtual import run_virtual

fake: Driver = FakeDriver(FakeServer())


class Counting:
    """Any object with the method is an observer."""

    def __init__(self) -> None:
        self.waited = 0.0

    def on_event(self, event: Event, /) -> None:
        if isinstance(event, Acquired):
            self.waited += event.waited
        elif isinstance(event, ConnectionClosed):
            assert_type(event.reason, str)


observer: Observer = Counting()


async def token() -> str:
    return "secret"


async def greet(conn: PooledConnection) -> None:
    async with conn.cursor() as cursor:
        await cursor.execute("SET @app = %s", ("shop",))


async def keeps(conn: PooledConnection) -> bool:
    return not conn.closed


async def where() -> int:
    return 3306


pool = ConnectionPool(
    "mysql+asyncmy://app@db.example/shop",
    min_size=1,
    max_size=20,
    queue_timeout=None,
    reset="session",
    session_variables={"time_zone": "+00:00", "sql_mode": None},
    on_connect=greet,
    on_acquire=greet,
    on_release=keeps,
    host=lambda: "db",
    port=where,
    observers=[Counting()],
    password=token,
    driver=fake,
)
from_options = ConnectionPool.from_client_options(
    {"host": "db.example"}, {"pooling": {"enabled": True, "max_size": 25}}, name="shop"
)
assert_type(from_options, ConnectionPool)


async def borrow() -> None:
    async with pool.acquire() as conn:
        assert_type(conn, PooledConnection)
    async with pool.acquire(timeout=1.5) as conn:
        assert_type(conn.cursor(), PooledCursor)
    conn = await pool.acquire(timeout=None)
    assert_type(conn, PooledConnection)
    pool.release(conn)
    async with await pool.acquire() as conn:
        assert_type(conn, PooledConnection)
        conn.discard()
    closing = conn.close()
    await closing


async def use(conn: PooledConnection) -> None:
    async with conn.cursor() as cursor:
        assert_type(cursor, PooledCursor)
        await cursor.execute("SELECT %s", (1,))
        await cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,)])
        assert_type(cursor.rowcount, int)
        assert_type(cursor.lastrowid, int | None)
        assert_type(await cursor.fetchall(), Sequence[Any])
        assert_type((cursor.rownumber, cursor.arraysize), tuple[int | None, int])
        rows = [row async for row in cursor]
        assert_type(rows, list[Any])
    cursor = await conn.cursor(FakeDictCursor)
    assert_type(cursor, PooledCursor)
    await conn.begin()
    await conn.commit()
    await conn.rollback()
    await conn.ping()
    await conn.select_db("other")
    assert_type(conn.thread_id(), int)
    async with conn.transaction(isolation="READ COMMITTED") as same:
        assert_type(same, PooledConnection)


async def insert(conn: PooledConnection) -> int:
    await use(conn)
    return 7


async def helpers() -> None:
    async with pool.cursor() as cursor:
        assert_type(cursor, PooledCursor)
    async with pool.transaction(isolation="SERIALIZABLE", read_only=True) as conn:
        assert_type(conn, PooledConnection)
    assert_type(await pool.run_transaction(insert, retries=5), int)
    assert_type(await pool.execute("UPDATE t SET x = %s", (1,)), int)
    await pool.run_transaction(insert, isolation="SERIALIZABLE", read_only=True)


async def life() -> None:
    async with pool as opened:
        assert_type(opened, ConnectionPool)
    await pool.open(wait=False, timeout=5)
    await pool.resize(min_size=2, max_size=4)
    pool.expire()
    assert_type(pool.retain(lambda info: info.age < 60 and info.uses < 1000), int)
    await pool.check()
    assert_type(pool.stats(), PoolStats)
    assert_type(pool.leases(), list[Lease])
    assert_type((pool.name, pool.closed, pool.size, pool.idle, pool.waiting), tuple[str, bool, int, int, int])
    await pool.close(timeout=None)
    pool.terminate()


async def errors() -> str:
    try:
        await borrow()
    except AcquireTimeoutError as exc:
        assert_type(exc.stats, PoolStats)
        return exc.phase
    except ConnectError as exc:
        return str(exc)
    except PoolError:
        raise
    return "fine"


def test_double() -> None:
    server = FakeServer(max_connections=3)
    server.answer("SELECT name", rows=[("Ada",)], columns=["name"], delay=0.1)
    server.connect.set(slow(0.3))
    assert_type(run_virtual(errors()), str)
