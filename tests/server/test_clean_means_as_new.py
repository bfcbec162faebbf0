"""A reused connection compared with a brand-new one after every kind of dirt, whatever the way it came.

`dirt.py` has the kinds, `ways.py` how they are sent, `picture.py` what is compared. Each test tries one way with all
kinds on one driver and server, and names those after which the next borrower could tell.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from dirt import ROUTINES, Kind, kinds, prepare, set_every_variable
from kit import Account, Admin, eventually, rows
from picture import NOTHING, difference, outside, picture
from ways import METHODS, WAYS, prepare_methods

from async_mysqlpool import ConnectError

pytestmark = pytest.mark.filterwarnings("ignore")  # the dirt provokes them

MODES = pytest.mark.parametrize("reset", ["session", "auto"])
# What the server does by itself is the same whichever driver has asked.
ONE_DRIVER = pytest.mark.parametrize("driver", ["asyncmy"], indirect=True)
PLAIN = pytest.mark.parametrize("server", ["mariadb-observed", "mysql-observed"], indirect=True)
# init_connect, latin1, a schema of another collation, roles by default, limits of the account.
ODD = pytest.mark.parametrize("server", ["mariadb-odd", "mysql-odd"], indirect=True)
# What stays, and is told to nobody but who asks for just that (docs/sessions.md); by name, on which server.
STAYS = {
    "mariadb": {"max_error_count"},  # @@warning_count of an error in a session that keeps no warnings
    "mysql": set[str](),
}
# What stays when a routine does it, where no text tells of it.
STAYS_BY_ROUTINE = {
    "mariadb": {"profiles"},
    "mysql": {"optimizer trace", "optimizer trace, switched off again", "resource group"},
}
LOCKS = {"writing", "locks", "DDL"}  # as `outside` names them
EVERY = 8  # of these one is tried with a way that takes long
SLOW = {"text, then cancelled"}
# What the server lets a borrower do to others than its own session is not for a pool to mend.
GRANTS = (
    "ALL PRIVILEGES ON test.*", "ALL PRIVILEGES ON home.*", "ALL PRIVILEGES ON other.*",
    "RELOAD, PROCESS, LOCK TABLES ON *.*",
)  # fmt: skip
_MORE_GRANTS = {
    "mariadb": ("BINLOG REPLAY, REPLICATION MASTER ADMIN ON *.*",),
    "mysql": (
        "SELECT ON performance_schema.*",
        "BACKUP_ADMIN, RESOURCE_GROUP_USER, XA_RECOVER_ADMIN, SESSION_VARIABLES_ADMIN ON *.*",
    ),
}
_SCHEMA = (
    "INSERT IGNORE INTO test.probe VALUES (2, 20), (3, 30), (4, 40)",
    "INSERT INTO test.items (note) VALUES ('of nobody')",
)
_MORE_SCHEMA = {
    "mariadb": (
        "CREATE SEQUENCE test.counter",
        "CREATE TABLE test.counted (a INT DEFAULT (NEXT VALUE FOR test.counter))",
    ),
    "mysql": ("CREATE RESOURCE GROUP dirt TYPE = USER",),
}
_ODD_SCHEMA = {
    "mariadb": ("CREATE ROLE usual",),
    "mysql": ("CREATE ROLE usual, mandatory", "SET GLOBAL mandatory_roles = 'mandatory'"),
}
_LIMITS = {"mariadb": "WITH MAX_STATEMENT_TIME 30", "mysql": "WITH MAX_USER_CONNECTIONS 9"}
_TO = {"mariadb": "FOR", "mysql": "TO"}
_numbers = itertools.count(1)


@dataclass
class Laid:
    """What one server has for these tests: the kinds, and by which statement a routine reaches each."""

    kinds: list[Kind]
    create_home: str
    calls: dict[str, dict[str, str]] = field(default_factory=dict)

    def by_routine(self, admin: Admin, way: str) -> dict[str, str]:
        """The kinds that the server lets a routine do, each with the statement that calls it."""
        if way not in self.calls:
            made = {kind.name: prepare(admin, way, next(_numbers), kind) for kind in self.kinds}
            self.calls[way] = {name: call for name, call in made.items() if call is not None}
            admin.reconnect()
        return self.calls[way]


@pytest.fixture(scope="session")
def ground():
    """Servers that these tests have been prepared on, by port."""
    return {}


@pytest.fixture
def odd(request):
    """Whether the server is one on which a new session has more than the server's variables say."""
    return "odd" in request.node.callspec.params["server"]


@pytest.fixture
def laid(admin, ground, odd, server):
    if server.port not in ground:
        create_home = "CREATE DATABASE IF NOT EXISTS home" + (" COLLATE latin1_german1_ci" if odd else "")
        for sql in (create_home, *_SCHEMA, *_MORE_SCHEMA[server.flavor], *(_ODD_SCHEMA[server.flavor] if odd else ())):
            admin.rows(sql)
        prepare_methods(admin)
        borrower = Account("any_borrower", "s3cret")
        admin.create(borrower, GRANTS[0])
        grant_the_rest(admin, borrower, server)
        with Admin(SimpleNamespace(**{**vars(server), **asdict(borrower)})) as as_borrower:
            variables = set_every_variable(as_borrower)
        ground[server.port] = Laid(kinds(server.flavor, create_home, variables), create_home)
    admin.rows(ground[server.port].create_home)
    return ground[server.port]


def grant_the_rest(admin, account, server):
    for grant in (*GRANTS[1:], *_MORE_GRANTS[server.flavor]):
        admin.rows(f"GRANT {grant} TO {account.user}@'%'")


@pytest.fixture
def account(accounts, admin, laid, odd, server):
    account = accounts(GRANTS[0], _LIMITS[server.flavor] if odd else "")
    grant_the_rest(admin, account, server)
    if odd:
        admin.rows(f"GRANT usual TO {account.user}@'%'")
        admin.rows(f"SET DEFAULT ROLE usual {_TO[server.flavor]} {account.user}@'%'")
    return account


@pytest.fixture(autouse=True)
def uncommitted(laid, server):
    """Another session's change, which only READ UNCOMMITTED shows."""
    with Admin(server) as other:
        other.rows("START TRANSACTION")
        other.rows("UPDATE test.probe SET value = 99 WHERE id = 1")
        yield


@dataclass
class Bench:
    """A pool of one connection, and what a new one of the same pool looks like."""

    pool: Any
    admin: Admin
    user: str
    driver: str
    flavor: str
    new: dict[str, Any]
    create_home: str
    prepared: int

    async def found_after(self, leave, locks=False):
        """What the next borrower, or another session, can tell after `leave(connection)`."""
        with suppress(Exception):  # a borrower whose statement fails gives the connection back all the same
            async with self.pool.acquire() as connection:
                await leave(connection)
        try:
            found = difference(self.new, await self._picture())
        except Exception as error:
            found = {"the next borrower": (None, repr(error))}
        for _ in range(10):  # a connection that is cut and killed goes in the background
            left = self._outside(locks)
            if not left:
                break
            await asyncio.sleep(0.05)
        found |= left
        prepared = self.admin.rows("XA RECOVER")
        if found or prepared:
            await self._replace()
        for *_, name in prepared:
            self.admin.error(f"XA ROLLBACK {as_literal(name)}")  # it may be gone with its session
        if found:
            self.admin.rows("DELETE FROM test.items WHERE note = 'dirt'")
        return found

    async def _picture(self):
        """The next borrower's. The last one may have been cut off between dropping the schema and making it again."""
        for _ in range(10):
            with suppress(ConnectError):
                return await picture(self.pool, self.flavor, self.new)
            await eventually(lambda: self.admin.error(self.create_home), lambda error: error is None)
        return await picture(self.pool, self.flavor, self.new)

    def _outside(self, locks):
        left = difference(NOTHING, outside(self.admin, self.flavor, self.user, self.prepared, locks))
        # What is prepared with XA is meant to outlive its session, with its locks.
        return {name: what for name, what in left.items() if name not in LOCKS or not self.admin.rows("XA RECOVER")}

    async def _replace(self):
        """Go on with another connection; and wait, as a server crashes over XA ROLLBACK while the old one is there."""
        connection = await self.pool.acquire()
        connection_id = self.pool.driver.connection_id(connection.raw)
        connection.discard()
        await eventually(partial(self.admin.connection_ids, self.user), lambda ids: connection_id not in ids)
        await self._picture()


@pytest.fixture
async def bench(account, admin, driver, laid, pools, server):
    async def make(reset, **options):
        options = {"database": "home", "reset": reset, **options}
        new = await picture(await pools(**options), server.flavor)
        assert "the first statement" not in new, new
        new["ROW_COUNT()"] = 0  # as every new session has it; the pool has said something in this one
        pool = await pools(max_size=1, **options)
        await picture(pool, server.flavor)
        prepared = admin.status("Prepared_stmt_count")
        return Bench(pool, admin, account.user, driver, server.flavor, new, laid.create_home, prepared)

    return make


def as_literal(name):
    """Of a name that may come as bytes."""
    return "'" + (name.decode() if isinstance(name, bytes) else name) + "'"


async def found_by_statement(bench, laid, way):
    """By kind, what can be told after its statements were sent in one of `WAYS`."""
    found = {}
    for kind in laid.kinds[:: EVERY if way in SLOW else 1]:
        send = partial(WAYS[way], driver=bench.driver, statements=kind.numbered(next(_numbers)))
        found[kind.name] = await bench.found_after(send, kind.holds_locks)
    return {name: what for name, what in found.items() if what and name not in STAYS[bench.flavor]}


async def found_by_routine(bench, laid, way):
    """The same when a routine of the server's does it."""
    locks = {kind.name: kind.holds_locks for kind in laid.kinds}
    found = {
        name: await bench.found_after(partial(rows, sql=sql), locks[name])
        for name, sql in laid.by_routine(bench.admin, way).items()
    }
    stays = STAYS[bench.flavor] | STAYS_BY_ROUTINE[bench.flavor]
    return {name: what for name, what in found.items() if what and name not in stays}


async def found_by_method(bench):
    """The same after calls of the driver's own methods."""
    found = {name: await bench.found_after(method) for name, method in METHODS[bench.driver].items()}
    return {name: what for name, what in found.items() if what}


@PLAIN
@MODES
@pytest.mark.parametrize("way", WAYS)
async def test_statements(bench, laid, reset, way):
    assert await found_by_statement(await bench(reset), laid, way) == {}


@PLAIN
@MODES
@ONE_DRIVER
@pytest.mark.parametrize("way", ROUTINES)
async def test_routines(bench, laid, reset, server, way):
    if (server.flavor, way) == ("mariadb", "trigger"):
        pytest.skip("MariaDB 10.11 itself crashes over some of these in a trigger")
    assert await found_by_routine(await bench(reset), laid, way) == {}


@PLAIN
@MODES
async def test_methods_of_the_driver(bench, laid, reset):
    assert await found_by_method(await bench(reset)) == {}


@ODD
@MODES
async def test_statements_on_an_odd_server(bench, laid, reset):
    assert await found_by_statement(await bench(reset), laid, "text") == {}


@ODD
@MODES
@ONE_DRIVER
async def test_routines_on_an_odd_server(bench, laid, reset):
    assert await found_by_routine(await bench(reset), laid, "procedure") == {}


@ODD
@MODES
async def test_methods_of_the_driver_on_an_odd_server(bench, laid, reset):
    assert await found_by_method(await bench(reset)) == {}


# What leaves nothing that could be told, even where nothing is reset; or costs the connection, whatever the mode.
HARMLESS = {
    "USE there and back", "variable set by a hint", "LAST_INSERT_ID() by INSERT", "no role", "max_error_count",
    "ROW_COUNT() of an UPDATE", "ROW_COUNT() of a DELETE", "role, by default", "query_cache_type", "pseudo_thread_id",
    "counters of the session",
    "isolation of the next transaction", "read only next transaction",  # on MariaDB the next statement ends them
}  # fmt: skip
SPENT = ("XA", "profiles", "optimizer trace", "resource group")
HARMLESS_METHODS = {
    "select_db of nothing", "kill", "show_warnings", "ping", "ping that reconnects",
    "set_charset", "set_charset, raw",  # asyncmy's raises AttributeError
}  # fmt: skip


@PLAIN
@ONE_DRIVER
@pytest.mark.parametrize("reset", ["none"])
async def test_the_comparison_would_notice(bench, driver, laid, reset):
    """Without a reset each kind of dirt is seen, so that the tests of this file can fail."""
    one = await bench(reset)
    del one.new["ROW_COUNT()"]  # every statement has one
    found = await found_by_statement(one, laid, "text")
    by_method = await found_by_method(one)
    assert {kind.name for kind in laid.kinds if not kind.name.startswith(SPENT)} - found.keys() <= HARMLESS
    assert METHODS[driver].keys() - by_method.keys() <= HARMLESS_METHODS
