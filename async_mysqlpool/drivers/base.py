"""The seam between the pool and a driver, and what the server's error numbers mean for a connection.

An adapter knows how to say things to one driver. It decides nothing: what a clean session is stands in
`connection/session.py`, when a connection ends in `capacity/capacity.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from async_mysqlpool.wire.packets import HANGS_UP

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from async_mysqlpool.drivers.results import Shapes, StatementReader
    from async_mysqlpool.wire.packets import Command


@dataclass(frozen=True, slots=True)
class ConnectParams:
    """Where to connect, as whom, and in which state the session starts.

    `connect_timeout` is seconds. The server is asked to tell when the session changes, if it can.
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


class Connected(Protocol):
    """What is known of a connection, and how the pool talks past its driver.

    `wire.Wire` says what each of these attributes means.
    """

    doubt: str | None
    spent: str | None
    status: int
    touched: bool
    stirred: bool
    moved: bool
    changed: bool
    unheard: bool
    unsafe: bool
    wrote: bool

    @property
    def due(self) -> int:
        """Commands of the driver's whose replies are not complete."""
        ...

    @property
    def own_due(self) -> int:
        """Commands of the pool's own whose replies are not complete."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        ...

    @property
    def sees(self) -> bool:
        """Whether anything is known at all."""
        ...

    @property
    def hears(self) -> bool:
        """Whether the server tells when the session changes."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, by the server's last word."""
        ...

    @property
    def in_step(self) -> bool:
        """Whether all that was sent is answered, and all of it was understood."""
        ...

    def begin(self) -> None:
        """A new borrower: forget what the one before did."""
        ...

    def send(
        self, data: bytes, codes: tuple[int, ...], on_done: Callable[[Exception | None], None], cork: bool = False
    ) -> None:
        """Write encoded commands whose replies are not the driver's; `on_done` gets the first error when all are in.

        With `cork`, they wait for the driver's next command, to travel with it, or for `flush`.
        """
        ...

    def flush(self) -> None:
        """Write what is corked."""
        ...

    def is_of(self, output: object) -> bool:
        """Whether this is what the driver still writes to."""
        ...

    def abort(self) -> None:
        """Close the socket at once, whatever the driver has done meanwhile."""
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

    @property
    def pipelines(self) -> bool | None:
        """Whether commands may be sent before the replies to others have come; None: it depends on the server."""
        ...

    @property
    def cursors(self) -> tuple[Any, Any]:
        """Its cursor classes that give tuples: with all rows in memory after `execute`, and one row after another."""
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

    def listen(self, raw: Any, harmless: Callable[[bytes], bool] | None) -> Connected | None:
        """Put a wire between the driver and its transport; None if that is not possible for this connection."""
        ...

    def is_heard(self, raw: Any, wire: Connected) -> bool:
        """Whether the driver still talks through that wire: some open another connection by themselves."""
        ...

    def reader(self, raw: Any, wire: Connected, shapes: Shapes) -> StatementReader | None:
        """What reads the results of statements past the driver; None if that is not possible for this connection."""
        ...

    def encode(self, raw: Any, commands: Sequence[Command]) -> bytes:
        """Commands as the packets that this connection understands."""
        ...

    def encoding(self, raw: Any) -> str:
        """Python's name of the character set that the connection sends statements in."""
        ...

    def snapshot(self, raw: Any) -> Any:
        """What the driver itself remembers of the session, and all of its settings."""
        ...

    def restore(self, raw: Any, snapshot: Any, settings: bool) -> None:
        """Make the driver remember the session as it was; with `settings`, have all of its settings as well.

        Whatever results it holds are void.
        """
        ...

    def is_dead(self, raw: Any) -> bool:
        """Whether an idle connection is certainly of no use any more, told without I/O."""
        ...

    def has_unread(self, raw: Any) -> bool:
        """Whether something has come that the driver has not read."""
        ...

    def connection_id(self, raw: Any) -> int:
        """The server's id of the connection."""
        ...

    def local_port(self, raw: Any) -> int | None:
        """Our end of the connection, as the server's process list shows it; None for a unix socket."""
        ...

    def peer(self, raw: Any) -> tuple[str, int] | None:
        """The server's end: address and port; None for a unix socket, or if it is not known."""
        ...

    def socket(self, raw: Any) -> Any:
        """The connection's socket, to set options on; None if it is not known."""
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
READ_ONLY_TRANSACTION = 1792  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: the borrower's own wish, or the server's
_READ_ONLY = {
    READ_ONLY_TRANSACTION,
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


def hangs_up(number: int | None) -> bool:
    """Whether the connection on which the server sent this error is of no use any more; others may be."""
    return number in HANGS_UP or number in _DISCONNECT


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
