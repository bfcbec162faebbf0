"""Real programs between a client and a server: mysql-router and haproxy."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from async_mysqlpool.testing import ServerStartError, ServerUnavailable, packages, start_server
from async_mysqlpool.testing import local as local_module
from async_mysqlpool.testing.greeting import read_greeting
from async_mysqlpool.testing.relays import HAProxy, start_haproxy, start_router

pymysql = pytest.importorskip("pymysql")

WAYS = {
    "haproxy": start_haproxy,
    "router": start_router,
    "router with TLS": partial(start_router, tls="own"),
    "router passing TLS through": partial(start_router, tls="passthrough"),
    "router sharing": partial(start_router, connection_sharing=True),
    "router sharing, with TLS": partial(start_router, connection_sharing=True, tls="own"),
}
# How the connection of a client that would take TLS is then, and whether the greeting's id is the connection's.
SECURE = {"haproxy", "router with TLS", "router passing TLS through", "router sharing, with TLS"}
TRUE_ID = {"haproxy", "router passing TLS through"}

pytestmark = pytest.mark.server


def connect(server, **options):
    where = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    return pymysql.connect(**where, database=server.database, **options)


def value(server, sql):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@pytest.fixture(scope="module")
def server():
    with start_server("mysql") as server:
        yield server


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def relay(server, way):
    with WAYS[way](server) as relay:
        yield relay


def test_leads_to_the_server(server, relay, way):
    assert relay.port != server.port
    assert relay.dsn("aiomysql", max_size=2) == server.dsn("aiomysql", max_size=2).replace(
        str(server.port), str(relay.port)
    )
    with connect(relay) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@port, CONNECTION_ID()")
        port, own_id = cursor.fetchone()
        assert port == server.port
        assert connection._secure == (way in SECURE)
        assert (connection.thread_id() == own_id) == (way in TRUE_ID)


def test_ends_and_starts_again_while_the_server_runs_on(server, relay):
    for ending in (relay.stop, relay.kill):
        ending()
        with pytest.raises(OSError):
            read_greeting((relay.host, relay.port), 1)
        assert value(server, "SELECT 1") == 1
        relay.start()
        assert value(relay, "SELECT 1") == 1


def test_frozen_it_accepts_and_says_nothing(relay):
    relay.freeze()
    with pytest.raises(TimeoutError):
        read_greeting((relay.host, relay.port), 0.3)
    relay.thaw()
    assert value(relay, "SELECT 1") == 1


def test_closed_for_good(relay):
    relay.close()
    with pytest.raises(OSError):
        read_greeting((relay.host, relay.port), 1)
    with pytest.raises(ServerStartError, match="is closed"):
        relay.start()


def test_before_a_mariadb():
    with start_server("mariadb") as server, start_haproxy(server) as haproxy, start_router(server) as router:
        for relay in (haproxy, router):
            assert relay.flavor == "mariadb"
            assert value(relay, "SELECT @@port") == server.port


def test_a_port_that_somebody_took(server, monkeypatch):
    ports = iter([server.port, server.port, local_module.free_port()])
    monkeypatch.setattr(local_module, "free_port", lambda: next(ports))
    with start_haproxy(server) as haproxy:
        assert haproxy.port != server.port
        assert value(haproxy, "SELECT @@port") == server.port


def test_what_it_said_is_in_the_error(server, monkeypatch):
    monkeypatch.setattr(HAProxy, "_configuration", lambda self: "strange\n")
    with pytest.raises(ServerStartError, match="unknown keyword 'strange'"):
        start_haproxy(server)


def test_cannot_be_had(server, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(packages.shutil, "which", lambda *_: None)
    message = "no {} on PATH, and none from Debian's packages: this is no Debian or Ubuntu: no apt-get, apt-cache, dpkg"
    for start, program in ((start_router, "mysqlrouter"), (start_haproxy, "haproxy")):
        with pytest.raises(ServerUnavailable, match=message.format(program)):
            start(server)


@pytest.mark.parametrize("start", ["start_haproxy", "start_router"])
def test_gone_with_its_process(server, start):
    code = (
        "import time; from types import SimpleNamespace;"
        f"from async_mysqlpool.testing.relays import {start};"
        f"server = SimpleNamespace(host={server.host!r}, port={server.port}, flavor='mysql', version='', user='',"
        f" password='', database='', query={{}}); relay = {start}(server);"
        "print(relay.port, relay._folder, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with child:
        port, folder = child.stdout.readline().split()
        child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (Path(folder).exists() or answers(int(port))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(folder).exists()
    assert not answers(int(port))


def answers(port):
    try:
        read_greeting(("127.0.0.1", port), 1)
    except OSError:
        return False
    return True
