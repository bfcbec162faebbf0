"""Fresh data folders: initialised once per kind of server, then copied."""

# ruff: noqa: S603 - every command here is ours, and none goes through a shell
from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from .cache import build_once
from .server import ServerStartError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .greeting import Flavor

__all__ = ["Installation", "create_data", "flags"]


@dataclass(frozen=True)
class Installation:
    """A server program on this machine.

    Args:
        command: what runs it, first of all words.
        share: the folder with the SQL files that MariaDB's system tables are made from; MySQL needs none.
        options: where its parts are, if not where it was built to find them.
        environment: what it runs in; None for ours.
    """

    flavor: Flavor
    version: str
    command: tuple[str, ...]
    share: Path | None = None
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    environment: Mapping[str, str] | None = None


# Fixed when a data folder is made: a server that gets other values later refuses to start.
_FIXED = ("innodb_page_size", "innodb_data_file_path", "lower_case_table_names")

_SMALL: dict[Flavor, dict[str, object]] = {
    "mariadb": {"innodb_log_file_size": "16M"},
    "mysql": {"loose_innodb_redo_log_capacity": "16M"},  # "loose": unknown before 8.0.30
}

_MARIADB_TABLES = (  # each begins with "mysql_" until MariaDB 10, with "mariadb_" later
    "system_tables.sql",
    "performance_tables.sql",
    "system_tables_data.sql",
    "sys_schema.sql",
)


def flags(options: Mapping[str, object]) -> list[str]:
    """System variables as command line arguments; None stands for a bare flag."""
    return [f"--{name}" if value is None else f"--{name}={value}" for name, value in options.items()]


def create_data(installation: Installation, target: Path, options: Mapping[str, object]) -> dict[str, object]:
    """Make `target` a fresh data folder; gives the options that its server has to be started with.

    Raises:
        ServerStartError: the server's own initialisation failed.
    """
    fixed = {**_SMALL[installation.flavor], **{name: options[name] for name in _FIXED if name in options}}
    key = hashlib.sha256(repr((installation.command, sorted(fixed.items()))).encode()).hexdigest()[:12]
    name = f"data/{installation.flavor}-{installation.version}-{key}"
    template = build_once(name, partial(_initialise, installation, fixed))
    shutil.copytree(template, target)
    return fixed


def _initialise(installation: Installation, fixed: Mapping[str, object], folder: Path) -> None:
    options = {**installation.options, **fixed, "datadir": folder, "secure_file_priv": folder}
    if os.geteuid() == 0:
        options["user"] = "root"
    if installation.flavor == "mariadb":
        # What mariadb-install-db does, less the help tables, the test database and the anonymous accounts.
        options |= {"bootstrap": None, "log_warnings": 0, "max_allowed_packet": "8M"}
        sql = _mariadb_sql(installation)
    else:
        options["initialize_insecure"] = None
        sql = b""
    command = [*installation.command, "--no-defaults", *flags(options)]
    result = subprocess.run(
        command,
        input=sql,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=installation.environment,
        cwd="/",
        check=False,
    )
    if result.returncode != 0:
        output = result.stdout.decode("utf-8", "replace")
        raise ServerStartError(f"{command[0]} could not initialise a data folder:\n{output[-3000:]}")
    (folder / "auto.cnf").unlink(missing_ok=True)  # the server's UUID: each copy has to make its own


def _mariadb_sql(installation: Installation) -> bytes:
    share = installation.share
    if share is None:
        raise ServerStartError(f"no SQL files for MariaDB's system tables beside {installation.command[-1]}")
    gis = share / "maria_add_gis_sp_bootstrap.sql"
    parts = [_either(share, name) for name in _MARIADB_TABLES]
    files = [*parts[:3], gis, *parts[3:]]
    # Only the account that runs the server gets in as root, and through the socket. Tests have their own.
    opening = f"create database mysql;\nuse mysql;\nset @auth_root_socket='{getpass.getuser()}';\n"
    return opening.encode() + b"\n".join(file.read_bytes() for file in files if file.exists())


def _either(share: Path, name: str) -> Path:
    new = share / f"mariadb_{name}"
    return new if new.exists() else share / f"mysql_{name}"
