"""SQLAlchemy and raw borrowers on the same connections: real servers, both kinds, each driver that has a dialect."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from running import A_HANG, ROOT, eventually
from sqlalchemy import URL, ForeignKey, String, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SAWarning, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.ext.asyncio import create_async_engine as sqlalchemy_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from async_mysqlpool import AcquireTimeoutError, ConfigurationError, ConnectionPool, PoolClosedError, PooledConnection
from async_mysqlpool.integrations.sqlalchemy import create_async_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from async_mysqlpool.testing import Server

pytestmark = pytest.mark.server

USER, PASSWORD = "sqlalchemy", "s3cret"
UTF8 = {"mysql_charset": "utf8mb4"}


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "sa_author"
    __table_args__ = UTF8
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    books: Mapped[list[Book]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "sa_book"
    __table_args__ = UTF8
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[int] = mapped_column(ForeignKey("sa_author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    """A test restarts it."""
    return servers(f"{request.param}-broken")


@pytest.fixture(params=["asyncmy", "aiomysql"])
def driver(request: pytest.FixtureRequest) -> str:
    return request.param


class Outside:
    """A look at the server past the code under test."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool

    async def connections(self) -> list[int]:
        """The connections of the pools under test, as the server counts them."""
        rows = await self.pool.fetch_all("SELECT id FROM information_schema.processlist WHERE user = %s", (USER,))
        return [int(row[0]) for row in rows]

    async def running(self, statement: str) -> int:
        """How many of them are busy with a statement."""
        sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s AND info LIKE %s"
        return int(await self.pool.fetch_value(sql, (USER, f"{statement}%")))

    async def authors(self) -> int:
        return int(await self.pool.fetch_value("SELECT COUNT(*) FROM sa_author"))

    async def is_running(self, statement: str) -> None:
        await eventually(lambda: self.running(statement))

    async def is_stopped(self, statement: str) -> None:
        async def stopped() -> bool:
            return await self.running(statement) == 0

        await eventually(stopped)


@pytest.fixture
async def outside(server: Server) -> AsyncIterator[Outside]:
    async with ConnectionPool(server.dsn("asyncmy", max_size=2)) as pool:
        await pool.execute(f"CREATE USER IF NOT EXISTS {USER}@'%%' IDENTIFIED BY '{PASSWORD}'")
        await pool.execute(f"GRANT ALL PRIVILEGES ON *.* TO {USER}@'%%'")
        yield Outside(pool)


@pytest.fixture
async def pools(server: Server, driver: str, outside: Outside) -> AsyncIterator[Callable[..., Any]]:
    """A function that opens a pool; after the test none of its connections may be left on the server."""
    opened: list[ConnectionPool] = []

    async def open_pool(**options: Any) -> ConnectionPool:
        pool = ConnectionPool(server.dsn(driver, user=USER, password=PASSWORD), **options)
        opened.append(pool)
        await pool.open()
        return pool

    yield open_pool
    for pool in opened:
        await pool.close(timeout=5)

    async def nothing_left() -> bool:
        return await outside.connections() == []

    await eventually(nothing_left)


@pytest.fixture
async def pool(pools: Callable[..., Any]) -> ConnectionPool:
    """With one connection, every borrower gets what the one before left."""
    return await pools(max_size=1)


@pytest.fixture
async def engine(pool: ConnectionPool, outside: Outside) -> AsyncEngine:
    engine = create_async_engine(pool)
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
        await conn.run_sync(Base.metadata.create_all)
    return engine


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine, expire_on_commit=False)


async def raw_id(pool: ConnectionPool) -> int:
    return int(await pool.fetch_value("SELECT CONNECTION_ID()"))


# -- what SQLAlchemy is used for --------------------------------------------------------------------------------------


async def test_objects_are_created_read_changed_and_deleted(sessions, outside):
    async with sessions.begin() as session:
        session.add(Author(name="Jane Austen", books=[Book(title="Emma"), Book(title="Żółw 🐢")]))
    async with sessions() as session:
        author = await session.scalar(select(Author).options(selectinload(Author.books)))
        assert [book.title for book in author.books] == ["Emma", "Żółw 🐢"]
        author.name = "J. Austen"
        await session.delete(author.books[0])
        await session.commit()
        await session.refresh(author, ["name", "books"])
        assert (author.name, [book.title for book in author.books]) == ("J. Austen", ["Żółw 🐢"])
        await session.delete(author)
        await session.commit()
    assert await outside.authors() == 0


@pytest.mark.parametrize("autocommit", [True, False])
async def test_transactions_are_transactions_whatever_the_pool_does_by_itself(pools, engine, pool, outside, autocommit):
    await pool.close()
    pool = await pools(max_size=1, autocommit=autocommit)
    sessions = async_sessionmaker(create_async_engine(pool))
    async with sessions() as session:
        session.add(Author(name="A"))
        await session.flush()
        assert await outside.authors() == 0
        await session.commit()
        assert await outside.authors() == 1
        session.add(Author(name="B"))
        await session.flush()
        await session.rollback()
        session.add(Author(name="C"))
        await session.flush()  # left without a word
    with pytest.raises(IntegrityError):
        async with sessions.begin() as session:
            session.add(Author(name="D"))
            await session.flush()
            session.add(Author(name="A"))
    async with sessions.begin() as session, session.begin_nested() as savepoint:
        session.add(Author(name="E"))
        await session.flush()
        await savepoint.rollback()
    assert await outside.authors() == 1
    async with pool.acquire() as connection:
        assert connection.get_autocommit() is autocommit


async def test_autocommit_of_sqlalchemys_own(engine, outside):
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(insert(Author).values(name="at once"))
        assert await outside.authors() == 1
    async with engine.connect() as conn:
        await conn.execute(insert(Author).values(name="never"))
    assert await outside.authors() == 1


async def test_results_can_be_read_after_the_connection_went_back(engine):
    async with engine.begin() as conn:
        inserted = await conn.execute(text("INSERT INTO sa_author (name) VALUES ('x'), ('y')"))
        core = await conn.execute(insert(Author).values(name="z"))
        updated = await conn.execute(update(Author).values(name=func.upper(Author.name)))
        selected = await conn.execute(select(Author.name).order_by(Author.id))
    assert (inserted.rowcount, inserted.lastrowid) == (2, 1)
    assert (core.rowcount, core.inserted_primary_key[0]) == (1, 3)
    assert updated.rowcount == 3
    assert (list(selected.keys()), selected.scalars().all()) == (["name"], ["X", "Y", "Z"])


async def test_streams(pool, sessions):
    before = pool.stats().closed
    async with sessions.begin() as session:
        session.add_all([Author(name=str(number)) for number in range(1000)])
    async with sessions() as session:
        stream = await session.stream_scalars(select(Author).order_by(Author.id))
        assert [author.name async for author in stream] == [str(number) for number in range(1000)]
        assert await session.scalar(select(func.count()).select_from(Author)) == 1000
    assert pool.stats().closed == before


async def test_a_stream_that_is_abandoned_costs_its_connection_and_nobody_gets_its_rows(pool, engine):
    before = await raw_id(pool)
    series = " UNION ALL ".join(f"SELECT {number}" for number in range(200))
    async with engine.connect() as conn:
        stream = await conn.stream(text(f"SELECT * FROM ({series}) a, ({series}) b, ({series}) c"))
        assert len(await stream.fetchmany(3)) == 3
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT 'mine'")) == "mine"
    assert await raw_id(pool) != before


async def test_rollback_in_the_midst_of_a_stream_goes_on_with_another_connection(engine):
    async with engine.connect() as conn:
        await conn.execute(insert(Author).values(name="x"))
        await conn.stream(text("SELECT 1 UNION SELECT 2"))
        await conn.rollback()
        assert await conn.scalar(select(func.count()).select_from(Author)) == 0


# -- one connection, many borrowers -----------------------------------------------------------------------------------

STATE = "SELECT CONNECTION_ID(), @mark, @@autocommit, @@sql_mode, @@time_zone, @@collation_connection, DATABASE()"
DIRT = (
    "SET @mark = 1",
    "SET SESSION sql_mode = '', time_zone = '+05:00', collation_connection = utf8mb4_bin",
    "CREATE TEMPORARY TABLE leftover (id INT)",
    "SELECT GET_LOCK('left', 0)",
    "USE mysql",
    "INSERT INTO test.sa_author (name) VALUES ('uncommitted')",
)


async def test_what_sqlalchemy_leaves_no_raw_borrower_sees(pool, engine, outside):
    before = await pool.fetch_one(STATE)
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT CONNECTION_ID()")) == before[0]
        for statement in DIRT:
            await conn.execute(text(statement))
    assert await pool.fetch_one(STATE) == before
    await clean_again(pool, outside)


async def test_what_a_raw_borrower_leaves_sqlalchemy_does_not_see(pool, engine, outside):
    async with engine.connect() as conn:
        before = (await conn.execute(text(STATE))).one()
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await connection.begin()
        for statement in DIRT:
            await cursor.execute(statement)
            await cursor.fetchall()
    async with engine.connect() as conn:
        assert (await conn.execute(text(STATE))).one() == before
    await clean_again(pool, outside)


async def clean_again(pool: ConnectionPool, outside: Outside) -> None:
    assert await outside.pool.fetch_value("SELECT IS_FREE_LOCK('left')") == 1
    assert await outside.authors() == 0
    await pool.execute("CREATE TEMPORARY TABLE leftover (id INT)")


@pytest.mark.parametrize("reset", ["rollback", "none"])
async def test_where_the_pool_does_not_reset_autocommit_comes_back_and_nothing_is_committed(
    pools, pool, engine, outside, reset
):
    await pool.close()
    pool = await pools(max_size=1, reset=reset)
    engine = create_async_engine(pool)
    for _ in range(2):
        async with engine.connect() as conn:
            proxied = await conn.get_raw_connection()
            cursor = await conn.run_sync(lambda _, dbapi=proxied: dbapi.cursor())
            await conn.run_sync(lambda _, cursor=cursor: cursor.execute("INSERT INTO sa_author (name) VALUES ('x')"))
        assert await pool.fetch_value("SELECT @@autocommit") == 1
        assert await outside.authors() == 0


async def test_the_baseline_of_the_pool_is_sqlalchemys_too(pools, server):
    isolation = "transaction_isolation" if server.flavor == "mysql" else "tx_isolation"
    variables = {"collation_connection": "utf8mb4_bin", isolation: "READ-COMMITTED"}
    engine = create_async_engine(await pools(max_size=1, session_variables=variables))
    for _ in range(2):
        async with engine.connect() as conn:
            assert await conn.scalar(text("SELECT @@collation_connection")) == "utf8mb4_bin"
            assert await conn.get_isolation_level() == "READ COMMITTED"
            await conn.rollback()
            await conn.execution_options(isolation_level="SERIALIZABLE")


async def test_one_reset_for_one_borrower(pool, engine):
    async def resets() -> int:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT 1")  # when its reply is read, that of the reset before it is as well
            return pool.stats().resets

    before = await resets()
    for _ in range(5):
        async with engine.begin() as conn:
            await conn.scalar(text("SELECT 1"))
    assert await resets() == before + 1 + 5


async def test_a_hundred_sessions_over_five_connections(pools, sessions, pool, outside):
    await pool.close()
    pool = await pools(max_size=5)
    sessions = async_sessionmaker(create_async_engine(pool))
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(await outside.connections()))

    async def work(number: int) -> None:
        async with sessions.begin() as session:
            session.add(Author(name=str(number)))
        assert await pool.fetch_value("SELECT COUNT(*) FROM sa_author WHERE name = %s", (str(number),)) == 1

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(work(number) for number in range(100)))
    watcher.cancel()
    assert await outside.authors() == 100
    assert 0 < most <= 5
    assert pool.stats().in_use == 0


async def test_who_waits_too_long_is_told_who_holds_the_connection(pool, engine, driver):
    async with engine.begin():
        (lease,) = pool.leases()
        assert "test_sqlalchemy.py:" in lease.site

        async def wait() -> None:
            with pytest.raises(AcquireTimeoutError, match=r"test_sqlalchemy\.py:"):
                await pool.acquire(timeout=0)

        await asyncio.create_task(wait())


# -- connections that end ---------------------------------------------------------------------------------------------


async def test_a_connection_killed_under_a_session_costs_one_transaction(pool, sessions, outside):
    async with sessions() as session:
        killed = await session.scalar(text("SELECT CONNECTION_ID()"))
        await outside.pool.execute(f"KILL {killed}")
        with pytest.raises(DBAPIError) as caught:
            await session.scalar(text("SELECT 1"))
        assert caught.value.connection_invalidated
        await session.rollback()
        assert await session.scalar(text("SELECT CONNECTION_ID()")) != killed
    assert await raw_id(pool) != killed


async def test_a_connection_killed_in_the_midst_of_a_statement(pool, engine, outside):
    async def sleep() -> None:
        async with engine.connect() as conn:
            await conn.execute(text("SELECT SLEEP(60), 1 FROM (SELECT 1) AS killed"))

    task = asyncio.create_task(sleep())
    await outside.is_running("SELECT SLEEP")
    for connection_id in await outside.connections():
        await outside.pool.execute(f"KILL {connection_id}")
    with pytest.raises(DBAPIError) as caught:
        await task
    assert caught.value.connection_invalidated
    assert await pool.fetch_value("SELECT 1") == 1


async def test_sessions_outlive_a_restart_of_the_server(pool, sessions, server):
    async with sessions() as session:
        await session.scalar(text("SELECT 1"))
        await asyncio.to_thread(server.restart)
        with pytest.raises(DBAPIError):
            await session.scalar(text("SELECT 1"))
        await session.rollback()
        assert await session.scalar(text("SELECT 2")) == 2
    assert await pool.fetch_value("SELECT 3") == 3


async def test_a_cancelled_statement_is_stopped_on_the_server_and_the_next_borrowers_are_served(
    pool, sessions, outside
):
    async def sleep() -> None:
        async with sessions() as session:
            await session.execute(text("SELECT SLEEP(60)"))

    for _ in range(3):
        task = asyncio.create_task(sleep())
        await outside.is_running("SELECT SLEEP")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await outside.is_stopped("SELECT SLEEP")
        async with sessions() as session:
            assert await session.scalar(text("SELECT 'mine'")) == "mine"
        assert await pool.fetch_value("SELECT 'mine'") == "mine"
    stats = pool.stats()
    assert (stats.in_use, stats.closed.get("cancelled")) == (0, 3)


async def test_cancelled_at_any_moment_nothing_is_lost(pools, engine, pool, outside):
    await pool.close()
    pool = await pools(max_size=2)
    sessions = async_sessionmaker(create_async_engine(pool))

    async def work(number: int) -> None:
        async with sessions.begin() as session:
            session.add(Author(name=str(number)))
            await session.flush()
            assert await session.scalar(text(f"SELECT {number}")) == number

    for steps in range(60):
        task = asyncio.create_task(work(steps))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def settled() -> bool:
        return pool.stats().in_use == 0

    await eventually(settled)
    assert await asyncio.gather(*(pool.fetch_value("SELECT %s", (number,)) for number in range(10))) == [*range(10)]
    assert len(await outside.connections()) <= 2


async def test_dispose_leaves_the_pool_open(pool, engine):
    before = await raw_id(pool)
    await engine.dispose()
    assert await raw_id(pool) == before
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT CONNECTION_ID()")) == before


async def test_the_pool_closes_in_time_though_sessions_are_open(pools, engine, pool, outside, caplog):
    await pool.close()
    pool = await pools(max_size=2)
    sessions = async_sessionmaker(create_async_engine(pool))
    idle, busy = sessions(), sessions()
    await idle.scalar(text("SELECT 1"))
    sleeper = asyncio.create_task(busy.execute(text("SELECT SLEEP(60)")))
    await outside.is_running("SELECT SLEEP")
    async with asyncio.timeout(A_HANG):
        await pool.close(timeout=0.1)
    assert "test_sqlalchemy.py:" in caplog.text
    with pytest.raises(PoolClosedError):
        await sleeper
    with pytest.raises((PoolClosedError, StatementError), match="was closed while connection"):
        await idle.scalar(text("SELECT 1"))
    await asyncio.gather(idle.close(), busy.close())
    with pytest.raises(PoolClosedError):
        await idle.scalar(text("SELECT 1"))


@pytest.mark.parametrize("ending", ["invalidate", "detach"])
async def test_what_sqlalchemy_wants_no_more_is_not_lent_again(pool, engine, ending):
    async with engine.connect() as conn:
        ended = await conn.scalar(text("SELECT CONNECTION_ID()"))
        if ending == "invalidate":
            await conn.invalidate()
        else:
            await conn.run_sync(lambda sync: sync.detach())
    assert await raw_id(pool) != ended


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_connection_that_is_forgotten_comes_back(pool, engine, in_thread):
    held = [await engine.connect()]
    forgotten = await held[0].scalar(text("SELECT CONNECTION_ID()"))

    def forget() -> None:
        held.clear()
        gc.collect()

    with pytest.warns(SAWarning, match=r"test_sqlalchemy\.py:\d+"):
        await asyncio.to_thread(forget) if in_thread else forget()
    assert await raw_id(pool) != forgotten


async def test_the_drivers_connection_is_the_borrowed_one(engine):
    async with engine.connect() as conn:
        proxied = await conn.get_raw_connection()
        assert isinstance(proxied.driver_connection, PooledConnection)
        async with proxied.driver_connection.cursor() as cursor:
            await cursor.execute("SELECT 1")
            assert await cursor.fetchall() in (((1,),), [(1,)])


# -- programs ---------------------------------------------------------------------------------------------------------


async def run(*arguments: str, dsn: str) -> list[str]:
    """The lines that a program printed; it must end well and complain of nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"DSN": dsn, "ASYNC_MYSQLPOOL_DSN": dsn},
    )
    async with asyncio.timeout(A_HANG):
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    return output.decode().splitlines()


async def test_the_example(server, driver):
    stock, streamed, connections = await run("examples/sqlalchemy_orm.py", dsn=server.dsn(driver))
    assert stock == "stock: ('apple', 10) ('pear', 15)"
    assert streamed == "streamed: apple pear"
    assert re.fullmatch(r"connections: [123] for \d+ borrowers, 0 in use", connections)


async def test_the_program_of_the_page(server, driver, outside):
    await outside.pool.execute("DROP TABLE IF EXISTS orm_book")
    page = (ROOT / "docs" / "sqlalchemy.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert await run("-c", program, dsn=server.dsn(driver)) == ["Emma", "1"]


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("mysql") is None, reason="needs mysql-connector-python")
def test_a_driver_without_a_dialect_is_refused():
    with pytest.raises(ConfigurationError, match="'asyncmy' or 'aiomysql'"):
        create_async_engine(ConnectionPool("mysql+mysql.connector.aio://localhost/test"))


OTHERS = ["pool_size", "max_overflow", "pool_timeout", "poolclass", "pool_reset_on_return", "creator", "connect_args"]


@pytest.mark.parametrize("option", OTHERS)
def test_options_of_a_second_pool_are_refused(driver, option):
    with pytest.raises(TypeError, match=option):
        create_async_engine(ConnectionPool(f"mysql+{driver}://localhost/test"), **{option: 5})


# -- as SQLAlchemy's own engine ---------------------------------------------------------------------------------------


def own_engine(server: Server, driver: str, scheme: str = "mysql") -> AsyncEngine:
    """One without our pool, for comparison."""
    query = {} if driver == "asyncmy" else {"charset": "utf8mb4"}
    return sqlalchemy_engine(
        URL.create(f"{scheme}+{driver}", USER, PASSWORD, server.host, server.port, server.database, query)
    )


async def rows_of_an_update_that_changes_nothing(engine: AsyncEngine) -> int:
    async with engine.begin() as conn:
        return (await conn.execute(update(Author).values(name=Author.name))).rowcount


@pytest.mark.parametrize("opened", ["before", "after", "with a borrower"])
async def test_rowcount_is_the_number_of_rows_found(pools, pool, engine, driver, server, outside, opened):
    async with engine.begin() as conn:
        await conn.execute(insert(Author).values(name="Ada"))
    await pool.close()
    if opened == "after":
        pool = ConnectionPool(server.dsn(driver, user=USER, password=PASSWORD), max_size=2)
        engine = create_async_engine(pool)
        await pool.open()
    else:
        pool = await pools(max_size=2)
        held = await pool.acquire() if opened == "with a borrower" else None
        await pool.fetch_value("SELECT 1")
        engine = create_async_engine(pool)
        if held is not None:
            await held.close()
    for _ in range(3):
        assert await rows_of_an_update_that_changes_nothing(engine) == 1
        assert await pool.execute("UPDATE sa_author SET name = name") == 1  # raw borrowers see the same
    await pool.close()


async def test_a_flush_that_changes_nothing_is_no_stale_data(sessions):
    async with sessions.begin() as session:
        session.add(Author(name="Ada"))
    async with sessions.begin() as session:
        author = await session.scalar(select(Author))
        await session.execute(text("UPDATE sa_author SET name = 'Bob'"))
        author.name = "Bob"  # what is there already


async def test_two_engines_on_one_pool_do_not_replace_each_others_connections(pool, engine):
    before = await raw_id(pool)
    other = create_async_engine(pool)
    assert await rows_of_an_update_that_changes_nothing(other) == 0
    assert await raw_id(pool) == before


async def what_happens(engine: AsyncEngine, raw_method: str, then: str) -> str | None:
    async with engine.connect() as conn:
        await conn.execute(text("SELECT 1"))
        raw = await conn.get_raw_connection()
        result = await conn.run_sync(lambda _: getattr(raw, raw_method)())
        assert result is None
        try:
            await getattr(conn, then)()
        except Exception as exc:
            return type(exc).__name__
        return None


@pytest.mark.parametrize("raw_method", ["invalidate", "close"])
@pytest.mark.parametrize("then", ["rollback", "commit", "close"])
async def test_after_the_raw_connection_was_ended(server, driver, pool, engine, raw_method, then):
    own = own_engine(server, driver)
    assert await what_happens(engine, raw_method, then) == await what_happens(own, raw_method, then)
    await own.dispose()
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT 1")) == 1


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
async def test_name_and_url(server, driver, outside, scheme):
    dsn = server.dsn(driver, user=USER, password=PASSWORD).replace("mysql", scheme, 1)
    async with ConnectionPool(dsn) as pool:
        engine = create_async_engine(pool)
        assert engine.dialect.name == engine.url.get_backend_name() == scheme
        url = engine.url
        assert (url.host, url.port, url.username) == (server.host, server.port, USER)
        assert (url.database, url.password) == (server.database, None)
        if server.flavor == scheme or scheme == "mysql":
            async with engine.connect() as conn:
                assert await conn.scalar(text("SELECT 1")) == 1
