"""What people pass by mistake, and what they meant: the second half of an error about an option.

No sentence here quotes a value that may be, or may hold, a secret.
"""

from __future__ import annotations

import datetime as dt
import difflib
import enum
import inspect
import re
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, cast

from async_mysqlpool.errors import ConfigurationError

__all__ = [
    "FOREIGN_OPTIONS",
    "NOTHING",
    "OTHER_DRIVERS",
    "Nothing",
    "awaitable",
    "check_cursor",
    "check_function",
    "check_wait",
    "checked_dsn",
    "refuse_unnamed",
    "remedy",
    "shown",
    "warn_of_milliseconds",
]

_UNSET = "is the environment variable that it comes from not set?"
_CALLED = "this is what the function gave when it was called; pass the function itself, without ()"
# Those that a client may ask for; https://dev.mysql.com/doc/refman/8.4/en/charset-charsets.html
_CHARSET_NAMES = (
    "armscii8 ascii big5 binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr gb18030 gb2312 "
    "gbk geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman sjis swe7 tis620 ujis "
    "utf8 utf8mb3 utf8mb4"
)
_CHARSETS = frozenset(_CHARSET_NAMES.split())
_OURS_IS_SSL = "TLS is one option: ssl=True, or ssl=ssl.create_default_context(cafile=...)"
_VARIABLE = "it is a variable of the session: session_variables={{{0!r}: ...}}"

FOREIGN_OPTIONS = {
    **dict.fromkeys(("dsn", "url", "uri"), 'the DSN comes first and has no name: ConnectionPool("mysql://...")'),
    **dict.fromkeys(("username", "login"), "did you mean 'user'?"),
    **dict.fromkeys(("hostname", "server", "address"), "did you mean 'host'?"),
    **dict.fromkeys(("cursorclass", "cursor_class"), "a cursor's class is said where it is made: conn.cursor(...)"),
    **dict.fromkeys(
        ("ssl_ca", "ssl_cert", "ssl_key", "ssl_mode", "ssl_disabled", "ssl_verify_cert", "ssl_verify_identity", "tls"),
        _OURS_IS_SSL,
    ),
    **{
        name: _VARIABLE.format(name)
        for name in ("sql_mode", "time_zone", "transaction_isolation", "wait_timeout", "max_execution_time",
                     "lock_wait_timeout", "innodb_lock_wait_timeout", "max_statement_time", "group_concat_max_len")
    },
    "isolation_level": "it is a variable of the session: session_variables={'transaction_isolation': ...}",
    "loop": "leave it out: a pool belongs to the event loop in which it is opened",
    "echo": "it is the driver's: connect_args={'echo': True}; the pool itself logs to \"async_mysqlpool\"",
    "retries": "say it where something is tried again: pool.run_transaction(fn, retries=3)",
}  # fmt: skip
"""Options of other pools and drivers that have no counterpart of another name, and what to do instead."""

OTHER_DRIVERS = {
    **dict.fromkeys(("pymysql", "cymysql"), "it is not async; aiomysql and asyncmy are what came of it"),
    **dict.fromkeys(("mysqldb", "mysqlclient"), "it is not async; take asyncmy or aiomysql"),
    **dict.fromkeys(
        ("mysql.connector", "mysqlconnector", "mysql-connector", "mysql-connector-python", "mysql"),
        'its async form is called "mysql.connector.aio"',
    ),
    "mysqlx": "the pool speaks the classic protocol, port 3306: take asyncmy, aiomysql or mysql.connector.aio",
    "pyodbc": "it is not async; take asyncmy or aiomysql",
}
"""Drivers that the pool cannot use, and why."""


class Nothing(enum.Enum):
    """The DSN that was not given: another thing than None, which nobody gives on purpose."""

    NOTHING = "all options are keywords"


NOTHING = Nothing.NOTHING


def checked_dsn(dsn: object) -> str | None:
    """The first argument of a pool, if it is a text with something in it; None where it was left out.

    Raises:
        ConfigurationError: it is something else; says what to pass instead.
    """
    if dsn is NOTHING:
        return None
    if isinstance(dsn, str) and dsn.strip():
        return dsn
    kind = type(dsn).__name__
    if dsn is None or isinstance(dsn, str):
        what = "None" if dsn is None else "empty"
        raise ConfigurationError(
            f"the DSN is {what}: {_UNSET} Without a DSN leave it out: ConnectionPool(host=..., user=...)"
        )
    if isinstance(dsn, Mapping):
        advice = "pass options as keywords: ConnectionPool(**options)"
    elif isinstance(dsn, (bytes, bytearray)):
        advice = "pass dsn.decode()"
    elif hasattr(dsn, "render_as_string"):
        advice = "pass url.render_as_string(hide_password=False)"  # SQLAlchemy's
    elif hasattr(dsn, "get_secret_value"):
        advice = "pass dsn.get_secret_value()"  # pydantic's
    elif hasattr(dsn, "connect"):
        advice = "a driver is an option: ConnectionPool(driver=...)"
    else:
        advice = "pass str(dsn)"
    raise ConfigurationError(f"the DSN must be a text, not a {kind}: {advice}")


def shown(key: str, value: object) -> str:
    """A value as an error may show it."""
    kind = type(value).__name__
    if key == "password" and value is not None:
        return f"a secret ({kind})"
    if isinstance(value, str) and ("://" in value or "@" in value):
        return "what was given (not shown: it may hold a password)"
    if value is not None and not isinstance(value, (str, int, float, type)):
        return f"a {kind}"  # settings, say, whose text tells all that is in them
    text = repr(value)
    return text if len(text) <= 80 else f"a {kind}"


def remedy(key: str, value: Any) -> str:
    """What to pass instead; "" where nothing is known to be wrong."""
    if inspect.iscoroutine(value):
        value.close()
        return _CALLED
    find = _REMEDIES.get(key)
    return (find(value) if find is not None else "") or (_of_text(value) if key in _NO_TEXT else "")


def _host(value: object) -> str:
    if value is None or value == "":
        return f"{_UNSET} Leave it out for localhost"
    if not isinstance(value, str):
        return ""
    if "://" in value:
        return 'a whole DSN comes first and has no name: ConnectionPool("mysql://...")'
    if "@" in value:
        return "user, password and host are options of their own: user=..., password=..., host=..."
    if "," in value:
        return "a pool has one server: pass a name that stands for several, or make a pool for each"
    if value.startswith("/"):
        return "the path of a socket is unix_socket=..."
    if match := re.fullmatch(r"([^:\s]*):(\d+)", value):
        return f"pass host={match[1]!r}, port={match[2]}"
    return ""


def _password(value: object) -> str:
    if value is None:
        return f"{_UNSET} Leave it out where there is none"
    if isinstance(value, (bytes, bytearray)):
        return "pass password.decode()"
    return "pass password.get_secret_value()" if hasattr(value, "get_secret_value") else ""


def _charset(value: object) -> str:
    if not isinstance(value, str) or value.lower() in _CHARSETS:
        return ""
    charset = value.lower().partition("_")[0]
    if charset in _CHARSETS:
        return f"that is a collation: charset={charset!r}, collation={value!r}"
    if value.lower() in {"ucs2", "utf16", "utf16le", "utf32"}:
        return "MySQL has it for columns, not for connections: leave it out for utf8mb4"
    if value.lower().startswith("utf"):
        return "did you mean 'utf8mb4'?"
    close = difflib.get_close_matches(value.lower().replace("-", "").replace("iso8859", "latin"), _CHARSETS, n=1)
    return f"did you mean {close[0]!r}?" if close else "SHOW CHARACTER SET lists them"


def _collation(value: object) -> str:
    if isinstance(value, str) and value.lower() in _CHARSETS - {"binary"}:
        return f"that is a charset: charset={value!r}"
    return ""


def _driver(value: object) -> str:
    if isinstance(value, ModuleType):
        name = "mysql.connector.aio" if value.__name__.startswith("mysql") else value.__name__.partition(".")[0]
        return f"pass its name: driver={name!r}"
    if isinstance(value, type):
        return f"pass one, not their class: driver={value.__name__}(...)"
    return ""


def _observers(value: object) -> str:
    if callable(getattr(value, "on_event", None)):
        return "pass a list: observers=[observer]"
    if callable(value):
        return _AN_OBSERVER
    for observer in cast("Iterable[object]", value) if isinstance(value, (list, tuple)) else ():
        if isinstance(observer, type):
            return f"pass one, not their class: observers=[{observer.__name__}(...)]"
        on_event = getattr(observer, "on_event", None)
        if not callable(on_event):
            return _AN_OBSERVER
        for name in ("on_event", "on_statement"):
            if inspect.iscoroutinefunction(getattr(observer, name, None)):
                return f"{name} must be a plain function: it is called in the middle of things, and cannot wait"
    return ""


_AN_OBSERVER = "each must be an object with a method on_event(event)"


def _hook(value: object) -> str:
    """Of a function that is awaited with a connection."""
    if isinstance(value, str):
        return "SQL for each connection is session_variables={...} or connect_args={'init_command': ...}"
    if not callable(value):
        return ""
    if inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        return "it must come to its end by itself: no yield in it"
    try:
        inspect.signature(value).bind(None)
    except TypeError:
        return "it is called with one argument, the connection"
    except ValueError:  # what is written in C may keep its arguments to itself
        return ""
    return ""


def _ssl(value: object) -> str:
    if value is None or isinstance(value, bool) or not isinstance(value, (str, Mapping, int)):
        return ""
    return "True verifies; for an authority of your own ssl=ssl.create_default_context(cafile=...)"


def _variables(value: object) -> str:
    if not isinstance(value, Mapping):
        return "pass {'time_zone': '+00:00'}, say"
    for name, setting in cast("Mapping[object, object]", value).items():
        if not isinstance(name, str):
            return "names must be texts"
        if name.startswith("@"):
            return f"write the name without @: {name.lstrip('@')!r}"
        if name.lower() in {"names", "character_set_client", "character_set_connection", "character_set_results"}:
            return "what the connection speaks are the options charset=... and collation=..."
        if isinstance(setting, (list, tuple, set)):
            return f'{name} must be a plain value: ",".join(...)'
    return ""


def _reset(value: object) -> str:
    if isinstance(value, bool):
        return f'{value} is reset="{"session" if value else "none"}"'
    return ""


def _size(value: object) -> str:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value < 1):
        return "there is no pool without a limit: how many connections can the server spare?"
    return ""


_REMEDIES: dict[str, Callable[[Any], str]] = {
    "host": _host, "password": _password, "charset": _charset, "collation": _collation, "driver": _driver,
    "observers": _observers, "ssl": _ssl, "session_variables": _variables, "reset": _reset, "max_size": _size,
    **dict.fromkeys(("on_connect", "on_acquire", "on_release"), _hook),
    **dict.fromkeys(
        ("user", "database", "unix_socket"),
        lambda value: 'a whole DSN comes first and has no name: ConnectionPool("mysql://...")'
        if isinstance(value, str) and "://" in value else "",
    ),
}  # fmt: skip
# Numbers and flags, which an environment variable or a settings file gives as text.
_NO_TEXT = {
    "min_size", "max_size", "queue_timeout", "max_waiting", "max_idle_time", "max_lifetime", "connect_timeout",
    "max_connecting", "validate_after", "validation_timeout", "hold_warning", "port", "min_idle", "max_uses",
    "keepalive", "socket_timeout", "pipelining", "read_results", "kill_on_cancel", "pooling", "autocommit",
}  # fmt: skip


def _of_text(value: object) -> str:
    if isinstance(value, dt.timedelta):
        return "pass its .total_seconds()"
    if not isinstance(value, str):
        return ""
    if value.lower() in {"true", "false", "yes", "no", "on", "off"}:
        return "pass True or False; a text is always true"
    number = "int" if re.fullmatch(r"\s*-?\d+\s*", value) else "float"
    return f"a text is no number: pass {number}(...)"


_IN_SECONDS = ("queue_timeout", "connect_timeout", "validation_timeout")


def warn_of_milliseconds(config: object) -> None:
    """Of a pool's constructor: whole numbers, so large that they are hardly meant as seconds."""
    for name in _IN_SECONDS:
        value = getattr(config, name)
        if isinstance(value, int) and value >= 1000:
            warnings.warn(
                f"{name}={value} is in seconds, {dt.timedelta(seconds=value)} hours; did you mean {value / 1000:g}? "
                f"If not, write {value}.0",
                RuntimeWarning,
                stacklevel=3,
            )


def check_wait(wait: object) -> None:
    """Of `open`, whose other argument is a time.

    Raises:
        ConfigurationError: it is no flag.
    """
    if not isinstance(wait, bool):
        raise ConfigurationError(f"open(wait={wait!r}): wait is True or False; how long is said by open(timeout=...)")


def refuse_unnamed(sizes: tuple[object, ...]) -> None:
    """Of `resize`.

    Raises:
        TypeError: a size that does not say which one it is.
    """
    if sizes:
        given = ", ".join(map(repr, sizes))
        raise TypeError(f"resize({given}) does not say which size: resize(max_size=...), resize(min_size=...), or both")


def check_function(fn: object, retries: object) -> None:
    """Of `run_transaction`.

    Raises:
        TypeError: what should be run is no function.
        ConfigurationError: `retries` is no number.
    """
    if inspect.iscoroutine(fn):
        fn.close()
        raise TypeError(f"run_transaction: {_CALLED}: it is called with the connection, once for each attempt")
    if not callable(fn):
        raise TypeError(f"run_transaction wants an async function that takes the connection, not {shown('', fn)}")
    if not isinstance(retries, int) or retries < 0:
        raise ConfigurationError(f"retries must be a whole number, 0 or more, not {shown('', retries)}")


def awaitable(result: Any, what: str) -> Awaitable[Any]:
    """What a function of the user's has given.

    Raises:
        TypeError: it cannot be awaited.
    """
    if inspect.isawaitable(result):
        return result
    raise TypeError(f"{what} must be an async function (`async def`), this one gave {shown('', result)} at once")


def check_cursor(driver: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """The arguments with which `driver` could not make a cursor.

    Raises:
        TypeError: it is known what is wrong with them.
    """
    package = driver.partition(".")[0]
    if args and isinstance(args[0], str):
        raise TypeError("cursor() takes no statement: `async with conn.cursor() as cur: await cur.execute(sql)`")
    for kind in args:
        theirs = kind.__module__.partition(".")[0] if isinstance(kind, type) else package
        if theirs != package and theirs in {*_CURSORS, "pymysql", "MySQLdb"}:
            instead = _CURSORS.get(package, "a class of its own")
            raise TypeError(f"{theirs}'s {kind.__name__} does not work with {driver}: there it is {instead}")
    for name in kwargs:
        if name in {"dictionary", "buffered", "named_tuple", "prepared", "raw"} and package in {"asyncmy", "aiomysql"}:
            raise TypeError(f"{driver} knows no cursor({name}=...): there it is {_CURSORS[package]}")


_CURSORS = {
    "asyncmy": "conn.cursor(asyncmy.cursors.DictCursor), SSCursor for rows that are read one by one",
    "aiomysql": "conn.cursor(aiomysql.DictCursor), SSCursor for rows that are read one by one",
    "mysql": "conn.cursor(dictionary=True), buffered=False for rows that are read one by one",
}
