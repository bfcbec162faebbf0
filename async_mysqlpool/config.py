"""The pool's options: their names, defaults, units and checks. Nothing here opens anything."""

from __future__ import annotations

import difflib
import re
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast, get_args

from async_mysqlpool import remedies
from async_mysqlpool.dsn import read_dsn
from async_mysqlpool.errors import ConfigurationError

if TYPE_CHECKING:
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.events import Observer

__all__ = ["Options", "PoolConfig", "build_config"]

Password: TypeAlias = str | Callable[[], str | Awaitable[str]]
Host: TypeAlias = str | Callable[[], str | Awaitable[str]]
Port: TypeAlias = int | Callable[[], int | Awaitable[int]]
User: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None] | None
Reset: TypeAlias = Literal["session", "auto", "rollback", "none"]
Variable: TypeAlias = str | int | float | bool | None
Hook: TypeAlias = Callable[[Any], Awaitable[None]]
ReleaseHook: TypeAlias = Callable[[Any], Awaitable[bool | None]]


class Options(TypedDict, total=False):
    """The keyword arguments of `ConnectionPool`; `PoolConfig` says what each one means."""

    driver: str | Driver | None
    name: str | None
    min_size: int
    max_size: int
    min_idle: int
    queue_timeout: float | None
    max_waiting: int | None
    max_idle_time: float | None
    max_lifetime: float | None
    max_uses: int | None
    connect_timeout: float
    max_connecting: int
    validate_after: float
    validation_timeout: float
    keepalive: float | None
    socket_timeout: float | None
    reset: Reset
    pipelining: bool | None
    read_results: bool
    kill_on_cancel: bool
    hold_warning: float | None
    slow_acquire: float | None
    slow_statement: float | None
    watch_statements: bool
    session_variables: Mapping[str, Variable]
    on_connect: Hook | None
    on_acquire: Hook | None
    on_release: ReleaseHook | None
    observers: Sequence[Observer]
    pooling: bool
    host: Host
    port: Port
    user: User
    password: Password
    database: str | None
    db: str | None
    unix_socket: str | None
    charset: str
    collation: str | None
    autocommit: bool | None
    ssl: bool | ssl_module.SSLContext | None
    connect_args: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """What a pool was made with. All times are seconds; `docs/options.md` has a table with each option's unit.

    Attributes:
        driver: ``"asyncmy"``, ``"aiomysql"``, a `Driver`, or None for the first one installed. Set it where more than
            one may be installed.
        name: in logs, metrics and errors; default ``host:port/database``. Set it where a program has several pools.
        min_size: connections kept open even when nobody needs them. More, if the first requests after a quiet time
            must not wait for a connect.
        max_size: connections open at most, those being opened or closed included. Set it: times the number of
            processes, it must fit into the server's ``max_connections``.
        min_idle: connections kept ready besides those in use, up to `max_size`. For load that comes in bursts, where
            connecting takes too long for a request.
        queue_timeout: one deadline over queueing, connecting, checking and `on_acquire`; None waits for ever, 0 tries
            once. Shorter than what the one who waits for you has.
        max_waiting: tasks that may queue; the next one gets `QueueFullError` at once. None: no limit. Set it where
            overload is to be answered with "busy" instead of late.
        max_idle_time: an idle connection beyond `min_size` and `min_idle` is closed after this long; None: never.
            Shorter, if the server should get its connections back sooner.
        max_lifetime: a connection is replaced at this age, up to 10 % earlier; None: never. Shorter, if a change
            behind a load balancer should be noticed sooner.
        max_uses: borrows after which a connection is replaced; None: never. For sessions that grow on the server with
            what is done in them.
        connect_timeout: over TCP, TLS, greeting, authentication and session set-up together; and for a reset,
            `on_connect`, `on_release` and a KILL, each. Touch it where the server is far away.
        max_connecting: connects under way at once. Fewer, if many processes flood a server that has just started.
        validate_after: a connection idle for longer is pinged before it is handed out. More, if a round trip for a
            rare borrow is too much.
        validation_timeout: how long such pings may take, all of one `acquire` together. More, for a server far away.
        keepalive: an idle connection of which nothing was heard for so long is pinged; None: never. Set it,
            shorter than their patience, where NAT, a firewall or a load balancer forgets silent connections.
        socket_timeout: a server that has vanished, whose machine acknowledges nothing any more, is given up after about
            so long, in the middle of a statement, too; None: as the system does. A slow statement is no vanished
            server. Set it where machines or networks fail without a goodbye; unix sockets need none.
        reset: what happens to the session on release: everything ("session"); the same unless it is known to be
            clean ("auto", where most borrows only read); only ROLLBACK ("rollback"); or nothing ("none").
        pipelining: whether a reset may be written before the replies to others have come, so that it costs no time:
            None: where that was tried and works; True or False: as told. False, if a proxy fails the trial at times.
        read_results: read plain results of known statements past the driver, which is faster and looks the same; False:
            the driver reads everything. Touch it if you suspect it of a difference.
        kill_on_cancel: stop the statement of a cancelled borrower on the server. False, if it shall go on.
        hold_warning: warn when one borrower holds a connection for longer; None: never. Set it where connections run
            out and nobody knows where they are.
        slow_acquire: log a borrower that waited for longer; None: never. Set it where waiting is felt.
        slow_statement: log a statement that took longer, without its values; None: never. Set it where the server is
            shared, or slow at times.
        watch_statements: keep count of statements (`ConnectionPool.statements`); `slow_statement`, or an observer that
            has an `on_statement` method, does that as well.
        session_variables: set on every new connection and restored by every session reset. For values that the
            server's own do not suit.
        on_connect: awaited with each new connection, and again after each session reset. Where a variable is not
            enough: a role, a temporary table.
        on_acquire: awaited with each borrow, before the borrower has the connection; when it fails, that is discarded
            and the borrower gets the error. For what each borrow has of its own: a tenant, a role.
        on_release: awaited with each connection that comes back fit, before its reset; False discards it, as an error
            does. Where you know better when a connection should go.
        observers: told of every event (`async_mysqlpool.events`). For metrics and alarms.
        pooling: False opens a connection for every borrow and closes it on return; `max_size` still caps. Where
            something outside pools already.
        host: name or address of the server; or, as for the next three, a callable (sync or async) asked at every
            connect: for servers that move, which a name does not follow.
        port: TCP port of the server.
        user: account name.
        password: the text. A callable, for passwords that expire.
        database: default schema; None for none.
        unix_socket: path; used instead of host and port. Where the server is on the same machine.
        charset: connection character set. Touch it for an old schema that needs another one.
        collation: of the connection; None: the server's own for `charset`. Where literals must compare otherwise.
        autocommit: None leaves the server's default. False, where code relies on transactions that begin by themselves.
        ssl: True: TLS with a verified certificate and name; an `ssl.SSLContext`: TLS as it says; None: TLS where the
            server offers it, unverified; False: never TLS. True, unless the network is yours alone.
        connect_args: anything else, for the driver's own connect function, unchanged.
    """

    driver: str | Driver | None = None
    name: str | None = None
    min_size: int = 1
    max_size: int = 10
    min_idle: int = 0
    queue_timeout: float | None = 30.0
    max_waiting: int | None = None
    max_idle_time: float | None = 600.0
    max_lifetime: float | None = 3600.0
    max_uses: int | None = None
    connect_timeout: float = 10.0
    max_connecting: int = 4
    validate_after: float = 0.5
    validation_timeout: float = 1.0
    keepalive: float | None = None
    socket_timeout: float | None = None
    reset: Reset = "session"
    pipelining: bool | None = None
    read_results: bool = True
    kill_on_cancel: bool = True
    hold_warning: float | None = None
    slow_acquire: float | None = None
    slow_statement: float | None = None
    watch_statements: bool = False
    session_variables: Mapping[str, Variable] = field(default_factory=dict[str, Variable])
    on_connect: Hook | None = None
    on_acquire: Hook | None = None
    on_release: ReleaseHook | None = None
    observers: Sequence[Observer] = ()
    pooling: bool = True
    host: Host = "localhost"
    port: Port = 3306
    user: User = None
    password: Password = field(default="", repr=False)
    database: str | None = None
    unix_socket: str | None = None
    charset: str = "utf8mb4"
    collation: str | None = None
    autocommit: bool | None = True
    ssl: bool | ssl_module.SSLContext | None = None
    connect_args: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def address(self) -> str:
        """Where the server is: ``host:port`` or the path of its socket; ``host()`` where a callable says it."""
        return self.unix_socket or f"{_or_call(self.host, 'host')}:{_or_call(self.port, 'port')}"

    @property
    def pool_name(self) -> str:
        """The name given, or the one OpenTelemetry's conventions advise: ``host:port/database``."""
        return self.name or (f"{self.address}/{self.database}" if self.database else self.address)


def _or_call(value: object, name: str) -> object:
    return f"{name}()" if callable(value) else value


def check_answer(key: str, answer: object) -> None:
    """What the function of an option said.

    Raises:
        ConfigurationError: that cannot be the option's value.
    """
    wanted, fits = _ANSWERS[key]
    if not fits(answer):
        shown = "something else" if key == "password" else remedies.shown(key, answer)
        raise ConfigurationError(f"the function for {key} must return {wanted}, not {shown}")


def build_config(dsn: str | None, options: Mapping[str, Any]) -> PoolConfig:
    """Merge DSN and keywords (keywords win) and check everything.

    Raises:
        ConfigurationError: an unknown option (with the nearest known one), or a value that cannot work.
    """
    merged = {} if dsn is None else read_dsn(dsn, _FIELDS.keys(), _unknown)
    for key, value in merged.items():
        _check(key, value, shown="what it says")
    for key, value in options.items():
        merged["database" if key == "db" else key] = value
    for key in merged:
        if key not in _FIELDS:
            raise ConfigurationError(_unknown(key))
    for key, value in merged.items():
        _check(key, value)
    config = PoolConfig(**merged)
    _check_together(config)
    return config if config.pooling else replace(config, min_size=0, min_idle=0)  # nothing is kept


# What each option accepts: a description for the error, and the check.
_Check: TypeAlias = tuple[str, Callable[[Any], bool]]


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_WHOLE: _Check = ("a whole number, 0 or more", lambda v: _whole(v) and v >= 0)
_POSITIVE_WHOLE: _Check = ("a whole number, 1 or more", lambda v: _whole(v) and v >= 1)
_SECONDS: _Check = ("a number of seconds, 0 or more", lambda v: _number(v) and v >= 0)
_POSITIVE_SECONDS: _Check = ("a number of seconds above 0", lambda v: _number(v) and v > 0)
_TEXT: _Check = ("a text", lambda v: isinstance(v, str))
_WORD: _Check = ("a name that the server knows", lambda v: isinstance(v, str) and bool(re.fullmatch(r"\w+", v)))
_FLAG: _Check = ("True or False", lambda v: isinstance(v, bool))
_HOOK: _Check = ("an async function of one argument", lambda v: v is None or callable(v))


def _or_none(check: _Check) -> _Check:
    return (f"{check[0]}, or None", lambda v: v is None or check[1](v))


def _or_callable(check: _Check) -> _Check:
    return (f"{check[0]}, or a function of no argument", lambda v: callable(v) or check[1](v))


_PORT: _Check = ("a port number, 1 to 65535", lambda v: _whole(v) and 1 <= v <= 65535)
# What may be a function, and what that has to return.
_ANSWERS: dict[str, _Check] = {"host": _TEXT, "port": _PORT, "user": _or_none(_TEXT), "password": _TEXT}
_FIELDS: dict[str, _Check] = {
    "driver": ("a driver's name or a Driver", lambda v: v is None or isinstance(v, str) or hasattr(v, "connect")),
    "name": _or_none(_TEXT),
    "min_size": _WHOLE,
    "max_size": _POSITIVE_WHOLE,
    "min_idle": _WHOLE,
    "queue_timeout": _or_none(_SECONDS),
    "max_waiting": _or_none(_WHOLE),
    "max_idle_time": _or_none(_POSITIVE_SECONDS),
    "max_lifetime": _or_none(_POSITIVE_SECONDS),
    "max_uses": _or_none(_POSITIVE_WHOLE),
    "connect_timeout": _POSITIVE_SECONDS,
    "max_connecting": _POSITIVE_WHOLE,
    "validate_after": _SECONDS,
    "validation_timeout": _POSITIVE_SECONDS,
    "keepalive": _or_none(_POSITIVE_SECONDS),
    "socket_timeout": _or_none(("a number of seconds, 1 to 30000", lambda v: _number(v) and 1 <= v <= 30000)),
    "reset": ('"session", "auto", "rollback" or "none"', lambda v: isinstance(v, str) and v in get_args(Reset)),
    "pipelining": _or_none(_FLAG),
    "read_results": _FLAG,
    "kill_on_cancel": _FLAG,
    "hold_warning": _or_none(_POSITIVE_SECONDS),
    "slow_acquire": _or_none(_SECONDS),
    "slow_statement": _or_none(_SECONDS),
    "watch_statements": _FLAG,
    "session_variables": ("a mapping of names to plain values", lambda v: isinstance(v, Mapping)),
    "on_connect": _HOOK,
    "on_acquire": _HOOK,
    "on_release": _HOOK,
    "observers": ("a sequence of observers", lambda v: isinstance(v, Sequence) and not isinstance(v, str)),
    "pooling": _FLAG,
    **{name: _or_callable(check) for name, check in _ANSWERS.items()},
    "database": _or_none(_TEXT),
    "unix_socket": _or_none(_TEXT),
    "charset": _WORD,
    "collation": _or_none(_WORD),
    "autocommit": _or_none(_FLAG),
    "ssl": ("True, False, None or an ssl.SSLContext",
            lambda v: v is None or isinstance(v, (bool, ssl_module.SSLContext))),
    "connect_args": ("a mapping for the driver's connect function", lambda v: isinstance(v, Mapping)),
}  # fmt: skip
# Names that users of other pools and drivers type from memory, and ours for each.
_ALIASES = {
    "maxsize": "max_size", "minsize": "min_size", "pool_size": "max_size", "size": "max_size",
    "pool_recycle": "max_lifetime", "recycle": "max_lifetime", "timeout": "queue_timeout",
    "acquire_timeout": "queue_timeout", "pool_timeout": "queue_timeout", "max_overflow": "max_size",
    "maxconnections": "max_size", "mincached": "min_size", "passwd": "password", "pool_name": "name",
    "pool_reset_session": "reset", "pre_ping": "validate_after", "pool_pre_ping": "validate_after",
    "idle_timeout": "max_idle_time", "init_command": 'connect_args={"init_command": ...}', "schema": "database",
}  # fmt: skip
_DRIVERS_OWN = {"init_command", "timeout"}  # of those


def _unknown(key: str) -> str:
    if foreign := remedies.FOREIGN_OPTIONS.get(key.lower()):
        return f"unknown option {key!r}: {foreign}"
    close = difflib.get_close_matches(key, [*_FIELDS, "db"], n=1, cutoff=0.6)
    nearest = _ALIASES.get(key.lower()) or (close[0] if close else None)
    if nearest:
        return f"unknown option {key!r}: did you mean {nearest!r}?"
    return f"unknown option {key!r}: options for the driver itself go into connect_args={{{key!r}: ...}}"


def _check(key: str, value: object, shown: str | None = None) -> None:
    wanted, fits = _FIELDS[key]
    remedy = remedies.remedy(key, value)
    what, advice = shown or remedies.shown(key, value), f": {remedy}" if remedy else ""
    if not fits(value):
        raise ConfigurationError(f"{key} must be {wanted}, not {what}{advice}")
    if remedy:
        raise ConfigurationError(f"{key} cannot be {what}{advice}")


def _check_together(config: PoolConfig) -> None:
    if config.min_size > config.max_size:
        raise ConfigurationError(f"min_size={config.min_size} is more than max_size={config.max_size}: raise max_size")
    if config.min_idle > config.max_size:
        raise ConfigurationError(f"min_idle={config.min_idle} is more than max_size={config.max_size}: raise max_size")
    for name, value in cast("Mapping[str, object]", config.session_variables).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise ConfigurationError(f"session_variables: {name!r} is not the name of a variable")
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise ConfigurationError(
                f"session_variables: {name} must be a plain value, not {remedies.shown(name, value)}"
            )
    for name in config.connect_args:
        ours = "database" if name == "db" else name
        if name.lower() in _ALIASES and name not in _DRIVERS_OWN:
            raise ConfigurationError(f"connect_args: {name!r} is the pool's: pass {_ALIASES[name.lower()]}=... itself")
        if ours in _FIELDS and ours != "collation":  # which some drivers want for their greeting
            raise ConfigurationError(f"connect_args: {name!r} is an option of the pool: pass {ours}=... itself")
