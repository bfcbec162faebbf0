"""The X DevAPI form of a pool's options: a dict or JSON, milliseconds, 0 for "no limit".

https://dev.mysql.com/doc/x-devapi-userguide/en/connecting-connection-pool.html
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool.errors import ConfigurationError
from async_mysqlpool.remedies import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_client", "read_client_options"]

# The defaults of X DevAPI, where they differ from ours on purpose.
_DEFAULTS: dict[str, Any] = {"enabled": True, "max_size": 25, "max_idle_time": 0, "queue_timeout": 0}


def read_client_options(options: Mapping[str, Any] | str) -> dict[str, Any]:
    """Translate ``{"pooling": {...}}`` into options of `ConnectionPool`.

    Raises:
        ConfigurationError: no JSON object, an unknown option (with the nearest known one) or an impossible value.
    """
    given = _section(options)
    for key in given:
        if key not in _DEFAULTS:
            close = difflib.get_close_matches(key, _DEFAULTS, n=1)
            hint = f": did you mean {close[0]!r}?" if close else f"; known are {', '.join(_DEFAULTS)}"
            raise ConfigurationError(f"client options: unknown option {'pooling.' + key!r}{hint}")
    values = {**_DEFAULTS, **given}
    if not isinstance(values["enabled"], bool):
        raise ConfigurationError(f"client options: pooling.enabled must be true or false, not {values['enabled']!r}")
    _whole(values, "max_size", least=1)
    return {
        "pooling": values["enabled"],
        "min_size": 0,
        "max_size": values["max_size"],
        "max_idle_time": _seconds(values, "max_idle_time"),
        "queue_timeout": _seconds(values, "queue_timeout"),
    }


def _section(options: Mapping[str, Any] | str) -> dict[str, Any]:
    document: Any = options
    if isinstance(options, str):
        try:
            document = json.loads(options)
        except ValueError as exc:
            raise ConfigurationError(f"client options: not a JSON document: {exc}") from None
    if not isinstance(document, dict):
        raise ConfigurationError('client options must be a dict or a JSON object: {"pooling": {...}}')
    outer = cast("dict[str, Any]", document)
    for key in outer:
        if key != "pooling":
            raise ConfigurationError(f"client options: unknown section {key!r}; the only one is 'pooling'")
    section = outer.get("pooling", {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"client options: 'pooling' must be an object, not {section!r}")
    return cast("dict[str, Any]", section)


def _whole(values: dict[str, Any], key: str, least: int) -> int:
    value = values[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"client options: pooling.{key} must be a whole number, {least} or more, not {value!r}"
        )
    return value


def _seconds(values: dict[str, Any], key: str) -> float | None:
    """Milliseconds to seconds; 0 means no limit."""
    return _whole(values, key, least=0) / 1000 or None


def read_client(
    connection: str | Mapping[str, Any], options: Mapping[str, Any] | str, more: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """X DevAPI's two arguments, as a DSN and options of ours; `more` options win.

    Raises:
        ConfigurationError: as for `read_client_options`.
    """
    translated = read_client_options(options) | dict(more)
    if isinstance(connection, str):
        return connection, translated
    if not hasattr(connection, "items"):
        what = shown("", connection)
        raise ConfigurationError(f"the first argument must be a DSN or a dict of host, user, ..., not {what}")
    named = {"database" if key == "schema" else key: value for key, value in connection.items()}
    return None, named | translated
