"""`async-mysqlpool check`: what it finds at real servers, and what follows from each fact."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cli import run, run_json

from async_mysqlpool.cli.check.facts import DriverFacts, Plans, Report, ServerFacts
from async_mysqlpool.cli.check.findings import Level, judge
from async_mysqlpool.cli.check.probe import probe
from async_mysqlpool.drivers import installed
from async_mysqlpool.testing.mysql_proxy import MySQLProxy, Renames, Swaps

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_mysqlpool.testing import Server

GOOD_DRIVER = DriverFacts("asyncmy", "0.2.18", servers=["a:1", "a:1"], reset="written ahead", killed_in=0.1)
GOOD_SERVER = ServerFacts(
    flavor="MySQL", version="9.7.4", local=True, max_connections=500, wait_timeout=28800.0,
    max_allowed_packet=64 * 2**20, database_charset="utf8mb4", plugin="caching_sha2_password",
)  # fmt: skip

# What is different from a good server, the plan or the driver; what is found, and how bad that is.
CASES: list[tuple[dict[str, Any], str, Level]] = [
    ({"error": "cannot connect"}, "no-connection", Level.ERROR),
    ({"tested": False}, "driver-version", Level.WARNING),
    ({"reset": "connections are used once"}, "no-reset", Level.WARNING),
    ({"reset": "waited for"}, "no-pipelining", Level.NOTE),
    ({"killed_in": None}, "no-kill", Level.WARNING),
    ({"servers": ["a:1", "b:1"]}, "several-servers", Level.WARNING),
    ({"between": ["another port"]}, "proxy", Level.NOTE),
    ({"round_trip": 0.02}, "far", Level.NOTE),
    ({"max_connections": 10}, "too-many", Level.ERROR),
    ({"max_connections": 12}, "hardly-any-left", Level.WARNING),
    ({"processes": 46}, "too-many", Level.ERROR),
    ({"processes": 45}, "hardly-any-left", Level.WARNING),
    ({"size": 500}, "too-many", Level.ERROR),
    ({"max_user_connections": 10}, "too-many-of-account", Level.ERROR),
    ({"wait_timeout": 30.0}, "short-wait-timeout", Level.WARNING),
    ({"wait_timeout": 600.0}, "idle-time", Level.NOTE),
    ({"idle": None}, "idle-time", Level.NOTE),
    ({"max_allowed_packet": 2**20}, "small-packets", Level.NOTE),
    ({"local": False}, "no-tls", Level.WARNING),
    ({"local": False, "tls": "TLSv1.3"}, "unverified", Level.WARNING),
    ({"tls": "TLSv1.3", "certificate_days": 20.0}, "certificate", Level.WARNING),
    ({"tls": "TLSv1.3", "certificate_days": -1.0}, "certificate", Level.WARNING),
    ({"plugin": "mysql_native_password"}, "old-password", Level.NOTE),
    ({"read_only": True, "replicates": True}, "read-only", Level.WARNING),
    ({"clock_ahead": 3.0}, "clock", Level.WARNING),
    ({"clock_ahead": -3.0}, "clock", Level.WARNING),
    ({"database_charset": "latin1"}, "charset", Level.NOTE),
    ({"compiled": False}, "pure-python", Level.NOTE),
]
NOT_FOUND: list[dict[str, Any]] = [
    {},
    {"processes": 40},
    {"max_user_connections": 11},
    {"local": False, "tls": "TLSv1.3", "verified": True, "certificate_days": 40.0},
    {"replicates": True},
    {"clock_ahead": 0.5},
    {"database_charset": None, "plugin": None},
    {"round_trip": 0.001},
]


def report(changes: dict[str, Any]) -> Report:
    def changed(facts: Any) -> Any:
        return replace(facts, **{name: value for name, value in changes.items() if hasattr(facts, name)})

    return Report(changed(Plans()), [changed(GOOD_DRIVER)], changed(GOOD_SERVER))


@pytest.mark.parametrize(("changes", "what", "level"), CASES, ids=[f"{what} {changes}" for changes, what, _ in CASES])
def test_what_follows_from_a_fact(changes: dict[str, Any], what: str, level: Level):
    (finding,) = judge(report(changes))
    assert (finding.what, finding.level) == (what, level)
    assert finding.reason
    assert finding.remedy


@pytest.mark.parametrize("changes", NOT_FOUND, ids=str)
def test_nothing_is_found_where_nothing_is_wrong(changes: dict[str, Any]):
    assert judge(report(changes)) == []


def test_the_worst_comes_first():
    levels = [finding.level for finding in judge(report({"compiled": False, "killed_in": None, "size": 500}))]
    assert levels == [Level.ERROR, Level.WARNING, Level.NOTE]


@pytest.mark.server
@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_a_server_of_ours(servers: Callable[[str], Server], flavor: str):
    server = servers(flavor)
    found = run_json("check", server.dsn())
    assert [driver["name"] for driver in found["drivers"]] == installed()
    for driver in found["drivers"]:
        assert (driver["error"], driver["between"], driver["reset"]) == (None, [], "written ahead")
        assert 0 < driver["round_trip"] <= driver["round_trip_p99"]
        assert driver["killed_in"] > 0
        assert len(set(driver["servers"])) == 1
    about = found["server"]
    assert (about["flavor"].lower(), about["local"], about["read_only"]) == (flavor, True, False)
    assert about["version"].startswith(server.version.split("-")[0])
    assert about["plugin"] in {"mysql_native_password", "caching_sha2_password", "ed25519"}
    assert abs(about["clock_ahead"]) < 0.5
    assert {finding["what"] for finding in found["findings"]} <= {"old-password", "charset", "pure-python"}


@pytest.mark.server
def test_one_driver_where_the_dsn_names_one_and_a_failure_for_scripts(servers: Callable[[str], Server]):
    dsn = servers("mariadb").dsn(driver="aiomysql")
    found = run_json("check", dsn, "--processes", "400", code=1)
    assert [driver["name"] for driver in found["drivers"]] == ["aiomysql"]
    assert "too-many" in {finding["what"] for finding in found["findings"]}


@pytest.mark.server
def test_for_a_person(servers: Callable[[str], Server]):
    server = servers("mysql")
    result = run("check", server.dsn(), "--processes", "400", COLUMNS="100")
    assert (result.returncode, result.stderr) == (1, "")
    assert server.password not in result.stdout
    for text in (server.version.split("-")[0], "stopped in", "error", "max_size 0 for 400 processes", "(too-many)"):
        assert text in result.stdout


@pytest.mark.server
@pytest.mark.parametrize(
    ("persona", "signs", "reset"),
    [
        (None, {"proxy"}, "written ahead"),
        (Renames(lambda real: real + 100_000), {"proxy"}, "written ahead"),
        (Swaps(), {"proxy", "no-pipelining"}, "waited for"),
    ],
    ids=["a relay", "other ids", "no pipelining"],
)
async def test_a_proxy_in_between_is_seen(servers: Callable[[str], Server], persona: Any, signs: set[str], reset: str):
    server = servers("mariadb")
    async with MySQLProxy(server) as proxy:
        if persona is not None:
            proxy.behave(persona)
        dsn = server.dsn("asyncmy").replace(f":{server.port}/", f":{proxy.port}/")
        async with asyncio.timeout(60):
            found = await probe(dsn, None, 1)
    assert found.drivers[0].reset == reset
    assert signs <= {finding.what for finding in judge(found)}
    assert all(finding.level is not Level.ERROR for finding in judge(found))


def test_no_server_is_a_failure_and_shows_no_password():
    result = run("check", "mysql://app:secret@127.0.0.1:1/test")
    assert result.returncode == 1
    assert "no-connection" in result.stdout
    assert "secret" not in result.stdout + result.stderr


def test_a_wrong_dsn_is_said_in_one_line():
    result = run("check", "mysql://app@host/test?max_sizes=3")
    assert (result.returncode, result.stdout) == (1, "")
    assert "did you mean 'max_size'?" in result.stderr
    assert "Traceback" not in result.stderr
