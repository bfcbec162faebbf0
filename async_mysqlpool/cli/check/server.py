"""What the server says of itself, of the account and of the connection to it."""

from __future__ import annotations

import ipaddress
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from async_mysqlpool.cli.check.facts import ServerFacts
from async_mysqlpool.lease.held import entry_of

if TYPE_CHECKING:
    from async_mysqlpool import ConnectionPool, PooledConnection
    from async_mysqlpool.config import PoolConfig
    from async_mysqlpool.drivers import Driver

__all__ = ["Questions", "ask_server"]

_VARIABLES = (
    "version", "version_comment", "max_connections", "max_user_connections", "wait_timeout", "max_allowed_packet",
    "character_set_connection", "collation_connection", "character_set_database", "time_zone", "read_only",
    "super_read_only", "innodb_read_only",
)  # fmt: skip
_STATUS = ("Threads_connected", "Max_used_connections", "Uptime", "Ssl_cipher", "Ssl_version", "Ssl_server_not_after")


@dataclass(frozen=True, slots=True)
class Questions:
    """Asked past the driver's cursors, which would show the server's warnings to the user."""

    driver: Driver
    raw: Any

    async def rows(self, sql: str) -> list[list[Any]]:
        """The rows of one statement; texts are str, whatever the driver makes of them."""
        return [[_text(value) for value in row] for row in await self.driver.execute(self.raw, sql)]

    async def value(self, sql: str) -> Any:
        """The first column of the first row."""
        return (await self.rows(sql))[0][0]

    async def attempt(self, sql: str) -> Any:
        """The same; None where there is no row, or the server does not know that, or does not tell us."""
        try:
            rows = await self.rows(sql)
        except Exception:  # noqa: BLE001  each driver has its own
            return None
        return rows[0][0] if rows else None

    async def named(self, show: str, names: tuple[str, ...]) -> dict[str, str]:
        """What SHOW VARIABLES or SHOW STATUS says of these."""
        listed = ", ".join(f"'{name}'" for name in names)
        return {str(name): str(value) for name, value in await self.rows(f"{show} WHERE Variable_name IN ({listed})")}


async def ask_server(pool: ConnectionPool, config: PoolConfig) -> ServerFacts:
    """On a connection of `pool`, which was made with `config`."""
    async with pool.acquire() as connection:
        return await _ask(Questions(pool.driver, entry_of(connection).raw), connection, config)


async def _ask(ask: Questions, connection: PooledConnection, config: PoolConfig) -> ServerFacts:
    values = await ask.named("SHOW VARIABLES", _VARIABLES)
    status = await ask.named("SHOW STATUS", _STATUS)
    facts = ServerFacts(
        flavor="MariaDB" if "mariadb" in (values["version"] + values["version_comment"]).lower() else "MySQL",
        version=values["version"],
        address=config.address,
        account=await ask.value("SELECT CURRENT_USER()"),
        plugin=await _plugin(ask),
        read_only=any(_is_on(values.get(name)) for name in ("read_only", "super_read_only", "innodb_read_only")),
        replicates=await _replicates(ask),
        clock_ahead=await _clock(ask),
        connected=int(status["Threads_connected"]),
        peak_connected=int(status["Max_used_connections"]),
        max_connections=int(values["max_connections"]),
        max_user_connections=int(values["max_user_connections"]),
        wait_timeout=float(values["wait_timeout"]),
        max_allowed_packet=int(values["max_allowed_packet"]),
        charset=values["character_set_connection"],
        collation=values["collation_connection"],
        database_charset=values.get("character_set_database") if config.database else None,
        time_zone=values["time_zone"],
        uptime=float(status["Uptime"]),
    )
    _add_encryption(facts, status, connection, config)
    return facts


def _add_encryption(
    facts: ServerFacts, status: dict[str, str], connection: PooledConnection, config: PoolConfig
) -> None:
    peer = entry_of(connection).peer
    facts.local = config.unix_socket is not None or peer is None or ipaddress.ip_address(peer[0]).is_loopback
    if status.get("Ssl_cipher"):
        facts.tls = f"{status.get('Ssl_version', 'TLS')}, {status['Ssl_cipher']}"
    context = config.ssl if isinstance(config.ssl, ssl.SSLContext) else None
    facts.verified = config.ssl is True or (context is not None and context.verify_mode is ssl.CERT_REQUIRED)
    with suppress(ValueError):
        ends = ssl.cert_time_to_seconds(status.get("Ssl_server_not_after", ""))
        facts.certificate_days = (ends - datetime.now(UTC).timestamp()) / 86_400


async def _plugin(ask: Questions) -> str | None:
    """How the account proves who it is. What else the server answers here, a hash, is for nobody to see."""
    text = str(await ask.attempt("SHOW CREATE USER CURRENT_USER()"))
    if found := re.search(r"IDENTIFIED (?:WITH|VIA) ['`]?(\w+)", text):
        return found[1]
    return "mysql_native_password" if "IDENTIFIED BY PASSWORD" in text else None


async def _replicates(ask: Questions) -> bool:
    return any([
        await ask.attempt(f"SHOW {word} STATUS") is not None for word in ("REPLICA", "SLAVE")
    ])  # fmt: skip


async def _clock(ask: Questions) -> float:
    """Seconds that the server's clock is ahead of ours, as seen from the middle of a round trip."""
    sent = time.time()
    theirs = float(await ask.value("SELECT UNIX_TIMESTAMP(SYSDATE(6))"))
    return theirs - (sent + time.time()) / 2


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else value


def _is_on(value: str | None) -> bool:
    return (value or "").upper() in {"ON", "1"}
