"""Logging in: what the option `ssl` means on every driver, and what a server is told before it is trusted.

``ssl=True``   TLS with a verified certificate and name, or no login; a context: TLS by that context, or no login.
``ssl=None``   TLS where the server offers it, unverified: against those who listen, not against one who steps between.
``ssl=False``  no TLS.

Whoever answers on the network may claim to be the server, and chooses how we prove who we are. So on an unencrypted
connection nothing is answered that gives the password away, whatever is asked for.
"""

from __future__ import annotations

import functools
import ssl
import struct
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from async_mysqlpool.wire.transport import abort

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Generator

    from async_mysqlpool.drivers.base import ConnectParams

__all__ = ["CLIENT_SSL", "Login", "LoginRefusedError", "Names", "default_context", "not_mysql", "oversee"]

# https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
CLIENT_SSL = 1 << 11
_OK, _MORE_DATA, _NEXT_FACTOR, _SWITCH = 0x00, 0x01, 0x02, 0xFE
_FULL_AUTHENTICATION = 0x04  # of caching_sha2_password: the server wants the password itself
_PROTOCOL = 10

# What these send can be looked at by anybody: no password comes out of it, unless by guessing.
_SECRET_KEEPING = {
    "", "mysql_native_password", "caching_sha2_password", "client_ed25519", "parsec", "authentication_kerberos_client",
    "authentication_ldap_sasl_client", "authentication_oci_client", "authentication_webauthn_client",
}  # fmt: skip
_SHA256 = "sha256_password"


class LoginRefusedError(Exception):
    """We do not go on with a login, and said nothing secret; the message says why and what to do."""


def not_mysql() -> LoginRefusedError:
    """For whoever greets us in another language."""
    return LoginRefusedError(
        "what answers there speaks no MySQL: check host and port (3306 is usual; 33060 is for the X protocol)"
    )


def default_context(choice: bool | ssl.SSLContext | None) -> ssl.SSLContext | None:
    """The context for `ssl=True`, where server certificate and host name are verified; a context is given as it is."""
    if choice is True:
        return _verifying(ssl.get_default_verify_paths())
    return choice or None


@functools.cache  # reading the system's authorities takes some 20 ms
def _verifying(_: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    return ssl.create_default_context()


@functools.cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Login:
    """Reads along what the server says while a driver logs in, and stops it where it must not go on.

    Args:
        choice: the option `ssl`.
        own: a context that the driver has from its own options; it counts as asked for.
        encrypts: whether the driver can encrypt a password with the server's public key.
        key_given: whether it was given that key beforehand, instead of taking what comes over the network.
        named: ways to authenticate that the user asked for by name.
        first: the one of them that the driver begins with; None for the server's choice.
    """

    def __init__(
        self,
        choice: bool | ssl.SSLContext | None,
        *,
        own: ssl.SSLContext | None = None,
        encrypts: bool = False,
        key_given: bool = False,
        named: Collection[str] = (),
        first: str | None = None,
    ) -> None:
        self._choice = choice
        self._wanted = default_context(choice) or (own if choice is None else None)
        self._encrypts = encrypts
        self._key_given = key_given
        self._harmless = {*_SECRET_KEEPING, *named, *([_SHA256] if encrypts else [])}
        self._first = first
        self._plugin = ""
        self._private = False  # nobody listens

    def greeted(self, capabilities: int, plugin: str, private: bool) -> ssl.SSLContext | None:
        """The server's greeting is in.

        Args:
            capabilities: what the server can do.
            plugin: how it would like us to authenticate.
            private: whether nobody can listen to this connection as it is.

        Returns:
            What to begin TLS with, now; None to go on without.

        Raises:
            LoginRefusedError: TLS is asked for and not offered, or `plugin` would give the password away.
        """
        offered = bool(capabilities & CLIENT_SSL)
        if self._wanted is not None and not offered:
            raise LoginRefusedError(
                "TLS was asked for, but the server offers none, or somebody between us and it hides that it does: "
                "check that it has a certificate (SHOW VARIABLES LIKE 'have_ssl'); ssl=None or ssl=False would do "
                "without TLS"
            )
        context = self._wanted
        if context is None and self._choice is None and offered and not private:
            context = _unverified()
        self._private = private or context is not None
        self._asked(self._first or plugin)
        return context

    def encrypted(self) -> None:
        """The driver began TLS before the greeting."""
        self._private = True

    def heard(self, payload: bytes) -> None:
        """A packet of the server's came, of those before the login is over.

        Raises:
            LoginRefusedError: the answer would give the password away.
        """
        first, rest = payload[:1], payload[1:]
        if first in {bytes([_SWITCH]), bytes([_NEXT_FACTOR])}:
            self._asked(rest.partition(b"\0")[0].decode("ascii", "replace"))
        elif first == bytes([_MORE_DATA]) and not self._private:
            sha256 = self._plugin == _SHA256  # its drivers take any key that comes, even if they were given one
            if sha256 or rest[:1] == bytes([_FULL_AUTHENTICATION]):
                self._asked_for_the_password(self._key_given and not sha256)

    def _asked(self, plugin: str) -> None:
        self._plugin = plugin
        if self._private or plugin in self._harmless:
            return
        raise LoginRefusedError(
            f"the server asks for the password by {plugin[:40]!r}, which does not keep it secret on an unencrypted "
            "connection; it was not sent. Use TLS (ssl=True)"
        )

    def _asked_for_the_password(self, key_given: bool) -> None:
        if self._encrypts and (key_given or self._choice is False):
            return
        raise LoginRefusedError(
            "the server wants the password itself, and the connection is not encrypted; it was not sent. Use TLS "
            "(ssl=True)"
            + (
                ", or give the server's key as connect_args={'server_public_key': ...}; ssl=False would trust any key "
                "that comes over the network"
                if self._encrypts
                else ""
            )
        )


class Names(NamedTuple):
    """What the two that descend from PyMySQL call differently."""

    flags: str
    plugin: str
    read: str
    transport: Callable[[Any], asyncio.Transport | None]


def login_of(raw: Any, params: ConnectParams) -> Login:
    """For a connection of asyncmy or aiomysql that is not open yet."""
    given = params.connect_args
    return Login(
        params.ssl,
        own=raw._ssl_context,
        encrypts=True,
        key_given=bool(given.get("server_public_key")),
        named={given.get("auth_plugin") or "", *(_text(name) for name in given.get("auth_plugin_map") or ())},
        first=given.get("auth_plugin"),
    )


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def oversee(raw: Any, login: Login, names: Names, out_of_step: type[Exception]) -> Callable[[], None]:
    """From now on `login` reads along in each login of `raw`, in those of its own reconnects as well.

    Args:
        raw: a connection of asyncmy or aiomysql, not open yet.
        login: what reads along.
        names: of its parts.
        out_of_step: what the driver raises for a packet that cannot be the next one.

    Returns:
        A function for when connecting has failed: it closes the socket at once. The drivers close it politely, which
        under TLS waits for the other side, and longer than an event loop may live.
    """
    opened: list[asyncio.Transport | None] = []
    # Set on the object: asyncmy is faster with its own class than with one derived from it.
    kind: Any = raw.__class__
    itself = weakref.ref(raw)

    async def greeting() -> None:
        raw: Any = itself()
        with _in_mysql(out_of_step):
            await kind._get_server_information(raw)
        if raw.protocol_version != _PROTOCOL:
            raise not_mysql()
        if getattr(raw, "_tls_established", False):
            login.encrypted()
            return
        raw._secure = bool(raw._unix_socket)  # not what an earlier login made of it
        context = login.greeted(raw.server_capabilities, getattr(raw, names.plugin), raw._secure)
        flags = getattr(raw, names.flags) & ~CLIENT_SSL
        setattr(raw, names.flags, flags | CLIENT_SSL if context else flags)
        raw._ssl_context = context

    async def authentication() -> None:
        await _authenticate(itself(), login, names, opened)

    def give_up() -> None:
        for transport in opened:
            if transport is not None:
                abort(transport)

    raw._get_server_information = greeting
    raw._request_authentication = authentication
    return give_up


async def _authenticate(raw: Any, login: Login, names: Names, opened: list[asyncio.Transport | None]) -> None:
    """The driver's own way, overheard; `opened` gets the transport that it goes over, which TLS has changed."""
    read = getattr(raw, names.read)

    async def overheard(*args: Any) -> Any:
        opened.append(names.transport(raw))
        packet = await read(*args)
        login.heard(packet.get_all_data())
        return packet

    setattr(raw, names.read, overheard)
    try:
        await raw.__class__._request_authentication(raw)
    except BaseException:
        if opened and opened[-1] is not None:
            abort(opened[-1])  # before the driver closes it
        raise
    finally:
        delattr(raw, names.read)


@contextmanager
def _in_mysql(out_of_step: type[Exception]) -> Generator[None]:
    try:
        yield
    except (out_of_step, LookupError, ValueError, struct.error) as exc:
        raise not_mysql() from exc
