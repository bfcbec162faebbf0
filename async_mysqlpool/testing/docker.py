"""A server in a Docker container, through testcontainers (which removes it even if we are killed)."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import secrets
import time
import warnings
from typing import TYPE_CHECKING, Any

from .datadir import flags
from .greeting import Flavor, wait_for_greeting
from .local import free_port
from .progress import tell
from .server import Options, Server, ServerStartError, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DockerServer", "start"]

_IMAGES: dict[Flavor, str] = {"mariadb": "mariadb:lts", "mysql": "mysql:lts"}
_PORT = 3306


def start(flavor: Flavor, options: Options, timeout: float) -> Server:
    """A server from the flavor's official image."""
    try:
        # By name, so that type checkers do not ask for a package that few have.
        container = importlib.import_module("testcontainers.core.container")
        client = importlib.import_module("testcontainers.core.docker_client")
    except ImportError as error:
        raise ServerUnavailable(f"pip install 'async-mysqlpool[docker]' ({error})") from None
    if failure := _engine_failure(client.DockerClient):
        raise ServerUnavailable(f"no Docker engine answers ({failure})")
    return DockerServer(container.DockerContainer, flavor, options, timeout)


def _engine_failure(client_type: Any) -> str:
    """Why no Docker engine answers; empty if one does."""
    failure = ""
    with warnings.catch_warnings():
        # Docker's client forgets a socket when it cannot connect: that is not for our user's tests to hear.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            engine = client_type(timeout=5).client
            engine.ping()
            engine.close()
        except Exception as error:  # noqa: BLE001 - docker's own, requests', OSError: there is no engine for us
            failure = str(error) or repr(error)
        gc.collect()
    return failure


class DockerServer(Server):
    """A server in a container; see `Server`."""

    unix_socket = None

    def __init__(self, container_type: Any, flavor: Flavor, options: Options, timeout: float = 60.0) -> None:
        """Start a container, its server ready within `timeout` seconds after its image was pulled.

        Raises:
            ServerStartError: it did not come up.
        """
        self.flavor, self.version = flavor, ""
        # The images give their ordinary account one database only; root may log in from anywhere.
        self.user, self.password, self.database, self.query = "root", secrets.token_hex(8), "test", {}
        self._closed = False
        self._owner = os.getpid()
        self._container: Any = container_type(_IMAGES[flavor])
        prefix = flavor.upper()
        self._container.with_env(f"{prefix}_ROOT_PASSWORD", self.password)
        self._container.with_env(f"{prefix}_DATABASE", self.database)
        # A port of our choice: one that Docker chooses would be another after each start.
        self._container.with_bind_ports(_PORT, free_port())
        self._container.with_command(flags({**_defaults(flavor), **options}))
        atexit.register(self.close)
        try:
            tell(f"starting a container of {_IMAGES[flavor]}, which is pulled the first time")
            try:
                self._container.start()
            finally:
                tell("")
            host = self._container.get_container_host_ip()
            self.host = "127.0.0.1" if host == "localhost" else host
            self.port = int(self._container.get_exposed_port(_PORT))
            self._wait_until_ready(timeout)
        except ServerStartError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise ServerStartError(f"starting {_IMAGES[flavor]} failed: {error}") from error

    def start(self, timeout: float = 60.0) -> None:
        """See `Server.start`."""
        if self._closed:
            raise ServerStartError(f"{self!r} is closed: its data are gone")
        self._engine.start()
        self._wait_until_ready(timeout)

    def stop(self, timeout: float = 30.0) -> None:
        """See `Server.stop`."""
        self.thaw()
        self._engine.stop(timeout=int(timeout))

    def kill(self) -> None:
        """See `Server.kill`."""
        self.thaw()
        if self._status() == "running":
            self._engine.kill()
            self._engine.wait()

    def freeze(self) -> None:
        """See `Server.freeze`."""
        if self._status() == "running":
            self._engine.pause()

    def thaw(self) -> None:
        """See `Server.thaw`."""
        if self._status() == "paused":
            self._engine.unpause()

    def log(self) -> str:
        """See `Server.log`."""
        if self._closed:
            return ""
        return bytes(self._engine.logs()).decode("utf-8", "replace")

    def close(self) -> None:
        """See `Server.close`."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._container.stop(force=True, delete_volume=True)

    @property
    def _engine(self) -> Any:
        """The Docker client's own object, which can do what testcontainers' cannot."""
        return self._container.get_wrapped_container()

    def _status(self) -> str:
        self._engine.reload()
        return str(self._engine.status)

    def _wait_until_ready(self, timeout: float) -> None:
        # On its first start the image runs a server without network before the real one: no greeting yet.
        deadline = time.monotonic() + timeout
        address = (self.host, self.port)
        while time.monotonic() < deadline and self._status() == "running":
            try:
                greeting = wait_for_greeting(address, min(1.0, timeout))
            except TimeoutError:
                continue
            self.version = greeting.version
            return
        log = self.log()[-3000:]
        raise ServerStartError(f"{self!r} did not come up within {timeout:g} s; the end of its log:\n{log}")


def _defaults(flavor: Flavor) -> Mapping[str, object]:
    options: dict[str, object] = {
        "skip_name_resolve": None,
        "max_connections": 500,
        "innodb_buffer_pool_size": "32M",
        "performance_schema": "OFF",
        "innodb_flush_log_at_trx_commit": 2,  # see process.py
        "sync_binlog": 0,
    }
    if flavor == "mysql":
        options |= {"disable_log_bin": None, "loose_mysqlx": "OFF"}
    return options
