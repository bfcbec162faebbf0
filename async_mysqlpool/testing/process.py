"""A server that is a process of this machine, with a data folder of its own."""

# ruff: noqa: S603 - every command here is ours, and none goes through a shell
from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .datadir import Installation, create_data, flags
from .greeting import Flavor, identify, read_greeting
from .local import LocalServer
from .server import Options, Server, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ProcessServer", "find_installation", "start"]

# Where distributions keep it, outside the PATH of ordinary users.
_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin")


def start(flavor: Flavor, options: Options, timeout: float) -> Server:
    """A server from the `mariadbd` or `mysqld` installed on this machine."""
    return ProcessServer(find_installation(flavor), options, timeout)


def find_installation(flavor: Flavor) -> Installation:
    """The server program of that flavor on PATH or in the usual folders.

    Raises:
        ServerUnavailable: there is none.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS])
    for name in ("mariadbd", "mysqld"):
        program = shutil.which(name, path=path)
        # The name proves nothing: MariaDB installs a mysqld, too.
        version = _version(program) if program else None
        if program and version and version[0] == flavor:
            return Installation(flavor, version[1], (program,), _share_folder(program))
    wanted = "mariadbd" if flavor == "mariadb" else "mysqld"
    raise ServerUnavailable(f"no {wanted} on PATH or in {', '.join(_FOLDERS)}")


def _version(program: str) -> tuple[Flavor, str] | None:
    result = subprocess.run([program, "--no-defaults", "--version"], capture_output=True, text=True, check=False)
    try:
        return identify(result.stdout)
    except ValueError:
        return None


def _share_folder(program: str) -> Path | None:
    prefixes = [Path(program).parent.parent, Path(program).resolve().parent.parent, Path("/usr")]
    for prefix in prefixes:
        for folder in ("share/mariadb", "share/mysql", "share"):
            if any((prefix / folder).glob("m*_system_tables.sql")):
                return prefix / folder
    return None


class ProcessServer(LocalServer):
    """A local server process; see `Server`."""

    def __init__(self, installation: Installation, options: Options, timeout: float = 60.0) -> None:
        """Make a data folder and start the server, ready within `timeout` seconds.

        Raises:
            ServerStartError: it did not come up.
        """
        super().__init__()
        self.flavor, self.version = installation.flavor, installation.version
        self.host, self.user, self.database, self.query = "127.0.0.1", "app", "test", {}
        self.password = secrets.token_hex(8)
        self._installation = installation
        self._options = {name.replace("-", "_"): value for name, value in options.items()}
        self.unix_socket = str(self._folder / "sock")
        try:
            self._fixed = create_data(installation, self._folder / "data", self._options)
            self._first_start(timeout)
        except BaseException:
            self.close()
            raise

    def _first_start(self, timeout: float) -> None:
        init_file = self._folder / "init.sql"
        init_file.write_text(
            f"CREATE DATABASE IF NOT EXISTS {self.database};\n"
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
        )
        self._launch_on_a_port(self._options.get("port"), partial(self._launch, timeout, {"init_file": init_file}))

    def _launch(self, timeout: float, extra: Mapping[str, object] | None = None) -> None:
        ours = {**self._installation.options, **self._defaults(), **self._fixed}
        options = {**ours, **(extra or {}), **self._options}
        command = [*self._installation.command, "--no-defaults", *flags(options)]
        self._run(command, self._installation.environment, timeout)

    def _greet(self, timeout: float) -> None:
        # The socket, not the port: nobody else can answer there.
        read_greeting(str(self.unix_socket), timeout)

    def _defaults(self) -> dict[str, object]:
        options: dict[str, object] = {
            "datadir": self._folder / "data",
            "tmpdir": self._folder,
            "secure_file_priv": self._folder,
            "socket": self.unix_socket,
            "port": self.port,
            "bind_address": self.host,
            "pid_file": self._folder / "server.pid",
            "log_error": self._folder / "error.log",
            "skip_name_resolve": None,
            "max_connections": 500,
            "innodb_buffer_pool_size": "32M",
            "performance_schema": "OFF",
            # Not 0: a commit then survives kill(), though not a crash of the machine.
            "innodb_flush_log_at_trx_commit": 2,
            "sync_binlog": 0,
        }
        if os.geteuid() == 0:
            options["user"] = "root"  # else it refuses to run as root
        if self.flavor == "mysql":
            options |= {
                "disable_log_bin": None,
                "loose_mysqlx": "OFF",
                "loose_mysqlx_socket": self._folder / "xsock",
                "loose_mysqlx_bind_address": self.host,
            }
        return options
