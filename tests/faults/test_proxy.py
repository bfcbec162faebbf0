"""The fault proxy itself, before a server that says everything again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from async_mysqlpool.testing.proxy import Proxy


@dataclass
class Echo:
    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    resets: int = 0

    async def talk(self, reader, writer):
        self.connections += 1
        try:
            while data := await reader.read(1000):
                writer.write(data)
        except ConnectionResetError:
            self.resets += 1
        writer.close()


@pytest.fixture
async def echo():
    echo = Echo()
    async with await asyncio.start_server(echo.talk, echo.host) as server:
        echo.port = server.sockets[0].getsockname()[1]
        yield echo


@pytest.fixture
async def proxy(echo):
    async with Proxy(echo) as proxy:
        yield proxy


@pytest.fixture
async def dial(proxy):
    writers = []

    async def dial():
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writers.append(writer)
        return reader, writer

    yield dial
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


async def say(link, text):
    """What comes back."""
    reader, writer = link
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), 10)


async def nothing_comes(link):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(link[0].read(1), 0.1)


async def until(check):
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.005)


async def test_carries_and_counts(dial, echo, proxy):
    one, other = await dial(), await dial()
    assert await say(one, b"one") == b"one"
    assert await say(other, b"other") == b"other"
    assert (proxy.attempts, proxy.reached, proxy.open, proxy.peak) == (2, 2, 2, 2)
    assert (proxy.sent, proxy.received) == (8, 8)
    one[1].close()
    await until(lambda: proxy.open == 1)
    assert (proxy.attempts, proxy.peak, echo.connections) == (2, 2, 2)


async def test_notes_commands(dial, proxy):
    link = await dial()
    await say(link, b"\x05\0\0\0\x03SELE\x01\0\0\0\x0e\x02\0\0\x01ab\x01\0")
    await say(link, b"\0\0\x1f")
    assert proxy.commands == [0x03, 0x0E, 0x1F]


async def test_cut_is_a_reset_on_both_sides(dial, echo, proxy):
    one, other = await dial(), await dial()
    await say(one, b"x")
    await say(other, b"x")
    proxy.cut(1)
    with pytest.raises(ConnectionResetError):
        await one[0].read(1)
    await until(lambda: echo.resets == 1)
    assert await say(other, b"still here") == b"still here"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await other[0].read(1)


async def test_half_close_ends_one_way(dial, proxy):
    reader, writer = link = await dial()
    await say(link, b"x")
    proxy.half_close()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.write(b"heard all the same")
    await until(lambda: proxy.sent == 19)
    assert proxy.open == 1


async def test_frozen_bytes_arrive_after_the_thaw(dial, echo, proxy):
    old = await dial()
    await say(old, b"x")
    proxy.freeze()
    new = await dial()
    for link in (old, new):
        link[1].write(b"abc")
        link[1].write(b"def")
        await nothing_comes(link)
    assert (proxy.attempts, proxy.reached, echo.connections) == (2, 1, 1)
    proxy.thaw()
    for link in (old, new):
        assert await asyncio.wait_for(link[0].readexactly(6), 10) == b"abcdef"


async def test_frozen_means_that_nobody_learns_who_hung_up(dial, proxy):
    reader, writer = await dial()
    await say((reader, writer), b"x")
    proxy.freeze("open")
    writer.transport.abort()
    await asyncio.sleep(0.05)
    assert proxy.open == 1
    proxy.thaw()
    await until(lambda: proxy.open == 0)


async def test_only_open_links_or_only_new_ones(dial, proxy):
    old = await dial()
    await say(old, b"x")
    proxy.freeze("open")
    new = await dial()
    assert await say(new, b"new") == b"new"
    await nothing_comes(old)
    proxy.thaw()
    proxy.freeze("new")
    newer = await dial()
    assert await say(old, b"old") == b"old"
    newer[1].write(b"x")
    await nothing_comes(newer)


async def test_slow_by_rate_and_by_delay(dial, proxy):
    link = await dial()
    await say(link, b"x")
    loop = asyncio.get_running_loop()
    for fault in ({"rate": 200.0}, {"delay": 0.1}):
        proxy.slow(**fault)
        started = loop.time()
        assert await say(link, bytes(40)) == bytes(40)
        assert loop.time() - started >= 0.19  # both ways


async def test_garbles_from_a_byte_on(dial, proxy):
    link = await dial()
    await say(link, b"before")
    proxy.garble(4)
    assert await say(link, b"abc") == b"abc"
    assert await say(link, b"d\x00\xff") == b"d\xff\x00"


@pytest.mark.parametrize("then", ["freeze", "cut", "half-close"])
async def test_stops_after_a_byte(dial, proxy, then):
    reader, writer = link = await dial()
    await say(link, b"before")
    proxy.stop(3, then)
    writer.write(b"abcdef")
    assert await asyncio.wait_for(reader.readexactly(3), 10) == b"abc"
    if then == "freeze":
        await nothing_comes(link)
        proxy.thaw()
        assert await asyncio.wait_for(reader.readexactly(3), 10) == b"def"
    elif then == "cut":
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 10)
    else:
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_refuses_and_accepts_again(dial, proxy):
    link = await dial()
    await say(link, b"x")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await dial()
    assert await say(link, b"open links stay") == b"open links stay"
    await proxy.accept()
    assert await say(await dial(), b"back") == b"back"


async def test_server_that_is_not_there(dial, echo, proxy):
    """Accepted and hung up at once, as many load balancers do."""
    echo.port = 1
    reader, _ = await dial()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    assert (proxy.attempts, proxy.reached) == (1, 0)
