"""The drivers that the pool can use: one file for each, loaded by name and only when used."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import re
from typing import NamedTuple, cast

from async_mysqlpool.drivers.base import Connected, ConnectParams, Driver
from async_mysqlpool.drivers.public import PublicDriver
from async_mysqlpool.drivers.untried import UntriedDriver
from async_mysqlpool.errors import ConfigurationError
from async_mysqlpool.remedies import OTHER_DRIVERS

__all__ = ["ConnectParams", "Connected", "Driver", "installed", "load_driver"]


class _Known(NamedTuple):
    """A driver that there is an adapter for."""

    module: str  # what must be importable
    adapter: str  # our file for it
    requirement: str  # what to install
    distribution: str
    tested: tuple[str, str]  # the first version that the adapter was tried with, and the first that it was not
    database: str = "database"  # its keyword for the default schema
    without_tls: str | None = None  # its keyword for no TLS, where it would have some by itself


# In the order of choice. Other versions, and other distributions of the same module, are tried out (`untried.py`).
_DRIVERS = {
    "asyncmy": _Known(
        "asyncmy", "async_mysqlpool.drivers.asyncmy", "async-mysqlpool[asyncmy]", "asyncmy", ("0.2.14", "0.3")
    ),
    "aiomysql": _Known(
        "aiomysql", "async_mysqlpool.drivers.aiomysql", "async-mysqlpool[aiomysql]", "aiomysql", ("0.2", "0.4"), "db"
    ),
    "mysql.connector.aio": _Known(
        "mysql.connector",
        "async_mysqlpool.drivers.connector",
        "async-mysqlpool[mysql-connector]",
        "mysql-connector-python",
        ("9.4", "27"),
        without_tls="ssl_disabled",
    ),
}


def installed() -> list[str]:
    """The names of the drivers that are here, in the order of choice."""
    return [name for name, known in _DRIVERS.items() if _is_installed(known.module)]


def load_driver(driver: str | Driver | None) -> Driver:
    """The adapter for a driver's name; None chooses the first one that is installed.

    Raises:
        ConfigurationError: no such driver, or it is not installed; the message says what to install.
    """
    if driver is None:
        for name in installed():
            return load_driver(name)
        raise ConfigurationError(
            f"no driver is installed: pip install '{_DRIVERS['asyncmy'].requirement}' (or one of {', '.join(_DRIVERS)})"
        )
    if not isinstance(driver, str):
        return driver
    if driver not in _DRIVERS:
        why = OTHER_DRIVERS.get(driver.lower(), f"known are {', '.join(_DRIVERS)}")
        raise ConfigurationError(f"unknown driver {driver!r}: {why}")
    known = _DRIVERS[driver]
    if not _is_installed(known.module):
        raise ConfigurationError(f"the driver {driver!r} is not installed: pip install '{known.requirement}'")
    return _adapter(driver, _version(known.distribution))


def _version(distribution: str) -> str | None:
    """None where the module is there by another distribution: asyncmy2, say, or a copy that lies in the project."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache  # so that each is tried once, and the log says it once
def _adapter(name: str, version: str | None) -> Driver:
    known = _DRIVERS[name]
    first, beyond = known.tested
    tested = f"{known.distribution} from {first} to before {beyond}"
    called = f"{known.distribution} {version}" if version else f"the module {known.module} of another distribution"
    try:
        adapter = cast("Driver", importlib.import_module(known.adapter).driver)
    except (ImportError, AttributeError) as exc:
        raise ConfigurationError(f"{called} lacks what the pool needs ({exc}): install {tested}") from exc
    if version and _numbers(first) <= _numbers(version) < _numbers(beyond):
        return adapter
    connect = importlib.import_module(name).connect
    public = PublicDriver(adapter, connect, tested, known.database, known.without_tls)
    return cast("Driver", UntriedDriver(adapter, public, called, tested))


def _numbers(version: str) -> list[int]:
    """The numbers that a version begins with: [0, 3] of "0.3rc1"."""
    return [int(number) for number in re.findall(r"(?:^|\.)(\d+)", version)]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package above it
        return False
