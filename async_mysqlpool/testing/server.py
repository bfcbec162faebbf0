"""What every throwaway server can do, and where one comes from."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, Self, cast
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from types import TracebackType

    from .greeting import Flavor

__all__ = ["Options", "Server", "ServerStartError", "ServerUnavailable", "start_server"]

Options = Mapping[str, object]
"""System variables of the server and their values; None stands for a bare flag."""


class ServerUnavailable(RuntimeError):  # noqa: N818 - the pool's ServerUnavailableError is about something else
    """No server can be had here; the message lists what was tried and what to do."""


class ServerStartError(ServerUnavailable):
    """A server was found, or named by the user, but does not come up; the message shows its log."""


class Server(ABC):
    """A real MariaDB or MySQL server. Leaving the `with` block, or the interpreter's exit, closes it."""

    flavor: Flavor
    version: str
    host: str
    port: int
    unix_socket: str | None
    user: str
    password: str
    database: str
    query: Mapping[str, str]
    """Options that each DSN of this server carries."""

    def dsn(
        self,
        driver: str | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        **query: object,
    ) -> str:
        """The server's URL; `database=""` for none, `query` for options of the pool."""
        scheme = f"mysql+{driver}" if driver else "mysql"
        account = quote(self.user if user is None else user, safe="")
        secret = quote(self.password if password is None else password, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = quote(self.database if database is None else database, safe="")
        options = {**self.query, **{name: _text(value) for name, value in query.items()}}
        tail = f"?{urlencode(options)}" if options else ""
        return f"{scheme}://{account}:{secret}@{host}:{self.port}/{path}{tail}"

    @abstractmethod
    def start(self, timeout: float = 60.0) -> None:
        """Start it again after `stop` or `kill`: same port, same data; ready within `timeout` seconds.

        Raises:
            ServerStartError: it did not come up.
        """

    @abstractmethod
    def stop(self, timeout: float = 30.0) -> None:
        """Shut down cleanly and wait; killed after `timeout` seconds. Fine if it does not run."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once, as a crash does; committed data survive."""

    @abstractmethod
    def freeze(self) -> None:
        """Make it hang: connections stay open and nothing answers, until `thaw`."""

    @abstractmethod
    def thaw(self) -> None:
        """Let it go on after `freeze`."""

    @abstractmethod
    def log(self) -> str:
        """The text of its error log."""

    @abstractmethod
    def close(self) -> None:
        """End it and remove its data, for good."""

    def restart(self, timeout: float = 60.0) -> None:
        """`stop`, then `start`, each within `timeout` seconds."""
        self.stop(timeout)
        self.start(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.flavor} {self.version} at {self.host}:{self.port}>"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Source(Protocol):
    """Each of the modules below: a server of theirs, or ServerUnavailable with the reason."""

    def start(self, flavor: Flavor, options: Options, timeout: float) -> Server: ...


# In the order of preference. Loaded only when their turn comes.
_SOURCES = {
    "external": "a server named by ASYNC_MYSQLPOOL_DSN",
    "process": "a server installed on this machine",
    "docker": "Docker",
    "packages": "Debian packages",
}

_ADVICE = (
    "Do one of these: set ASYNC_MYSQLPOOL_DSN=mysql://user:password@host:port/database, "
    "install MariaDB or MySQL, or start Docker and pip install 'async-mysqlpool[docker]'."
)


def start_server(flavor: Flavor | None = None, *, options: Options | None = None, timeout: float = 60.0) -> Server:
    """Start a throwaway server, wherever one can be had.

    Args:
        flavor: "mariadb" or "mysql"; None takes whichever comes first, MariaDB where there is a choice.
        options: system variables, such as `{"character_set_server": "latin1"}`.
        timeout: seconds for the server to get ready; making it available (a download) is not counted.

    Raises:
        ServerStartError: a server was found but did not come up.
        ServerUnavailable: there is none; the message says what was tried.
    """
    flavors: tuple[Flavor, ...] = (flavor,) if flavor else ("mariadb", "mysql")
    tried: list[str] = []
    for name, title in _SOURCES.items():
        try:
            source = cast("_Source", importlib.import_module(f"{__package__}.{name}"))
        except ImportError as error:  # such as fcntl on Windows
            tried.append(f"  - {title}: {error}")
            continue
        for wanted in flavors:
            try:
                return source.start(wanted, options or {}, timeout)
            except ServerStartError:
                raise
            except ServerUnavailable as error:
                tried.append(f"  - {title}, {wanted}: {error}")
    heading = f"no {flavor or 'MariaDB or MySQL'} server can be had here:"
    raise ServerUnavailable("\n".join([heading, *tried, _ADVICE]))
