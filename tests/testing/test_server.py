"""Throwaway servers: where they come from, and what can be done to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from async_mysqlpool.testing import (
    Server,
    ServerStartError,
    ServerUnavailable,
    docker,
    external,
    local,
    packages,
    process,
    start_server,
)
from async_mysqlpool.testing import server as server_module
from async_mysqlpool.testing.cache import build_once, cache_folder
from async_mysqlpool.testing.greeting import Greeting, identify, read_greeting, wait_for_greeting

GREETING = b"\x0a" + b"8.4.3\0" + b"rest of it"
MARIADB_GREETING = b"\x0a" + b"5.5.5-10.11.19-MariaDB-0+deb12u1\0" + b"rest of it"


def packet(body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + b"\0" + body


@pytest.fixture
def listener(request):
    """A port that sends the parametrised bytes to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def serve() -> None:
            while True:
                try:
                    connection, _ = sock.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(request.param)

        thread = threading.Thread(target=serve)
        thread.start()
        yield sock.getsockname()
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "async-mysqlpool"


class TestGreeting:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("5.5.5-10.11.19-MariaDB-0+deb12u1", ("mariadb", "10.11.19")),
            ("11.8.3-MariaDB", ("mariadb", "11.8.3")),
            ("mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)", ("mysql", "8.0.36")),
            ("9.7.4-2", ("mysql", "9.7.4")),
        ],
    )
    def test_identify(self, text, expected):
        assert identify(text) == expected

    @pytest.mark.parametrize("listener", [packet(GREETING)], indirect=True)
    def test_says_who_it_is(self, listener):
        assert read_greeting(listener, 5) == Greeting("mysql", "8.4.3")

    @pytest.mark.parametrize("listener", [packet(b"\xff\x10\x04Too many connections")], indirect=True)
    def test_refusal_is_an_answer(self, listener):
        assert read_greeting(listener, 5) == Greeting(None, "", "Too many connections")

    @pytest.mark.parametrize("listener", [b"", b"\x4a\0", packet(b"HTTP"), packet(b"")], indirect=True)
    def test_anything_else_is_an_error(self, listener):
        with pytest.raises(OSError):
            read_greeting(listener, 5)

    def test_nobody_there(self):
        with pytest.raises(TimeoutError, match=r"no greeting from .* within 0\.2 s"):
            wait_for_greeting(("127.0.0.1", local.free_port()), 0.2)


class TestCache:
    def test_built_once(self, cache):
        calls = []

        def build(folder: Path) -> None:
            calls.append(folder)
            (folder / "file").write_text("made")

        for _ in range(2):
            assert (build_once("kind/name", build) / "file").read_text() == "made"
        assert len(calls) == 1

    def test_failed_build_leaves_nothing(self, cache):
        def build(folder: Path) -> None:
            (folder / "half").touch()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_once("name", build)
        assert [file.name for file in cache.iterdir()] == ["name.lock"]

    def test_leftover_of_a_killed_builder_is_removed(self, cache):
        leftover = cache / ".name.building-abc"
        leftover.mkdir(parents=True)
        build_once("name", lambda folder: None)
        assert not leftover.exists()

    def test_two_at_a_time_build_once(self, cache):
        calls = []

        def build(folder: Path) -> None:
            calls.append(folder)
            time.sleep(0.1)

        threads = [threading.Thread(target=build_once, args=("name", build)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(calls) == 1

    def test_without_a_home_it_is_private(self, monkeypatch, tmp_path):
        file = tmp_path / "no folder"
        file.touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(file))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        folder = cache_folder()
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        folder.chmod(0o777)
        with pytest.raises(PermissionError, match="XDG_CACHE_HOME"):
            cache_folder()


class TestExternal:
    @pytest.fixture(autouse=True)
    def no_variables(self, monkeypatch):
        for name in ("", "_MARIADB", "_MYSQL"):
            monkeypatch.delenv(f"ASYNC_MYSQLPOOL_DSN{name}", raising=False)

    @pytest.mark.parametrize("listener", [packet(MARIADB_GREETING)], indirect=True)
    def test_used_where_the_flavor_matches(self, listener, monkeypatch):
        dsn = f"mysql://me:p%40ss@127.0.0.1:{listener[1]}/shop?charset=utf8mb4"
        monkeypatch.setenv("ASYNC_MYSQLPOOL_DSN", dsn)
        with start_server() as server:
            assert (server.flavor, server.version) == ("mariadb", "10.11.19")
            assert (server.user, server.password, server.database) == ("me", "p@ss", "shop")
            assert server.dsn() == dsn
            for verb in ("start", "stop", "kill", "freeze", "thaw", "restart"):
                with pytest.raises(ServerUnavailable, match="was not started by us"):
                    getattr(server, verb)()
        with pytest.raises(ServerUnavailable, match=r"is mariadb 10\.11\.19"):
            external.start("mysql", {}, 5)
        with pytest.raises(ServerUnavailable, match=r"cannot set options \(sql_mode\)"):
            external.start("mariadb", {"sql_mode": ""}, 5)

    def test_unset(self):
        with pytest.raises(ServerUnavailable, match="neither ASYNC_MYSQLPOOL_DSN_MYSQL nor"):
            external.start("mysql", {}, 5)

    @pytest.mark.parametrize("dsn", ["mysql://127.0.0.1:1/x", "mysql://h:port/x"])
    def test_named_but_not_there_is_no_reason_to_take_another(self, dsn, monkeypatch):
        monkeypatch.setenv("ASYNC_MYSQLPOOL_DSN_MYSQL", dsn)
        with pytest.raises(ServerStartError, match="ASYNC_MYSQLPOOL_DSN"):
            start_server("mysql")


class TestChoice:
    def test_error_lists_what_was_tried(self, monkeypatch):
        def refuse(*_):
            raise ServerUnavailable("because")

        for source in (external, process, docker, packages):
            monkeypatch.setattr(source, "start", refuse)
        with pytest.raises(ServerUnavailable) as caught:
            start_server("mysql")
        lines = str(caught.value).splitlines()
        assert lines[0] == "no mysql server can be had here:"
        assert lines[1:5] == [f"  - {title}, mysql: because" for title in server_module._SOURCES.values()]
        assert lines[5].startswith("Do one of these")

    def test_each_source_is_asked_for_both_flavors_before_the_next(self, monkeypatch):
        asked = []

        def refuse(flavor, options, timeout):
            asked.append(flavor)
            raise ServerUnavailable("no")

        found = object()
        monkeypatch.setattr(external, "start", refuse)
        monkeypatch.setattr(process, "start", lambda *_: found)
        assert start_server() is found
        assert asked == ["mariadb", "mysql"]

    def test_import_is_cheap(self):
        heavy = "{'aiomysql', 'asyncmy', 'mysql', 'docker', 'testcontainers', 'pytest', 'fcntl', 'subprocess'}"
        code = f"import sys, async_mysqlpool.testing; print(sorted({heavy} & set(sys.modules)) or 'nothing')"
        before = f"import sys, async_mysqlpool; print(sorted({heavy} & set(sys.modules)) or 'nothing')"
        outputs = [subprocess.check_output([sys.executable, "-c", text]) for text in (before, code)]
        assert outputs[0] == outputs[1]

    def test_a_mysqld_of_mariadb_is_not_mysql(self, monkeypatch, tmp_path):
        program = tmp_path / "mysqld"
        program.write_text("#!/bin/sh\necho 'mysqld  Ver 10.11.19-MariaDB for Linux'\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(process, "_FOLDERS", ())
        assert process.find_installation("mariadb").version == "10.11.19"
        with pytest.raises(ServerUnavailable, match="no mysqld on PATH"):
            process.find_installation("mysql")

    def test_no_debian(self, monkeypatch):
        monkeypatch.setattr(packages.shutil, "which", lambda _: None)
        with pytest.raises(ServerUnavailable, match="no Debian or Ubuntu: no apt-get, apt-cache, dpkg"):
            packages.fetch("mysql")


class FakeContainer:
    """What testcontainers' DockerContainer and the Docker client's container do, as far as we use it."""

    def __init__(self, image: str) -> None:
        self.image, self.status, self.calls, self.env = image, "created", [], {}

    def with_env(self, name: str, value: str) -> None:
        self.env[name] = value

    def with_bind_ports(self, container: int, host: int) -> None:
        self.ports = (container, host)

    def with_command(self, command: list[str]) -> None:
        self.command = command

    def get_container_host_ip(self) -> str:
        return "localhost"

    def get_exposed_port(self, port: int) -> str:
        return str(self.ports[1])

    def get_wrapped_container(self) -> FakeContainer:
        return self

    def reload(self) -> None: ...

    def logs(self) -> bytes:
        return b"the log"

    def start(self) -> None:
        self._become("running")

    def stop(self, timeout: int = 0, force: bool = False, delete_volume: bool = False) -> None:
        self._become("removed" if delete_volume else "exited")

    def kill(self) -> None:
        self._become("exited")

    def wait(self) -> None: ...

    def pause(self) -> None:
        self._become("paused")

    def unpause(self) -> None:
        self._become("running")

    def _become(self, status: str) -> None:
        self.status = status
        self.calls.append(status)


class TestDocker:
    @pytest.fixture(autouse=True)
    def ready(self, monkeypatch):
        monkeypatch.setattr(docker, "wait_for_greeting", lambda *_: Greeting("mysql", "8.4.3"))

    def test_life(self):
        with docker.DockerServer(FakeContainer, "mysql", {"sql_mode": "ANSI"}) as server:
            container = server._container
            assert container.image == "mysql:lts"
            assert container.env == {"MYSQL_ROOT_PASSWORD": server.password, "MYSQL_DATABASE": "test"}
            assert container.command[-1] == "--sql_mode=ANSI"
            assert (server.host, server.port) == ("127.0.0.1", container.ports[1])
            assert server.version == "8.4.3"
            server.freeze()
            server.stop()
            server.start()
            server.kill()
            server.kill()
            server.restart()
            assert server.log() == "the log"
        assert container.calls == [
            *("running", "paused", "running", "exited", "running", "exited", "exited", "running", "removed"),
        ]

    def test_did_not_come_up(self, monkeypatch):
        monkeypatch.setattr(FakeContainer, "start", lambda self: self._become("exited"))
        with pytest.raises(ServerStartError, match="the log"):
            docker.DockerServer(FakeContainer, "mariadb", {})

    def test_no_engine(self, monkeypatch):
        def no_engine(timeout):
            raise OSError("no socket")

        modules = {
            "testcontainers.core.container": SimpleNamespace(),
            "testcontainers.core.docker_client": SimpleNamespace(DockerClient=no_engine),
        }
        monkeypatch.setattr(docker.importlib, "import_module", modules.__getitem__)
        with pytest.raises(ServerUnavailable, match=r"no Docker engine answers \(no socket\)"):
            docker.start("mysql", {}, 5)


def rows(server: Server, sql: str, **options):
    """Run one statement over a connection of its own."""
    pymysql = pytest.importorskip("pymysql")
    where = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    arguments = {**where, "database": server.database, "autocommit": True, **options}
    with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def server(request):
    with start_server(request.param) as server:
        if isinstance(server, external.ExternalServer):
            pytest.skip("a server that is not ours cannot be stopped")
        yield server


@pytest.mark.server
class TestRealServer:
    def test_dsn_leads_to_it(self, server):
        parts = urlsplit(server.dsn("aiomysql", max_size=5, autocommit=False))
        assert parts.scheme == "mysql+aiomysql"
        assert (parts.hostname, parts.port, parts.path) == (server.host, server.port, "/test")
        assert (parts.username, parts.password) == (server.user, server.password)
        assert parts.query == "max_size=5&autocommit=false"
        assert server.version in rows(server, "SELECT VERSION()")[0][0]
        assert server.dsn(user="a/b", password="p@:", database="").startswith("mysql://a%2Fb:p%40%3A@127.0.0.1:")

    def test_unix_socket(self, server):
        assert rows(server, "SELECT DATABASE()", unix_socket=server.unix_socket) == (("test",),)

    def test_the_account_may_create_accounts(self, server):
        rows(server, "CREATE USER reader@'%' IDENTIFIED BY 'secret'")
        rows(server, "GRANT SELECT ON test.* TO reader@'%'")
        assert rows(server, "SELECT 1", user="reader", password="secret") == ((1,),)

    @pytest.mark.parametrize("ending", ["stop", "kill"])
    def test_same_port_and_data_afterwards(self, server, ending):
        port = server.port
        rows(server, f"CREATE TABLE after_{ending} (a INT) ENGINE=InnoDB")
        rows(server, f"INSERT INTO after_{ending} VALUES (7)")
        getattr(server, ending)()
        with pytest.raises(OSError):
            read_greeting((server.host, server.port), 1)
        getattr(server, ending)()  # once more is fine
        server.start()
        server.start()
        assert server.port == port
        assert rows(server, f"SELECT a FROM after_{ending}") == ((7,),)

    def test_frozen_it_accepts_and_says_nothing(self, server):
        server.freeze()
        with pytest.raises(TimeoutError):
            read_greeting((server.host, server.port), 0.3)
        server.thaw()
        assert rows(server, "SELECT 1") == ((1,),)

    def test_frozen_it_can_be_stopped(self, server):
        server.freeze()
        server.restart()
        assert rows(server, "SELECT 1") == ((1,),)
        assert "ready for connections" in server.log()

    def test_a_forked_child_leaves_it_alone(self, server):
        child = os.fork()
        if child == 0:
            server.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert rows(server, "SELECT 1") == ((1,),)


@pytest.mark.server
@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
class TestRealStart:
    def test_two_at_a_time_with_options(self, flavor):
        with (
            start_server(flavor, options={"character-set-server": "koi8r"}) as first,
            start_server(flavor) as second,
        ):
            assert first.port != second.port
            assert rows(first, "SELECT @@character_set_server") == (("koi8r",),)
            assert rows(second, "SELECT @@character_set_server") != (("koi8r",),)
            uuids = [rows(one, "SELECT @@server_uuid" if flavor == "mysql" else "SELECT 1") for one in (first, second)]
            assert (uuids[0] != uuids[1]) == (flavor == "mysql")

    def test_option_that_has_to_be_there_from_the_beginning(self, flavor):
        with start_server(flavor, options={"lower_case_table_names": 1}) as server:
            assert rows(server, "SELECT @@lower_case_table_names") == ((1,),)

    def test_log_is_in_the_error(self, flavor):
        with pytest.raises(ServerStartError, match="no_such_variable"):
            start_server(flavor, options={"no_such_variable": 1})

    @pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
    def test_gone_with_its_process(self, flavor, ending):
        code = (
            "import signal, sys, time; from async_mysqlpool.testing import start_server;"
            "signal.signal(signal.SIGINT, signal.default_int_handler);"
            f"s = start_server({flavor!r}); print(s.pid, s._folder, flush=True); time.sleep(60)"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with child:
            assert child.stdout is not None
            pid, folder = child.stdout.readline().split()
            child.send_signal(ending)
        deadline = time.monotonic() + 10
        while (Path(folder).exists() or lives(pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not Path(folder).exists()
        assert not lives(pid)


def lives(pid: str) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False)
    # In a container nobody may care for orphans: a zombie is as good as gone.
    return state.stdout.strip()[:1] not in ("", "Z")
