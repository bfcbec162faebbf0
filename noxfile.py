"""What can be run here; `nox -l` lists it. Needs Python 3.11 to 3.14 and pip, and for real servers Docker or apt.

Every session installs what it needs into an environment of its own, and the tests start their own servers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import nox
from nox.command import CommandFailed

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"  # the Python that runs nox: the one Python that surely works
PROJECT = nox.project.load_toml("pyproject.toml")

if HERE not in PYTHONS:
    raise SystemExit(f"nox runs on Python {HERE}; install it into one of {', '.join(PYTHONS)}: python3.11 -m pip ...")

nox.options.sessions = ["lint", "typing", "tests"]
nox.options.error_on_missing_interpreters = False  # the other Pythons are tested where the machine has them
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"


def use_all_of_pyenv() -> None:
    """Pyenv's shims start only the versions that are switched on: switch on all of them, the present one first."""
    if pyenv := shutil.which("pyenv"):
        found = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False)
        versions = [v for v in found.stdout.split() if v.startswith(tuple(f"{p}." for p in PYTHONS))]
        versions.sort(key=lambda v: not v.startswith(f"{HERE}."))
        os.environ["PYENV_VERSION"] = ":".join([*versions, "system"])


use_all_of_pyenv()


def install(session: nox.Session, *groups: str) -> None:
    """The package as it lies here, with both drivers, and the dependency groups of pyproject.toml."""
    session.install("-e", ".[all]", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite on real servers; on the other Pythons what needs no server, and every example on a real one."""
    install(session, "test")
    if session.posargs:
        session.run("pytest", *session.posargs)
    elif session.python == HERE:
        session.run("pytest")
    else:
        session.run("pytest", "-m", "not server", "--ignore=tests/examples")
        session.run("pytest", "tests/examples")


@nox.session
def soak(session: nox.Session) -> None:
    """Storms on real servers, a long run of the state machine, a minute of fuzzing; `nox -s soak -- 600` for more."""
    install(session, "test")
    seconds = session.posargs[0] if session.posargs else "60"
    session.run("pytest", "tests/core/test_state_machine.py", "--hypothesis-profile=soak")
    session.run("pytest", "-m", "soak", "tests/soak", env={"SOAK_SECONDS": seconds})
    try:
        session.install("--only-binary=:all:", "atheris>=3")
    except CommandFailed:
        session.log("no fuzzing: atheris cannot be installed here")
    else:
        session.run("python", "tests/soak/fuzz_wire.py", "-max_total_time=60")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Mypy and pyright, both strict, on the package and on programs that use it (tests/typing)."""
    install(session, "test", "typing")
    session.run("mypy")
    session.run("pyright")


@nox.session
def demo(session: nox.Session) -> None:
    """A throwaway server, and the pool at work on it. `nox -s demo -- --help` for the options."""
    install(session)
    session.run("async-mysqlpool", "demo", *session.posargs)


@nox.session
def newest(session: nox.Session) -> None:
    """The tests on real servers against the newest release of each driver, pre-releases included."""
    install(session, "test")
    session.install("--upgrade", "--pre", "asyncmy", "aiomysql", "mysql-connector-python")
    session.run("pytest", "-m", "server", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Side by side with the drivers' own pools: borrow and return alone, with a SELECT 1, and that at light load."""
    install(session)
    session.run("python", "benchmarks/acquire_release.py", *session.posargs)
    session.run("python", "benchmarks/throughput.py", *session.posargs)
    session.run("python", "benchmarks/light_load.py", *session.posargs)
