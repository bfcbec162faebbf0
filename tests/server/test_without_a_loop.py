"""`terminate()` where no event loop runs: in an atexit function, in a test's clean-up, after `asyncio.run`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from kit import Account

# In a process of its own: a loop that was closed with tasks in it leaves warnings for whoever collects the garbage.
PROGRAM = """
import asyncio, gc, os, sys, time
import pymysql, uvloop
from async_mysqlpool import ConnectionPool

dsn, port, user, password, closed, loops = sys.argv[1:]
gc.disable()  # whose finalizers would close the sockets some time
loop = {"asyncio": asyncio, "uvloop": uvloop}[loops].new_event_loop()
pool = ConnectionPool(dsn, min_size=3, max_size=3)

async def use():
    await pool.open()
    return await pool.acquire()

held = loop.run_until_complete(use())
if closed == "True":
    loop.close()
pool.terminate()
if closed == "False":
    loop.run_until_complete(asyncio.sleep(0))
looking = pymysql.connect(host="127.0.0.1", port=int(port), user=user, password=password).cursor()
for _ in range(250):
    looking.execute("SELECT COUNT(*) - 1 FROM information_schema.processlist WHERE user = %s", (user,))
    left = looking.fetchone()[0]
    if not left:
        break
    time.sleep(0.02)
print(pool.size, pool.closed, left, flush=True)
os._exit(0)
"""


@pytest.fixture
def client(admin):
    account = Account("loopless", "s3cret")
    admin.create(account)
    yield account
    admin.drop(account)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_every_connection_is_cut(server, driver, client, closed, loops):
    dsn = server.dsn(driver, user=client.user, password=client.password)
    arguments = (dsn, str(server.port), client.user, client.password, str(closed), loops)
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout == "0 True 0\n", done.stderr
