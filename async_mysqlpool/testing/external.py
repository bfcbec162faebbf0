"""A server that somebody else runs, named by an environment variable: we only use it."""

from __future__ import annotations

import os
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from .greeting import Flavor, read_greeting
from .server import Options, Server, ServerStartError, ServerUnavailable

__all__ = ["ExternalServer", "start"]

VARIABLE = "ASYNC_MYSQLPOOL_DSN"


def start(flavor: Flavor, options: Options, timeout: float) -> Server:
    """The server of `ASYNC_MYSQLPOOL_DSN_<FLAVOR>` or `ASYNC_MYSQLPOOL_DSN`, if it is of that flavor."""
    variable = f"{VARIABLE}_{flavor.upper()}"
    dsn = os.environ.get(variable) or os.environ.get(VARIABLE)
    if not dsn:
        raise ServerUnavailable(f"neither {variable} nor {VARIABLE} is set")
    if options:
        raise ServerUnavailable(f"cannot set options ({', '.join(options)}) on a server that we do not start")
    server = ExternalServer(dsn, timeout)
    if server.flavor != flavor:
        raise ServerUnavailable(f"{server.host}:{server.port} is {server.flavor} {server.version}")
    return server


class ExternalServer(Server):
    """The server behind a DSN; it can be connected to, not started, stopped or frozen."""

    def __init__(self, dsn: str, timeout: float) -> None:
        """Ask the server at `dsn` who it is, within `timeout` seconds.

        Raises:
            ServerStartError: the DSN is not one, or nothing answers there.
        """
        try:
            parts = urlsplit(dsn)
            port = parts.port
        except ValueError as error:
            raise ServerStartError(f"the DSN in {VARIABLE} cannot be read: {error}") from None
        self.host = parts.hostname or "127.0.0.1"
        self.port = port or 3306
        self.user = unquote(parts.username or "root")
        self.password = unquote(parts.password or "")
        self.database = unquote(parts.path.strip("/")) or "test"
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.unix_socket = self.query.get("unix_socket")
        self._identify(timeout)

    def _identify(self, timeout: float) -> None:
        address = self.unix_socket or (self.host, self.port)
        try:
            greeting = read_greeting(address, timeout)
        except OSError as error:
            raise ServerStartError(f"nothing answers at {address} (from {VARIABLE}): {error}") from error
        if greeting.flavor is None:
            raise ServerStartError(f"the server at {address} (from {VARIABLE}) refuses us: {greeting.error}")
        self.flavor = greeting.flavor
        self.version = greeting.version

    def start(self, timeout: float = 60.0) -> None:
        """Not possible."""
        self._refuse("start")

    def stop(self, timeout: float = 30.0) -> None:
        """Not possible."""
        self._refuse("stop")

    def kill(self) -> None:
        """Not possible."""
        self._refuse("kill")

    def freeze(self) -> None:
        """Not possible."""
        self._refuse("freeze")

    def thaw(self) -> None:
        """Not possible."""
        self._refuse("thaw")

    def log(self) -> str:
        """Not within our reach: empty."""
        return ""

    def close(self) -> None:
        """Nothing to do: the server is not ours."""

    def _refuse(self, verb: str) -> NoReturn:
        raise ServerUnavailable(
            f"cannot {verb} the server at {self.host}:{self.port}: it was not started by us; "
            f"unset {VARIABLE} to have one that can be"
        )
