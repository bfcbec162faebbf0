"""mysqlclient under threads, its connections in DBUtils' pool: one round of it."""

from __future__ import annotations

import threading
from contextlib import closing
from importlib import import_module
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

from jobs import Outcome, outcome
from workloads import WORKLOADS, by_blocking_cursor

if TYPE_CHECKING:
    from contenders import Account
    from jobs import Job

MOST_THREADS = 1000


def open_pool(account: Account, size: int) -> Any:
    """All connections open; who finds none waits. Raises ImportError where one of the two is not installed."""
    driver: Any = import_module("MySQLdb")
    dbutils: Any = import_module("dbutils.pooled_db")
    return dbutils.PooledDB(
        driver,
        mincached=size,
        maxcached=size,
        maxconnections=size,
        blocking=True,
        host=account.host,
        port=account.port,
        user=account.user,
        passwd=account.password,
        db=account.database,
        autocommit=True,
        ssl_mode="DISABLED",
    )


def one_round(pool: Any, job: Job) -> Outcome:
    """As `rounds.one_round`, with a thread for each task."""
    over = threading.Event()
    latencies: list[float] = []
    under_way: dict[int, float] = {}
    work = by_blocking_cursor(WORKLOADS[job.workload])

    def client(number: int) -> None:
        while not over.is_set():
            under_way[number] = started = perf_counter()
            with closing(pool.connection()) as connection:
                if over.is_set():
                    break
                work(connection)
                latencies.append(perf_counter() - started)
            under_way[number] = 0.0

    threads = [threading.Thread(target=client, args=(number,)) for number in range(job.tasks)]
    for thread in threads:
        thread.start()
    while len(latencies) < job.before:
        sleep(0.01)
    latencies.clear()
    began, cpu = perf_counter(), process_time()
    sleep(job.seconds)
    over.set()
    ended, cpu = perf_counter(), process_time() - cpu
    result = outcome(ended - began, cpu, latencies[:], [ended - since for since in under_way.copy().values() if since])
    for thread in threads:
        thread.join()
    return result
