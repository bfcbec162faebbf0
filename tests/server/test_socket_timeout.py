"""`socket_timeout` reaches the socket of every driver, and unix sockets do without."""

from __future__ import annotations

import socket

import pytest
from kit import BOTH_LOOPS

pytestmark = BOTH_LOOPS
NAMES = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")


@pytest.fixture
def sockets(adapter, monkeypatch):
    """Those of the connections that are opened from now on; later the pool gives them away to nobody."""
    connect, found = adapter.connect, []

    async def connect_and_tell(params):
        raw = await connect(params)
        found.append(adapter.socket(raw))
        return raw

    monkeypatch.setattr(adapter, "connect", connect_and_tell)
    return found


def limits(sock):
    return {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in NAMES}


async def test_the_limits_are_set_on_the_socket(pools, sockets):  # MySQL's is within TLS, MariaDB's is not
    await pools(socket_timeout=24)
    assert sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
    assert list(limits(sockets[0]).values()) == [12, 3, 4, 24_000]


async def test_without_it_nothing_is_set(pools, sockets):
    await pools()
    assert limits(sockets[0])["TCP_USER_TIMEOUT"] == 0


async def test_a_unix_socket_needs_none(pools, server, caplog):
    if server.unix_socket is None:
        pytest.skip("the server listens on no unix socket here")
    pool = await pools(socket_timeout=24, unix_socket=server.unix_socket)
    assert await pool.fetch_value("SELECT 1") == 1
    assert "socket_timeout" not in caplog.text
