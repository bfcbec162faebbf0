"""A MySQL server and a driver in memory, for unit tests of code that uses a pool: no network, no waiting.

    server = FakeServer()
    server.answer("SELECT name FROM users", rows=[("Ada",)])
    async with ConnectionPool(driver=FakeDriver(server)) as pool:
        assert await pool.fetch_value("SELECT name FROM users") == "Ada"

Every conversation with the server passes a gate: `server.connect`, `.ping`, `.execute`, `.reset`, `.close`. A gate lets
calls through, late, with an error or not at all: `server.connect.set(slow(0.3))`, `server.ping.next(NEVER, OK)`. That
is the network; what the *server* is busy with comes from the SQL (`SELECT SLEEP(5)`) or from `answer(delay=...)`, and
goes on when the client has left, as it does on a real server, until it is done or killed.

With `async_mysqlpool.testing.virtual` none of these delays takes real time.

gate.py     what happens to a call on its way
session.py  one session as the server sees it, and the little SQL that changes it
server.py   the server: sessions, answers, faults
driver.py   the pool's driver for it, and its connections; cursor.py: their cursors
"""

from .cursor import FakeCursor, FakeDictCursor, FakeStreamCursor
from .driver import FakeConnection, FakeDriver
from .gate import NEVER, OK, Gate, Step, fail, slow
from .server import FakeServer
from .session import FakeError

__all__ = [
    "NEVER",
    "OK",
    "FakeConnection",
    "FakeCursor",
    "FakeDictCursor",
    "FakeDriver",
    "FakeError",
    "FakeServer",
    "FakeStreamCursor",
    "Gate",
    "Step",
    "fail",
    "slow",
]
