"""The errors that Oracle's two connectors have in common, raised for whatever driver works underneath."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from async_mysqlpool import ConfigurationError, errors

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_mysqlpool.drivers import Driver

__all__ = [
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "OptionError",
    "PoolError",
    "ProgrammingError",
    "translated",
]


class Error(Exception):
    """Base of the errors of this module.

    Attributes:
        errno: the MySQL error number; -1 where there is none.
        msg: the text alone.
    """

    def __init__(self, msg: str = "", errno: int = -1) -> None:
        super().__init__(msg if errno == -1 else f"{errno}: {msg}")
        self.msg = msg
        self.errno = errno

    def __reduce__(self) -> tuple[Any, ...]:
        return errors.pickled(self)


class InterfaceError(Error):
    """Wrong use, or no connection."""


class DatabaseError(Error):
    """The server reported an error."""


class DataError(DatabaseError):
    """A value does not fit."""


class IntegrityError(DatabaseError):
    """A key or a constraint forbids it."""


class InternalError(DatabaseError):
    """The server or the protocol is in trouble."""


class NotSupportedError(DatabaseError):
    """Not offered here."""


class OperationalError(DatabaseError):
    """Connection lost, no such account, a lock that did not come: nothing that the statement did wrong."""


class ProgrammingError(DatabaseError):
    """The statement is wrong."""


class PoolError(Error, errors.PoolError):
    """The pool has no connection to give, or is used wrongly."""


class OptionError(InterfaceError, ConfigurationError, AttributeError):
    """An option is unknown or impossible. The originals raise one or the other of these."""


# PEP 249 gives the errors of all drivers the same names.
_KINDS: dict[str, type[Error]] = {
    kind.__name__: kind
    for kind in (DataError, IntegrityError, InternalError, NotSupportedError, OperationalError, ProgrammingError)
}


@contextmanager
def translated(driver: Driver) -> Generator[None]:
    """The driver's errors in the block, and that the pool was closed, as those of this module; all else passes."""
    try:
        yield
    except errors.PoolClosedError as exc:
        raise PoolError(str(exc)) from exc
    except Exception as exc:
        number = driver.error_number(exc)
        if number is None:
            raise
        text = str(exc.args[1]) if len(exc.args) > 1 else str(exc)
        raise _KINDS.get(type(exc).__name__, DatabaseError)(text, number) from exc
