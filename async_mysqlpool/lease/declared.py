"""Methods of the drivers' connections, for editors and type checkers: nothing here is ever called.

A compiled class would have what stands in its own body under TYPE_CHECKING, so it is borrowed from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence


def select_db(connection: object, db: str) -> Coroutine[Any, Any, None]:
    """Change the current schema."""
    raise NotImplementedError


def autocommit(connection: object, mode: bool) -> Coroutine[Any, Any, None]:
    """Switch autocommit on or off."""
    raise NotImplementedError


def get_autocommit(connection: object) -> bool:
    """Whether it is on, as the server said last."""
    raise NotImplementedError


def set_charset(connection: object, charset: str) -> Coroutine[Any, Any, None]:
    """Change the character set of the session."""
    raise NotImplementedError


def thread_id(connection: object) -> int:
    """The server's id of the connection."""
    raise NotImplementedError


def get_server_info(connection: object) -> str:
    """The server's version."""
    raise NotImplementedError


def escape(connection: object, obj: Any, mapping: Any = None) -> str:
    """A value as a part of a statement."""
    raise NotImplementedError


def show_warnings(connection: object) -> Coroutine[Any, Any, Sequence[Any]]:
    """What SHOW WARNINGS says."""
    raise NotImplementedError


def start_transaction(connection: object, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
    """Start a transaction."""
    raise NotImplementedError


def is_connected(connection: object) -> Coroutine[Any, Any, bool]:
    """Whether the server answers."""
    raise NotImplementedError


def set_autocommit(connection: object, value: bool) -> Coroutine[Any, Any, None]:
    """Switch autocommit on or off."""
    raise NotImplementedError


def set_database(connection: object, value: str) -> Coroutine[Any, Any, None]:
    """Change the current schema."""
    raise NotImplementedError


def get_database(connection: object) -> Coroutine[Any, Any, str | None]:
    """The current schema."""
    raise NotImplementedError


def cmd_query(connection: object, query: str | bytes, **kwargs: Any) -> Coroutine[Any, Any, Any]:
    """Send a statement."""
    raise NotImplementedError
