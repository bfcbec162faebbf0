"""What every `Driver` must do: for those who write one, and for us, on real servers and on the fake one.

Each check is an async function of a driver and the parameters to connect with; it returns, or raises `AssertionError`:

    @pytest.mark.parametrize("check", contract.CHECKS)
    async def test_contract(check):
        await check(MyDriver(), params)

`CHECKS` need a server that answers SELECT of plain expressions, SET, GET_LOCK() and KILL; `NETWORK_CHECKS` need a real
one, and a driver that really connects to `params.host` and `params.port`. The account must be allowed to KILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.run import run
from async_mysqlpool.wire.packets import COM_INIT_DB, COM_QUERY, COM_RESET_CONNECTION, Command

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import TypeAlias

    from async_mysqlpool.drivers.base import ConnectParams, Driver

    Check: TypeAlias = Callable[[Driver, ConnectParams], Awaitable[None]]

__all__ = ["CHECKS", "NETWORK_CHECKS"]

_PATIENCE = 5.0  # seconds after which something that should have happened counts as never
_RESET = Command(COM_RESET_CONNECTION)


# -- any server -------------------------------------------------------------------------------------------------------


async def check_connect(driver: Driver, params: ConnectParams) -> None:
    """A new connection is alive, and in the state that was asked for."""
    async with _connected(driver, params) as raw:
        _expect(not driver.is_dead(raw), "a new connection is dead")
        _expect(not driver.has_unread(raw), "a new connection has something unread")
        _equal(await _value(driver, raw, "SELECT CONNECTION_ID()"), driver.connection_id(raw))
        if (peer := driver.peer(raw)) is not None:
            _equal(peer[1], params.port)
        _equal(await _value(driver, raw, "SELECT DATABASE()"), params.database)
        _equal(await _value(driver, raw, "SELECT @@character_set_client"), params.charset)
        if params.autocommit is not None:
            _equal(bool(await _value(driver, raw, "SELECT @@autocommit")), params.autocommit)


async def check_execute(driver: Driver, params: ConnectParams) -> None:
    """Rows as sequences of columns; none for a statement that has none."""
    async with _connected(driver, params) as raw:
        _equal([list(row) for row in await driver.execute(raw, "SELECT 1, 'two', NULL")], [[1, "two", None]])
        _equal(list(await driver.execute(raw, "SET @contract = 1")), [])
        _expect(not driver.has_unread(raw), "execute left something unread")


async def check_ping(driver: Driver, params: ConnectParams) -> None:
    """A ping of a killed connection fails, once and again: it never reconnects."""
    async with _connected(driver, params) as raw:
        await driver.ping(raw)
        await _kill(driver, params, raw)
        for _ in range(2):
            with _raises("a ping of a killed connection succeeded"):
                await driver.ping(raw)


async def check_error_number(driver: Driver, params: ConnectParams) -> None:
    """The server's errors are told from all others; the connection is still in step after one."""
    async with _connected(driver, params) as raw:
        try:
            await driver.execute(raw, "SELECT * FROM there_is_no_such_table")
        except Exception as error:  # noqa: BLE001  each driver has errors of its own
            _equal(driver.error_number(error), 1146)
        else:
            _expect(False, "selecting from no table raised nothing")
        _equal(driver.error_number(ValueError(1146)), None)
        _equal(await _value(driver, raw, "SELECT 1"), 1)


async def check_refused_connect(driver: Driver, params: ConnectParams) -> None:
    """Connecting to nothing raises, with a number of the client's own (2000 to 2999) or with OSError."""
    nowhere = replace(params, host="127.0.0.1", port=await _free_port(), unix_socket=None)
    try:
        raw = await driver.connect(nowhere)
    except OSError:
        return
    except Exception as error:  # noqa: BLE001  each driver has errors of its own
        number = driver.error_number(error)
        _expect(number is not None and 2000 <= number < 3000, f"refused with {error!r}, number {number}")
    else:
        driver.abort(raw)
        _expect(False, "connected to a port that nobody listens on")


async def check_reset(driver: Driver, params: ConnectParams) -> None:
    """Commands past the driver have the server forget the session, `restore` has the driver."""
    async with _connected(driver, params) as raw, _connected(driver, params) as other:
        wire = driver.listen(raw, None)
        snapshot = driver.snapshot(raw)
        before = await _value(driver, raw, "SELECT @@time_zone")
        await _soil(driver, raw)
        if wire is None:
            return
        await run(driver, raw, wire, [_RESET])
        driver.restore(raw, snapshot, True)
        _equal(await _value(driver, raw, "SELECT @contract"), None)
        _equal(await _value(driver, raw, "SELECT @@time_zone"), before)
        _equal(await _value(driver, other, "SELECT GET_LOCK('contract', 0)"), 1)


async def check_error_past_the_driver(driver: Driver, params: ConnectParams) -> None:
    """The first error among the replies, with all of them read."""
    async with _connected(driver, params) as raw:
        wire = driver.listen(raw, None)
        if wire is not None:
            with _raises("an unknown variable raised nothing"):
                await run(driver, raw, wire, [Command(COM_QUERY, b"SET @@SESSION.no_such_variable = 1"), _RESET])


async def check_pipeline(driver: Driver, params: ConnectParams) -> None:
    """Commands sent past the driver take effect before its next command, whose reply is the driver's own."""
    async with _connected(driver, params) as raw:
        wire = driver.listen(raw, None)
        if wire is None:
            return
        for cork in (False, True):
            await _soil(driver, raw)
            replies: list[Exception | None] = []
            wire.send(driver.encode(raw, [_RESET]), (_RESET.code,), replies.append, cork)
            _equal(await _value(driver, raw, "SELECT @contract"), None)
            _equal(replies, [None])
            _expect(wire.in_step, "replies are due although the next command has its own")


async def check_facts(driver: Driver, params: ConnectParams) -> None:
    """The wire knows a transaction, an error, and whether anything was sent, from the first statement on."""
    async with _connected(driver, params) as raw:
        wire = driver.listen(raw, None)
        if wire is None:
            return
        wire.begin()
        _expect(not wire.touched, "a statement was seen that nobody sent")
        await driver.execute(raw, "BEGIN")
        _expect(wire.touched and wire.in_transaction and wire.in_step, "BEGIN was not seen")
        with contextlib.suppress(Exception):
            await driver.execute(raw, "SELECT * FROM there_is_no_such_table")
        _expect(wire.unheard and wire.in_step, "an error was not seen")
        await driver.execute(raw, "ROLLBACK")
        _expect(not wire.in_transaction, "ROLLBACK was not seen")


async def check_dead_after_kill(driver: Driver, params: ConnectParams) -> None:
    """`is_dead` notices without I/O that the server has hung up."""
    async with _connected(driver, params) as raw:
        await _kill(driver, params, raw)
        await _eventually(lambda: driver.is_dead(raw), "a killed connection never looked dead")


async def check_close(driver: Driver, params: ConnectParams) -> None:
    """After `close` the server has one session less."""
    async with _connected(driver, params) as other:
        raw = await driver.connect(params)
        closed = driver.connection_id(raw)
        await driver.close(raw)
        _expect(driver.is_dead(raw), "a closed connection does not look dead")
        await _session_ends(driver, other, closed)


async def check_abort(driver: Driver, params: ConnectParams) -> None:
    """`abort` acts at once, may come twice, and the session ends."""
    async with _connected(driver, params) as other:
        raw = await driver.connect(params)
        aborted = driver.connection_id(raw)
        driver.abort(raw)
        _expect(driver.is_dead(raw), "an aborted connection does not look dead")
        driver.abort(raw)
        await _session_ends(driver, other, aborted)


async def check_abort_while_busy(driver: Driver, params: ConnectParams) -> None:
    """`abort` after a statement was cancelled half-way."""
    raw = await driver.connect(params)
    statement = asyncio.ensure_future(driver.execute(raw, "SELECT SLEEP(0.2)"))
    await asyncio.sleep(0.05)
    statement.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await statement
    driver.abort(raw)
    _expect(driver.is_dead(raw), "an aborted connection does not look dead")


# -- real servers only ------------------------------------------------------------------------------------------------


async def check_socket(driver: Driver, params: ConnectParams) -> None:
    """The socket is that of this connection, and takes options."""
    async with _connected(driver, params) as raw:
        sock = driver.socket(raw)
        _equal(sock.getpeername()[1], params.port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _expect(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0, "an option was not set")


async def check_polite_close(driver: Driver, params: ConnectParams) -> None:
    """`close` says goodbye: the server counts no aborted client."""
    async with _connected(driver, params) as other:
        before = await _aborted_clients(driver, other)
        raw = await driver.connect(params)
        await driver.close(raw)
        await _session_ends(driver, other, driver.connection_id(raw))
        _equal(await _aborted_clients(driver, other), before)


async def check_result_sets(driver: Driver, params: ConnectParams) -> None:
    """A further result set counts as unread until the last one was."""
    async with _connected(driver, params) as raw:
        wire = driver.listen(raw, None)
        cursor = driver.new_cursor(raw, (), {})
        if not hasattr(cursor, "execute"):
            cursor = await cursor
        await cursor.execute("SELECT 1; SELECT 2")
        await cursor.fetchall()
        _expect(wire is None or wire.due > 0 or driver.has_unread(raw), "a second result set does not count as unread")
        await cursor.nextset()
        await cursor.fetchall()
        while await cursor.nextset():
            pass
        _expect(not driver.has_unread(raw), "something is unread after the last result set")


async def check_pipeline_error(driver: Driver, params: ConnectParams) -> None:
    """`on_done` is told of an error, and once."""
    async with _connected(driver, params) as raw:
        wire = driver.listen(raw, None)
        if wire is None:
            return
        replies: list[Exception | None] = []
        wire.send(driver.encode(raw, [Command(COM_INIT_DB, b"there is none")]), (COM_INIT_DB,), replies.append)
        _equal(await _value(driver, raw, "SELECT 7"), 7)
        _expect(len(replies) == 1 and replies[0] is not None, f"on_done was told {replies}")


async def check_silent_server(driver: Driver, params: ConnectParams) -> None:
    """A connect to a server that accepts and says nothing can be cancelled, and leaves no socket behind."""
    await _cancel_at_silent_server(driver, params, after=0.05)


async def check_silent_server_at_once(driver: Driver, params: ConnectParams) -> None:
    """The same, cancelled in the very tick in which TCP is connected: `wait_for` of Python 3.11 would swallow that."""
    await _cancel_at_silent_server(driver, params, after=0)


async def check_cancelled_connect(driver: Driver, params: ConnectParams) -> None:
    """Cancelled anywhere on the way, a connect leaves no session on the server."""
    async with _connected(driver, params) as other:
        count = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(USER(), '@', 1)"
        for steps in range(0, 30, 3):
            connecting = asyncio.ensure_future(driver.connect(params))
            for _ in range(steps):
                await asyncio.sleep(0.0002)
            connecting.cancel()
            await asyncio.wait([connecting])
            if not connecting.cancelled():
                await driver.close(connecting.result())
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while await _value(driver, other, count) != 1:
            _expect(asyncio.get_running_loop().time() < deadline, "cancelled connects left sessions on the server")
            await asyncio.sleep(0.02)


CHECKS: tuple[Check, ...] = (
    check_connect,
    check_execute,
    check_ping,
    check_error_number,
    check_reset,
    check_error_past_the_driver,
    check_pipeline,
    check_facts,
    check_dead_after_kill,
    check_close,
    check_abort,
    check_abort_while_busy,
)
"""For every driver."""

NETWORK_CHECKS: tuple[Check, ...] = (
    check_socket,
    check_refused_connect,
    check_polite_close,
    check_result_sets,
    check_pipeline_error,
    check_silent_server,
    check_silent_server_at_once,
    check_cancelled_connect,
)
"""For drivers with a network under them."""

# -- helpers ----------------------------------------------------------------------------------------------------------


def _expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise AssertionError(otherwise)


def _equal(found: object, wanted: object) -> None:
    _expect(found == wanted, f"found {found!r}, wanted {wanted!r}")


@contextlib.contextmanager
def _raises(otherwise: str) -> Generator[None]:
    """Some error of the driver's."""
    try:
        yield
    except Exception:  # noqa: BLE001  which one is the driver's affair
        return
    raise AssertionError(otherwise)


@contextlib.asynccontextmanager
async def _connected(driver: Driver, params: ConnectParams) -> AsyncGenerator[Any]:
    raw = await driver.connect(params)
    try:
        yield raw
    finally:
        driver.abort(raw)
        await asyncio.sleep(0)  # lets the transport close its socket


async def _value(driver: Driver, raw: Any, sql: str) -> Any:
    return (await driver.execute(raw, sql))[0][0]


async def _soil(driver: Driver, raw: Any) -> None:
    await driver.execute(raw, "SET @contract = 'left', @@SESSION.time_zone = '+05:00'")
    _equal(await _value(driver, raw, "SELECT GET_LOCK('contract', 0)"), 1)


async def _kill(driver: Driver, params: ConnectParams, raw: Any) -> None:
    async with _connected(driver, params) as other:
        await driver.execute(other, f"KILL {driver.connection_id(raw)}")


async def _aborted_clients(driver: Driver, raw: Any) -> int:
    return int((await driver.execute(raw, "SHOW GLOBAL STATUS LIKE 'Aborted_clients'"))[0][1])


async def _session_ends(driver: Driver, other: Any, connection_id: int) -> None:
    """KILL QUERY says 1094 when there is no such session; one that is about to end may be there a little longer."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        try:
            await driver.execute(other, f"KILL QUERY {connection_id}")
        except Exception as error:  # noqa: BLE001  each driver has errors of its own
            _equal(driver.error_number(error), 1094)
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"session {connection_id} is still there")


async def _eventually(look: Callable[[], bool], otherwise: str) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while not look():
        _expect(asyncio.get_running_loop().time() < deadline, otherwise)
        await asyncio.sleep(0.01)


async def _cancel_at_silent_server(driver: Driver, params: ConnectParams, after: float) -> None:
    accepted, hung_up = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await reader.read()  # until the client hangs up
            hung_up.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()[:2]
        connecting = asyncio.ensure_future(driver.connect(replace(params, host=host, port=port, unix_socket=None)))
        await asyncio.wait_for(accepted.wait(), _PATIENCE)
        await asyncio.sleep(after)
        connecting.cancel()
        await asyncio.wait([connecting], timeout=_PATIENCE)
        ended = connecting.cancelled()
        while not connecting.done():
            connecting.cancel()
            await asyncio.wait([connecting], timeout=0.1)
        _expect(ended, "a cancelled connect went on")
        await _eventually(hung_up.is_set, "a cancelled connect left its socket open")


async def _free_port() -> int:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as listener:
        return int(listener.sockets[0].getsockname()[1])
