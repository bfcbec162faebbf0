"""An error comes back whole from a worker of `multiprocessing` or of `concurrent.futures`."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from support import make_pool

import async_mysqlpool
from async_mysqlpool import AcquireTimeoutError, ConnectionPool
from async_mysqlpool.compat import _oracle
from async_mysqlpool.testing.fake import FakeDriver, FakeServer

STATS = ConnectionPool(driver=FakeDriver(FakeServer())).stats()


def all_errors() -> set[type[BaseException]]:
    """Every class of an error in the package: of its modules, and of the classes in them."""
    found: set[type[BaseException]] = set()
    for module in pkgutil.walk_packages(async_mysqlpool.__path__, "async_mysqlpool.", onerror=lambda name: None):
        if module.name.endswith("__main__"):
            continue
        try:
            members = list(vars(importlib.import_module(module.name)).values())
        except ImportError:  # of a framework that is not here
            continue
        members += [inner for item in members if isinstance(item, type) for inner in vars(item).values()]
        found |= {item for item in members if isinstance(item, type) and issubclass(item, BaseException)}
    return {kind for kind in found if kind.__module__.startswith("async_mysqlpool")}


def made(kind: type[BaseException]) -> BaseException:
    if issubclass(kind, AcquireTimeoutError):
        return kind("no connection", phase="queueing", stats=STATS)
    if issubclass(kind, _oracle.Error):
        return kind("no connection", 2003)
    return kind(1, "no connection") if kind.__name__ in {"FakeError", "CommandFailedError"} else kind("no connection")


@pytest.mark.parametrize("how", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", sorted(all_errors(), key=str), ids=lambda kind: kind.__qualname__)
def test_an_error_is_the_same_after_pickling(kind, how):
    error = made(kind)
    error.add_note("in the worker")
    again = how(error)
    assert type(again) is kind
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


async def fail() -> None:
    async with make_pool(FakeServer(), max_size=1) as pool, pool.acquire():
        await pool.acquire(timeout=0)


def work() -> None:
    from async_mysqlpool.testing.virtual import run_virtual

    run_virtual(fail())


def test_it_comes_back_from_another_process():
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as workers,
        pytest.raises(AcquireTimeoutError) as caught,
    ):
        workers.submit(work).result(timeout=60)
    assert (caught.value.phase, caught.value.stats.in_use) == ("queueing", 1)
