"""What all three drivers have in common: they talk through an asyncio transport, and so can we."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from async_mysqlpool.wire.packets import encode
from async_mysqlpool.wire.transport import StreamWire, TransportWire, say_goodbye

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from async_mysqlpool.drivers.base import Connected
    from async_mysqlpool.drivers.results import Shapes, StatementReader
    from async_mysqlpool.wire.packets import Command


class TransportDriver(ABC):
    """The part of an adapter that needs no more of its driver than the transport."""

    resets = True
    pipelines: bool | None = None
    wire_class: type[TransportWire] = StreamWire

    @abstractmethod
    def output(self, raw: Any) -> tuple[Any, str]:
        """The object and the attribute of it through whose `write` the driver sends."""

    @abstractmethod
    def transport(self, raw: Any) -> asyncio.Transport | None:
        """The connection's transport; None when it is closed."""

    @abstractmethod
    def capabilities(self, raw: Any) -> int:
        """The flags that client and server have agreed on."""

    @abstractmethod
    def abort(self, raw: Any) -> None:
        """Close the socket at once."""

    def listen(self, raw: Any, harmless: Callable[[bytes], bool] | None) -> Connected | None:
        """On the driver's own transport, from now on."""
        transport = self.transport(raw)
        if transport is None:
            return None
        holder, attribute = self.output(raw)
        loop = asyncio.get_running_loop()
        wire = self.wire_class(transport, getattr(holder, attribute), self.capabilities(raw), harmless, loop)
        if wire.doubt is not None:
            return None
        setattr(holder, attribute, wire.output)
        return wire

    def is_heard(self, raw: Any, wire: Connected) -> bool:
        """Whether what the driver writes to is the wire's."""
        if self.transport(raw) is None:
            return True  # closed, and no other one opened
        holder, attribute = self.output(raw)
        return wire.is_of(getattr(holder, attribute))

    def reader(self, raw: Any, wire: Connected, shapes: Shapes) -> StatementReader | None:
        """The driver reads everything itself, unless its file says otherwise."""
        return None

    def local_port(self, raw: Any) -> int | None:
        """From the socket's own address."""
        address = self._address(raw, "sockname")
        return None if address is None else address[1]

    def peer(self, raw: Any) -> tuple[str, int] | None:
        """From that of the other end."""
        return self._address(raw, "peername")

    def socket(self, raw: Any) -> Any:
        """The transport's."""
        transport = self.transport(raw)
        return None if transport is None else transport.get_extra_info("socket")

    def _address(self, raw: Any, end: str) -> tuple[str, int] | None:
        transport = self.transport(raw)
        address: Any = transport.get_extra_info(end) if transport is not None else None
        return None if not address or isinstance(address, (str, bytes)) else (str(address[0]), int(address[1]))

    def encode(self, raw: Any, commands: Sequence[Command]) -> bytes:
        """One packet after the other."""
        return encode(commands, self.query_prefix(raw))

    def query_prefix(self, raw: Any) -> bytes:
        """What the capabilities that the driver negotiated put before the text of a query."""
        return b""

    async def close(self, raw: Any) -> None:
        """The drivers' own ways do not wait for the server to hang up."""
        transport = self.transport(raw)
        if transport is not None:
            await say_goodbye(transport)
        self.abort(raw)
