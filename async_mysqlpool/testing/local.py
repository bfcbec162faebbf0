"""A process of this machine with a folder of its own, neither of which outlives us."""

# ruff: noqa: S603 - every command here is ours, and none goes through a shell
from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from .server import Server, ServerStartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["LocalServer", "free_port"]


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


class LocalServer(Server):
    """What all servers that are local processes have in common; see `Server`."""

    def __init__(self) -> None:
        """Make the folder. What is in it and what runs is the subclass's business, `close` if it fails as well."""
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._owner = os.getpid()
        self._folder = _short_folder()
        self._watchdog = _watch(self._folder)
        atexit.register(self.close)

    @abstractmethod
    def _launch(self, timeout: float) -> None:
        """`_run` it, on `self.port`."""

    @abstractmethod
    def _greet(self, timeout: float) -> None:
        """Return once it is ready, within `timeout` seconds for each step; OSError: it is not yet."""

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
        if pid := self.pid:  # its threads stop a moment after the signal; only look, and leave its end to Popen
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

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

    def _launch_on_a_port(self, fixed: object, launch: Callable[[], None]) -> None:
        """The first start: on the port `fixed`, or where it is None on one that nobody has."""
        for attempt in range(1, 4):
            self.port = int(str(fixed)) if fixed else free_port()
            try:
                launch()
            except ServerStartError as error:
                # Between our look at the port and the server's, somebody else may have taken it.
                if fixed or attempt == 3 or "Address already in use" not in str(error):
                    raise
            else:
                return

    def _run(self, command: Sequence[str], environment: Mapping[str, str] | None, timeout: float) -> None:
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
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
                self._greet(left)
            except OSError:
                time.sleep(0.02)
            else:
                return
        reason = "ended instead of starting" if self.pid is None else f"was not ready within {timeout:g} s"
        raise ServerStartError(f"{self!r} {reason}; the end of its log:\n{self.log()[-3000:]}")


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
