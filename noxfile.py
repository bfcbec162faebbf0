"""What can be run here; `nox -l` lists it. Needs Python 3.11 to 3.14 and pip, and for real servers Docker or apt.

Every session installs what it needs into an environment of its own, and the tests start their own servers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig

import nox
from nox.command import CommandFailed

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"  # the Python that runs nox: the one Python that surely works
PROJECT = nox.project.load_toml("pyproject.toml")
SYSTEM = "/usr/bin/python3"  # the distribution's own: an old patch of its version, and what many users have
PARALLEL = ("-n", "auto", "--dist", "worksteal")  # each process has servers of its own: see tests/conftest.py
TESTED_COMPILED = ("tests/packaging", "tests/core", "tests/wire", "tests/drivers", "tests/server")
# What the extras of pyproject.toml begin with, and what must work on them as on the newest.
OLDEST = ("asyncmy==0.2.14", "aiomysql==0.2.0", "mysql-connector-python==9.4.0")
TESTED_OLDEST = (
    "tests/drivers", "tests/server/test_driver_contract.py", "tests/server/test_leftovers.py",
    "tests/server/test_clean_session.py", "tests/server/test_transaction_blocks.py",
    "-W", "ignore:coroutine 'MySQLResult._finish_unbuffered_query':RuntimeWarning",
)  # fmt: skip

if HERE not in PYTHONS:
    raise SystemExit(f"nox runs on Python {HERE}; install it into one of {', '.join(PYTHONS)}: python3.11 -m pip ...")

nox.needs_version = ">=2026.8.10"  # older ones take "3.11.2" for any 3.11
nox.options.sessions = ["lint", "typing", "tests", "compiled"]
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


def version_of(python: str) -> str:
    """Such as "3.11.2"; "" if it does not run."""
    command = [python, "-c", "import platform; print(platform.python_version())"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def pythons() -> list[str]:
    """One Python of each version that the machine has; and the distribution's, where it is another one than those."""
    own = version_of(SYSTEM)
    minor = ".".join(own.split(".")[:2])
    found = version_of(sys.executable if minor == HERE else f"python{minor}")
    return [*PYTHONS, own] if minor in PYTHONS and own != found else PYTHONS


def install(session: nox.Session, *groups: str) -> None:
    """The package as it lies here, with all drivers, what throwaway servers need, and groups of pyproject.toml."""
    session.install("-e", ".[all,docker]", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session(python=pythons())
def tests(session: nox.Session) -> None:
    """The suite on real servers; on the other Pythons what needs no server, and every example on a real one."""
    install(session, "test", "orm")
    if session.posargs:
        session.run("pytest", *session.posargs)
    elif session.python == HERE:
        session.run("pytest", *PARALLEL)
    else:
        session.run("pytest", *PARALLEL, "-m", "not server", "--ignore=tests/examples")
        session.run("pytest", *PARALLEL, "tests/examples")


@nox.session
def compiled(session: nox.Session) -> None:
    """The package as users install it, its hot path compiled, and the tests of that; what follows -- goes to pytest."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if os.name != "nt" and shutil.which(compiler) is None:
        session.skip(f"nothing is compiled here: there is no C compiler, {compiler} is not installed")
    groups = nox.project.dependency_groups(PROJECT, "test", "build")
    session.install(".[all,docker]", *groups, env={"ASYNC_MYSQLPOOL_BUILD": "compiled"})
    # Not the text that lies here: what was installed. The tests fail, too, if that is not the compiled form.
    env = {"PYTHONSAFEPATH": "1", "ASYNC_MYSQLPOOL_PURE": "", "ASYNC_MYSQLPOOL_TESTED": "compiled"}
    session.run("python", "-c", "import async_mysqlpool as p; assert p.compiled, f'{p.__file__} is Python'", env=env)
    session.run("pytest", *(session.posargs or (*PARALLEL, *TESTED_COMPILED)), env=env)


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
def peers(session: nox.Session) -> None:
    """Tests of others, from PyPI, on their own pools and on ours. `nox -s peers -- --help` for a part."""
    install(session)
    session.run("python", "tests/peers/peers.py", *session.posargs)


@nox.session
def prometheus(session: nox.Session) -> None:
    """A real Prometheus, from Debian's packages, scrapes a FastAPI service and evaluates our alerts and dashboard."""
    install(session, "test")
    session.run("python", "tests/peers/prometheus_scrapes.py")


@nox.session
def observed(session: nox.Session) -> None:
    """What it costs to look: time per borrow and per statement, with each way to see what the pool does."""
    install(session, "test")
    session.run("python", "benchmarks/observed.py")


@nox.session
def tracers(session: nox.Session) -> None:
    """What the agents of Sentry, Datadog, Elastic and New Relic see on our pools. Nothing is sent."""
    install(session, "test")
    session.install("sentry-sdk>=2.75", "ddtrace>=4", "elastic-apm>=6.26", "newrelic>=14")
    session.run("python", "tests/peers/tracers.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Mypy and pyright, both strict, on the package and on programs that use it (tests/typing, examples/service)."""
    install(session, "test", "typing")
    session.run("mypy")
    session.run("pyright")
    session.run("pytest", "tests/typing")


@nox.session
def demo(session: nox.Session) -> None:
    """A throwaway server, and the pool at work on it. `nox -s demo -- --help` for the options."""
    install(session)
    session.run("async-mysqlpool", "demo", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Five pools in six situations on a throwaway server: what the README's table says. `-- left` for one of them."""
    install(session, "bench")
    session.run("python", "examples/compare.py", *session.posargs)


@nox.session
def newest(session: nox.Session) -> None:
    """The tests on real servers against the newest release of each driver, pre-releases included."""
    install(session, "test")
    session.install("--upgrade", "--pre", "asyncmy", "aiomysql", "mysql-connector-python")
    session.run("pytest", *PARALLEL, "-m", "server", *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """The tests of drivers on real servers against the oldest release of each that is supported, all three together."""
    install(session, "test")
    session.install(*OLDEST)
    session.run("pytest", *PARALLEL, *(session.posargs or TESTED_OLDEST))


@nox.session
def bench(session: nox.Session) -> None:
    """Side by side with the drivers' own pools and others. `nox -s bench -- --quick`: three minutes; `--help`: more."""
    install(session, "bench")
    try:
        session.install("mysqlclient>=2.2")
    except CommandFailed:
        session.log("without mysqlclient under threads: it cannot be installed here")
    session.run("python", "benchmarks/bench.py", *session.posargs)


@nox.session
def texts(session: nox.Session) -> None:
    """Statements of up to 16 MB: what the pool adds to each must not grow faster than its text."""
    install(session)
    session.run("python", "benchmarks/statement_texts.py", *session.posargs)


@nox.session
def instructions(session: nox.Session) -> None:
    """Instructions of the processor per borrow, which no other load on the machine disturbs. Needs valgrind."""
    install(session, "bench")
    session.run("python", "benchmarks/instructions.py", *session.posargs)
