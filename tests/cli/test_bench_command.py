"""`async-mysqlpool bench`: a statement over combinations, and where its time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli import run, run_json
from kit import Admin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from async_mysqlpool.testing import Server

QUICK = ("--seconds", "0.3")
ASLEEP = ("-q", "SELECT SLEEP(0.01)")


@pytest.fixture
def dsn(servers: Callable[[str], Server]) -> str:
    return servers("mariadb").dsn()


@pytest.mark.server
def test_every_combination_is_tried_and_the_shares_add_up(dsn: str, tmp_path: Path):
    picture = tmp_path / "bench.svg"
    found = run_json(
        "bench", dsn, *ASLEEP, *QUICK, "--sizes", "1,4", "--tasks", "4", "--drivers", "asyncmy,aiomysql",
        "--resets", "session,none", "--plot", str(picture),
    )  # fmt: skip
    cases = [tuple(one["case"].values()) for one in found]
    assert len(set(cases)) == len(cases) == 8
    assert cases[0] == ("asyncmy", "session", 1, 4)
    for one in found:
        assert one["waiting"] + one["server"] + one["python"] == pytest.approx(1.0)
        assert 0 < one["p50"] <= one["p99"]
    assert "<svg" in picture.read_text()


@pytest.mark.server
def test_too_few_connections_show_as_waiting_and_enough_as_the_server(dsn: str):
    few, enough = run_json("bench", dsn, *ASLEEP, *QUICK, "--sizes", "1,8", "--tasks", "8")
    assert few["waiting"] > 0.5 > enough["waiting"]
    assert enough["server"] > 0.5
    assert enough["throughput"] > few["throughput"]


@pytest.mark.server
def test_for_a_person(dsn: str):
    result = run("bench", dsn, *ASLEEP, *QUICK, COLUMNS="100")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split()[:3] == ["driver", "reset", "size"]
    assert "session" in result.stdout


@pytest.mark.server
def test_it_asks_where_others_are(servers: Callable[[str], Server], dsn: str):
    with Admin(servers("mariadb")):
        result = run("bench", dsn, *ASLEEP)
    assert (result.returncode, "--yes" in result.stderr) == (3, True)


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-q", "SELEC 1"], 1, "the statement fails: (1064"),
        ([*ASLEEP, "--sizes", "few"], 2, "say 4,10,25"),
        ([*ASLEEP, "--tasks", "0"], 2, "say 4,10,25"),
        ([*ASLEEP, "--resets", "always"], 2, "'always' is none of session, auto, rollback, none"),
        ([*ASLEEP, "--drivers", "mysqldb"], 1, "unknown driver"),
        ([*ASLEEP, *QUICK, "--plot", "/nowhere/a.png"], 1, "the picture cannot be written"),
    ],
)
def test_mistakes_are_said_in_a_few_words(dsn: str, arguments: list[str], code: int, said: str):
    result = run("bench", dsn, *arguments, COLUMNS="200")
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
