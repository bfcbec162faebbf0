"""Real programs that stand between a pool and a server: mysql-router and haproxy.

    with start_server("mysql") as server, start_router(server) as router:
        ConnectionPool(router.dsn())

Each is a `Server` by itself, with the accounts of the one behind it: it can be stopped, killed, frozen and started
again while that one runs on. On PATH they are taken from there, else unpacked from Debian's packages.
"""

from __future__ import annotations

import shutil
from abc import abstractmethod
from typing import TYPE_CHECKING, Literal, TypeAlias

from .greeting import read_greeting
from .local import LocalServer
from .packages import unpack
from .server import ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .packages import Name
    from .server import Server

__all__ = ["TLS", "HAProxy", "Relay", "Router", "start_haproxy", "start_router"]


TLS: TypeAlias = Literal["none", "own", "passthrough"]

_TLS = {
    "none": {"client_ssl_mode": "DISABLED", "server_ssl_mode": "DISABLED"},
    "own": {"client_ssl_mode": "PREFERRED", "server_ssl_mode": "PREFERRED"},
    "passthrough": {"client_ssl_mode": "PASSTHROUGH", "server_ssl_mode": "AS_CLIENT"},
}


class Relay(LocalServer):
    """Passes connections on to one server; see `Server`."""

    program: str
    package: Name
    path: str  # of the program in its package

    def __init__(self, server: Server, timeout: float = 60.0) -> None:
        """Start it before `server`, which runs already; ready within `timeout` seconds.

        Raises:
            ServerStartError: it did not come up.
            ServerUnavailable: it cannot be had here.
        """
        self._command, self._environment, self._root = _find(self.program, self.package, self.path)
        super().__init__()
        self.server = server
        self.flavor, self.version = server.flavor, server.version
        self.host, self.unix_socket = "127.0.0.1", str(self._folder / "sock")
        self.user, self.password, self.database = server.user, server.password, server.database
        self.query = {name: value for name, value in server.query.items() if name != "unix_socket"}
        try:
            self._launch_on_a_port(None, lambda: self._launch(timeout))
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _configuration(self) -> str:
        """The text of its configuration file."""

    @abstractmethod
    def _flags(self, configuration: Path) -> list[str]:
        """What follows the program's name."""

    def _launch(self, timeout: float) -> None:
        configuration = self._folder / f"{self.program}.conf"
        configuration.write_text(self._configuration())
        self._run([*self._command, *self._flags(configuration)], self._environment, timeout)

    def _greet(self, timeout: float) -> None:
        # The socket, not the port: nobody else can answer there.
        greeting = read_greeting(str(self.unix_socket), timeout)
        if greeting.flavor is None:
            raise OSError(f"{self!r} does not reach its server: {greeting.error}")


class Router(Relay):
    """mysql-router with one static route; see `start_router`."""

    program, package, path = "mysqlrouter", "mysql-router", "usr/bin/mysqlrouter"

    def __init__(
        self, server: Server, timeout: float = 60.0, *, connection_sharing: bool = False, tls: TLS = "none"
    ) -> None:
        """See `start_router`."""
        self.connection_sharing, self.tls = connection_sharing, tls
        super().__init__(server, timeout)

    def _configuration(self) -> str:
        settings: dict[str, object] = {
            "bind_address": self.host,
            "bind_port": self.port,
            "socket": self.unix_socket,
            "destinations": f"{self.server.host}:{self.server.port}",
            "routing_strategy": "first-available",
            "protocol": "classic",
            "max_connect_errors": 2**31 - 1,  # a look at the greeting counts as one
            "connection_sharing": int(self.connection_sharing),
            **_TLS[self.tls],
        }
        if self.tls == "own":
            settings |= self._certificate()
        folders: dict[str, object] = {"logging_folder": "", "runtime_folder": self._folder, "data_folder": self._folder}
        if self._root:
            folders["plugin_folder"] = self._root / "usr/lib/mysqlrouter/plugin"
        pool = {"max_idle_server_connections": 32 if self.connection_sharing else 0}
        return _ini({"DEFAULT": folders, "connection_pool": pool, "routing:static": settings})

    def _certificate(self) -> dict[str, object]:
        key, certificate = self._folder / "key.pem", self._folder / "certificate.pem"
        if not key.exists():
            from .certificates import self_signed  # needs a package that only TLS needs

            self_signed(self.host, key, certificate)
        return {"client_ssl_key": key, "client_ssl_cert": certificate}

    def _flags(self, configuration: Path) -> list[str]:
        return ["-c", str(configuration)]


class HAProxy(Relay):
    """haproxy in TCP mode; see `start_haproxy`."""

    program, package, path = "haproxy", "haproxy", "usr/sbin/haproxy"

    def _configuration(self) -> str:
        return (
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen static\n  bind {self.host}:{self.port}\n  bind {self.unix_socket}\n"
            f"  server one {self.server.host}:{self.server.port}\n"
        )

    def _flags(self, configuration: Path) -> list[str]:
        return ["-db", "-f", str(configuration)]


def start_router(
    server: Server, *, connection_sharing: bool = False, tls: TLS = "none", timeout: float = 60.0
) -> Router:
    """Start mysql-router before a running server.

    Args:
        server: where its only route leads to.
        connection_sharing: clients share the connections to the server, between their transactions; MySQL only.
        tls: with clients that ask for it, none, or it speaks TLS with a certificate of its "own", or passes it through.
        timeout: seconds for it to get ready; a download is not counted.

    Raises:
        ServerStartError: it did not come up.
        ServerUnavailable: it cannot be had here, or `cryptography` is missing, which makes the certificate.
    """
    return Router(server, timeout, connection_sharing=connection_sharing, tls=tls)


def start_haproxy(server: Server, *, timeout: float = 60.0) -> HAProxy:
    """Start haproxy before a running server: plain TCP, which carries everything.

    Args:
        server: where it leads to.
        timeout: seconds for it to get ready; a download is not counted.

    Raises:
        ServerStartError: it did not come up.
        ServerUnavailable: it cannot be had here.
    """
    return HAProxy(server, timeout)


def _find(program: str, package: Name, path: str) -> tuple[tuple[str, ...], Mapping[str, str] | None, Path | None]:
    """What runs it, in which environment, and the folder that its packages were unpacked to."""
    if installed := shutil.which(program):
        return (installed,), None, None
    try:
        unpacked = unpack(package)
    except ServerUnavailable as error:
        raise ServerUnavailable(f"no {program} on PATH, and none from Debian's packages: {error}") from None
    return unpacked.command(path), unpacked.environment, unpacked.root


def _ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    return "".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in settings.items())
        for name, settings in sections.items()
    )
