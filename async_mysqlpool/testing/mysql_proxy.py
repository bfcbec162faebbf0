"""A fault proxy that knows MySQL's packets: it plays the proxies that do not carry everything as it was said.

    async with MySQLProxy(server, Swaps()) as proxy, ConnectionPool(server.dsn(), port=proxy.port) as pool:
        ...
        proxy.behave(Refuses(COM_RESET_CONNECTION), links="open")   # from now on; new ones go on as before

A persona decides about the commands of one segment, which is what a client wrote at once: pipelined, if there are
several. Replies are never touched, as the server gives the right ones to what the persona makes of the commands.
Clients get neither TLS nor compression, through which nothing could be seen.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from .proxy import Address, Links, Passage, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Drops", "Ignores", "Link", "MySQLProxy", "Persona", "Refuses", "Renames", "Stalls", "Swaps"]

_HEADER = 4  # three bytes of length, one of sequence number
_LONGEST = 0xFFFFFF  # a packet of that length is continued by the next one
_QUERY = 0x03
_UNKNOWN = 0x7F  # no server has such a command: each answers 1047
_HIDDEN = (0x20 | 0x800, 0x400)  # CLIENT_COMPRESS | CLIENT_SSL, and CLIENT_ZSTD_COMPRESSION in the upper half
_OWN_ID = re.compile(rb"CONNECTION_ID\s*\(\s*\)|@@(?:SESSION\.)?pseudo_thread_id", re.IGNORECASE)
_KILL = re.compile(rb"(\bKILL\s+(?:CONNECTION\s+|QUERY\s+)?)(\d+)", re.IGNORECASE)


class Persona:
    """How a proxy behaves; this one is honest."""

    def greeted_id(self, real_id: int) -> int:
        """The connection id that the client is greeted with."""
        return real_id

    def pass_on(self, commands: list[bytes], link: Link) -> list[bytes]:
        """What goes on to the server, when a client wrote these commands at once (as packets, with their headers)."""
        return commands


class Swaps(Persona):
    """Answers the last two of several pipelined commands out of order."""

    def pass_on(self, commands: list[bytes], link: Link) -> list[bytes]:
        """The last first."""
        return [*commands[:-2], *reversed(commands[-2:])]


class Drops(Persona):
    """Loses the second of several pipelined commands: it is neither run nor answered."""

    def pass_on(self, commands: list[bytes], link: Link) -> list[bytes]:
        """All but that."""
        return [*commands[:1], *commands[2:]]


class Stalls(Persona):
    """Falls silent once commands are pipelined: the first of them is answered, and nothing ever again."""

    def pass_on(self, commands: list[bytes], link: Link) -> list[bytes]:
        """The first; then nothing."""
        if link.stalled:
            return []
        link.stalled = len(commands) > 1
        return commands[:1]


@dataclass(frozen=True, slots=True)
class Renames(Persona):
    """Has connection ids of its own.

    Args:
        rename: the id for the client, from the server's.
        answers: CONNECTION_ID() gives that one, too; else it gives the server's.
        kills: KILL of that one stops the connection it stands for; else whoever has that id on the server.
    """

    rename: Callable[[int], int]
    answers: bool = False
    kills: bool = False

    def greeted_id(self, real_id: int) -> int:
        """Ours."""
        return self.rename(real_id)

    def pass_on(self, commands: list[bytes], link: Link) -> list[bytes]:
        """Statements with other numbers in them."""
        return [self._translate(command, link) if command[_HEADER] == _QUERY else command for command in commands]

    def _translate(self, command: bytes, link: Link) -> bytes:
        text = command[_HEADER:]
        if self.answers:
            text = _OWN_ID.sub(b"%d" % link.greeted_id, text)
        if self.kills:
            text = _KILL.sub(lambda found: found[1] + b"%d" % link.proxy.real_id(int(found[2])), text)
        return command if text == command[_HEADER:] else len(text).to_bytes(3, "little") + b"\0" + text


@dataclass(frozen=True, slots=True)
class Refuses(Persona):
    """Does not know a command: error 1047."""

    code: int

    def pass_on(self, commands: list[bytes], link: Link) -> list[bytes]:
        """One that the server does not know either, in its place: so the answers come in order."""
        unknown = b"\x01\0\0\0" + bytes((_UNKNOWN,))
        return [unknown if command[_HEADER] == self.code else command for command in commands]


@dataclass(frozen=True, slots=True)
class Ignores(Persona):
    """Never answers a command, nor runs it; what comes after it is carried and answered."""

    code: int

    def pass_on(self, commands: list[bytes], link: Link) -> list[bytes]:
        """All but that."""
        return [command for command in commands if command[_HEADER] != self.code]


class MySQLProxy(Proxy):
    """See `Proxy`, whose faults it has as well.

    Args:
        server: where to; anything with `host` and `port`.
        persona: how it behaves.
        host: the address to listen on; each of 127.0.0.0/8 is this machine.
        port: the port to listen on; None chooses one.
    """

    def __init__(
        self, server: Address, persona: Persona | None = None, *, host: str = "127.0.0.1", port: int | None = None
    ) -> None:
        super().__init__(server, host=host, port=port)
        self._persona = persona or Persona()
        self._talks: WeakSet[Link] = WeakSet()
        self._real: dict[int, int] = {}

    def behave(self, persona: Persona, links: Links = "all") -> None:
        """Take on another persona, on links that are open, new or both; what was greeted stays greeted."""
        if links != "open":
            self._persona = persona
        if links != "new":
            for link in self._talks:
                link.persona = persona

    def real_id(self, greeted_id: int) -> int:
        """The server's id for the link that was greeted so last; the same number if none was."""
        return self._real.get(greeted_id, greeted_id)

    def greeted(self, real_id: int, greeted_id: int) -> None:
        """A client was told an id."""
        self._real[greeted_id] = real_id

    def _passage(self) -> Passage:
        link = Link(self, self._persona)
        self._talks.add(link)
        return link


class Link(Passage):
    """One client and its connection to the server.

    Attributes:
        proxy: whose it is.
        persona: how it behaves on this link.
        greeted_id: the connection id that its client was greeted with.
        stalled: nothing goes on any more.
    """

    def __init__(self, proxy: MySQLProxy, persona: Persona) -> None:
        self.proxy = proxy
        self.persona = persona
        self.greeted_id = 0
        self.stalled = False
        self._said = b""
        self._greeting: bytes | None = b""

    def to_server(self, data: bytes) -> bytes:
        """Whatever ends with a whole packet is a segment."""
        self._said += data
        packets = _split(self._said)
        if packets is None:
            return b""
        self._said = b""
        # A command has number 0; what follows it with others continues it. Else it is an answer of the client's.
        answers: list[bytes] = []
        commands: list[bytes] = []
        for packet in packets:
            if packet[3] == 0 and len(packet) > _HEADER:
                commands.append(packet)
            elif commands:
                commands[-1] += packet
            else:
                answers.append(packet)
        return b"".join(answers) + b"".join(self.persona.pass_on(commands, self) if commands else [])

    def to_client(self, data: bytes) -> bytes:
        """The first packet is the greeting."""
        if self._greeting is None:
            return data
        self._greeting += data
        if _split(self._greeting) is None:
            return b""
        greeting, self._greeting = self._greeting, None
        return self._greet(greeting) if greeting[_HEADER] == 10 else greeting  # else an error: it is full, for one

    def _greet(self, packet: bytes) -> bytes:
        """The greeting with another id, and without what we could not look through."""
        at = packet.index(b"\0", _HEADER + 1) + 1
        real_id = int.from_bytes(packet[at : at + 4], "little")
        self.greeted_id = self.persona.greeted_id(real_id)
        self.proxy.greeted(real_id, self.greeted_id)
        changed = bytearray(packet)
        changed[at : at + 4] = self.greeted_id.to_bytes(4, "little")
        for place, hidden in zip((at + 13, at + 18), _HIDDEN, strict=True):
            flags = int.from_bytes(packet[place : place + 2], "little") & ~hidden
            changed[place : place + 2] = flags.to_bytes(2, "little")
        return bytes(changed)


def _split(data: bytes) -> list[bytes] | None:
    """Its packets; None if the last one is not all there."""
    packets: list[bytes] = []
    start, length = 0, 0
    while start < len(data) or length == _LONGEST:
        length = int.from_bytes(data[start : start + 3], "little")
        end = start + _HEADER + length
        if end > len(data):
            return None
        packets.append(data[start:end])
        start = end
    return packets
