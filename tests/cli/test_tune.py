"""`async-mysqlpool tune`: the mathematics on servers in theory, the command on real ones."""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import signal
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cli import COMMAND, run, run_json
from kit import Admin, eventually
from servers_in_theory import THEORIES, Theory

from async_mysqlpool.cli.tune.advice import advise
from async_mysqlpool.cli.tune.caution import Surroundings, reasons_to_ask, room_for
from async_mysqlpool.cli.tune.levels import Level, best_of, steps, still_worth_it
from async_mysqlpool.cli.tune.queueing import chance_to_wait, wait_of
from async_mysqlpool.cli.tune.usl import Law, fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from async_mysqlpool.testing import Server

STEPS = steps(64)


def steps_apart(one: int, other: int) -> int:
    """How many of the sizes that are tried lie between two."""
    place = [min(range(len(STEPS)), key=lambda at: abs(STEPS[at] - size)) for size in (one, other)]
    return abs(place[0] - place[1])


# -- which size -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THEORIES)
def test_the_best_size_of_a_server_in_theory(name: str):
    theory, best = THEORIES[name]
    advice = advise([theory.level(size) for size in STEPS])
    assert advice.good
    assert steps_apart(advice.size, best) <= 1, advice


@pytest.mark.parametrize("name", THEORIES)
def test_noise_moves_it_by_no_more_than_a_step(name: str):
    theory, best = THEORIES[name]
    for seed in range(50):
        chance = random.Random(seed)
        runs = [theory.level(size, noise=1 - abs(chance.gauss(0, 0.05))) for size in STEPS for _ in range(2)]
        assert steps_apart(advise(best_of(runs)).size, best) <= 1, seed


# A server, a goal in seconds, a rate per second; the size, and whether it does what was asked for.
ASKED = [
    (Theory(cpus=4, cpu=0.01), 0.02, None, 4, True),
    (Theory(cpus=4, cpu=0.01), 0.005, None, 1, False),  # one statement alone takes longer
    (Theory(cpu=0.01, lock=0.005), 0.03, None, 3, True),
    (Theory(sleep=0.01), None, 500, 8, True),
    (Theory(sleep=0.01), None, 100, 2, True),
    (Theory(sleep=0.01), 0.023, 500, 8, True),
    (Theory(sleep=0.01), 0.0131, 500, 12, True),  # hardly any time to wait for a connection
    (Theory(cpus=4, cpu=0.01), None, 300, 4, True),
    (Theory(cpus=4, cpu=0.01), None, 390, 4, False),  # 400 are all it can do
]


@pytest.mark.parametrize(("theory", "goal", "rate", "size", "good"), ASKED)
def test_a_goal_and_a_rate(theory: Theory, goal: float | None, rate: float | None, size: int, good: bool):
    advice = advise([theory.level(size) for size in STEPS], goal, rate)
    assert (advice.size, advice.good) == (size, good), advice
    if good and goal is not None:
        assert advice.response <= goal


@pytest.mark.parametrize(
    ("levels", "rate", "said"),
    [
        ([Theory(sleep=0.01).level(size) for size in STEPS], None, "the server was not the limit"),
        ([Theory(sleep=0.01).level(size) for size in STEPS], 100.0, None),
        ([Theory(cpus=4, cpu=0.01).level(size, client=0.97) for size in STEPS], None, "97% of a CPU"),
        ([Theory(cpus=4, cpu=0.01).level(size) for size in STEPS], None, None),
        ([Level(1, 10, 0.1, 0.1, 0.2, failed=3)], None, "3 statements failed"),
    ],
)
def test_what_to_know_about_the_measurement(levels: list[Level], rate: float | None, said: str | None):
    warnings = advise(levels, rate=rate).warnings
    assert [said in warning for warning in warnings] == ([True] if said else []), warnings


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, r"4 do 400/s, 13.0 ms for 99 of 100; 8 do no more, and take 26.0 ms"),
        ({"goal": 0.001}, r"no size keeps the goal: even at 1, one in a hundred takes 13.0 ms"),
        ({"rate": 200}, r"200/s keep 3 busy for 67% of the time"),
        ({"rate": 1000}, r"1,000/s is too much: the most that 4 connections do is 400/s"),
    ],
)
def test_the_reason_has_the_numbers(asked: dict[str, Any], said: str):
    assert said in advise([Theory(cpus=4, cpu=0.01).level(size) for size in STEPS], **asked).reason


def test_a_goal_that_forbids_what_is_faster_is_named():
    levels = [Theory(sleep=0.01, lock=0.001).level(size) for size in STEPS]
    slower = [Level(level.size, level.throughput, level.mean, level.p50, 0.01 * level.size) for level in levels]
    assert "longer than the goal" in advise(slower, goal=0.04).reason


# -- which sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, [1]), (2, [1, 2]), (10, [1, 2, 3, 4, 6, 8, 10]), (16, [1, 2, 3, 4, 6, 8, 12, 16])]
)
def test_the_sizes_that_are_tried(largest: int, sizes: list[int]):
    assert steps(largest) == sizes


def test_the_better_of_two_measurements_counts():
    merged = best_of([Level(2, 10, 0.2, 0.2, 0.9, failed=1), Level(1, 5, 1, 1, 1), Level(2, 12, 0.1, 0.1, 1.0)])
    assert merged == [Level(1, 5, 1, 1, 1), Level(2, 12, 0.1, 0.1, 0.9, failed=1)]


@pytest.mark.parametrize(
    ("throughputs", "p50", "goal", "goes_on"),
    [
        ([100], 0.01, None, True),
        ([100, 200, 190, 180], 0.01, None, True),
        ([100, 200, 150], 0.01, None, True),
        ([100, 200, 150, 140], 0.01, None, False),
        ([100, 200, 300], 0.05, 0.01, False),
        ([100, 200, 300], 0.03, 0.01, True),
    ],
)
def test_sizes_that_tell_nothing_new_are_left_out(
    throughputs: list[float], p50: float, goal: float | None, goes_on: bool
):
    levels = [Level(size, throughput, p50, p50, p50) for size, throughput in enumerate(throughputs, start=1)]
    assert still_worth_it(levels, goal) is goes_on


# -- the law, the queue -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("serial", "crosstalk", "knee"),
    [(0.05, 0.001, 30.8), (0.2, 0.01, 8.9), (0.0, 0.0, None), (0.5, 0.0, None), (1.0, 0.01, 1.0)],
)
def test_the_law_finds_its_own_numbers(serial: float, crosstalk: float, knee: float | None):
    law = Law(100.0, serial, crosstalk, 1.0)
    found = fit(STEPS, [law.throughput(size) for size in STEPS])
    assert found is not None
    assert (found.alone, found.serial) == (pytest.approx(100, rel=0.01), pytest.approx(serial, abs=0.01))
    assert found.r2 == pytest.approx(1.0)
    assert found.knee is None if knee is None else found.knee == pytest.approx(knee, rel=0.02)
    assert str(found)


def test_no_law_through_three_points():
    assert fit([1, 2, 3], [1, 2, 3]) is None


@pytest.mark.parametrize(
    ("size", "load", "chance"), [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (10, 5.0, 0.0361), (3, 3.0, 1.0), (3, 5.0, 1.0)]
)
def test_erlangs_formula(size: int, load: float, chance: float):
    assert chance_to_wait(size, load) == pytest.approx(chance, abs=1e-4)


@pytest.mark.parametrize(("size", "rate", "service"), [(1, 50, 0.01), (4, 300, 0.01), (16, 1200, 0.01), (2, 10, 0.01)])
def test_the_wait_is_that_of_a_simulated_queue(size: int, rate: float, service: float):
    chance, clock = random.Random(1), 0.0
    free, waits = [0.0] * size, []
    for _ in range(100_000):
        clock += chance.expovariate(rate)
        begins = max(clock, free[0])
        waits.append(begins - clock)
        free[0] = begins + chance.expovariate(1 / service)
        free.sort()
    seen = sorted(waits)[99_000]
    assert wait_of(0.99, size, rate, service) == pytest.approx(seen, rel=0.1, abs=service / 20)


def test_a_queue_that_only_grows_has_no_end():
    assert wait_of(0.99, 4, 500, 0.01) == math.inf


# -- what it refuses ---------------------------------------------------------------------------------------------------

QUIET: dict[str, Any] = {
    "local": True, "host": "localhost:3306", "database": "test", "others": 0, "busy": 0.0, "writes": None, "free": 500
}  # fmt: skip


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({}, None),
        ({"busy": 4.0}, None),
        ({"database": "products"}, None),
        ({"local": False, "host": "db.example.org:3306"}, "not on this machine but at db.example.org:3306"),
        ({"others": 3}, "3 other clients"),
        ({"busy": 400.0}, "400 statements a second"),
        ({"database": "shop_prod"}, "says production"),
        ({"host": "live.example.org"}, "says production"),
        ({"writes": "UPDATE t SET a = 1"}, "UPDATE t SET a = 1"),
    ],
)
def test_what_looks_like_production(different: dict[str, Any], said: str | None):
    reasons = reasons_to_ask(Surroundings(**{**QUIET, **different}))
    assert [said in reason for reason in reasons] == ([True] if said else []), reasons


@pytest.mark.parametrize(
    ("free", "wanted", "room"), [(500, 64, 64), (100, 64, 50), (1, 64, 1), (0, 64, 1), (500, 8, 8)]
)
def test_no_more_than_half_of_what_is_free(free: int, wanted: int, room: int):
    assert room_for(Surroundings(**{**QUIET, "free": free}), wanted) == room


# -- on real servers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def dsn(servers: Callable[[str], Server]) -> str:
    return servers("mariadb").dsn()


QUICK = ("--seconds", "0.3", "--max-size", "8")


@pytest.mark.server
def test_the_picture_and_the_numbers(dsn: str, tmp_path: Path):
    picture = tmp_path / "tune.png"
    found = run_json("tune", dsn, "-q", "SELECT SLEEP(0.01)", *QUICK, "--rate", "100/s", "--plot", str(picture))
    assert [level["size"] for level in found["levels"]] == steps(8)
    assert found["advice"]["good"]
    assert 2 <= found["advice"]["size"] <= 4
    assert found["law"]["serial"] < 0.2
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.server
def test_for_a_person(dsn: str):
    result = run("tune", dsn, "-q", "SELECT SLEEP(0.01)", "-q", "DO 1", *QUICK, "--latency-goal", "2s")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"^max_size \d: \d do ", result.stdout, re.MULTILINE)
    assert "Universal Scalability Law" in result.stdout


# A statement, and the sizes that do what any can, as a sweep of every size finds them.
@pytest.mark.server
@pytest.mark.parametrize(
    ("sql", "low", "high"),
    [
        ("DO GET_LOCK('tune', 60), SLEEP(0.01), RELEASE_LOCK('tune')", 1, 3),  # where it is busy, our own part counts
        ("SELECT SLEEP(0.02)", 6, 8),
        ("DO BENCHMARK(40000, SHA1('x'))", 1, 2 * (os.cpu_count() or 1)),
    ],
    ids=["lock-bound", "sleep-bound", "CPU-bound"],
)
def test_statements_whose_best_size_is_known(dsn: str, sql: str, low: int, high: int):
    found = run_json("tune", dsn, "-q", sql, "--seconds", "0.5", "--max-size", "8")
    assert low <= found["advice"]["size"] <= high, found


@pytest.mark.server
def test_no_size_is_fast_enough(dsn: str):
    found = run_json("tune", dsn, "-q", "SELECT SLEEP(0.05)", *QUICK, "--latency-goal", "10ms", code=1)
    assert not found["advice"]["good"]


@pytest.mark.server
def test_somebody_else_is_connected(servers: Callable[[str], Server], dsn: str):
    with Admin(servers("mariadb")):
        result = run("tune", dsn, "-q", "SELECT 1")
    assert result.returncode == 3
    assert "1 other clients are connected" in result.stderr
    assert "--yes" in result.stderr


@pytest.mark.server
def test_a_statement_that_writes(servers: Callable[[str], Server], dsn: str):
    with Admin(servers("mariadb")) as admin:
        admin.rows("CREATE TABLE IF NOT EXISTS tuned (n INT)")
        admin.rows("INSERT INTO tuned VALUES (0)")
    result = run("tune", dsn, "-q", "UPDATE tuned SET n = n + 1", *QUICK)
    assert (result.returncode, "this statement writes" in result.stderr) == (3, True)
    with Admin(servers("mariadb")) as admin:
        assert admin.value("SELECT MAX(n) FROM tuned") == 0
    assert run("tune", dsn, "-q", "UPDATE tuned SET n = n + 1", *QUICK, "--yes").returncode == 0


@pytest.mark.server
async def test_ctrl_c_leaves_nothing_running_on_the_server(servers: Callable[[str], Server]):
    server = servers("mariadb")
    sql = "SELECT SLEEP(100), 'tune me'"
    with Admin(server) as admin:
        command = [*COMMAND, "tune", server.dsn(), "-q", "SELECT SLEEP(100), 'tune me'", "--yes"]
        # The statement is tried once, and that would take as long: the interrupt comes while it runs.
        # What is started in the background of a script ignores interrupts, and so would its children.
        listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listen
        )

        def running() -> int:
            return admin.value("SELECT COUNT(*) FROM information_schema.processlist WHERE info = %s", sql)

        assert await eventually(running) == 1
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 130
        assert "interrupted" in errors
        assert "Traceback" not in errors
        assert await eventually(running, lambda count: count == 0) == 0


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-q", "SELEC 1"], 1, "the statement fails: (1064"),
        (["-q", "SELECT 1", "--rate", "many"], 2, "many"),
        (["-q", "SELECT 1", "--latency-goal", "1 parsec"], 2, "is no time"),
        (["-q", "DO 1", *QUICK, "--plot", "/nowhere/a.png"], 1, "the picture cannot be written"),
        (["-q", "DO 1", *QUICK, "--plot", "a.txt"], 1, "the picture cannot be written"),
    ],
)
def test_mistakes_are_said_in_a_few_words(dsn: str, arguments: list[str], code: int, said: str):
    result = run("tune", dsn, *arguments, COLUMNS="200")
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_without_scipy_it_says_what_to_install():
    code = (
        "import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name == 'scipy' else find(name, *more);"
        "import sys; sys.argv = ['x', 'tune', 'mysql://a@b/c', '-q', 'DO 1'];"
        "from async_mysqlpool.cli import main; main()"
    )
    result = subprocess.run([COMMAND[0], "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert result.stderr == "tune needs scipy: pip install 'async-mysqlpool[tune]'\n"
