"""The benchmark runs as its help says, and its ratios are of neighbours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def parts(monkeypatch):
    """The modules of the benchmark, which are scripts beside each other."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import aims
    import figures
    import jobs
    import plan

    return plan, figures, jobs, aims


@pytest.mark.parametrize("others", [1, 2, 3, 6])
def test_a_machine_that_gets_slower_and_slower_does_not_change_the_ratios(parts, others):
    plan, figures, jobs, _ = parts
    measure = plan.Measure(rounds=4, seconds=1.0, compiled=False, trees={})
    contenders = [plan.ours("asyncmy", f"{n}", compiled=True) for n in range(others)]
    cell = plan.side_by_side(measure, "one", 100, plan.own("asyncmy"), contenders)
    speed = 10_000.0

    def ask(turn):
        nonlocal speed
        speed *= 0.99
        borrows = round(speed if turn == cell.base else speed / 2)
        return jobs.Outcome(borrows, seconds=1.0, cpu=1.0, p50=1 / borrows, p99=2 / borrows)

    base, *lines = figures.measure(cell, "mariadb", ask)
    assert base.rate_ratio == 1
    assert [line.rate_ratio for line in lines] == pytest.approx([0.5] * others, rel=0.02)
    assert [line.time_ratio for line in lines] == pytest.approx([2.0] * others, rel=0.02)
    assert {line.tail for line in lines} == {2}


def test_who_starves_is_counted(parts):
    outcome = parts[2].outcome(1.0, 1.0, [0.01] * 98, under_way=[0.9, 0.9, 0.001])
    assert (outcome.borrows, outcome.p50, outcome.p99) == (98, 0.01, 0.9)


@pytest.mark.server
def test_the_command(tmp_path):
    file = tmp_path / "bench.json"
    command = [sys.executable, str(FOLDER / "bench.py"), "--json", str(file), "--server=mariadb", "--driver=asyncmy"]
    command += ["--workload=transaction", "--tasks=10", "--rounds=2", "--seconds=0.3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = json.loads(file.read_text())["lines"]
    labels = {line["contender"].removesuffix(", interpreted") for line in lines}
    assert labels >= {"the driver's own pool", "bare driver, no pool", "ours, none", "ours, auto", "ours, session"}
    assert all(line["rate"] > 0 and line["tasks"] == 10 for line in lines)
