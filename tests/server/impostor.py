"""Somebody who answers in the place of a server: says what the test wants, and keeps all that it is told."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from typing import Self

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
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.host, self.port = self._server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def knows(self, password: str) -> bool:
        """Whether the password can be read from what came in plain text, or encrypted with the key that we gave out."""
        wanted = password.encode()
        return any(wanted in packet or wanted in _decrypted(packet) for packet in self.plain)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts += 1
        with suppress(OSError, EOFError):
            writer.write(self._first)
            heard, replies = self.plain, iter(self._replies)
            while True:
                header = await reader.readexactly(4)
                packet = await reader.readexactly(int.from_bytes(header[:3], "little"))
                heard.append(packet)
                if len(packet) == 32 and self._tls is not None and heard is self.plain:
                    await writer.start_tls(self._tls)
                    heard = self.secret
                    continue
                reply = next(replies, None)
                if reply is not None:
                    writer.write(_framed(reply, header[3] + 1))
        self.closed += 1
        writer.close()


def _framed(payload: bytes, number: int) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def _decrypted(packet: bytes) -> bytes:
    with suppress(ValueError):
        scheme = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303
        mixed = _OWN_KEY.decrypt(packet, scheme)
        return bytes(byte ^ SALT[place % len(SALT)] for place, byte in enumerate(mixed))
    return b""
