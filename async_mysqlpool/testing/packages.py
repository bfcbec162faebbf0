"""Programs from Debian packages, unpacked into the cache folder: nothing gets installed, nobody needs root.

Its libraries come along, down to the C library and the program loader, so that it runs on older systems, too.
`async-mysqlpool cache --clear` removes them; what comes next time is newer.
"""

# ruff: noqa: S603 - every command here is ours, and none goes through a shell
from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .cache import build_once
from .datadir import Installation
from .greeting import Flavor, identify
from .process import ProcessServer
from .progress import tell
from .server import Options, Server, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Name", "Unpacked", "fetch", "start", "unpack"]

Name = Literal["mariadb", "mysql", "mysql-router", "haproxy", "prometheus"]
"""What can be had; each has a folder of that name in the cache."""

_TICK = 0.3  # seconds
_log = logging.getLogger(__name__)

_PACKAGE: dict[Name, str] = {"mariadb": "mariadb-server-core", "mysql": "mysql-server-core"}
_ONLY_IN_SID = ("mysql", "mysql-router")  # of Debian's suites; Ubuntu's all have them

# Told to apt as installed already: what the packages want for scripts that we do not run.
_UNWANTED = ("perl", "adduser")
_STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: {}\nMulti-Arch: allowed\nVersion: 5.99\n\n"

_KEYRINGS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{suffix}") for suffix in ("gpg", "pgp"))


def start(flavor: Flavor, options: Options, timeout: float) -> Server:
    """A server from the unpacked packages, which are fetched first where that has not happened yet."""
    return ProcessServer(fetch(flavor), options, timeout)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A folder with a program, its libraries and the loader that runs both.

    Attributes:
        environment: what they run in.
    """

    root: Path
    loader: Path
    libraries: tuple[Path, ...]
    environment: Mapping[str, str]

    def command(self, program: str) -> tuple[str, ...]:
        """The first words of what runs `program`, a path below the folder.

        Raises:
            ServerUnavailable: it is not there.
        """
        file = self.root / program
        if not file.exists():
            raise ServerUnavailable(f"{self.root} holds no {program}: remove it and try again")
        return str(self.loader), "--library-path", ":".join(map(str, self.libraries)), str(file)


def unpack(name: Name) -> Unpacked:
    """A program from the cache folder, else from Debian's archive.

    Raises:
        ServerUnavailable: this is no Debian, or the packages cannot be had; says why.
    """
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise ServerUnavailable(f"this is no Debian or Ubuntu: no {', '.join(missing)}")
    root = build_once(f"packages/{name}", partial(_build, name))
    # Programs keep libraries of their own in folders of their own.
    libraries = [
        folder for usr in ("", "usr/") for folder in sorted(root.glob(f"{usr}lib/*")) if any(folder.glob("*.so.*"))
    ]
    loader = next((file for folder in libraries for file in folder.glob("ld*.so.[0-9]")), None)
    if loader is None:
        raise ServerUnavailable(f"{root} holds no whole program: remove it and try again")
    # Libraries that somebody preloads into our process would not fit to the C library of the packages.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    return Unpacked(root, loader, tuple(libraries), environment)


def fetch(flavor: Flavor) -> Installation:
    """The server of that flavor; see `unpack`."""
    unpacked = unpack(flavor)
    root = unpacked.root
    command = unpacked.command(f"usr/sbin/{'mariadbd' if flavor == 'mariadb' else 'mysqld'}")
    result = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, env=unpacked.environment, check=False
    )
    share = next((folder for folder in root.glob("usr/share/m*") if (folder / "charsets").is_dir()), root)
    options = {
        "basedir": root / "usr",
        "plugin_dir": root / "usr/lib/mysql/plugin",
        "lc_messages_dir": share,
        "character_sets_dir": share / "charsets",
    }
    return Installation(flavor, identify(result.stdout)[1], command, share, options, unpacked.environment)


def _build(name: Name, folder: Path) -> None:
    reasons: list[str] = []
    for sources in _sources(name):
        apt = _Apt(folder / "apt", sources)
        try:
            archives = apt.download(_PACKAGE.get(name, name))
            tell(f"unpacking {name}")
            with ThreadPoolExecutor(os.cpu_count()) as workers:
                list(workers.map(partial(_unpack, folder), archives))
            return
        except ServerUnavailable as error:
            reasons.append(str(error))
        finally:
            tell("")
            shutil.rmtree(folder / "apt", ignore_errors=True)
    raise ServerUnavailable("; ".join(reasons) or f"no key to verify Debian's packages with ({_KEYRINGS[0]})")


def _unpack(folder: Path, archive: Path) -> None:
    _run(["dpkg", "-x", str(archive), str(folder)])


def _sources(name: Name) -> Iterator[str | None]:
    """What to write into apt's sources list, in the order to try; None stands for the machine's own lists."""
    if name not in _ONLY_IN_SID or "ubuntu" in Path("/etc/os-release").read_text().lower():
        yield None
    if name in _ONLY_IN_SID:
        for mirror in _mirrors():
            for option in _trust():
                yield f"deb [{option}] {mirror} sid main\n"


def _mirrors() -> Iterator[str]:
    """The mirror that this machine uses itself, where it is one of Debian; then Debian's own address."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.*"))]
    readable = [file for file in files if file.is_file() and os.access(file, os.R_OK)]
    text = "\n".join(file.read_text("utf-8", "replace") for file in readable)
    found = re.search(r"^[^#\n]*?(https?://\S+/debian)/?(?=\s|$)", text, re.MULTILINE)
    default = "http://deb.debian.org/debian"
    if found and found[1] != default:
        yield found[1]
    yield default


def _trust() -> Iterator[str]:
    keyring = next((file for file in _KEYRINGS if file.exists()), None)
    if keyring:
        yield f"signed-by={keyring}"
    elif os.environ.get("ASYNC_MYSQLPOOL_UNSIGNED_PACKAGES"):
        # No keyring on this machine (a Debian always has one): what we run then comes from whoever answers.
        # Only for those who ask for it.
        yield "trusted=yes"


@dataclass
class _Apt:
    """apt with its state in `folder`, to which nothing is installed yet: all dependencies get resolved."""

    folder: Path
    sources: str | None

    def download(self, prefix: str) -> list[Path]:
        """The archives of the newest package whose name begins so, and of all that it depends on."""
        for name in ("state/lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True)
        architecture = _run(["dpkg", "--print-architecture"]).strip()
        (self.folder / "status").write_text("".join(_STATUS.format(one, architecture) for one in _UNWANTED))
        where = "the machine's own sources" if self.sources is None else self.sources.strip()
        _log.info("fetching %s and its libraries from %s", prefix, where)
        tell(f"looking for {prefix} in {where}")
        complaints = self._run("apt-get", "update", check=False)
        newest = self._newest(prefix)
        if newest is None:
            raise ServerUnavailable(f"no package {prefix} in {where} ({_last_lines(complaints)})")
        install = ("install", "--download-only", "--yes", newest)
        sizes = re.findall(r"^'\S+' \S+ (\d+) ", self._run("apt-get", "--print-uris", *install), re.MULTILINE)
        self._download(newest, install, sum(map(int, sizes)))
        return sorted((self.folder / "cache/archives").glob("*.deb"))

    def _download(self, name: str, install: tuple[str, ...], total: int) -> None:
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(self._run, "apt-get", *install)
            while not running.done():
                files = list((self.folder / "cache/archives").glob("**/*.deb"))
                tell(f"downloading {name} and its libraries", sum(map(_size, files)), total)
                wait([running], timeout=_TICK)
        running.result()

    def _newest(self, prefix: str) -> str | None:
        """Debian's package has no version in its name; older Debians' and Ubuntu's have."""
        found = self._run("apt-cache", "search", "--names-only", rf"^{re.escape(prefix)}(-[0-9.]+)?$")
        names = [line.split(" ")[0] for line in found.splitlines()]
        names.sort(key=lambda name: (name == prefix, [int(part) for part in re.findall(r"\d+", name)]))
        return names[-1] if names else None

    def _run(self, tool: str, *arguments: str, check: bool = True) -> str:
        words = [word for name, value in self._settings().items() for word in ("-o", f"{name}={value}")]
        return _run([tool, "-q", *words, *arguments], check=check)

    def _settings(self) -> dict[str, object]:
        settings: dict[str, object] = {
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Debug::NoLocking": "true",  # nobody else knows this folder, and dpkg's lock is root's
            "APT::Architectures": _run(["dpkg", "--print-architecture"]).strip(),
            "APT::Install-Recommends": "false",
            "Acquire::Retries": 3,
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        }
        if os.geteuid() == 0:
            settings["APT::Sandbox::User"] = "root"  # the user _apt has no access to our folder
        if self.sources is not None:
            sources = self.folder / "sources.list"
            sources.write_text(self.sources)
            settings |= {"Dir::Etc::SourceList": sources, "APT::Default-Release": ""}
            # The machine's preferences are about its own suite and could forbid this one.
            names = ("SourceParts", "Preferences", "PreferencesParts")
            settings |= {f"Dir::Etc::{name}": "/dev/null" for name in names}
        return settings


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it was renamed, being complete
        return 0


def _run(command: list[str], *, check: bool = True) -> str:
    """What it prints; errors, too, where a failure is not one for us."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    if check and result.returncode != 0:
        raise ServerUnavailable(f"{command[0]} failed: {_last_lines(result.stderr)}")
    return result.stdout if check else result.stdout + result.stderr


def _last_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("E:", "W:", "Err:"))] or text.splitlines()
    return " / ".join(lines[-3:])
