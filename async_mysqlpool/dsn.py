"""A pool's options in one text, as a URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from async_mysqlpool.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

__all__ = ["read_dsn"]

_TEXT_FIELDS = {
    "driver",
    "name",
    "reset",
    "host",
    "user",
    "password",
    "database",
    "unix_socket",
    "charset",
    "collation",
}
_FLAG_FIELDS = {"pipelining", "read_results", "kill_on_cancel", "watch_statements", "pooling", "autocommit", "ssl"}
_OBJECT_FIELDS = {"session_variables", "on_connect", "on_acquire", "on_release", "observers", "connect_args"}
_ENCODE = (
    "percent-encode : / ? # [ ] @ % in user and password (urllib.parse.quote(password, safe='')), or pass password=..."
)
_NO_NAME = f"what stands for an option there is no option's name (not shown: it may be part of a password); {_ENCODE}"


def read_dsn(dsn: str, options: Container[str], unknown: Callable[[str], str]) -> dict[str, Any]:
    """The options that ``mysql+driver://user:password@host:port/database?option=value`` names.

    Args:
        dsn: every part of it percent-encoded where needed.
        options: the names that there are.
        unknown: what to say of another one.

    Raises:
        ConfigurationError: it cannot be read. No error quotes a value, or a name that may be no option: a password that
            is not encoded spills into any part.
    """
    dsn = dsn.strip()
    scheme, separator, rest = dsn.partition("://")
    scheme = scheme.lower()
    base, _, driver = scheme.partition("+")
    if base not in {"mysql", "mariadb"} or not separator:
        found = f"{scheme}://" if separator and re.fullmatch(r"[a-z0-9+]{1,30}", scheme) else "a text without a scheme"
        found = "jdbc:" if scheme.startswith("jdbc:") else found
        raise ConfigurationError(
            f"a DSN starts with mysql:// or mysql+asyncmy://, this one is {found}; without one pass host=..., user=..."
        )
    if _is_spilt(rest):
        raise ConfigurationError(f"the DSN cannot be read: {_ENCODE}")
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        raise ConfigurationError(
            f"the DSN cannot be read: host or port make no sense; if they are a part of the password, {_ENCODE}"
        ) from None
    given = {
        "driver": driver,
        "host": parts.hostname,
        "port": port,
        "user": parts.username and unquote(parts.username),
        "password": parts.password and unquote(parts.password),
        "database": unquote(parts.path.lstrip("/")),
    }
    result: dict[str, Any] = {key: value for key, value in given.items() if value}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        ours = "database" if key == "db" else key
        if ours not in options:
            is_name = key.isidentifier() and "password=" not in parts.query  # which may have an & in it
            raise ConfigurationError(f"in the DSN: {unknown(key) if is_name else _NO_NAME}")
        result[ours] = _from_text(ours, text)
    return result


def _is_spilt(rest: str) -> bool:
    """Whether something that should have been encoded ended the part of a DSN that it belongs to."""
    if "#" in rest or any(ord(character) < 0x20 for character in rest):
        return True
    authority, *after = re.split(r"[/?]", rest, maxsplit=1)
    if "@" not in authority:
        return "@" in rest
    return "@" in re.sub(r"=[^&]*", "", "".join(after))  # an option's value may hold one


def _from_text(key: str, text: str) -> object:
    """The value that a text in a DSN stands for."""
    if key in _OBJECT_FIELDS:
        raise ConfigurationError(f"in the DSN: {key} cannot be written in a DSN, pass it as a keyword")
    lowered = text.lower()
    if lowered in {"none", "null", ""} and key != "password":
        return None
    if key in _FLAG_FIELDS:
        if lowered in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
            return lowered in {"true", "1", "yes", "on"}
        raise ConfigurationError(f"in the DSN: {key} must be true or false")
    if key in _TEXT_FIELDS:
        return text
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise ConfigurationError(f"in the DSN: {key} must be a number") from None
