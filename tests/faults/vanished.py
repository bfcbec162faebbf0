"""A server that vanishes without a goodbye: a program for a network of its own, whose only interface it takes down.

    unshare --map-root-user --net python vanished.py mariadb

For each driver two statements wait; only the one of the pool with `socket_timeout` ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress

from async_mysqlpool import ConfigurationError, ConnectionPool
from async_mysqlpool.testing import start_server

DRIVERS = ("asyncmy", "aiomysql", "mysql.connector.aio")
PATIENCE = 60.0


def network(state):
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


async def vanishes(dsn):
    """Whether the statements of the two pools have ended, why the first one's connection did, and its error."""
    bounded = ConnectionPool(dsn, socket_timeout=2, max_size=1, ssl=False)
    unbounded = ConnectionPool(dsn, max_size=1, ssl=False)
    await bounded.open()
    await unbounded.open()
    tasks = [asyncio.create_task(pool.fetch_value("SELECT SLEEP(1000)")) for pool in (bounded, unbounded)]
    await asyncio.sleep(1)
    network("down")
    try:
        done, waiting = await asyncio.wait(tasks, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(1)
        ended, closed = [task.done() for task in tasks], bounded.stats().closed
        error = next(iter(done)).exception() if done else None
        bounded.terminate()
        unbounded.terminate()
        for task in waiting:
            task.cancel()
            with suppress(BaseException):
                await task
    finally:
        network("up")
    return ended, closed, error


def main(flavor):
    network("up")
    with start_server(flavor) as server:
        for driver in DRIVERS:
            try:
                ended, closed, error = asyncio.run(vanishes(server.dsn(driver)))
            except ConfigurationError:
                continue  # not installed
            sys.stdout.write(f"{driver}: {ended} {closed} {type(error).__name__}\n")


if __name__ == "__main__":
    main(sys.argv[1])
