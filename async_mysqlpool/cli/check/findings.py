"""What follows from the facts, each with its reason and a remedy. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_mysqlpool.cli.check.facts import DriverFacts, Plans, Report, ServerFacts

__all__ = ["Finding", "Level", "judge"]

_LEFT_FREE = 0.1  # part of max_connections for administrators, deployments and others
_SOON = 30.0  # days before a certificate ends
_FAR = 0.005  # seconds: a round trip that a handler with several statements feels
_CLOCK = 1.0  # seconds that two clocks may differ
_SHORT_WAIT = 60.0  # seconds
_SMALL_PACKET = 4 * 2**20
_DEPRECATED = {"mysql_native_password": "caching_sha2_password (MySQL) or ed25519 (MariaDB)"}


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know. `what` has a name that scripts can rely on."""

    level: Level
    what: str
    reason: str
    remedy: str


def judge(report: Report) -> list[Finding]:
    """Everything that follows, the worst first."""
    found = [*_drivers(report)]
    if report.server is not None:
        found += [*_limits(report.server, report.plans), *_encryption(report.server), *_state(report.server)]
    if not report.plans.compiled:
        found.append(_note(
            "pure-python", "the pool's hot path runs as Python here",
            "install it where a C compiler is, and ASYNC_MYSQLPOOL_PURE is not set",
        ))  # fmt: skip
    return sorted(found, key=lambda finding: list(Level).index(finding.level))


def _error(what: str, reason: str, remedy: str) -> Finding:
    return Finding(Level.ERROR, what, reason, remedy)


def _warning(what: str, reason: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, what, reason, remedy)


def _note(what: str, reason: str, remedy: str) -> Finding:
    return Finding(Level.NOTE, what, reason, remedy)


def _drivers(report: Report) -> Iterator[Finding]:
    for driver in report.drivers:
        if driver.error is not None:
            yield _error("no-connection", f"{driver.name}: {driver.error}", "see the error; it is the pool's own")
        else:
            yield from _driver(driver)


def _driver(driver: DriverFacts) -> Iterator[Finding]:
    if not driver.tested:
        yield _warning(
            "driver-version", f"{driver.name} {driver.version} is none of the versions that the pool was tested with",
            "install a tested one, or a newer async-mysqlpool",
        )  # fmt: skip
    if driver.reset == "connections are used once":
        yield _warning(
            "no-reset", f"{driver.name}: sessions cannot be reset here, so every borrow opens a connection",
            'look at what stands in between; reset="rollback" keeps connections, but not clean ones',
        )  # fmt: skip
    elif driver.reset == "waited for":
        yield _note(
            "no-pipelining", f"{driver.name}: commands written together are not answered in order here",
            "nothing has to be done; each return costs a round trip. Past the proxy it would not",
        )  # fmt: skip
    if driver.killed_in is None:
        yield _warning(
            "no-kill", f"{driver.name}: a cancelled statement could not be stopped on the server",
            "behind a proxy, connect to the server itself; or let statements end by themselves (max_execution_time)",
        )  # fmt: skip
    if len(set(driver.servers)) > 1:
        yield _warning(
            "several-servers", f"{driver.name}: connections lead to {', '.join(sorted(set(driver.servers)))}",
            "make sure that writes go to one that takes them, and that reads may be a little old",
        )  # fmt: skip
    for sign in driver.between:
        yield _note("proxy", f"{driver.name}: {sign}", "limits and idle times of what stands in between count, too")
    if driver.round_trip > _FAR:
        yield _note(
            "far", f"{driver.name}: each statement takes {driver.round_trip * 1000:.0f} ms on the way alone",
            "fewer statements for each request; a pool near the server",
        )  # fmt: skip


def _limits(server: ServerFacts, plans: Plans) -> Iterator[Finding]:
    wanted = plans.processes * (plans.size + 1)  # and one from which cancelled statements are killed
    sum_of = f"{plans.processes} x (max_size {plans.size} + 1 to kill from) = {wanted} connections"
    usable = int(server.max_connections * (1 - _LEFT_FREE))
    fits = max(0, usable // plans.processes - 1)
    if wanted > server.max_connections:
        yield _error(
            "too-many", f"{sum_of}, but the server's max_connections is {server.max_connections}",
            f"max_size {fits} for {plans.processes} processes, or a higher max_connections",
        )  # fmt: skip
    elif wanted > usable:
        yield _warning(
            "hardly-any-left", f"{sum_of} leave less than a tenth of max_connections {server.max_connections}",
            f"max_size {fits}: deployments run old and new processes at once, and administrators want in",
        )  # fmt: skip
    if 0 < server.max_user_connections < wanted:
        fits = max(0, server.max_user_connections // plans.processes - 1)
        yield _error(
            "too-many-of-account", f"{sum_of}, but the account may have {server.max_user_connections}",
            f"max_size {fits}, or a higher max_user_connections",
        )  # fmt: skip
    if server.wait_timeout < _SHORT_WAIT:
        yield _warning(
            "short-wait-timeout", f"the server closes connections that are idle for {server.wait_timeout:g} s",
            "raise wait_timeout: connections are opened again and again, and transactions that pause are cut",
        )  # fmt: skip
    elif plans.idle is None or plans.idle > server.wait_timeout * 0.9:
        yield _note(
            "idle-time", f"max_idle_time is longer than the server's patience (wait_timeout {server.wait_timeout:g} s)",
            "nothing has to be done: the pool closes idle connections before the server would",
        )  # fmt: skip
    if 0 < server.max_allowed_packet < _SMALL_PACKET:
        yield _note(
            "small-packets", f"max_allowed_packet is {server.max_allowed_packet / 2**20:.2g} MB",
            "a statement or value longer than that fails; raise it if you store such",
        )  # fmt: skip


def _encryption(server: ServerFacts) -> Iterator[Finding]:
    if server.tls is None and not server.local:
        yield _warning(
            "no-tls", "statements and rows go over the network in plain text",
            "ssl=True, and a certificate for the server",
        )  # fmt: skip
    elif server.tls is not None and not server.verified and not server.local:
        yield _warning(
            "unverified", "the connection is encrypted, but whoever answers could be somebody else",
            "ssl=True, or an ssl.SSLContext with your authority's certificate",
        )  # fmt: skip
    days = server.certificate_days
    if server.tls is not None and days is not None and days < _SOON:
        ends = f"ends in {days:.0f} days" if days >= 0 else f"ended {-days:.0f} days ago"
        yield _warning("certificate", f"the server's certificate {ends}", "renew it")
    better = _DEPRECATED.get(server.plugin or "")
    if better is not None:
        yield _note(
            "old-password", f"the account uses {server.plugin}, which new servers do without",
            f"ALTER USER to {better}",
        )  # fmt: skip


def _state(server: ServerFacts) -> Iterator[Finding]:
    if server.read_only:
        yield _warning(
            "read-only", "the server takes no writes" + (": it is a replica" if server.replicates else ""),
            "for writes, connect to its source; a pool that only reads is fine here",
        )  # fmt: skip
    if abs(server.clock_ahead) > _CLOCK:
        way = "ahead of" if server.clock_ahead > 0 else "behind"
        yield _warning(
            "clock", f"the server's clock is {abs(server.clock_ahead):.1f} s {way} ours",
            "run a time service on both; NOW() and your own times are compared somewhere",
        )  # fmt: skip
    if server.database_charset is not None and server.database_charset != "utf8mb4":
        yield _note(
            "charset", f"tables of this schema are {server.database_charset} unless they say otherwise",
            "ALTER DATABASE ... CHARACTER SET utf8mb4: other sets lack characters that people type",
        )  # fmt: skip
