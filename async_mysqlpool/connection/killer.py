"""Stops, on the server, the statements of borrowers that went away.

Closing a socket does not stop a statement: an UPDATE that waits for a lock is still applied later. KILL from another
connection does. One connection serves all victims at once (at one address, where a name stands for several servers), is
opened when there is a first one and closed after the last, so however many borrowers are cancelled, the server sees one
connection more.

https://dev.mysql.com/doc/refman/8.4/en/kill.html
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from async_mysqlpool.connection.baseline import identify
from async_mysqlpool.connection.opening import is_to_end
from async_mysqlpool.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractAsyncContextManager

    from async_mysqlpool.drivers import Driver

__all__ = ["Killer", "Victim"]

Peer: TypeAlias = "tuple[str, int] | None"
_Waiting: TypeAlias = "dict[Victim, asyncio.Future[bool]]"
_ANSWER_TIMEOUT = 3.0  # seconds for each of the killer's own statements
_POLL = 0.05  # seconds between two looks at the process list, while killed threads wind up
_MARGIN = 1.0  # seconds by which the server's whole seconds may be wrong
_UNKNOWN_THREAD = 1094  # ER_NO_SUCH_THREAD


@dataclass(frozen=True, slots=True, eq=False)
class Victim:
    """A connection whose statement has to stop.

    Attributes:
        connection_id: the server's id.
        local_port: our end of it; None where there is none.
        peer: the server's end of it; None where that is not known.
        server: which server that was; behind a load balancer the killer may reach another one.
        connected_at: the loop's time.
    """

    connection_id: int
    local_port: int | None
    peer: Peer
    server: str
    connected_at: float


class Killer:
    """For one pool.

    Args:
        driver: how to talk to the server.
        connection: a connection for a block, preferably to that address.
        spawn: starts a task that the pool looks after; calls the second argument if it is cancelled before it begins.
    """

    def __init__(
        self,
        driver: Driver,
        connection: Callable[[Peer], AbstractAsyncContextManager[Any]],
        spawn: Callable[[Coroutine[Any, Any, None], Callable[[], object]], object],
    ) -> None:
        self._driver = driver
        self._connection = connection
        self._spawn = spawn
        self._waiting: dict[Peer, _Waiting] = {}  # for each address at which somebody is at work

    async def kill(self, victim: Victim) -> bool:
        """Stop what the connection does and wait until it is gone; False if it was gone already.

        Raises:
            LookupError: the server may have been restarted, so the id may be somebody else's by now.
            Exception: the server could not be reached, or another one was; whatever the driver raises.
        """
        waiting = self._waiting.get(victim.peer)
        if waiting is None:
            waiting = self._waiting[victim.peer] = {}
            give_up = partial(self._give_up, victim.peer, waiting, ConnectError("broken off"))
            self._spawn(self._work(victim.peer, waiting), give_up)
        done = waiting[victim] = asyncio.get_running_loop().create_future()
        try:
            killed: bool = await done
            return killed
        finally:
            waiting.pop(victim, None)

    async def _work(self, peer: Peer, waiting: _Waiting) -> None:
        try:
            async with self._connection(peer) as raw:
                await self._serve(raw, waiting)
                self._waiting.pop(peer)  # whoever comes from now on gets a killer of its own
        except BaseException as exc:
            self._give_up(peer, waiting, exc if isinstance(exc, Exception) else ConnectError(f"broken off: {exc!r}"))
            if is_to_end(exc):
                raise

    def _give_up(self, peer: Peer, waiting: _Waiting, reason: Exception) -> None:
        """Each victim's task gets the reason, and tries again if there is time."""
        if self._waiting.get(peer) is waiting:
            del self._waiting[peer]
        for done in waiting.values():
            _finish(done, reason)
        waiting.clear()

    async def _serve(self, raw: Any, waiting: _Waiting) -> None:
        killed: set[Victim] = set()
        while waiting:
            await self._round(raw, waiting, killed)
            if waiting:
                await asyncio.sleep(_POLL)

    async def _round(self, raw: Any, waiting: _Waiting, killed: set[Victim]) -> None:
        """Kill who was not killed yet; whoever is not in the process list any more is done with."""
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            server = await identify(self._driver, raw)
        started_at = asyncio.get_running_loop().time() - await self._uptime(raw)
        alive = {int(row[0]): str(row[2]) for row in await self._ask(raw, "SHOW PROCESSLIST")}
        for victim, done in list(waiting.items()):
            result: bool | Exception | None = None
            if victim.server != server:
                result = ConnectError(f"reached server {server}, not {victim.server}")
            elif victim.connection_id not in alive:
                result = victim in killed
            elif victim not in killed and not _is_same(victim, alive[victim.connection_id], started_at):
                # The server may have been restarted since: that id may be somebody else's now.
                result = LookupError("the server was started not long before")
            elif victim not in killed:
                await self._kill(raw, victim.connection_id)
                killed.add(victim)
            if result is not None:
                waiting.pop(victim, None)
                _finish(done, result)

    async def _ask(self, raw: Any, sql: str) -> Sequence[Sequence[Any]]:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            return await self._driver.execute(raw, sql)

    async def _kill(self, raw: Any, connection_id: int) -> None:
        try:
            await self._ask(raw, f"KILL {connection_id}")
        except Exception as exc:
            if self._driver.error_number(exc) != _UNKNOWN_THREAD:
                raise

    async def _uptime(self, raw: Any) -> float:
        """Seconds since the server started; it counts whole ones only."""
        return float((await self._ask(raw, "SHOW GLOBAL STATUS LIKE 'Uptime'"))[0][1])


def _finish(done: asyncio.Future[bool], result: bool | Exception) -> None:
    if done.done():
        return
    if isinstance(result, bool):
        done.set_result(result)
    else:
        done.set_exception(result)


def _is_same(victim: Victim, host: str, started_at: float) -> bool:
    """Whether the id in the process list still means the victim: its port tells, or that the server is old enough."""
    if victim.local_port is not None and host.endswith(f":{victim.local_port}"):
        return True
    return victim.connected_at >= started_at + _MARGIN
