"""The errors that Oracle's two connectors have in common, raised for whatever driver works underneath."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from async_mysqlpool import ConfigurationError, errors
from async_mysqlpool.drivers.base import is_server_error

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
    "error_of",
    "kind_of",
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
    for kind in (
        DataError,
        IntegrityError,
        InterfaceError,
        InternalError,
        NotSupportedError,
        OperationalError,
        ProgrammingError,
    )
}

# The server's error numbers by the class that Oracle makes of the SQLSTATE that comes with each; the other drivers say
# only the number. From MySQL's performance_schema.events_errors_summary_global_by_error (tests/compat); where MariaDB
# has another SQLSTATE the narrower class stands here (1366, 4025), and no other number of 4000-4999, which MariaDB has
# given other meanings. What is not here is a DatabaseError.
_NUMBERS: dict[type[Error], str] = {
    DataError: (
        "1058 1136 1138 1222 1241-1242 1263-1264 1292 1329 1365-1367 1406 1416 1441 1643 1690 3020 3037 3140-3141 "
        "3144-3147 3150-3151 3155-3158 3516 3520 3558-3564 3616-3618 3665-3666 3669 3682 3704-3706 3726-3727 3731-3732 "
        "3741-3744 3752 3853 3903-3904 3907 3966-3967 6107 6527"
    ),
    IntegrityError: (
        "1022 1048 1052 1062 1169 1216-1217 1397-1402 1440 1451-1452 1557 1586 1613-1614 1761-1762 1859 3673 4025"
    ),
    InternalError: "1213 3101",
    NotSupportedError: "1312 1314 1335-1336 1415 1845-1846 6006-6007 6009 6412 6482",
    OperationalError: "1040 1042-1043 1047 1053 1080-1081 1152-1161 1184 1189-1190 1218 1251 1645 3068",
    ProgrammingError: (
        "1044-1046 1049-1051 1054-1057 1059-1061 1063-1075 1082-1084 1090-1091 1101-1104 1106-1107 1109-1110 1112-1113 "
        "1115 1118 1120-1121 1131-1133 1139-1149 1162-1164 1166-1167 1170-1173 1176-1179 1203 1207 1210-1211 1226-1227 "
        "1230-1232 1234-1235 1239 1243 1247-1248 1250 1252-1253 1280-1281 1286 1304-1305 1308-1310 1313 1315-1316 "
        "1318-1320 1322-1327 1330-1333 1337-1338 1370 1403 1407 1410 1413-1414 1425-1427 1437 1439 1453 1458 1460-1461 "
        "1463 1568 1582-1584 1630 1641 1687 1698 1701 1758 1792 1873 3057 3061 3119 3131 3143 3148-3149 3152-3154 3165 "
        "3202 3503 3630 3667 3670 3753 3948 3999 6444 6562-6574"
    ),
}
_BY_NUMBER = {
    number: kind
    for kind, text in _NUMBERS.items()
    for first, _, last in (part.partition("-") for part in text.split())
    for number in range(int(first), int(last or first) + 1)
}


def kind_of(number: int) -> type[Error]:
    """The class that Oracle's connectors have for an error of the server."""
    return _BY_NUMBER.get(number, DatabaseError)


def error_of(error: BaseException, number: int) -> Error:
    """A driver's error as one of these classes, with the same number and text."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    by_name = _KINDS.get(type(error).__name__, DatabaseError)
    oracles = type(error).__module__.startswith("mysql.")  # made of the SQLSTATE itself
    return (kind_of(number) if is_server_error(number) and not oracles else by_name)(text, number)


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
        raise error_of(exc, number) from exc
