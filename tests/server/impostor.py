"""Somebody who answers in the place of a server: says what the test wants, and keeps all that it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Self

    _Read = Callable[[int], Awaitable[bytes]]
    _Write = Callable[[bytes], Awaitable[None]]

SALT = b"abcdefghijklmnopqrst"
OK = b"\0\0\0\x02\0\0\0"
_TLS = 1 << 11
# What every server can do, less TLS: protocol 4.1, secure connection, plugins, schema, transactions, several results.
_ABILITIES = 0x0200 | 0x8000 | 1 << 19 | 0x0008 | 0x2000 | 1 << 16 | 1 << 17

_OWN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_KEY = _OWN_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def greeting(plugin: str = "mysql_native_password", *, tls: bool = False) -> bytes:
    """What a server says first."""
    abilities = _ABILITIES | (_TLS if tls else 0)
    return (
        b"\x0a8.0.99\0" + struct.pack("<I", 7) + SALT[:8] + b"\0" + struct.pack("<H", abilities & 0xFFFF)
        + struct.pack("<BHHB", 45, 2, abilities >> 16, 21) + bytes(10) + SALT[8:] + b"\0" + plugin.encode() + b"\0"
    )  # fmt: skip


def switch(plugin: str, data: bytes = SALT + b"\0") -> bytes:
    """To another way to authenticate."""
    return b"\xfe" + plugin.encode() + b"\0" + data


class Impostor:
    """`async with` runs it; `host` and `port` are where.

    Args:
        first: the greeting; or, as bytes that are no packet, a banner.
        replies: one packet for each of the client's.
        tls: what to answer a request for TLS with; None: as if it were the login.
        packets: whether `first` is to be framed as one.
        injected: plain bytes that follow the greeting at once.

    Attributes:
        attempts: connections so far.
        plain: packets that came unencrypted; `secret`: those inside TLS.
    """

    def __init__(
        self,
        first: bytes,
        replies: Sequence[bytes] = (),
        tls: ssl.SSLContext | None = None,
        *,
        packets: bool = True,
        injected: bytes = b"",
    ) -> None:
        self._first = _framed(first, 0) + injected if packets else first
        self._replies = replies
        self._tls = tls
        self.attempts = self.closed = 0
        self.plain: list[bytes] = []
        self.secret: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.host, self.port = self._listener.getsockname()
        self._tasks = {asyncio.create_task(self._listen())}
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()

    def knows(self, password: str) -> bool:
        """Whether the password can be read from what came in plain text, or encrypted with the key that we gave out."""
        wanted = password.encode()
        return any(wanted in packet or wanted in _decrypted(packet) for packet in self.plain)

    async def _listen(self) -> None:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self.attempts += 1
            self._tasks.add(asyncio.create_task(self._talk(client)))

    async def _talk(self, client: socket.socket) -> None:
        """Byte by byte at first: what belongs to TLS must not be read before TLS is there to read it."""
        loop = asyncio.get_running_loop()

        async def read(count: int) -> bytes:
            data = b""
            while len(data) < count:
                more = await loop.sock_recv(client, count - len(data))
                if not more:
                    raise EOFError
                data += more
            return data

        async def write(data: bytes) -> None:
            await loop.sock_sendall(client, data)

        with client, suppress(OSError, EOFError):
            await write(self._first)
            await self._converse(read, write, self.plain)
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=self._tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)

            async def write_inside(data: bytes) -> None:
                writer.write(data)

            try:
                await self._converse(reader.readexactly, write_inside, self.secret)
            finally:
                transport.abort()
        self.closed += 1

    async def _converse(self, read: _Read, write: _Write, heard: list[bytes]) -> None:
        """Until the client asks for TLS, or hangs up."""
        replies = iter(self._replies)
        while True:
            header = await read(4)
            packet = await read(int.from_bytes(header[:3], "little"))
            heard.append(packet)
            if len(packet) == 32 and self._tls is not None and heard is self.plain:
                return
            reply = next(replies, None)
            if reply is not None:
                await write(_framed(reply, header[3] + 1))


def _framed(payload: bytes, number: int) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def _decrypted(packet: bytes) -> bytes:
    with suppress(ValueError):
        scheme = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
        mixed = _OWN_KEY.decrypt(packet, scheme)
        return bytes(byte ^ SALT[place % len(SALT)] for place, byte in enumerate(mixed))
    return b""
