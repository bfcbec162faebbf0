"""Make the files in recorded/ anew: `python tests/wire/record.py`, with the servers that async_mysqlpool.testing finds.

Real conversations after authentication, one packet a line, and after each step the facts that must be known then. The
facts are noted here, by hand, and are not what the wire says.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.metadata
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from async_mysqlpool.testing import start_server
from async_mysqlpool.wire import packets as p

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from async_mysqlpool.testing import Server

FOLDER = Path(__file__).parent / "recorded"
HOST = socket.gethostname().encode()
QUIET = 0.3  # seconds without a packet after which a server has said all

# By name: with "*", MySQL tells of each statement's number.
TRACK = "SET SESSION session_track_system_variables = 'sort_buffer_size'"
SCHEMA = """
    SET GLOBAL local_infile = ON
    SET GLOBAL log_bin_trust_function_creators = ON
    CREATE DATABASE other
    CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(600))
    CREATE TABLE n (i INT PRIMARY KEY)
    INSERT INTO n VALUES (1), (2), (3), (4)
    CREATE FUNCTION f() RETURNS INT BEGIN SET SESSION sort_buffer_size = 123456; RETURN 1; END
    CREATE VIEW v AS SELECT f() AS x
    CREATE PROCEDURE two() BEGIN SELECT 1; SELECT * FROM n; END
    CREATE PROCEDURE fails() BEGIN SELECT 1; SELECT * FROM nowhere; END
"""

# A statement, and what is known when it is answered. "rows" stands for what is known of every plain SELECT, "news" for
# that of a result set with a change behind it: both depend on what the packets at its end can say. "state" is a
# transaction that begins or ends, of which MySQL's tracker tells; "late" is a change that could not be told before.
STATEMENTS = [
    ("SELECT 1", "rows"),
    ("SELECT i, NULL, REPEAT('x', 300) FROM n", "rows"),
    ("SELECT i FROM n WHERE i > 9", "rows"),
    ("SELECT * FROM v", "rows news"),
    ("SET SESSION sort_buffer_size = 200000", "changed unsafe"),
    ("USE other", "changed moved unsafe"),
    ("USE test", "changed moved unsafe"),
    ("BEGIN", "in_transaction state unsafe"),
    ("INSERT INTO items (note) VALUES ('a'), ('b')", "in_transaction wrote unsafe"),
    ("ROLLBACK", "state unsafe"),
    ("CALL two()", "unsafe"),
    ("CALL fails()", "unheard unsafe"),
    ("SELECT nonsense", "unheard unsafe"),
    ("SELECT EXP(i * 300) FROM n", "unheard unsafe"),  # the error comes among the rows
    ("LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE items (note)", "wrote unsafe"),
    ("DO 1", "unsafe"),
]
# What is called on a connection of the driver's, by the names that its class has.
CALLS: dict[str, list[tuple[str, tuple[Any, ...], str]]] = {
    "asyncmy": [("ping", (False,), ""), ("select_db", ("other",), "changed moved unsafe")],
    "aiomysql": [("ping", (False,), ""), ("select_db", ("other",), "changed moved unsafe")],
    "mysql.connector.aio": [
        ("cmd_ping", (), ""),
        ("cmd_init_db", ("other",), "changed moved unsafe"),
        ("cmd_statistics", (), "unsafe"),
        ("cmd_reset_connection", (), "changed unsafe"),
        ("cmd_change_user", ("{user}", "{password}", "test"), "changed moved spent unsafe"),
    ],
}
# Commands said byte by byte, in place of a driver that says them.
ONE = b"\1\0\0\0"  # stands for the number of the statement
RAW = [
    ("rows with a change behind them", bytes((p.COM_QUERY,)) + b"SELECT * FROM v", "rows news"),
    ("OK", bytes((p.COM_QUERY,)) + b"DO 1", "late unsafe"),
    ("field list", bytes((p.COM_FIELD_LIST,)) + b"items\0", "unsafe"),
    ("statistics", bytes((p.COM_STATISTICS,)), "unsafe"),
    ("debug", b"\x0d", "unsafe"),
    ("prepare", bytes((p.COM_STMT_PREPARE,)) + b"SELECT i, ? FROM n", "unsafe"),
    ("long data", bytes((p.COM_STMT_SEND_LONG_DATA,)) + ONE + b"\0\0abc", "unsafe"),
    ("execute", bytes((p.COM_STMT_EXECUTE,)) + ONE + b"\0\1\0\0\0\0\1\xfc\0", "unsafe"),
    ("reset statement", bytes((p.COM_STMT_RESET,)) + ONE, "unsafe"),
    ("open cursor", bytes((p.COM_STMT_EXECUTE,)) + ONE + b"\1\1\0\0\0\0\1\xfd\0\1z", "unsafe"),
    ("fetch", bytes((p.COM_STMT_FETCH,)) + ONE + b"\2\0\0\0", "unsafe"),
    ("fetch the rest", bytes((p.COM_STMT_FETCH,)) + ONE + b"\7\0\0\0", "unsafe"),
    ("close", bytes((p.COM_STMT_CLOSE,)) + ONE, "unsafe"),
    ("execute what is closed", bytes((p.COM_STMT_EXECUTE,)) + ONE + b"\0\1\0\0\0", "unheard unsafe"),
    ("prepare what takes nothing", bytes((p.COM_STMT_PREPARE,)) + b"DO 1", "unsafe"),
    ("prepare nonsense", bytes((p.COM_STMT_PREPARE,)) + b"SELECT nonsense", "unheard unsafe"),
    ("ping", bytes((p.COM_PING,)), "unsafe"),  # its reply repeats the warnings of what failed before
    ("several statements refused", bytes((p.COM_QUERY,)) + b"SELECT 1; SELECT 2", "unheard unsafe"),
    ("several statements allowed", bytes((p.COM_SET_OPTION,)) + b"\0\0", "spent unsafe"),
    ("several statements", bytes((p.COM_QUERY,)) + b"SELECT 1; DO 1; SELECT 2; USE other", "changed moved unsafe"),
    ("reset", bytes((p.COM_RESET_CONNECTION,)), "unsafe"),
]


class Recording:
    """Chunks of both directions, in order, and notes between them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.capabilities = 0
        self._left = {">": b"", "<": b""}
        self.running = False

    def add(self, direction: str, data: bytes) -> None:
        data = self._left[direction] + data
        while len(data) >= p.HEADER and len(data) >= (end := p.HEADER + int.from_bytes(data[:3], "little")):
            packet, data = data[:end], data[end:]
            packet = packet.replace(HOST, b"h" * len(HOST))  # the connector tells where it runs
            if self.running:
                self.lines.append(f"{direction} {packet[3]} {packet[4:]!r}")
            elif not self.capabilities:
                self._greeting(direction, packet[p.HEADER :])
        self._left[direction] = data

    def _greeting(self, direction: str, payload: bytes) -> None:
        if direction == "<":
            at = payload.index(b"\0", 1) + 1 + 4 + 8 + 1
            self._offered = int.from_bytes(payload[at : at + 2] + payload[at + 5 : at + 7], "little")
        else:
            self.capabilities = self._offered & int.from_bytes(payload[:4], "little")

    def step(self, title: str) -> None:
        self.running = True
        self.lines += ["", f"# {title}"]

    def known(self, facts: str) -> None:
        """What must be known now."""
        old, mysql = not self.capabilities & p.CLIENT_DEPRECATE_EOF, self.capabilities & p.CLIENT_LONG_PASSWORD
        words = set(facts.split())
        if "rows" in words:
            words |= {"unsafe"} if old and mysql else set[str]()
        if "news" in words and not (old and mysql):
            words |= {"changed", "moved"} if old else {"changed"}
        if ("state" in words and mysql) or ("late" in words and old and mysql):
            words.add("changed")
        self.lines.append(f"= {' '.join(sorted(words - {'rows', 'news', 'late', 'state'}))}".rstrip())

    def save(self, name: str, title: str) -> None:
        text = [f"# {title}", f"capabilities {self.capabilities:#010x}", *self.lines, ""]
        (FOLDER / f"{name}.txt").write_text("\n".join(text), encoding="ascii")


@contextlib.asynccontextmanager
async def relay(server: Server, recording: Recording) -> AsyncIterator[int]:
    """Its port."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        while data := await reader.read(65536):
            recording.add(direction, data)
            writer.write(data)
        writer.close()

    ended = asyncio.Event()

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(server.host, server.port)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(carry(reader, back, ">"), carry(there, writer, "<"))
        ended.set()

    listener = await asyncio.start_server(link, "127.0.0.1", 0)
    yield listener.sockets[0].getsockname()[1]
    await ended.wait()
    listener.close()


async def connect(driver: str, server: Server, port: int) -> Any:
    options: dict[str, Any] = {
        "host": "127.0.0.1", "port": port, "user": server.user, "password": server.password, "autocommit": True,
    }  # fmt: skip
    module: Any = importlib.import_module(driver)
    if driver == "mysql.connector.aio":
        flags = importlib.import_module("mysql.connector.constants").ClientFlag.get_default()
        options |= {
            "ssl_disabled": True,
            "allow_local_infile": True,
            "client_flags": flags | p.CLIENT_SESSION_TRACK,
        }
    else:
        options |= {"client_flag": p.CLIENT_SESSION_TRACK, "local_infile": True}
    return await module.connect(**options, **{"database" if driver.startswith("mysql") else "db": "test"})


async def execute(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    if asyncio.iscoroutine(cursor) or not hasattr(cursor, "execute"):
        cursor = await cursor
    with contextlib.suppress(Exception):  # errors are part of the conversation
        await cursor.execute(statement)
        await cursor.fetchall()
        while await cursor.nextset():
            await cursor.fetchall()
    with contextlib.suppress(Exception):
        await cursor.close()


async def record(driver: str, server: Server) -> None:
    recording = Recording()
    async with relay(server, recording) as port:
        connection = await connect(driver, server, port)
        await execute(connection, TRACK)
        for statement, facts in STATEMENTS:
            if driver == "asyncmy" and statement.startswith("LOAD"):
                continue  # 0.2.18 raises a TypeError there, and leaves the server waiting for the file
            recording.step(statement)
            await execute(connection, statement)
            await asyncio.sleep(0.05)
            recording.known(facts)
        for name, arguments, facts in CALLS[driver]:
            recording.step(name)
            said = [value.format(**vars(server)) if isinstance(value, str) else value for value in arguments]
            await getattr(connection, name)(*said)
            await asyncio.sleep(0.05)
            recording.known(facts)
        recording.running = False
        if asyncio.iscoroutine(closing := connection.close()):
            await closing
    version = importlib.metadata.version({"mysql.connector.aio": "mysql-connector-python"}.get(driver, driver))
    recording.save(f"{driver.split('.')[0]}-{server.flavor}", f"{driver} {version}, {server.flavor} {server.version}")


def record_raw(server: Server, flags: int, name: str) -> None:
    recording, identifier = Recording(), ONE
    with plain_socket(server, flags, recording) as link:
        for title, payload, facts in RAW:
            recording.step(title)
            if payload[1:5] == ONE:
                payload = payload[:1] + identifier + payload[5:]
            data = len(payload).to_bytes(3, "little") + b"\0" + payload
            recording.add(">", data)
            link.sendall(data)
            with contextlib.suppress(TimeoutError):
                while reply := link.recv(65536):
                    recording.add("<", reply)
                    identifier = reply[5:9] if title == "prepare" else identifier
            recording.known(facts)
    recording.save(f"raw-{name}-{server.flavor}", f"byte by byte, {server.flavor} {server.version}")


@contextlib.contextmanager
def plain_socket(server: Server, flags: int, recording: Recording) -> Iterator[socket.socket]:
    """One on which pymysql has authenticated itself."""
    connection: Any = pymysql.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, database="test",
        client_flag=flags | p.CLIENT_SESSION_TRACK, init_command=TRACK,
        ssl_disabled=True, autocommit=True,
    )  # fmt: skip
    asked: int = connection.client_flag
    recording.capabilities = asked & connection.server_capabilities
    connection._sock.settimeout(QUIET)
    yield connection._sock
    connection._force_close()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for flavor in ("mariadb", "mysql"):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), start_server(flavor) as server:
            Path("rows.csv").write_text("one\ntwo\n", encoding="ascii")
            admin = pymysql.connect(
                host=server.host, port=server.port, user=server.user, password=server.password, database="test"
            )
            for statement in SCHEMA.strip().splitlines():
                admin.cursor().execute(statement)
            admin.commit()
            for driver in CALLS:
                asyncio.run(record(driver, server))
            record_raw(server, 0, "old")
            record_raw(server, p.CLIENT_DEPRECATE_EOF, "modern")


if __name__ == "__main__":
    main()
