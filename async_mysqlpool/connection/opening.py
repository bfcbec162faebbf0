"""Opening connections: in parallel up to a limit, within one time, paced by one shared backoff when the server is down.

A task of the pool's own opens each connection, so no cancellation of a borrower can stop it half-way; whatever it
opened serves whoever has waited longest by then.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from async_mysqlpool.config import check_answer
from async_mysqlpool.connection import session
from async_mysqlpool.connection.baseline import ResetRefusedError, Wishes, learn, resets_all
from async_mysqlpool.connection.silence import limit_silence
from async_mysqlpool.drivers.base import ConnectParams, is_disconnect, is_server_full, is_unavailable
from async_mysqlpool.drivers.results import Shapes
from async_mysqlpool.errors import ConnectError, ServerFullError, ServerUnavailableError
from async_mysqlpool.wire.reads import is_harmless
from async_mysqlpool.wire.unseen import Unseen

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.connection.baseline import Baseline
    from async_mysqlpool.connection.entry import Entry
    from async_mysqlpool.drivers import Driver

logger = logging.getLogger("async_mysqlpool")

__all__ = ["Backoff", "Connector", "again", "is_to_end"]

_ACCESS_DENIED = 1045
_LIFETIME_JITTER = 0.1  # part of max_lifetime by which a connection may go earlier


class Backoff:
    """When the next connect may start. One for all connects of a pool, so that a server that comes up meets no storm.

    Times are seconds. The pause doubles with each failed step, up to a ceiling, and is jittered.
    """

    FIRST, CEILING = 0.05, 2.0

    def __init__(self) -> None:
        self._pause = 0.0
        self._not_before = 0.0
        self._step = -math.inf  # when the last one began to fail
        self._failing_since = math.inf  # the first failure of which nobody was told yet

    @property
    def failing(self) -> bool:
        """Whether no attempt has succeeded since one failed."""
        return self._pause > 0

    def pausing(self, now: float) -> bool:
        """Whether it is too early for an attempt."""
        return self._not_before > now

    def failed(self, started: float, now: float) -> None:
        """Attempts that were under way together count as one step; the pause begins when the last one has failed."""
        if started > self._step:
            self._pause = min(self.CEILING, self._pause * 2 or self.FIRST)
            self._step = now
        self._failing_since = min(self._failing_since, now)
        self._not_before = now + self._pause * random.uniform(0.5, 1.0)  # noqa: S311

    def hope(self, under_way: Iterable[float]) -> bool:
        """Whether an attempt, of those that started at these times, may still serve the waiters.

        Those can that were under way when the first one failed. Later ones are no new hope: there is always another.
        """
        if any(started <= self._failing_since for started in under_way):
            return True
        self._failing_since = math.inf
        return False

    def succeeded(self) -> None:
        """The server is there."""
        self._pause = self._not_before = 0.0
        self._step, self._failing_since = -math.inf, math.inf

    async def wait(self) -> None:
        """Until an attempt may start."""
        await asyncio.sleep(self._not_before - asyncio.get_running_loop().time())


class PipeliningError(Exception):
    """Commands that were written together were not answered in order."""


def set_names(config: PoolConfig) -> str | None:
    """SET NAMES, so that without a `collation` the session has the server's own: so it has after a reset."""
    if "collation" in config.connect_args or ("init_command" in config.connect_args and config.collation is None):
        return None
    return f"SET NAMES {config.charset}" + (f" COLLATE {config.collation}" if config.collation else "")


class Connector:
    """Opens one connection at a time for a pool and brings its session into the first state."""

    def __init__(self, driver: Driver, config: PoolConfig) -> None:
        self._driver = driver
        self._config = config
        # `init_command` is ours to repeat after each reset, so the driver must not know of it.
        self.connect_args = {k: v for k, v in config.connect_args.items() if k != "init_command"}
        variables = dict(config.session_variables)
        self._wishes = Wishes(
            variables,
            config.connect_args.get("init_command"),
            config.reset == "auto",
            config.reset,
            config.autocommit,
            set_names(config),
        )
        self._proved: dict[str, bool] = {}  # server -> whether it answers commands that are written together in order
        self._shapes = Shapes()
        self._told_id = self._told_socket = False
        self.resets = True  # False once it is known that sessions cannot be reset
        if not driver.resets:
            self._do_without_reset()

    async def connect(self, entry: Entry, persistent: bool) -> None:
        """Fill `entry` with a connection that is ready to be lent.

        An attempt whose password was refused is made once more if it has changed meanwhile. So is, when `persistent`,
        one that was cut half-way: something answers there, and whatever hung up on us may have been a server going
        down, or a proxy whose server did, with the next one up already.

        Raises:
            ConnectError: the server refuses us, or an option makes no sense to it.
            ServerUnavailableError: it cannot be reached, or did not answer within `connect_timeout`.
            ServerFullError: it has no connection left for us.
        """
        config, params = self._config, None
        try:
            async with asyncio.timeout(config.connect_timeout):
                params = await self._params()
                try:
                    await self._connect(entry, params)
                except Exception as exc:
                    latest = await self._latest(exc, params)
                    if latest == params and not (persistent and self._was_cut(exc)):
                        raise
                    self.abort(entry)
                    params = latest
                    await self._connect(entry, params)
        except BaseException as exc:
            self.abort(entry)
            if is_to_end(exc):
                raise
            raise self._translated(exc, params) from exc
        if config.max_lifetime is not None:
            jitter = random.uniform(0, _LIFETIME_JITTER)  # noqa: S311
            lifetime = config.max_lifetime * (1 - jitter)
            entry.expires_at = min(entry.expires_at, asyncio.get_running_loop().time() + lifetime)

    async def _connect(self, entry: Entry, params: ConnectParams) -> None:
        try:
            entry.raw = await self._driver.connect(params)
            if self._config.socket_timeout is not None and params.unix_socket is None:
                self._limit_silence(entry.raw, self._config.socket_timeout)
            entry.connection_id = self._driver.connection_id(entry.raw)
            entry.local_port = self._driver.local_port(entry.raw)
            entry.peer = self._driver.peer(entry.raw)
            await self._set_up(entry)
        except ResetRefusedError as exc:
            # Without a reset, only a new connection has a clean session: right, if slow.
            logger.warning(
                "%s: sessions cannot be reset here (%s), so every connection is used once; "
                'reset="rollback" or reset="none" would keep them',
                self._config.pool_name, exc,
                extra={"pool": self._config.pool_name, "event": "not_resettable", "error": type(exc).__name__},
            )  # fmt: skip
            self.abort(entry)
            self._do_without_reset()
            await self._connect(entry, params)
        except PipeliningError:
            self.abort(entry)
            await self._connect(entry, params)

    def _limit_silence(self, raw: Any, seconds: float) -> None:
        if not limit_silence(self._driver.socket(raw), seconds) and not self._told_socket:
            self._told_socket = True
            logger.warning(
                "%s: socket_timeout has no effect, the sockets of driver %s are not within reach",
                self._config.pool_name, self._driver.name,
                extra={"pool": self._config.pool_name, "event": "no_socket_timeout"},
            )  # fmt: skip

    async def _set_up(self, entry: Entry) -> None:
        """Listen to it, and bring its session into the first state."""
        harmless = is_harmless if self._config.reset == "auto" else None
        wire = self._driver.listen(entry.raw, harmless)
        if wire is None:
            if resets_all(self._wishes.reset):
                raise ResetRefusedError("what goes over this connection cannot be listened to, compressed for instance")
        else:
            entry.wire = wire
            if self._config.read_results:
                entry.reader = self._driver.reader(entry.raw, wire, self._shapes)
            entry.baseline = await learn(self._driver, entry.raw, wire, self._wishes)
            self._check_id(entry, entry.baseline)
            entry.pipelines = await self._pipelines(entry, entry.baseline.server)
            if resets_all(self._wishes.reset):
                await session.refresh(self._driver, entry)

    def _check_id(self, entry: Entry, baseline: Baseline) -> None:
        """A proxy may greet with an id of its own: a KILL of it would stop nothing, or somebody else's connection."""
        if entry.connection_id == baseline.connection_id and baseline.knows_id:
            return
        if not self._told_id:
            self._told_id = True
            logger.warning(
                "%s: the id that a connection was greeted with, %d, is not the one that it has on the server, as "
                "behind some proxies: statements of cancelled borrowers are not stopped on the server here",
                self._config.pool_name, entry.connection_id,
                extra={"pool": self._config.pool_name, "event": "id_unknown", "connection_id": entry.connection_id},
            )  # fmt: skip
        entry.connection_id, entry.killable = baseline.connection_id, False

    async def _pipelines(self, entry: Entry, server: str) -> bool:
        """Whether a reset may go out before the replies to others have come: as told, or as proved for this server.

        Raises:
            PipeliningError: it was tried and failed; this connection is of no use, the next one does without.
        """
        known = self._driver.pipelines
        if known is False or self._config.pipelining is False:
            return False
        if known or self._config.pipelining:
            return True
        if self._wishes.reset == "none":
            return False  # there is hardly ever anything to send
        if server not in self._proved:  # several connections that are opened at once may each prove it
            try:
                async with asyncio.timeout(self._config.validation_timeout):
                    await session.prove_pipelining(self._driver, entry, self._wishes.reset)
            except Exception as exc:
                if self._proved.get(server) is False:
                    raise PipeliningError from exc
                self._proved[server] = False
                logger.warning(
                    "%s: commands written together are not answered in order here (%r), as behind some proxies: each "
                    "reset is waited for before its connection is lent again",
                    self._config.pool_name, exc,
                    extra={"pool": self._config.pool_name, "event": "not_pipelined", "error": type(exc).__name__},
                )  # fmt: skip
                raise PipeliningError from exc
            self._proved.setdefault(server, True)
        return self._proved[server]

    def _was_cut(self, exc: Exception) -> bool:
        return isinstance(exc, (ConnectionResetError, EOFError)) or is_disconnect(self._driver.error_number(exc))

    def _do_without_reset(self) -> None:
        if resets_all(self._wishes.reset):
            self.resets = False
            self._wishes.reset = "rollback"

    async def connect_plainly(self, peer: tuple[str, int] | None) -> Any:
        """A driver's connection without a schema or any session set-up, within `connect_timeout` as well.

        Args:
            peer: the address that the pool's host name has led to, tried first: by now it may lead to another server.
                Not so where the server has to prove its name.
        """
        config = self._config
        async with asyncio.timeout(config.connect_timeout):
            params = replace(await self._params(), database=None)
            if peer is not None and peer != (params.host, params.port) and not _proves_name(config.ssl):
                try:
                    async with asyncio.timeout(config.connect_timeout / 2):
                        return await self._driver.connect(replace(params, host=peer[0], port=peer[1]))
                except Exception as exc:
                    if is_server_full(self._driver.error_number(exc)):
                        raise
            return await self._driver.connect(params)

    def abort(self, entry: Entry) -> None:
        """Close the socket, if there is one."""
        if entry.raw is not None:
            entry.wire.abort()
            self.cut(entry.raw)
        entry.wire, entry.reader, entry.baseline = Unseen(), None, None

    def cut(self, raw: Any) -> None:
        """Close a driver's socket, whatever the driver makes of that."""
        try:
            self._driver.abort(raw)
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001
            fields = {"pool": self._config.pool_name, "event": "socket_not_closed", "error": type(exc).__name__}
            logger.warning("%s: the driver failed to close a socket: %r", self._config.pool_name, exc, extra=fields)

    async def _answer(self, name: str) -> Any:
        """An option's value: itself, or what its function says now."""
        value = getattr(self._config, name)
        if not callable(value):
            return value
        answer = value()
        if inspect.isawaitable(answer):
            answer = await answer
        check_answer(name, answer)
        return answer

    async def _latest(self, exc: Exception, params: ConnectParams) -> ConnectParams:
        """What the functions say by now, if account and password were refused."""
        if self._driver.error_number(exc) == _ACCESS_DENIED:
            with suppress(Exception):  # the refusal says more
                return await self._params()
        return params

    async def _params(self) -> ConnectParams:
        config = self._config
        return ConnectParams(
            host=await self._answer("host"),
            port=await self._answer("port"),
            user=await self._answer("user"),
            password=await self._answer("password"),
            database=config.database,
            unix_socket=config.unix_socket,
            charset=config.charset,
            autocommit=config.autocommit,
            ssl=config.ssl,
            connect_timeout=config.connect_timeout,
            connect_args=self.connect_args,
        )

    def _translated(self, exc: BaseException, params: ConnectParams | None) -> ConnectError:
        """What a failed connect means. The server's own words stay in the message; they never hold the password."""
        config = self._config
        user, address = "user()" if callable(config.user) else config.user, config.address
        if params is not None:
            user, address = params.user, params.unix_socket or f"{params.host}:{params.port}"
        where = f"{user or 'the default user'} at {address}"
        number = self._driver.error_number(exc)
        if is_server_full(number):
            return ServerFullError(f"the server has no connection left for {where}: {exc}")
        if isinstance(exc, TimeoutError):
            return ServerUnavailableError(
                f"no connection as {where} within connect_timeout={config.connect_timeout:g} s"
            )
        advice = _tls_advice(exc)
        if not advice and (isinstance(exc, (OSError, EOFError)) or is_unavailable(number)):
            return ServerUnavailableError(f"cannot connect as {where}: {_reason(exc)}")
        if isinstance(exc, TypeError) and config.connect_args:
            advice = (
                f"; is everything in connect_args ({', '.join(config.connect_args)}) an option of {self._driver.name}?"
            )
        return ConnectError(f"cannot connect as {where}: {_reason(exc)}{advice}")


def _proves_name(choice: bool | ssl.SSLContext | None) -> bool:
    """Whether a server that is reached by its address would not pass for the one that was named."""
    return choice is True or bool(getattr(choice, "check_hostname", False))


def is_to_end(exc: BaseException) -> bool:
    """Whether it ends this task. A cancellation may also come out of what was awaited; then it is a mere error."""
    task = asyncio.current_task()
    foreign = isinstance(exc, asyncio.CancelledError) and task is not None and not task.cancelling()
    return not (foreign or isinstance(exc, Exception))


def again(error: ConnectError) -> ConnectError:
    """The same error for one more waiter: an exception that is raised twice would carry both tracebacks."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy


# Python's name for what ended a TLS handshake, and what to check. Others (a broken record) may be the network's doing.
_TLS_ADVICE = {
    r"CERTIFICATE_VERIFY_FAILED.* mismatch": "the certificate is for another name: connect to a host that it names",
    r"CERTIFICATE_VERIFY_FAILED": "check who signed the server's certificate, and until when it is valid; for an "
    "authority of your own: ssl=ssl.create_default_context(cafile=...)",
    r"CERT|UNKNOWN_CA": "the server wants another certificate of ours: SSLContext.load_cert_chain(...)",
    r"VERSION|PROTOCOL|CIPHER|HANDSHAKE_FAILURE|TOO_SMALL|INSUFFICIENT": "client and server have no kind of TLS in "
    "common: check the server's tls_version and ssl_cipher; ssl=False does without TLS",
}


def _tls_advice(exc: BaseException | None) -> str:
    """What to check when TLS cannot work, however often it is tried. Drivers keep its error as a cause, or as text."""
    while exc is not None:
        if found := re.search(r"\[SSL: .*", str(exc)):
            for pattern, advice in _TLS_ADVICE.items():
                if re.search(pattern, found[0]):
                    return f"; {advice}"
        exc = exc.__cause__
    return ""


def _reason(exc: Any) -> str:
    """The drivers wrap the interesting error into a general one."""
    cause = exc.__cause__
    return f"{exc} ({cause})" if isinstance(cause, OSError) and str(cause) not in str(exc) else str(exc) or repr(exc)
