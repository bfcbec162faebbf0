"""The drivers that the pool can use: one file for each, loaded by name and only when used."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import logging
from typing import NamedTuple, cast

from async_mysqlpool.drivers.base import Connected, ConnectParams, Driver
from async_mysqlpool.drivers.public import PublicDriver
from async_mysqlpool.errors import ConfigurationError
from async_mysqlpool.remedies import OTHER_DRIVERS

__all__ = ["ConnectParams", "Connected", "Driver", "installed", "load_driver"]

logger = logging.getLogger("async_mysqlpool")


class _Known(NamedTuple):
    """A driver that there is an adapter for."""

    module: str  # what must be importable
    adapter: str  # our file for it
    requirement: str  # what to install
    distribution: str
    tested: str  # how the versions begin that the adapter was tried with
    database: str = "database"  # its keyword for the default schema
    without_tls: str | None = None  # its keyword for no TLS, where it would have some by itself


# In the order of choice.
_DRIVERS = {
    "asyncmy": _Known("asyncmy", "async_mysqlpool.drivers.asyncmy", "async-mysqlpool[asyncmy]", "asyncmy", "0.2."),
    "aiomysql": _Known(
        "aiomysql", "async_mysqlpool.drivers.aiomysql", "async-mysqlpool[aiomysql]", "aiomysql", "0.3.", "db"
    ),
    "mysql.connector.aio": _Known(
        "mysql.connector",
        "async_mysqlpool.drivers.connector",
        "async-mysqlpool[mysql-connector]",
        "mysql-connector-python",
        "26.",
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
    version = importlib.metadata.version(known.distribution)
    return _adapter(driver, version)


@functools.cache  # so that the log says it once
def _adapter(name: str, version: str) -> Driver:
    known = _DRIVERS[name]
    adapter = cast("Driver", importlib.import_module(known.adapter).driver)
    if version.startswith(known.tested):
        return adapter
    logger.warning(
        "%s %s is none of the versions that this pool was tested with (%sx), so sessions are not reset but every "
        "connection is used once; is there a newer async-mysqlpool?",
        known.distribution,
        version,
        known.tested,
        extra={"event": "driver_untried", "driver": name, "version": version},
    )
    tested = f"{known.distribution} {known.tested}x"
    return PublicDriver(adapter, importlib.import_module(name).connect, tested, known.database, known.without_tls)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package above it
        return False
