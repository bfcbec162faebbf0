"""The proxy that knows MySQL's packets, as a client sees it that writes several commands at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from async_mysqlpool.testing import start_server
from async_mysqlpool.testing.mysql_proxy import Drops, Ignores, MySQLProxy, Persona, Refuses, Renames, Stalls, Swaps

pymysql = pytest.importorskip("pymysql")

pytestmark = pytest.mark.server
COM_QUERY, COM_PING, COM_RESET_CONNECTION = 0x03, 0x0E, 0x1F
LIMIT = 20  # connections
PATIENCE = 10.0  # seconds for a reply that must come
SILENCE = 0.05  # seconds after which one that need not has not come


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def server(request):
    with start_server(request.param, options={"max_connections": LIMIT}) as server:
        yield server


class Client:
    """A client in a thread of its own, since the proxy runs in the test's event loop."""

    def __init__(self, server, port) -> None:
        self.connection = pymysql.connect(
            host=server.host, port=port, user=server.user, password=server.password, database=server.database
        )

    def pipeline(self, *commands, count=None):
        """Write packets at once; so many replies (None: one each), and what else comes within a moment.

        A reply is "OK", an error's number, or the last row's text.
        """
        sock = self.connection._sock
        data = (bytes((code,)) + body for code, body in commands)
        sock.sendall(b"".join(len(body).to_bytes(3, "little") + b"\0" + body for body in data))
        sock.settimeout(PATIENCE)
        replies = [self._reply() for _ in range(len(commands) if count is None else count)]
        sock.settimeout(SILENCE)
        with suppress(TimeoutError):
            while True:
                replies.append(self._reply())
        sock.settimeout(PATIENCE)
        return replies

    def value(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    def lives(self):
        try:
            return self.value("SELECT 1") == 1
        except pymysql.err.Error:
            return False

    def _reply(self):
        payload = self._packet()
        if payload[0] == 0:
            return "OK"
        if payload[0] == 0xFF:
            return int.from_bytes(payload[1:3], "little")
        text = ""
        ends = 0
        while ends < 2:
            payload = self._packet()
            if payload[0] == 0xFE:
                ends += 1
            elif ends:
                text = payload[1:].decode()
        return text

    def _packet(self):
        header = self._read(4)
        return self._read(int.from_bytes(header[:3], "little"))

    def _read(self, size):
        data = b""
        while len(data) < size:
            data += self.connection._sock.recv(size - len(data))
        return data


@pytest.fixture
async def connect(server):
    """A function that connects a client, to a proxy or to the server itself."""
    made = []

    async def run(where):
        made.append(await asyncio.to_thread(Client, server, where.port))
        return made[-1]

    yield run
    for client in made:
        client.connection._force_close()


@pytest.fixture
async def through(server, connect):
    """A function that makes a client behind a proxy with a persona, and gives what another function does with it."""

    async def run(persona, work):
        async with MySQLProxy(server, persona) as proxy:
            return await asyncio.to_thread(work, await connect(proxy))

    return run


PING = (COM_PING, b"")
RESET = (COM_RESET_CONNECTION, b"")
LONG = (COM_QUERY, f"SELECT LENGTH('{'b' * 100_000}')".encode())  # more than one read of the proxy's


def select(text):
    return (COM_QUERY, f"SELECT '{text}'".encode())


FOUR = (PING, select("a"), RESET, select("b"))
PIPELINED = {
    "honest": (Persona(), ["OK", "a", "OK", "b"]),
    "swaps": (Swaps(), ["OK", "a", "b", "OK"]),
    "drops": (Drops(), ["OK", "OK", "b"]),
    "stalls": (Stalls(), ["OK"]),
    "refuses": (Refuses(COM_RESET_CONNECTION), ["OK", "a", 1047, "b"]),
    "ignores": (Ignores(COM_RESET_CONNECTION), ["OK", "a", "b"]),
}


@pytest.mark.parametrize(("persona", "replies"), PIPELINED.values(), ids=PIPELINED)
async def test_pipelined(through, persona, replies):
    assert await through(persona, lambda client: client.pipeline(*FOUR, count=len(replies))) == replies


ALONE = {"honest": Persona(), "swaps": Swaps(), "drops": Drops(), "stalls": Stalls(), "ignores ping": Ignores(COM_PING)}


@pytest.mark.parametrize("persona", ALONE.values(), ids=ALONE)
async def test_one_after_the_other(through, persona):
    def work(client):
        return [client.pipeline(command) for command in (select("a"), RESET, LONG)]

    assert await through(persona, work) == [["a"], ["OK"], ["100000"]]


async def test_stalled_it_stays(through):
    assert await through(Stalls(), lambda client: [client.pipeline(PING, PING, count=n) for n in (1, 0)]) == [
        ["OK"],
        [],
    ]


@pytest.mark.parametrize(("links", "old", "new"), [("all", 1047, 1047), ("open", 1047, "OK"), ("new", "OK", 1047)])
async def test_the_persona_may_change(server, connect, links, old, new):
    async with MySQLProxy(server) as proxy:
        before = await connect(proxy)
        proxy.behave(Refuses(COM_RESET_CONNECTION), links)
        after = await connect(proxy)
        assert await asyncio.to_thread(before.pipeline, RESET, PING) == [old, "OK"]
        assert await asyncio.to_thread(after.pipeline, RESET, PING) == [new, "OK"]
        proxy.behave(Persona())
        assert await asyncio.to_thread(before.pipeline, RESET) == ["OK"]


@pytest.mark.parametrize("answers", [False, True])
async def test_another_id(through, answers):
    def work(client):
        return (
            client.connection.thread_id(),
            client.value("SELECT connection_id()"),
            client.value("SELECT @@pseudo_thread_id"),
        )

    greeted, asked, variable = await through(Renames(lambda real: real + 1000, answers=answers), work)
    assert greeted > 1000
    assert asked == variable == (greeted if answers else greeted - 1000)


@pytest.mark.parametrize("kills", [False, True])
async def test_who_is_killed(server, connect, kills):
    """Who the id was given to, or a bystander that has it on the server."""
    bystander = await connect(server)
    greeted = bystander.connection.thread_id()
    async with MySQLProxy(server, Renames(lambda _: greeted, kills=kills)) as proxy:
        victim = await connect(proxy)
        proxy.behave(Renames(lambda real: real, kills=kills))
        killer = await connect(proxy)
        assert await asyncio.to_thread(killer.pipeline, (COM_QUERY, b"KILL CONNECTION %d" % greeted)) == ["OK"]
        assert await asyncio.to_thread(bystander.lives) == kills
        assert await asyncio.to_thread(victim.lives) != kills


async def test_a_command_of_two_packets(server, connect):
    """What continues a command goes with it."""
    sent: list[list[int]] = []

    class Listens(Persona):
        def pass_on(self, commands, link):
            sent.append([len(command) for command in commands])
            return commands

    size = 17 * 1024 * 1024
    direct = await connect(server)
    assert await asyncio.to_thread(direct.pipeline, (COM_QUERY, b"SET GLOBAL max_allowed_packet = 67108864")) == ["OK"]
    async with MySQLProxy(server) as proxy:
        client = await connect(proxy)
        proxy.behave(Listens())
        assert await asyncio.to_thread(client.value, f"SELECT LENGTH('{'x' * size}')") == size
    assert sent == [[2 * 4 + 1 + len("SELECT LENGTH('')") + size]]


async def test_a_server_that_is_full_says_so_through_it(server, connect):
    async with MySQLProxy(server) as proxy:
        with pytest.raises(pymysql.err.OperationalError) as caught:
            for _ in range(LIMIT + 10):
                await connect(proxy)
        assert caught.value.args[0] == 1040
