"""Whether an adapter fits the driver that is installed, of whatever version: tried out, on a connection of its own.

First, before anybody is told a password: a greeting from ourselves, on the loopback, must be read along with. Then, on
the server: what the driver says and is told goes over the wire, what the pool says goes past the driver, and the driver
notices nothing of it.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers.login import LoginRefusedError
from async_mysqlpool.drivers.run import run
from async_mysqlpool.wire.packets import COM_PING, COM_QUERY, Command, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from async_mysqlpool.drivers.base import ConnectParams, Driver

__all__ = ["UnprovedError", "prove"]

# An error of these kinds says that a part of the driver is not there, or is another one.
_NOT_THERE = (AttributeError, TypeError, LookupError, NotImplementedError, struct.error)
_NO_SUCH_COLUMN = 1054
_SECRET = "proof"  # noqa: S105  it is none
_QUESTION, _ANSWER = "SELECT 'proof', 42", ["proof", "42"]

# Protocol 4.1 with plugins, as every server greets, but none that could do TLS.
_ABILITIES = 0x0200 | 0x8000 | 1 << 19 | 0x0008 | 0x2000 | 1 << 16 | 1 << 17
_SALT = b"abcdefghijklmnopqrst"
_GREETING = framed(
    b"\x0a8.0.99\0" + struct.pack("<I", 7) + _SALT[:8] + b"\0" + struct.pack("<H", _ABILITIES & 0xFFFF)
    + struct.pack("<BHHB", 45, 2, _ABILITIES >> 16, 21) + bytes(10) + _SALT[8:] + b"\0mysql_native_password\0",
    0,
)  # fmt: skip
_SWITCH = framed(b"\xfemysql_clear_password\0", 2)


class UnprovedError(Exception):
    """The adapter does not fit; the message says where that showed."""


async def prove(driver: Driver, params: ConnectParams, abort: Callable[[Any], None]) -> None:
    """Try an adapter out; the caller bounds the time.

    Args:
        driver: the adapter.
        params: where to connect, and as whom.
        abort: closes a connection if the adapter cannot.

    Raises:
        UnprovedError: it does not fit.
        Exception: no connection can be opened, which says nothing of the adapter.
    """
    for choice, told in ((True, 0), (None, 1)):
        heard = await _say_hello(driver, params, choice)
        if heard is None or len(heard) > told:
            raise UnprovedError("the login is not read along with")
    try:
        raw = await driver.connect(params)
    except _NOT_THERE as exc:
        raise UnprovedError(f"connecting: {exc!r}") from exc
    try:
        await _talk(driver, raw)
        await driver.close(raw)
        _check(driver.is_dead(raw), "a closed connection passes for one that is open")
    except _NOT_THERE as exc:
        raise UnprovedError(repr(exc)) from exc
    finally:
        try:
            driver.abort(raw)
        except Exception:  # noqa: BLE001  this may be where it does not fit
            abort(raw)


def _check(fits: bool, otherwise: str) -> None:
    if not fits:
        raise UnprovedError(otherwise)


async def _say_hello(driver: Driver, params: ConnectParams, choice: bool | None) -> list[bytes] | None:
    """What a server is told that offers no TLS, and wants the password in clear text; None if nobody refuses that."""
    heard: list[bytes] = []
    with _Host(heard) as port:
        here = replace(
            params, host="127.0.0.1", port=port, unix_socket=None, user="proof", password=_SECRET, ssl=choice,
            connect_args={},
        )  # fmt: skip
        try:
            driver.abort(await driver.connect(here))
        except Exception as exc:  # noqa: BLE001  which one it is decides
            return heard if _is_refusal(exc) else None
    return None


class _Host:
    """Greets who connects, and listens to two answers. Of plain sockets, so that none is left whatever is cancelled."""

    def __init__(self, heard: list[bytes]) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._guests: dict[socket.socket, list[bytes]] = {}  # what each is still to be told

    def __enter__(self) -> int:
        """Its port."""
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._take)
        return int(self._listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for guest in list(self._guests):
            self._leave(guest)

    def _take(self) -> None:
        try:
            guest, _ = self._listener.accept()
        except OSError:
            return  # it has left again
        guest.setblocking(False)
        self._guests[guest] = [_SWITCH]
        self._loop.add_reader(guest, self._hear, guest)
        self._tell(guest, _GREETING)

    def _hear(self, guest: socket.socket) -> None:
        try:
            said = guest.recv(1 << 16)
        except OSError:
            said = b""
        if said:
            self._heard.append(said)
        if said and self._guests[guest]:
            self._tell(guest, self._guests[guest].pop())
        else:
            self._leave(guest)

    def _tell(self, guest: socket.socket, packet: bytes) -> None:
        try:
            guest.send(packet)
        except OSError:
            self._leave(guest)

    def _leave(self, guest: socket.socket) -> None:
        if self._guests.pop(guest, None) is not None:
            self._loop.remove_reader(guest)
            guest.close()


def _is_refusal(exc: BaseException | None) -> bool:
    """Whether our own error is among the causes: drivers wrap what comes out of a login."""
    while exc is not None:
        if isinstance(exc, LoginRefusedError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


async def _talk(driver: Driver, raw: Any) -> None:
    wire = driver.listen(raw, None)
    if wire is None:
        return  # as on a compressed connection, which is used once whatever the version
    wire.begin()
    snapshot = driver.snapshot(raw)
    _check(_texts(await driver.execute(raw, _QUESTION)) == _ANSWER, "a statement gives other rows")
    _check(wire.touched and wire.in_step, f"what is said is not seen ({wire.doubt or 'nothing came'})")
    query = Command(COM_QUERY, b"SELECT 1")
    await run(driver, raw, wire, [query, Command(COM_PING), query])
    driver.restore(raw, snapshot, True)
    await driver.ping(raw)
    try:
        await driver.execute(raw, "SELECT proof")
    except Exception as exc:
        if driver.error_number(exc) != _NO_SUCH_COLUMN:
            raise UnprovedError(f"an error of the server is not known as one: {exc!r}") from exc
    cursor = driver.new_cursor(raw, (), {})
    if inspect.isawaitable(cursor):
        cursor = await cursor
    await cursor.execute(_QUESTION)
    _check(driver.is_buffered(cursor), "the driver's usual cursor passes for an unbuffered one")
    _check(_texts(await cursor.fetchall()) == _ANSWER, "a cursor gives other rows")
    await cursor.close()
    "".encode(driver.encoding(raw))
    _check(wire.in_step and not driver.has_unread(raw) and not driver.is_dead(raw), "it is out of step afterwards")


def _texts(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The values of the first row, whatever the driver was told to make of them."""
    values: Sequence[Any] = rows[0] if rows else ()
    return [bytes(value).decode() if isinstance(value, (bytes, bytearray)) else str(value) for value in values]
