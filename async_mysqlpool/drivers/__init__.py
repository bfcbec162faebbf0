"""The drivers that the pool can use: one file for each, loaded by name and only when used."""

from __future__ import annotations

import importlib
import importlib.util
from typing import cast

from async_mysqlpool.drivers.base import Command, ConnectParams, Driver
from async_mysqlpool.errors import ConfigurationError

__all__ = ["Command", "ConnectParams", "Driver", "load_driver"]

# Name -> the module that must be installed, our adapter for it, what to install. The order is the order of choice.
_DRIVERS = {
    "asyncmy": ("asyncmy", "async_mysqlpool.drivers.asyncmy", "async-mysqlpool[asyncmy]"),
    "aiomysql": ("aiomysql", "async_mysqlpool.drivers.aiomysql", "async-mysqlpool[aiomysql]"),
    "mysql.connector.aio": ("mysql.connector", "async_mysqlpool.drivers.connector", "async-mysqlpool[mysql-connector]"),
}


def load_driver(driver: str | Driver | None) -> Driver:
    """The adapter for a driver's name; None chooses the first one that is installed.

    Raises:
        ConfigurationError: no such driver, or it is not installed; the message says what to install.
    """
    if driver is None:
        for name, (module, _, _) in _DRIVERS.items():
            if _is_installed(module):
                return load_driver(name)
        raise ConfigurationError(
            f"no driver is installed: pip install '{_DRIVERS['asyncmy'][2]}' (or one of {', '.join(_DRIVERS)})"
        )
    if not isinstance(driver, str):
        return driver
    if driver not in _DRIVERS:
        raise ConfigurationError(f"unknown driver {driver!r}: known are {', '.join(_DRIVERS)}")
    module, adapter, requirement = _DRIVERS[driver]
    if not _is_installed(module):
        raise ConfigurationError(f"the driver {driver!r} is not installed: pip install '{requirement}'")
    return cast("Driver", importlib.import_module(adapter).driver)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package above it
        return False
