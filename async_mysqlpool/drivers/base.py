"""The seam between the pool and a driver, and what the server's error numbers mean for a connection.

An adapter knows how to say things to one driver. It decides nothing: what a clean session is stands in
`session.py`, when a connection ends in `capacity.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

# https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
CLIENT_SESSION_TRACK = 1 << 23
SERVER_SESSION_STATE_CHANGED = 0x4000
COM_QUIT = 0x01
COM_INIT_DB = 0x02
COM_QUERY = 0x03
COM_RESET_CONNECTION = 0x1F


class CommandFailedError(Exception):
    """The server answered a pipelined command with an error: `args` are its number and text."""


class Command(NamedTuple):
    """One command of the protocol that the server answers with a single OK or ERR packet."""

    code: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class ConnectParams:
    """Where to connect, as whom, and in which state the session starts.

    `connect_timeout` is seconds; with `track_session` the server is asked to tell when the session changes.
    """

    host: str
    port: int
    user: str | None
    password: str = field(repr=False)
    database: str | None
    unix_socket: str | None
    charset: str
    autocommit: bool | None
    ssl: bool | ssl.SSLContext | None
    connect_timeout: float
    connect_args: Mapping[str, Any] = field(repr=False)
    track_session: bool = False


class Pipeline(Protocol):
    """Sends commands past the driver; the replies are read before that of the driver's next command."""

    @property
    def busy(self) -> bool:
        """Whether replies are still due."""
        ...

    def send(self, data: bytes, count: int, on_done: Callable[[Exception | None], None], cork: bool = False) -> None:
        """Write encoded commands, answered by `count` packets.

        `on_done` is called when all replies are in, with the first error. With `cork`, the commands wait for the next
        command of the driver's, to travel with it, or for `flush`.
        """
        ...

    def flush(self) -> None:
        """Write what is corked."""
        ...


class Driver(Protocol):
    """What the pool needs of a driver. `raw` is always the driver's own connection object.

    The awaitable methods may raise whatever the driver raises; `error_number` tells the server's own errors apart.
    """

    @property
    def name(self) -> str:
        """The name under which users choose the driver."""
        ...

    @property
    def resets(self) -> bool:
        """Whether sessions can be reset at all; otherwise each connection is used once."""
        ...

    async def connect(self, params: ConnectParams) -> Any:
        """Open a connection; when cancelled or failing, leave no socket behind."""
        ...

    async def ping(self, raw: Any) -> None:
        """Ask the server for a sign of life; never reconnects."""
        ...

    async def execute(self, raw: Any, sql: str) -> Sequence[Sequence[Any]]:
        """Run one statement; its rows, if it has any."""
        ...

    def snapshot(self, raw: Any) -> Any:
        """What the driver itself remembers of the session: character set, flags."""
        ...

    def restore(self, raw: Any, snapshot: Any) -> None:
        """Make the driver remember that again; whatever results it holds are void."""
        ...

    def pipeline(self, raw: Any) -> Pipeline | None:
        """A way to send commands whose replies are read later; None if there is none for this driver."""
        ...

    def encode(self, raw: Any, commands: Sequence[Command]) -> bytes:
        """Commands as the packets that this connection understands."""
        ...

    async def run(self, raw: Any, commands: Sequence[Command]) -> None:
        """Send commands and wait for the replies; raises for the first one that is an error."""
        ...

    def in_transaction(self, raw: Any) -> bool:
        """What the driver believes; a hint."""
        ...

    def is_dead(self, raw: Any) -> bool:
        """Whether an idle connection is certainly of no use any more, told without I/O."""
        ...

    def has_unread(self, raw: Any) -> bool:
        """Whether rows or result sets of the last statement were left unread."""
        ...

    def connection_id(self, raw: Any) -> int:
        """The server's id of the connection."""
        ...

    def session_changed(self, raw: Any) -> bool:
        """Whether the server's last answer said that the session's state has changed; True if that is not known."""
        ...

    def local_port(self, raw: Any) -> int | None:
        """Our end of the connection, as the server's process list shows it; None for a unix socket."""
        ...

    def error_number(self, error: BaseException) -> int | None:
        """The MySQL error number that an exception carries; None if it is no error of the driver."""
        ...

    def new_cursor(self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The driver's cursor, or an awaitable of it."""
        ...

    def is_buffered(self, cursor: Any) -> bool:
        """Whether the cursor has all rows in memory after `execute`, so that fetching needs no I/O."""
        ...

    async def close(self, raw: Any) -> None:
        """Say goodbye and wait until the server has hung up; the caller bounds the time."""
        ...

    def abort(self, raw: Any) -> None:
        """Close the socket at once. Never raises, never waits, works when the loop is closed."""
        ...


# https://dev.mysql.com/doc/mysql-errors/8.4/en/client-error-reference.html: 2000-2999 come from the client side.
def is_server_error(number: int | None) -> bool:
    """Whether the server itself sent this error, so that the connection is still in step with it."""
    return number is not None and not 2000 <= number < 3000 and number > 0


# After these the connection is of no use: gone, out of step, killed, or the server is going down.
_DISCONNECT = {
    1047,  # ER_UNKNOWN_COM_ERROR: a Galera node that is up but not usable
    1053,  # ER_SERVER_SHUTDOWN
    1077,  # ER_NORMAL_SHUTDOWN
    1079,  # ER_SHUTDOWN_COMPLETE
    1152,  # ER_ABORTING_CONNECTION
    1184,  # ER_NEW_ABORTING_CONNECTION
    1927,  # ER_CONNECTION_KILLED (MariaDB)
    2006,  # CR_SERVER_GONE_ERROR
    2013,  # CR_SERVER_LOST
    2014,  # CR_COMMANDS_OUT_OF_SYNC
    2055,  # CR_SERVER_LOST_EXTENDED
    3169,  # ER_SESSION_WAS_KILLED
    4031,  # ER_CLIENT_INTERACTION_TIMEOUT
}
_READ_ONLY = {
    1792,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1836,  # ER_READ_ONLY_MODE
}
_SERVER_FULL = {
    1040,  # ER_CON_COUNT_ERROR
    1203,  # ER_TOO_MANY_USER_CONNECTIONS
    1226,  # ER_USER_LIMIT_REACHED
}
_UNAVAILABLE = {
    2002,  # CR_CONNECTION_ERROR
    2003,  # CR_CONN_HOST_ERROR
    2005,  # CR_UNKNOWN_HOST
    2012,  # CR_SERVER_HANDSHAKE_ERR
}


def is_disconnect(number: int | None) -> bool:
    """Whether the error says that this connection, and probably others of its age, is gone."""
    return number in _DISCONNECT


def is_failover(number: int | None, message: str) -> bool:
    """Whether the error says that the server has become read-only under us.

    1290 is shared with other options (--secure-file-priv, --skip-grant-tables), so its text decides. 1792 is also
    what a transaction of the user's own, begun READ ONLY, gets; the caller knows whether there was one.
    """
    return number in _READ_ONLY or (number == 1290 and "read-only" in message.replace("_", "-"))


def is_server_full(number: int | None) -> bool:
    """Whether the server has no connection left for us."""
    return number in _SERVER_FULL


def is_unavailable(number: int | None) -> bool:
    """Whether a failed connect may succeed later without anybody changing anything."""
    return number in _UNAVAILABLE or is_disconnect(number)
