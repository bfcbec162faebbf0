"""The pool as its users see it: acquire, release, what to see and to change. Its capacity: `capacity/capacity.py`."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from async_mysqlpool import remedies
from async_mysqlpool.capacity.acquire import check_timeout
from async_mysqlpool.capacity.hooked import acquire_class
from async_mysqlpool.client_options import read_client
from async_mysqlpool.config import Options, build_config
from async_mysqlpool.connection.entry import caller
from async_mysqlpool.drivers import load_driver
from async_mysqlpool.errors import WrongEventLoopError
from async_mysqlpool.lease.held import owner_of
from async_mysqlpool.life import Life, Stage
from async_mysqlpool.misuse import Guidance
from async_mysqlpool.view import View

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Never, Self, Unpack

    from async_mysqlpool.capacity.acquire import Acquire
    from async_mysqlpool.config import Reset
    from async_mysqlpool.drivers import Driver
    from async_mysqlpool.lease.connection import PooledConnection
    from async_mysqlpool.stats import ConnectionInfo

__all__ = ["ConnectionPool"]


class _Default(enum.Enum):
    TIMEOUT = "the pool's queue_timeout"


_DEFAULT = _Default.TIMEOUT


class ConnectionPool(Guidance, Life, View):
    """A pool of connections to one MySQL or MariaDB server.

    Args:
        dsn: ``mysql+driver://user:password@host:port/database?option=value``; left out when all options are keywords.
        **options: see `async_mysqlpool.config.PoolConfig` for each name, unit and default. They win over the DSN.

    Raises:
        ConfigurationError: an unknown option or an impossible value. Nothing is opened by the constructor.
    """

    def __init__(self, dsn: str | remedies.Nothing = remedies.NOTHING, /, **options: Unpack[Options]) -> None:
        text = remedies.checked_dsn(dsn)
        config = build_config(text, options)
        remedies.warn_of_milliseconds(config)
        super().__init__(config, load_driver(config.driver))
        self._scheme = "mariadb" if text is not None and text.startswith("mariadb") else "mysql"
        self._acquire = acquire_class(config)  # decided once: who uses no hook does not pay for one
        self._min_size, self._max_size = config.min_size, config.max_size

    @classmethod
    def from_client_options(
        cls, connection: str | Mapping[str, Any], options: Mapping[str, Any] | str, **more: Unpack[Options]
    ) -> Self:
        """A pool from the two arguments of Oracle's ``mysqlx.get_client`` (its X DevAPI).

        Args:
            connection: a DSN, or a dict of host, port, user, password, database (or schema).
            options: ``{"pooling": {"enabled", "max_size", "max_idle_time", "queue_timeout"}}``, a dict or JSON;
                times in **milliseconds**, 0 for no limit.
            **more: options of ours that X DevAPI does not know.

        Raises:
            ConfigurationError: as for the constructor.
        """
        dsn, translated = read_client(connection, options, more)
        return cls(remedies.NOTHING if dsn is None else dsn, **cast("Options", translated))

    # -- acquire and release --------------------------------------------------------------------------------------

    def acquire(self, timeout: float | _Default | None = _DEFAULT, *, site: object | None = None) -> Acquire:
        """Borrow a connection: ``async with pool.acquire() as conn``, or ``conn = await pool.acquire()`` and release.

        Args:
            timeout: seconds, one deadline over queueing, connecting and validating; None waits for ever; 0 does not
                wait at all (an idle connection is still checked). Default: the pool's `queue_timeout`.
            site: what errors, events and the log say of where it was acquired, for code that borrows on behalf of other
                code; its ``str()`` is asked for when needed. Default: the caller's file and line.

        Raises:
            AcquireTimeoutError: nothing came in time; says who holds the connections.
            QueueFullError: `max_waiting` tasks wait already.
            ConnectError: a new connection was needed, and could not be opened.
            PoolClosedError, WrongEventLoopError, ForkedPoolError: the pool cannot be used, here or at all.
            ConfigurationError: `timeout` is not a time.
        """
        if timeout is _DEFAULT:
            timeout = self._config.queue_timeout
        else:
            check_timeout(timeout)
        return self._acquire(self, timeout, site or caller(1))

    def release(self, connection: PooledConnection) -> Awaitable[None]:
        """Give a connection back; may be awaited or not. Harmless when it went back before.

        Raises:
            ValueError: it is not a connection of this pool.
        """
        if owner_of(connection) is not self._capacity:
            raise ValueError(f"{connection!r} was not acquired from pool {self._name}: release what its acquire() gave")
        return connection.close()

    # -- looking and changing -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name given, or ``host:port/database``."""
        return self._name

    @property
    def driver(self) -> Driver:
        """The adapter of the driver in use."""
        return self._driver

    @property
    def reset(self) -> Reset:
        """How sessions are made clean."""
        return self._config.reset

    @property
    def min_size(self) -> int:
        """Connections kept open even when nobody needs them."""
        return self._min_size

    @property
    def max_size(self) -> int:
        """Connections open at most."""
        return self._max_size

    async def resize(self, *unnamed: Never, min_size: int | None = None, max_size: int | None = None) -> None:
        """Change the limits of a running pool. What is too much is closed: idle ones now, borrowed ones on return.

        Raises:
            ConfigurationError: impossible sizes; nothing is changed.
        """
        remedies.refuse_unnamed(unnamed)
        capacity = self._ready()
        low = self._min_size if min_size is None else min_size
        high = self._max_size if max_size is None else max_size
        build_config(None, {"min_size": low, "max_size": high})
        self._min_size = capacity.min_size = low
        grown, self._max_size = high - self._max_size, high
        capacity.resize(grown)
        capacity.changed.set()

    def expire(self) -> None:
        """Replace every connection: idle ones now, borrowed ones as they come back."""
        self._ready().expire("expired")

    def retain(self, predicate: Callable[[ConnectionInfo], object]) -> int:
        """Close the idle connections of which `predicate` says False; it is asked of each, and must not block.

        Returns:
            How many were closed. Borrowed ones are not asked of; `min_size` is filled again.
        """
        capacity = self._ready()
        return capacity.retire_idle(lambda entry: not predicate(capacity.info(entry)), "not retained")

    def _add_client_flag(self, flag: int) -> float:
        """Have connections opened with it from now on, the loop's time; those that are there are replaced.

        For an integration that needs it. The flag belongs to the handshake: no session can be given it later.
        """
        arguments = dict(self._config.connect_args)
        if arguments.get("client_flag", 0) & flag == flag:
            return -math.inf
        arguments["client_flag"] = arguments.get("client_flag", 0) | flag
        self._config = replace(self._config, connect_args=arguments)
        if self._life is not Stage.OPEN:
            return -math.inf
        self._capacity.workers.connector.connect_args["client_flag"] = arguments["client_flag"]
        with contextlib.suppress(WrongEventLoopError, RuntimeError):  # called from elsewhere: as they are met
            self.expire()
        return self._capacity.loop.time()

    async def check(self) -> None:
        """Ping every idle connection now and replace those that do not answer within `validation_timeout`."""
        if checks := self._ready().workers.check_idle():
            await asyncio.wait(checks)  # which go on if this is cancelled

    def __repr__(self) -> str:
        state = str(self.stats()) if self._life is Stage.OPEN else self._life.name.lower()
        return f"<ConnectionPool {self._name} via {self._driver.name}: {state}>"
