"""A server that is a process of this machine, with a data folder of its own."""

# ruff: noqa: S603 - every command here is ours, and none goes through a shell
from __future__ import annotations

import atexit
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .datadir import Installation, create_data, flags
from .greeting import Flavor, identify, read_greeting
from .server import Options, Server, ServerStartError, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ProcessServer", "find_installation", "free_port", "start"]

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


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now.

    Below the range that the system gives to outgoing connections, so that none of those takes the port
    while its server is down.
    """
    while True:
        port = random.randrange(15_000, 32_000)  # noqa: S311 - nothing secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class ProcessServer(Server):
    """A local server process; see `Server`."""

    def __init__(self, installation: Installation, options: Options, timeout: float = 60.0) -> None:
        """Make a data folder and start the server, ready within `timeout` seconds.

        Raises:
            ServerStartError: it did not come up.
        """
        self.flavor, self.version = installation.flavor, installation.version
        self.host, self.user, self.database, self.query = "127.0.0.1", "app", "test", {}
        self.password = secrets.token_hex(8)
        self._installation = installation
        self._options = {name.replace("-", "_"): value for name, value in options.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._owner = os.getpid()
        self._folder = _short_folder()
        self.unix_socket = str(self._folder / "sock")
        self._watchdog = _watch(self._folder)
        atexit.register(self.close)
        try:
            self._fixed = create_data(installation, self._folder / "data", self._options)
            self._first_start(timeout)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it is down."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, timeout: float = 60.0) -> None:
        """See `Server.start`."""
        if self._closed:
            raise ServerStartError(f"{self!r} is closed: its data are gone")
        if self.pid is None:
            self._launch(timeout)

    def stop(self, timeout: float = 30.0) -> None:
        """See `Server.stop`."""
        if self._process is None or self.pid is None:
            return
        self.thaw()  # a stopped process takes no SIGTERM
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """See `Server.kill`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._pid_file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """See `Server.freeze`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """See `Server.thaw`."""
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        """See `Server.log`."""
        files = (self._folder / "output", self._folder / "error.log")
        return "".join(file.read_text("utf-8", "replace") for file in files if file.exists())

    def close(self) -> None:
        """See `Server.close`."""
        # A forked child inherits this object and its atexit handler, but not the server.
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        atexit.unregister(self.close)
        self.kill()  # not stop(): nobody will read the data again
        self._watchdog.kill()
        self._watchdog.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _pid_file(self) -> Path:
        return self._folder / "pid"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.pid is not None:
            self._process.send_signal(number)

    def _first_start(self, timeout: float) -> None:
        init_file = self._folder / "init.sql"
        init_file.write_text(
            f"CREATE DATABASE IF NOT EXISTS {self.database};\n"
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
        )
        fixed_port = self._options.get("port")
        for attempt in range(1, 4):
            self.port = int(str(fixed_port)) if fixed_port else free_port()
            try:
                self._launch(timeout, {"init_file": init_file})
            except ServerStartError as error:
                # Between our look at the port and the server's, somebody else may have taken it.
                if fixed_port or attempt == 3 or "Address already in use" not in str(error):
                    raise
            else:
                return

    def _launch(self, timeout: float, extra: Mapping[str, object] | None = None) -> None:
        ours = {**self._installation.options, **self._defaults(), **self._fixed}
        options = {**ours, **(extra or {}), **self._options}
        command = [*self._installation.command, "--no-defaults", *flags(options)]
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=self._installation.environment,
                start_new_session=True,  # Ctrl-C is for our program, which closes its pool first
            )
        self._pid_file.write_text(str(self._process.pid))
        try:
            self._wait_until_ready(timeout)
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self.pid is not None and (left := deadline - time.monotonic()) > 0:
            try:
                # The socket, not the port: nobody else can answer there.
                read_greeting(str(self.unix_socket), left)
            except OSError:
                time.sleep(0.02)
            else:
                return
        reason = "ended instead of starting" if self.pid is None else f"was not ready within {timeout:g} s"
        raise ServerStartError(f"{self!r} {reason}; the end of its log:\n{self.log()[-3000:]}")

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


def _short_folder() -> Path:
    # The path of a unix socket has at most 103 bytes (Linux: 107).
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="amp-", dir=base if len(os.fsencode(base)) < 80 else "/tmp"))  # noqa: S108


def _watch(folder: Path) -> subprocess.Popen[bytes]:
    """A shell that waits for the end of this process, however it ends, and then removes what it left.

    Linux's PR_SET_PDEATHSIG would do for the server, but it fires when the *thread* that started it ends.
    """
    script = 'read -r _; kill -KILL "$(cat "$1/pid")"; rm -rf "$1"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "watchdog", str(folder)],
        stdin=subprocess.PIPE,  # the only writer is this process: its end is the end of the file
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
