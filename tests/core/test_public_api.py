"""What the package promises to have, and that every `__all__` tells the truth."""

from __future__ import annotations

import builtins
import collections.abc
import importlib
import inspect
import pkgutil
import re
import sys
import typing

import pytest

import async_mysqlpool
from async_mysqlpool import ConnectionPool


def modules() -> list[str]:
    return [
        found.name
        for found in pkgutil.walk_packages(async_mysqlpool.__path__, "async_mysqlpool.", onerror=lambda name: None)
        if not found.name.endswith("__main__")
    ]


def test_at_most_30_public_names():
    assert len(async_mysqlpool.__all__) <= 34
    assert async_mysqlpool.__all__ == sorted(async_mysqlpool.__all__)


# What signatures name that is Python's own, or none of the user's business: a default, an alias, a type variable.
KNOWN = {*dir(builtins), *typing.__all__, *collections.abc.__all__, "AbstractAsyncContextManager", "TracebackType"}
KNOWN |= {"CoroutineType", "_Default", "Args", "Statement", "T", "TupleT", "Host", "Lent", "Here", "Borrowed"}


@pytest.mark.parametrize("owner", ["ConnectionPool", "PooledConnection", "PooledCursor"])
def test_every_type_that_a_public_signature_names_is_exported(owner):
    named = set()
    for name, method in inspect.getmembers(getattr(async_mysqlpool, owner)):
        method = method.fget if isinstance(method, property) else method
        if not name.startswith("_") and callable(method) and not isinstance(method, type):
            text = " ".join(map(str, getattr(method, "__annotations__", {}).values()))
            named |= set(re.findall(r"(?<![.\w])[A-Z_]\w+", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)))
    assert named - KNOWN <= set(async_mysqlpool.__all__)


def test_nothing_else_lies_about_in_the_namespace():
    public = {
        name for name, item in vars(async_mysqlpool).items() if not name.startswith("_") and not inspect.ismodule(item)
    }
    assert public == set(async_mysqlpool.__all__)


@pytest.mark.parametrize("name", modules())
def test_every_name_in_all_exists_and_is_documented(name):
    try:
        module = importlib.import_module(name)
    except ImportError as exc:
        missing = exc.name
        if isinstance(exc.__cause__, ImportError):  # an integration has said which extra it needs
            missing = exc.__cause__.name
        top = (missing or "async_mysqlpool").partition(".")[0]
        if top == "async_mysqlpool" or top in sys.stdlib_module_names:
            raise
        pytest.skip(f"needs {missing}")
    assert module.__doc__, f"{name} does not say what it is"
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    for item in exported:
        assert hasattr(module, item), f"{name}.__all__ names {item}, which does not exist"


@pytest.mark.parametrize(
    "name",
    ["open", "close", "terminate", "acquire", "release", "cursor", "transaction", "run_transaction", "execute",
     "execute_many", "fetch_all", "fetch_one", "fetch_value", "stream", "stats", "leases", "resize", "expire", "retain",
     "check",
     "from_client_options",
     "name", "closed", "min_size", "max_size", "size", "idle", "waiting"],
)  # fmt: skip
def test_the_pool_has_what_the_contract_names_and_says_what_it_does(name):
    assert inspect.getdoc(inspect.getattr_static(ConnectionPool, name))


def test_signatures_of_the_contract():
    def parameters(method) -> dict:
        return {
            name: p.default
            for name, p in list(inspect.signature(method).parameters.items())[1:]
            if p.kind is not p.VAR_POSITIONAL
        }

    assert parameters(ConnectionPool.open) == {"wait": True, "timeout": None}
    assert parameters(ConnectionPool.close) == {"timeout": 10.0}
    assert parameters(ConnectionPool.cursor) == {"cursor_class": None}
    assert parameters(ConnectionPool.transaction) == {"isolation": None, "read_only": False}
    assert (
        parameters(ConnectionPool.run_transaction).items()
        >= {"retries": 3, "isolation": None, "read_only": False}.items()
    )
    assert parameters(ConnectionPool.resize) == {"min_size": None, "max_size": None}
    assert list(parameters(ConnectionPool.acquire)) == ["timeout", "site"]
