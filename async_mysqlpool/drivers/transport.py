"""What all three drivers have in common: they talk through an asyncio transport, and so can we."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

from async_mysqlpool.drivers import pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_mysqlpool.drivers.base import Command


class TransportDriver(ABC):
    """The part of an adapter that needs no more of its driver than the transport."""

    resets = True

    @abstractmethod
    def output(self, raw: Any) -> tuple[Any, str]:
        """The object and the attribute of it through whose `write` the driver sends."""

    @abstractmethod
    def transport(self, raw: Any) -> asyncio.Transport | None:
        """The connection's transport; None when it is closed."""

    @abstractmethod
    def set_status(self, raw: Any, status: int) -> None:
        """Tell the driver the status flags of an OK packet that it did not see."""

    @abstractmethod
    def abort(self, raw: Any) -> None:
        """Close the socket at once."""

    def pipeline(self, raw: Any) -> pipeline.Pipeline | None:
        """Past the driver, on its own transport."""
        transport = self.transport(raw)
        if transport is None:
            return None
        return pipeline.Pipeline(*self.output(raw), transport, partial(self.set_status, raw))

    async def run(self, raw: Any, commands: Sequence[Command]) -> None:
        """Through a pipeline of its own."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if answered.done():
                return
            if error is None:
                answered.set_result(None)
            else:
                answered.set_exception(error)

        way = self.pipeline(raw)
        if way is None:
            raise ConnectionResetError("the connection is closed")
        way.send(self.encode(raw, commands), len(commands), done)
        await answered

    def local_port(self, raw: Any) -> int | None:
        """From the socket's own address."""
        transport = self.transport(raw)
        address: Any = transport.get_extra_info("sockname") if transport is not None else None
        return None if address is None or isinstance(address, (str, bytes)) else int(address[1])

    def encode(self, raw: Any, commands: Sequence[Command]) -> bytes:
        """One packet after the other."""
        return pipeline.encode(commands, self.query_prefix(raw))

    def query_prefix(self, raw: Any) -> bytes:
        """What the capabilities that the driver negotiated put before the text of a query."""
        return b""

    async def close(self, raw: Any) -> None:
        """The drivers' own ways do not wait for the server to hang up."""
        transport = self.transport(raw)
        if transport is not None:
            await pipeline.say_goodbye(transport)
        self.abort(raw)
