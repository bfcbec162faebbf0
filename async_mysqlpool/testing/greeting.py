"""The first packet a server sends: who it is, without any driver."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from typing import Literal

__all__ = ["Address", "Flavor", "Greeting", "identify", "read_greeting", "wait_for_greeting"]

Flavor = Literal["mariadb", "mysql"]
Address = tuple[str, int] | str
"""(host, port), or the path of a unix socket."""


@dataclass(frozen=True)
class Greeting:
    """What a server says of itself. `version` is empty when it refused us with an error packet."""

    flavor: Flavor | None
    version: str
    error: str = ""


def identify(text: str) -> tuple[Flavor, str]:
    """The flavor and the bare version number in a version text, as of a greeting or of `mysqld --version`.

    Raises:
        ValueError: there is no version number in it.
    """
    # MariaDB before 11 greets as "5.5.5-10.11.19-MariaDB", for the sake of old replicas.
    found = re.search(r"\d+\.\d+\.\d+", text.replace("5.5.5-", "", 1))
    if found is None:
        raise ValueError(f"no version number in {text!r}")
    return ("mariadb" if "mariadb" in text.lower() else "mysql"), found.group()


def read_greeting(address: Address, timeout: float) -> Greeting:
    """Connect and read the first packet, within `timeout` seconds for each step.

    Raises:
        OSError: nobody listens, it took too long, or what came is not MySQL's protocol.
    """
    with _connect(address, timeout) as connection:
        header = _read_exactly(connection, 4)
        packet = _read_exactly(connection, int.from_bytes(header[:3], "little"))
    if packet[:1] == b"\x0a":
        flavor, version = identify(packet[1 : packet.index(b"\0", 1)].decode("ascii", "replace"))
        return Greeting(flavor, version)
    if packet[:1] == b"\xff":  # such as 1040: too many connections
        return Greeting(None, "", packet[3:].decode("utf-8", "replace"))
    raise OSError(f"{address} does not speak the MySQL protocol")


def wait_for_greeting(address: Address, timeout: float) -> Greeting:
    """Ask again until the server greets, for at most `timeout` seconds.

    Raises:
        TimeoutError: it did not, with the last failure as its cause.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return read_greeting(address, max(0.1, deadline - time.monotonic()))
        except OSError as error:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no greeting from {address} within {timeout:g} s") from error
        time.sleep(0.05)


def _connect(address: Address, timeout: float) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the server closed the connection before greeting")
        data += chunk
    return data
