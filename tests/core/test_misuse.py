"""Each mistake gets an error that names what was wrong and what to write instead, at once, and nothing is lost by it.

One line for each: the program, its error, and words that must be in it. A program has a `pool` of two connections that
is open, a connection `conn` of it, and a cursor `cur` of that.
"""

from __future__ import annotations

import ast
import gc
import inspect
import pickle
import subprocess
import sys
import types
import warnings
from contextlib import AbstractContextManager

import pytest
from support import check_whole, make_pool

from async_mysqlpool import ConnectionPool, PoolClosedError
from async_mysqlpool.testing.fake import FakeDriver, FakeError

SECRET = "hunter2"
# Texts that are hardly those of a driver's, a framework's or a settings library's own classes.
CLASSES = """
import asyncio, copy, dataclasses, datetime, sys
class SqlalchemyUrl:
    def __str__(self): return "mysql://u:***@h"
    def render_as_string(self, hide_password=True): return "mysql://u:hunter2@h"
class MySQLDsn:
    def __str__(self): return "mysql://u:hunter2@h"
class SecretStr:
    def __repr__(self): return "SecretStr('**********')"
    def get_secret_value(self): return "hunter2"
@dataclasses.dataclass
class Settings: host: str = "h"; password: str = "hunter2"
class Telling:
    def on_event(self, event): pass
    async def on_statement(self, event): pass
class Listener:
    def on_event(self, event): pass
class Waiting:
    async def on_event(self, event): pass
aiomysql = type(sys)("aiomysql")
class DictCursor: pass
DictCursor.__module__ = "aiomysql.cursors"
def P(*args, **options): return ConnectionPool(*args, **{"driver": FakeDriver(), **options})
async def opened(**options):
    async with ConnectionPool(**{"driver": FakeDriver(server), **options}) as pool: await pool.fetch_value("SELECT 1")
"""

OPTIONS = [
    # -- the first argument
    ("P(None)", "ConfigurationError", "environment variable", "leave it out"),
    ("P('')", "ConfigurationError", "the DSN is empty", "environment variable"),
    ("P({'host': 'h', 'password': 'hunter2'})", "ConfigurationError", "ConnectionPool(**options)"),
    ("P(b'mysql://u:hunter2@h')", "ConfigurationError", "dsn.decode()"),
    ("P(SqlalchemyUrl())", "ConfigurationError", "render_as_string(hide_password=False)"),
    ("P(MySQLDsn())", "ConfigurationError", "not a MySQLDsn", "str(dsn)"),
    ("P(SecretStr())", "ConfigurationError", "get_secret_value()"),
    ("P(FakeDriver())", "ConfigurationError", "ConnectionPool(driver=...)"),
    ("P('localhost')", "ConfigurationError", "mysql://", "host=..."),
    ("P('u:hunter2@localhost/db')", "ConfigurationError", "mysql://", "host=..."),
    ("P('jdbc:mysql://h/db')", "ConfigurationError", "this one is jdbc:", "mysql://"),
    ("P('postgresql://h/db')", "ConfigurationError", "postgresql://", "mysql://"),
    ("P('mysql://one,two/db')", "ConfigurationError", "a pool has one server"),
    ("P('mysql://h/db?ssl_ca=x')", "ConfigurationError", "ssl=ssl.create_default_context(cafile=...)"),
    ("P('mysql://h/db?sql_mode=ANSI')", "ConfigurationError", "session_variables={'sql_mode': ...}"),
    ("P(dsn='mysql://u:hunter2@h')", "ConfigurationError", "comes first and has no name"),
    ("P(url='mysql://u:hunter2@h')", "ConfigurationError", "comes first and has no name"),
    # -- the driver
    ("ConnectionPool('mysql+pymysql://h')", "ConfigurationError", "'pymysql'", "not async", "aiomysql"),
    ("ConnectionPool('mysql+mysqldb://h')", "ConfigurationError", "'mysqldb'", "not async", "asyncmy"),
    ("ConnectionPool('mysql+mysqlconnector://h')", "ConfigurationError", "mysql.connector.aio"),
    ("P(driver='mysql.connector')", "ConfigurationError", "mysql.connector.aio"),
    ("P(driver='mysqlx')", "ConfigurationError", "classic protocol, port 3306"),
    ("P(driver='psycopg')", "ConfigurationError", "known are asyncmy, aiomysql"),
    ("P(driver=aiomysql)", "ConfigurationError", "driver='aiomysql'"),
    ("P(driver=FakeDriver)", "ConfigurationError", "FakeDriver(...)"),
    # -- where, and who
    ("P(host=None)", "ConfigurationError", "host", "environment variable"),
    ("P(host='')", "ConfigurationError", "host", "environment variable"),
    ("P(host='127.0.0.1:3307')", "ConfigurationError", "host='127.0.0.1', port=3307"),
    ("P(host='mysql://u:hunter2@h')", "ConfigurationError", "a whole DSN comes first"),
    ("P(host='u:hunter2@h')", "ConfigurationError", "user=..., password=..., host=..."),
    ("P(host='one,two')", "ConfigurationError", "a pool has one server"),
    ("P(host=Settings())", "ConfigurationError", "host must be a text", "not a Settings"),
    ("P(session_variables={'sql_mode': Settings()})", "ConfigurationError", "a plain value, not a Settings"),
    ("P(host='/run/mysqld.sock')", "ConfigurationError", "unix_socket=..."),
    ("P(hostname='h')", "ConfigurationError", "did you mean 'host'?"),
    ("P(port='3306')", "ConfigurationError", "port", "int(...)"),
    ("P(port=70000)", "ConfigurationError", "1 to 65535"),
    ("P(username='u')", "ConfigurationError", "did you mean 'user'?"),
    ("P(user='mysql://u:hunter2@h')", "ConfigurationError", "user", "a whole DSN comes first"),
    ("P(database='mysql://u:hunter2@h')", "ConfigurationError", "database", "a whole DSN comes first"),
    ("P(schema='shop')", "ConfigurationError", "did you mean 'database'?"),
    ("P(password=None)", "ConfigurationError", "not None", "environment variable"),
    ("P(password=b'hunter2')", "ConfigurationError", "password.decode()"),
    ("P(password=SecretStr())", "ConfigurationError", "password.get_secret_value()"),
    ("async def secret(): return 'hunter2'\nP(password=secret())", "ConfigurationError", "the function itself"),
    ("P(passwd='hunter2')", "ConfigurationError", "did you mean 'password'?"),
    # -- charset, TLS, session
    ("P(charset='utf9')", "ConfigurationError", "did you mean 'utf8mb4'?"),
    ("P(charset='utf-8')", "ConfigurationError", "did you mean 'utf8mb4'?"),
    ("P(charset='utf16')", "ConfigurationError", "utf8mb4"),
    ("P(charset='iso8859-1')", "ConfigurationError", "did you mean 'latin1'?"),
    ("P(charset='klingon')", "ConfigurationError", "SHOW CHARACTER SET"),
    ("P(charset='utf8mb4_bin')", "ConfigurationError", "charset='utf8mb4', collation='utf8mb4_bin'"),
    ("P(collation='utf8mb4')", "ConfigurationError", "charset='utf8mb4'"),
    ("P(ssl='/etc/ca.pem')", "ConfigurationError", "ssl.create_default_context(cafile=...)"),
    ("P(ssl={'ca': '/etc/ca.pem'})", "ConfigurationError", "ssl.create_default_context(cafile=...)"),
    ("P(ssl_disabled=True)", "ConfigurationError", "TLS is one option"),
    ("P(autocommit='true')", "ConfigurationError", "True or False"),
    ("P(reset=True)", "ConfigurationError", 'reset="session"'),
    ("P(reset=False)", "ConfigurationError", 'reset="none"'),
    ("P(time_zone='UTC')", "ConfigurationError", "session_variables={'time_zone': ...}"),
    ("P(isolation_level='SERIALIZABLE')", "ConfigurationError", "transaction_isolation"),
    ("P(session_variables=[('time_zone', 'x')])", "ConfigurationError", "{'time_zone': '+00:00'}"),
    ("P(session_variables={'@@time_zone': 'x'})", "ConfigurationError", "without @: 'time_zone'"),
    ("P(session_variables={'names': 'utf8'})", "ConfigurationError", "charset=..."),
    ("P(session_variables={'sql_mode': ['A']})", "ConfigurationError", '",".join(...)'),
    ("P(connect_args=[('password', 'hunter2')])", "ConfigurationError", "a mapping", "not a list"),
    ("P(connect_args={'host': 'h'})", "ConfigurationError", "pass host=... itself"),
    ("P(connect_args={'pool_size': 5})", "ConfigurationError", "pass max_size=... itself"),
    ("P(cursorclass=DictCursor)", "ConfigurationError", "conn.cursor(...)"),
    ("P(echo=True)", "ConfigurationError", "connect_args={'echo': True}"),
    ("P(init_command='SET x')", "ConfigurationError", 'connect_args={"init_command": ...}'),
    ("P(local_infile=True)", "ConfigurationError", "connect_args={'local_infile': ...}"),
    # -- sizes and times
    ("P(maxsize=5)", "ConfigurationError", "did you mean 'max_size'?"),
    ("P(pool_size=5)", "ConfigurationError", "did you mean 'max_size'?"),
    ("P(pool_recycle=5)", "ConfigurationError", "did you mean 'max_lifetime'?"),
    ("P(max_sizes=5)", "ConfigurationError", "did you mean 'max_size'?"),
    ("P(max_size='5')", "ConfigurationError", "int(...)"),
    ("P(max_size=0)", "ConfigurationError", "1 or more", "no pool without a limit"),
    ("P(max_size=None)", "ConfigurationError", "no pool without a limit"),
    ("P(min_size=20)", "ConfigurationError", "min_size=20", "raise max_size"),
    ("P(queue_timeout='1.5')", "ConfigurationError", "float(...)"),
    ("P(queue_timeout=datetime.timedelta(seconds=3))", "ConfigurationError", ".total_seconds()"),
    ("P(queue_timeout=-1)", "ConfigurationError", "0 or more, or None"),
    ("P(queue_timeout=30000)", "RuntimeWarning", "in seconds, 8:20:00 hours", "did you mean 30?"),
    ("P(connect_timeout=5000)", "RuntimeWarning", "in seconds", "did you mean 5?"),
    ("P(connect_timeout=None)", "ConfigurationError", "a number of seconds above 0"),
    ("P(pooling='no')", "ConfigurationError", "True or False"),
    ("P(loop=None)", "ConfigurationError", "the event loop in which it is opened"),
    ("P(retries=3)", "ConfigurationError", "run_transaction(fn, retries=3)"),
    # -- hooks and observers
    ("P(observers=[print])", "ConfigurationError", "on_event(event)"),
    ("P(observers=print)", "ConfigurationError", "on_event(event)"),
    ("P(observers=Listener())", "ConfigurationError", "observers=[observer]"),
    ("P(observers=[Listener])", "ConfigurationError", "observers=[Listener(...)]"),
    ("P(observers=[Waiting()])", "ConfigurationError", "a plain function"),
    ("P(observers=[Telling()])", "ConfigurationError", "on_statement must be a plain function"),
    ("P().observe(print)", "ConfigurationError", "one observer", "on_event(event)"),
    ("P().observe(Listener)", "ConfigurationError", "one, not their class"),
    ("P().observe([Listener()])", "ConfigurationError", "one observer"),
    ("P(on_connect='SET x')", "ConfigurationError", "session_variables={...}"),
    ("async def hook(): pass\nP(on_connect=hook)", "ConfigurationError", "one argument, the connection"),
    ("async def hook(c): pass\nP(on_connect=hook(1))", "ConfigurationError", "the function itself"),
    ("async def hook(c): yield\nP(on_connect=hook)", "ConfigurationError", "no yield"),
    ("def hook(c): pass\nawait opened(on_connect=hook)", "ConnectError", "on_connect must be an async function"),
    ("def hook(c): pass\nawait opened(on_acquire=hook)", "TypeError", "on_acquire must be an async function"),
    ("P(on_release=[1])", "ConfigurationError", "an async function of one argument"),
    ("await opened(driver='asyncmy', connect_args={'foo': 1})", "ConnectError", "connect_args (foo)", "asyncmy?"),
    # -- X DevAPI's form
    ("ConnectionPool.from_client_options(None, {})", "ConfigurationError", "a DSN or a dict of host"),
    ("ConnectionPool.from_client_options('mysql://h', None)", "ConfigurationError", '{"pooling": {...}}'),
    ("ConnectionPool.from_client_options('mysql://h', {'max_size': 3})", "ConfigurationError", "'pooling'"),
    ("ConnectionPool.from_client_options('mysql://h', '{')", "ConfigurationError", "not a JSON document"),
    (
        "ConnectionPool.from_client_options('mysql://h', {'pooling': {'maxSize': 3}})",
        "ConfigurationError",
        "'max_size'",
    ),
]

USE = [
    # -- borrowing
    ("pool.acquire()", "RuntimeWarning", "never awaited, at <misuse>:1:", "async with pool.acquire() as conn"),
    ("pool.acquire().cursor()", "AttributeError", "'cursor'", "conn = await pool.acquire()"),
    ("with pool.acquire() as c: pass", "TypeError", "async with pool.acquire() as conn"),
    ("await pool.acquire('5')", "ConfigurationError", "a number of seconds"),
    ("await pool.acquire(timeout=-1)", "ConfigurationError", "0 or more, or None"),
    (
        "c = await pool.acquire()\nawait pool.acquire()",
        "AcquireTimeoutError",
        "2 of them by this very task",
        "pass it on",
    ),
    ("c = await pool.acquire()\nawait pool.acquire(timeout=None)", "PoolDeadlockError", "waits for itself", "all 2"),
    ("with conn: pass", "TypeError", "async with pool.acquire() as conn"),
    (
        "async with P(watch_statements=True) as p, p.acquire() as c: await c.transaction()",
        "TypeError",
        "async with conn.transaction()",
    ),
    ("conn.close(); conn.cursor()", "ConnectionReleasedError", "given back", "acquired at", "pass the pool"),
    ("conn.close(); cur.lastrowid", "ConnectionReleasedError", "lastrowid in the block that borrows it"),
    ("conn.close(); await cur.execute('SELECT 1')", "ConnectionReleasedError", "given back"),
    ("pool.release(None)", "ValueError", "what its acquire() gave"),
    ("pool.release(conn.raw)", "ValueError", "what its acquire() gave"),
    ("P().release(conn)", "ValueError", "was not acquired from pool"),
    (
        "await asyncio.gather(cur.execute('SELECT 1'), cur.execute('SELECT 1'))",
        "ConcurrentUseError",
        "borrow one of its own",
    ),
    ("copy.copy(conn)", "TypeError", "Acquire another one"),
    ("pickle.dumps(conn)", "TypeError", "belongs to this process"),
    ("conn._reader", "AttributeError", ".raw"),
    # -- cursors
    ("with conn.cursor() as c: pass", "TypeError", "async with"),
    ("for row in cur: pass", "TypeError", "async for row in cur"),
    ("conn.cursor('SELECT 1')", "TypeError", "cur.execute(sql)"),
    ("conn.cursor(DictCursor)", "TypeError", "aiomysql's DictCursor does not work with fake"),
    ("cur._last_executed", "AttributeError", ".raw of connection and cursor"),
    ("copy.copy(cur)", "TypeError", "cannot be copied"),
    ("pickle.dumps(cur)", "TypeError", "pickle rows"),
    # -- the pool
    ("with pool: pass", "TypeError", "async with pool:"),
    ("async with pool.cursor('SELECT 1'): pass", "TypeError", "cur.execute(sql)"),
    ("with pool.cursor() as c: pass", "TypeError", "async with pool.cursor() as cur"),
    ("await pool.cursor()", "TypeError", "async with pool.cursor() as cur"),
    ("await pool.cursor().execute('SELECT 1')", "AttributeError", "'execute'", "async with pool.cursor() as cur"),
    ("pool.commit()", "AttributeError", "'commit'", "async with pool.acquire() as conn"),
    ("pool.fetchone()", "AttributeError", "'fetchone'", "async with pool.cursor() as cur"),
    ("pool.wait_closed()", "AttributeError", "'wait_closed'", "await pool.close()"),
    ("pool.get_connection()", "AttributeError", "'get_connection'", "async with pool.acquire() as conn"),
    ("pool.maxsize", "AttributeError", "'maxsize'", "pool.max_size"),
    ("pool.aquire()", "AttributeError", "'aquire'"),
    ("await pool.resize(5)", "TypeError", "resize(5)", "max_size=..."),
    ("await pool.resize(max_size='5')", "ConfigurationError", "max_size", "int(...)"),
    ("await pool.resize(max_size=0)", "ConfigurationError", "no pool without a limit"),
    ("await P().open(30)", "ConfigurationError", "open(timeout=...)"),
    ("await P().open(timeout='30')", "ConfigurationError", "a number of seconds"),
    ("await pool.close(timeout='10')", "ConfigurationError", "a number of seconds"),
    ("await P().acquire()", "PoolClosedError", "not open yet", "async with pool:"),
    ("p = P()\nawait p.close(); await p.open()", "PoolClosedError", "stays closed", "make another ConnectionPool"),
    ("p = P()\nawait p.close(); await p.acquire()", "PoolClosedError", "stays closed", "make another ConnectionPool"),
    ("copy.copy(pool)", "TypeError", "neither copied nor pickled"),
    ("copy.deepcopy(pool)", "TypeError", "neither copied nor pickled"),
    ("pickle.dumps(pool)", "TypeError", "one in each process"),
    ("class Sub(ConnectionPool):\n  def acquire(self, timeout=None): pass", "TypeError", "Sub.acquire", "site=site"),
    # -- transactions
    ("with pool.transaction(): pass", "TypeError", "async with pool.transaction() as conn"),
    ("await pool.transaction()", "TypeError", "async with pool.transaction() as conn"),
    ("await conn.transaction()", "TypeError", "async with conn.transaction()"),
    ("async with conn.transaction('CHAOS'): pass", "ConfigurationError", "READ COMMITTED"),
    ("async with conn.transaction('READ ONLY'): pass", "ConfigurationError", "read_only=True"),
    ("async with conn.transaction(True): pass", "ConfigurationError", "read_only=True"),
    ("async with conn.transaction(): await conn.commit()", "TransactionError", "COMMIT when it is left"),
    ("async with conn.transaction(): await cur.execute('COMMIT')", "TransactionError", "COMMIT when it is left"),
    ("async with conn.transaction(): conn.close()", "TransactionError", "given back in the middle", "<misuse>:1"),
    ("await conn.begin()\nasync with conn.transaction(): pass", "TransactionError", "commit() or rollback() first"),
    ("async def f(c): pass\nawait pool.run_transaction(f(1))", "TypeError", "the function itself"),
    ("await pool.run_transaction('SELECT 1')", "TypeError", "an async function that takes the connection"),
    ("await pool.run_transaction(lambda c: 1)", "TypeError", "async def"),
    ("await pool.run_transaction(opened, retries=-1)", "ConfigurationError", "retries", "0 or more"),
]


async def run(program: str, names: dict[str, object]) -> None:
    """A program that may use `await` outside of functions."""
    code = compile(program, "<misuse>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = types.FunctionType(code, names)()
    if inspect.iscoroutine(result):
        await result


async def caught_of(program: str, names: dict[str, object]) -> Warning | BaseException | None:
    """The error of a program, or its first warning."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            await run(program, names)
        except Exception as exc:
            return exc
    return warned[0].message if warned else None


def told(error: BaseException) -> str:
    """All that a log shows of it."""
    text = [str(error), *getattr(error, "__notes__", [])]
    return "\n".join(text + ([told(error.__cause__)] if error.__cause__ else []))


@pytest.mark.parametrize(
    ("program", "error", "words"), [(p, e, w) for p, e, *w in OPTIONS + USE], ids=lambda v: str(v)[:60]
)
async def test_a_mistake_is_told_with_its_remedy_and_nothing_is_lost(server, program, error, words):
    names = {name: value for name, value in globals().items() if not name.startswith("__")} | {"server": server}
    exec(CLASSES, names)
    async with make_pool(server) as pool:
        conn = await pool.acquire()
        names |= {"pool": pool, "conn": conn, "cur": conn.cursor()}
        caught = await caught_of(program, names)
        assert type(caught).__name__ == error, caught
        assert [word for word in words if word not in told(caught)] == [], told(caught)
        assert SECRET not in told(caught) + repr(caught)
        del caught
        conn.close()
        if isinstance(names.get("c"), type(conn)):
            names["c"].close()
        gc.collect()  # what a mistake leaves behind ends here, and not in another test
        await check_whole(pool, server)


def test_there_are_many_of_them():
    assert len({program for program, *_ in OPTIONS + USE}) == len(OPTIONS + USE) > 150


async def test_what_is_right_in_other_pools_and_harmless_here_works(server):
    async with make_pool(server) as pool:
        await pool.release(await pool.acquire())
        async with pool.transaction("READ-COMMITTED") as conn:
            await conn.ping(reconnect=True)
        again = pickle.loads(pickle.dumps(ConnectionPool(host="h", max_size=3, driver=FakeDriver())))
        assert (again.max_size, again.name) == (3, "h:3306")
        await check_whole(pool, server)


async def test_nothing_passes_for_what_frameworks_await_or_enter(server):
    async with make_pool(server) as pool, pool.acquire() as conn, conn.cursor() as cur:
        for item in (pool, conn, cur):
            assert not isinstance(item, AbstractContextManager)
        for item in (pool, conn):
            assert not inspect.isawaitable(item)


async def test_a_ping_that_cannot_reconnect_says_so(server):
    async with make_pool(server) as pool, pool.acquire() as conn:
        server.kill(1)
        with pytest.raises(FakeError) as caught:
            await conn.ping(reconnect=True)
        assert "never reconnects" in told(caught.value)


async def test_a_borrow_that_failed_was_awaited(server, recwarn):
    with pytest.raises(PoolClosedError):
        await ConnectionPool(driver=FakeDriver(server)).acquire()
    assert list(recwarn) == []


NEVER_AWAITED = """
from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing.fake import FakeDriver
ConnectionPool(driver=FakeDriver()).acquire()
"""


def test_the_warning_comes_from_the_line():
    command = [sys.executable, "-W", "always", "-c", NEVER_AWAITED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "<string>:4: RuntimeWarning: pool.acquire() was never awaited, at <string>:4" in done.stderr
