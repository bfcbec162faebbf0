"""What `ssl` means, and what a server is never told: the same on every driver, whoever it is that answers."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

import pymysql
import pytest
from certificates import Authority
from impostor import OK, PUBLIC_KEY, Impostor, greeting, switch
from kit import BOTH_LOOPS, Account, eventually

from async_mysqlpool import ConnectError, ConnectionPool, ServerUnavailableError
from async_mysqlpool.testing.proxy import Proxy

PASSWORD = "s3cret-and-long"
WITH_TLS = pytest.mark.parametrize("server", ["mariadb-tls", "mysql-tls"], indirect=True)
WITHOUT_TLS = pytest.mark.parametrize("server", ["mariadb", "mysql-plain"], indirect=True)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody here trusts."""
    return Authority(tmp_path_factory.mktemp("certificates") / "theirs")


@pytest.fixture
def contexts(authority, stranger, monkeypatch):
    """What `ssl` may be, by the words of the tables below; the system trusts our authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    nameless = authority.context()
    nameless.check_hostname = False
    old = authority.context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    return {
        "None": None, "False": False, "True": True, "ours": authority.context(), "theirs": stranger.context(),
        "unverified": unverified, "nameless": nameless, "old": old,
    }  # fmt: skip


def introduce(server, account):
    """Let MySQL remember a password, so that it need not ask for it in plain text: somebody logs in over the socket."""
    pymysql.connect(unix_socket=server.unix_socket, user=account.user, password=account.password).close()


async def cipher(pool):
    return (await pool.fetch_one("SHOW SESSION STATUS LIKE 'Ssl_cipher'"))[1]


async def refusal(pool_options, dsn):
    """The permanent error that opening a pool ends in at once; what is temporary would be tried for a minute."""
    pool = ConnectionPool(dsn, **pool_options)
    with pytest.raises(ConnectError) as caught:
        await pool.open(timeout=20)
    assert not isinstance(caught.value, ServerUnavailableError), caught.value
    assert PASSWORD not in repr(caught.value)
    return str(caught.value)


# -- real servers: what is encrypted, and who is believed ------------------------------------------------------------

MISMATCH = "for another name: connect to a host that it names"
UNTRUSTED = "check who signed the server's certificate"
# The choice, the host by which the server is reached, and whether it ends encrypted, or else in which words.
OFFERED = [
    ("None", "127.0.0.1", True), ("None", "127.0.0.2", True), ("False", "127.0.0.1", False),
    ("True", "127.0.0.1", True), ("True", "localhost", True), ("True", "127.0.0.2", MISMATCH),
    ("ours", "127.0.0.1", True), ("ours", "127.0.0.2", MISMATCH), ("theirs", "127.0.0.1", UNTRUSTED),
    ("unverified", "127.0.0.2", True), ("nameless", "127.0.0.2", True),
    ("old", "127.0.0.1", "no kind of TLS in common"),
]  # fmt: skip


@BOTH_LOOPS
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # uvloop: sockets whose handshake failed
@WITH_TLS
@pytest.mark.parametrize(("choice", "host", "outcome"), OFFERED)
async def test_a_server_that_offers_tls(account, choice, contexts, driver, host, outcome, server):
    introduce(server, account)
    async with Proxy(server, host="127.0.0.2") as proxy:
        port = proxy.port if host == "127.0.0.2" else server.port
        options = {"ssl": contexts[choice], "host": host, "port": port, "min_size": 1, "max_size": 2}
        dsn = server.dsn(driver, user=account.user, password=account.password)
        if isinstance(outcome, str):
            assert outcome in await refusal(options, dsn)
            return
        async with ConnectionPool(dsn, **options) as pool:
            for _ in range(2):  # the second borrower gets it after a reset
                assert bool(await cipher(pool)) is outcome


@BOTH_LOOPS
@WITHOUT_TLS
@pytest.mark.parametrize("choice", ["None", "False", "True", "ours", "unverified"])
async def test_a_server_that_offers_none(account, choice, contexts, driver, server):
    introduce(server, account)
    dsn = server.dsn(driver, user=account.user, password=account.password)
    if choice in {"None", "False"}:
        async with ConnectionPool(dsn, ssl=contexts[choice]) as pool:
            assert await cipher(pool) == ""
    else:
        assert "TLS was asked for, but the server offers none" in await refusal({"ssl": contexts[choice]}, dsn)


@WITH_TLS
@pytest.mark.parametrize(("choice", "outcome"), [("None", False), ("False", False), ("True", True), ("ours", True)])
async def test_a_unix_socket(account, choice, contexts, driver, outcome, server):
    dsn = server.dsn(driver, user=account.user, password=account.password)
    async with ConnectionPool(dsn, ssl=contexts[choice], unix_socket=server.unix_socket) as pool:
        assert bool(await cipher(pool)) is outcome


@WITH_TLS
async def test_a_certificate_of_the_clients_own(admin, account, authority, driver, server):
    admin.rows(f"ALTER USER {account.user}@'%' REQUIRE X509")
    context = authority.context()
    dsn = server.dsn(driver, user=account.user, password=account.password)
    assert "Access denied" in await refusal({"ssl": context}, dsn)
    context.load_cert_chain(*authority.certificate("client.test"))
    async with ConnectionPool(dsn, ssl=context) as pool:
        assert await cipher(pool)


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")  # the driver makes contexts in an older way
@pytest.mark.parametrize("server", ["mysql-tls"], indirect=True)
@pytest.mark.parametrize("driver", ["mysql.connector.aio"])
@pytest.mark.parametrize(
    ("options", "encrypted"), [({"ssl_disabled": True}, False), ({"tls_versions": ["TLSv1.3"]}, True)]
)
async def test_the_drivers_own_options(account, driver, encrypted, options, server):
    introduce(server, account)
    dsn = server.dsn(driver, user=account.user, password=account.password)
    async with ConnectionPool(dsn, connect_args=options) as pool:
        assert bool(await cipher(pool)) is encrypted
    assert "TLS is chosen twice" in await refusal({"connect_args": options, "ssl": True}, dsn)
    async with Impostor(greeting()) as impostor:
        if encrypted:  # asked for is asked for
            where = {"host": impostor.host, "port": impostor.port}
            assert "TLS was asked for" in await refusal({**where, "connect_args": options}, dsn)
            assert impostor.plain == []


async def test_a_reconnect_of_the_drivers_own_is_a_login_like_any_other(adapter, driver, params, contexts):
    """A user may call it: the man in the middle was not there at first, and now hides that the server offers TLS."""
    if driver == "mysql.connector.aio":
        pytest.skip("its reconnect makes a new socket by the same way as its connect, which the others repeat in part")
    async with Impostor(greeting("mysql_clear_password"), [switch("mysql_clear_password")]) as impostor:
        raw = await adapter.connect(replace(params, ssl=None))
        raw._host, raw._port = impostor.host, impostor.port
        adapter.abort(raw)
        with pytest.raises(Exception, match="does not keep it secret"):
            await raw.ping(reconnect=True)
        assert not impostor.knows(params.password)


# -- somebody in the middle ------------------------------------------------------------------------------------------

FULL = b"\x01\x04"
KEY = b"\x01" + PUBLIC_KEY
# What asks for the password on an unencrypted connection.
ASKS = {
    "clear text, first of all": (greeting("mysql_clear_password"), [OK]),
    "clear text, after all": (greeting(), [switch("mysql_clear_password", b""), OK]),
    "clear text, as a second factor": (greeting(), [b"\x02mysql_clear_password\0", OK]),
    "clear text, after another": (
        greeting(),
        [switch("caching_sha2_password"), switch("mysql_clear_password", b""), OK],
    ),
    "sha256, first of all": (greeting("sha256_password"), [KEY, OK]),
    "sha256, after all": (greeting(), [switch("sha256_password"), KEY, OK]),
    "caching sha2, first of all": (greeting("caching_sha2_password"), [FULL, KEY, OK]),
    "caching sha2, after all": (greeting(), [switch("caching_sha2_password"), FULL, KEY, OK]),
    "caching sha2, with more": (greeting("caching_sha2_password"), [FULL + b"x", KEY, OK]),
    "a dialogue": (greeting(), [switch("dialog", b"\x04Password: "), OK]),
    "old passwords": (greeting(), [switch("mysql_old_password"), OK]),
    "something unknown": (greeting(), [switch("give_me_all"), OK]),
}
_TRUSTS_KEYS = {name for name in ASKS if "sha" in name}


@pytest.mark.parametrize("choice", [None, False])
@pytest.mark.parametrize("ask", ASKS)
async def test_on_an_unencrypted_connection_nobody_gets_the_password(ask, choice, driver):
    if choice is False and ask in _TRUSTS_KEYS and driver != "mysql.connector.aio":
        pytest.skip("who forbids TLS trusts the key that comes over the network: docs/encryption.md")
    async with Impostor(*ASKS[ask]) as impostor:
        await refusal({"ssl": choice}, f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db")
        assert not impostor.knows(PASSWORD)
        assert impostor.attempts == 1
        assert await eventually(lambda: impostor.closed) == 1


@pytest.mark.parametrize("ask", sorted(_TRUSTS_KEYS))
@pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"])
async def test_with_a_key_given_beforehand_another_one_is_of_no_use(ask, driver, stranger):
    key = stranger.public_key()
    async with Impostor(*ASKS[ask]) as impostor:
        pool = ConnectionPool(
            f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db",
            connect_args={"server_public_key": key},
            connect_timeout=1,
        )
        with pytest.raises(ConnectError):
            await pool.open()
        assert not impostor.knows(PASSWORD)


@pytest.mark.parametrize("choice", ["True", "ours", "unverified"])
@pytest.mark.parametrize("ask", ASKS)
async def test_who_wants_tls_says_nothing_to_one_who_hides_it(ask, choice, contexts, driver):
    async with Impostor(*ASKS[ask]) as impostor:
        dsn = f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db"
        assert "offers none, or somebody between us" in await refusal({"ssl": contexts[choice]}, dsn)
        assert impostor.plain == []


async def _told_one_with_tls(driver, choice, names, signer, injected=b"", days=1):
    """What is heard by one who has a certificate, and asks for the password in clear text."""
    tls = signer.serving(*names, days=days)
    replies = [switch("mysql_clear_password", b""), OK]
    async with Impostor(greeting(tls=True), replies, tls, injected=injected) as impostor:
        dsn = f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db"
        message = await refusal({"ssl": choice}, dsn)
        assert await eventually(lambda: impostor.closed)
        return message, impostor.plain, impostor.secret


@pytest.mark.parametrize(
    ("choice", "name", "signer", "days", "words"),
    [
        ("True", "127.0.0.1", "stranger", 1, UNTRUSTED), ("True", "other.test", "authority", 1, MISMATCH),
        ("True", "127.0.0.1", "authority", -1, "until when it is valid"),
        ("ours", "127.0.0.1", "stranger", 1, UNTRUSTED),
        ("ours", "other.test", "authority", 1, MISMATCH), ("theirs", "127.0.0.1", "authority", 1, UNTRUSTED),
    ],
)  # fmt: skip
async def test_who_cannot_prove_to_be_the_server_hears_the_request_for_tls_alone(
    choice, contexts, days, driver, name, request, signer, words
):
    authority = request.getfixturevalue(signer)
    message, plain, secret = await _told_one_with_tls(driver, contexts[choice], [name], authority, days=days)
    assert words in message
    assert [len(packet) for packet in plain] == [32]  # capabilities, sizes, character set, and zeros
    assert secret == []


@pytest.mark.parametrize("said", ["OK", "a switch"])
async def test_what_is_said_before_tls_does_not_count_inside(authority, contexts, driver, said):
    packet = OK if said == "OK" else switch("mysql_clear_password", b"")
    injected = len(packet).to_bytes(3, "little") + b"\x02" + packet
    tls = authority.serving("127.0.0.1")
    async with Impostor(greeting(tls=True), [], tls, injected=injected) as impostor:
        dsn = f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db"
        pool = ConnectionPool(dsn, ssl=contexts["ours"], connect_timeout=1)
        with pytest.raises(ConnectError):
            await pool.open()
        assert [len(packet) for packet in impostor.plain] in ([32], [])
        assert not any(PASSWORD.encode() in packet for packet in impostor.secret)


# -- where clear text may be sent ------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["None", "True", "ours", "unverified"])
async def test_inside_tls_clear_text_is_what_was_asked_for(authority, choice, contexts, driver):
    tls = authority.serving("127.0.0.1")
    async with Impostor(
        greeting(tls=True), [switch("mysql_clear_password", b""), b"\xff\x15\x04#28000no"], tls
    ) as impostor:
        dsn = f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db"
        assert "no" in await refusal({"ssl": contexts[choice]}, dsn)
        assert impostor.secret[-1] == PASSWORD.encode() + b"\0"
        assert not impostor.knows(PASSWORD)


class _Clear:
    """asyncmy's form of a way to authenticate."""

    def __init__(self, connection):
        self._connection = connection

    def authenticate(self, _packet):
        self._connection.write_packet(PASSWORD.encode() + b"\0")


NAMED = {
    "asyncmy": {"auth_plugin_map": {"mysql_clear_password": _Clear}},
    "aiomysql": {"auth_plugin": "mysql_clear_password"},
}


@pytest.mark.parametrize("driver", NAMED)
async def test_clear_text_that_was_asked_for_by_name(driver):
    async with Impostor(greeting(), [switch("mysql_clear_password", b""), b"\xff\x15\x04#28000no"]) as impostor:
        dsn = f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db"
        pool = ConnectionPool(dsn, connect_args=NAMED[driver], connect_timeout=1)
        with pytest.raises(ConnectError):
            await pool.open()
        assert await eventually(lambda: impostor.knows(PASSWORD))


# -- what answers is no MySQL ----------------------------------------------------------------------------------------

BANNERS = {
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"220 mail.test ESMTP\r\n",
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "Redis": b"-ERR unknown\r\n",
    "X protocol": b"\x05\0\0\0\x0b\x08\x05\x1a\0",
    "protocol 9": b"\x08\0\0\0\x093.20\0abcdefgh",
    "a packet that ends too early": b"\x04\0\0\0\x0a8.0",
    "an empty packet": b"\0\0\0\0",
}


@pytest.mark.parametrize("banner", BANNERS)
async def test_a_port_that_speaks_no_mysql_is_an_error_at_once(banner, driver):
    async with Impostor(BANNERS[banner], packets=False) as impostor:
        dsn = f"mysql+{driver}://app:{PASSWORD}@{impostor.host}:{impostor.port}/db"
        assert "speaks no MySQL: check host and port" in await refusal({}, dsn)
        assert impostor.attempts == 1
        assert impostor.plain == []


async def test_a_server_that_falls_silent_in_the_handshake_leaves_no_socket(authority, driver):
    """Neither when the time is up, nor when it was the task that opened the pool that gave up."""
    said, closed = asyncio.Event(), asyncio.Event()

    async def fall_silent(reader, writer):
        payload = greeting(tls=True)
        writer.write(len(payload).to_bytes(3, "little") + b"\0" + payload)
        await reader.readexactly(36)
        said.set()
        while await reader.read(1000):
            pass
        closed.set()
        writer.close()

    async with await asyncio.start_server(fall_silent, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        pool = ConnectionPool(
            f"mysql+{driver}://app:{PASSWORD}@{host}:{port}/db", ssl=authority.context(), connect_timeout=0.3
        )
        with pytest.raises(ServerUnavailableError, match="within connect_timeout"):
            await pool.open()
        assert said.is_set()
        async with asyncio.timeout(10):
            await closed.wait()


# -- accounts and names ----------------------------------------------------------------------------------------------

CHANNELS = {
    "TLS": {"ssl": None}, "socket": {"unix_socket": True}, "hidden": {"ssl": None}, "plain": {"ssl": False},
    "plain, key given": {"ssl": None, "connect_args": {"server_public_key": True}},
}  # fmt: skip
# By way to authenticate and channel: the drivers that get in. What is in nobody's cache has to be told to the server.
BOTH, ALL = {"asyncmy", "aiomysql"}, {"asyncmy", "aiomysql", "mysql.connector.aio"}
GETS_IN = [
    ("caching_sha2_password", "TLS", ALL), ("caching_sha2_password", "socket", ALL),
    ("caching_sha2_password", "hidden", set()), ("caching_sha2_password", "plain", BOTH),
    ("caching_sha2_password", "plain, key given", BOTH),
    ("sha256_password", "TLS", ALL), ("sha256_password", "hidden", set()),
    ("sha256_password", "plain", BOTH), ("sha256_password", "plain, key given", BOTH),
]  # fmt: skip


@pytest.mark.parametrize(("plugin", "channel", "drivers"), GETS_IN)
@pytest.mark.parametrize("server", ["mysql-tls"], indirect=True)
async def test_mysqls_ways_to_authenticate(accounts, admin, channel, driver, drivers, plugin, server, servers):
    if channel not in {"TLS", "socket", "plain"}:
        pytest.skip("see below")
    await _logs_in(accounts(), admin, channel, driver, drivers, plugin, server)


@pytest.mark.parametrize(
    ("plugin", "channel", "drivers"), [row for row in GETS_IN if row[1] in {"hidden", "plain, key given"}]
)
@pytest.mark.parametrize("server", ["mysql-plain"], indirect=True)
async def test_mysqls_ways_to_authenticate_without_tls(accounts, admin, channel, driver, drivers, plugin, server):
    await _logs_in(accounts(), admin, channel, driver, drivers, plugin, server)


async def _logs_in(account, admin, channel, driver, drivers, plugin, server):
    admin.rows(f"ALTER USER {account.user}@'%' IDENTIFIED WITH {plugin} BY '{account.password}'")
    options = dict(CHANNELS[channel])
    if "unix_socket" in options:
        options["unix_socket"] = server.unix_socket
    if "connect_args" in options:
        if driver not in BOTH:
            pytest.skip("knows no such option")
        key = admin.rows("SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'")[0][1]
        options["connect_args"] = {"server_public_key": key.encode()}
    dsn = server.dsn(driver, user=account.user, password=account.password)
    if driver in drivers:
        async with ConnectionPool(dsn, **options) as pool:
            assert await pool.fetch_value("SELECT 1") == 1
    else:
        assert "Use TLS (ssl=True)" in await refusal(options, dsn)


@pytest.mark.parametrize("password", ["pässwörd", "密码", "\N{SNOWMAN}'\"\\ %:@/"])
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
@pytest.mark.parametrize("ssl", [None, False])
async def test_passwords_that_are_not_ascii(account, admin, charset, driver, password, server, ssl):
    admin.rows(f"ALTER USER {account.user}@'%%' IDENTIFIED BY %s", password)
    introduce(server, Account(account.user, password.encode()))
    dsn = server.dsn(driver, user=account.user, password=password)
    async with ConnectionPool(dsn, charset=charset, ssl=ssl) as pool:
        assert await pool.fetch_value("SELECT 1") == 1


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
@pytest.mark.parametrize("name", ["café", "ca`fé"])
async def test_schema_names_that_are_not_ascii(adapter, admin, charset, name, params):
    quoted = "`" + name.replace("`", "``") + "`"
    admin.rows(f"CREATE DATABASE IF NOT EXISTS {quoted}")
    try:
        raw = await adapter.connect(replace(params, database=name, charset=charset))
        (found,) = (await adapter.execute(raw, "SELECT HEX(CONVERT(DATABASE() USING utf8mb4))"))[0]
        await adapter.close(raw)
        assert bytes.fromhex(found).decode() == name
    finally:
        admin.rows(f"DROP DATABASE {quoted}")
