"""`aiomysql.create_pool` on ours: ``from async_mysqlpool.compat import aiomysql`` and nothing else changes.

Whatever else is asked of this module (`connect`, `DictCursor`, errors, ...) is the driver's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiomysql as driver  # pyright: ignore[reportMissingTypeStubs]
from pymysql.err import OperationalError

from async_mysqlpool.compat._driver_pool import Pool, PoolClosedError, opened
from async_mysqlpool.compat._shared import UNLIMITED

if TYPE_CHECKING:
    from async_mysqlpool.compat._shared import Pending

__all__ = ["Pool", "PoolClosedError", "create_pool"]


def create_pool(
    minsize: int = 1, maxsize: int = 10, echo: bool = False, pool_recycle: float = -1, **kwargs: Any
) -> Pending[Pool]:
    """Make a pool and open it: await this, or use it with ``async with``.

    Args:
        minsize: connections kept open.
        maxsize: connections open at most; 0: no limit.
        echo: the driver logs each statement.
        pool_recycle: seconds after which a connection is replaced; -1: never.
        **kwargs: for `aiomysql.connect` (`host`, `user`, `db`, ...), or options of `async_mysqlpool.ConnectionPool`.

    Raises:
        ValueError: impossible sizes.
        pymysql.err.OperationalError: the first connections could not be opened.
    """
    sizes = (minsize, UNLIMITED if maxsize == 0 else maxsize)
    return opened(lambda: Pool("aiomysql", sizes, echo, pool_recycle, kwargs, OperationalError))


def __getattr__(name: str) -> Any:
    return getattr(driver, name)
