"""The folder for what is slow to make (unpacked packages, fresh data folders): made once for all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["build_once", "cache_folder", "clear", "contents"]


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/async-mysqlpool`, else the same in `~/.cache`, else a private temporary folder."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path("~/.cache").expanduser()
    folder = home / "async-mysqlpool"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass  # accounts of daemons have no home
    return _private_folder(Path(tempfile.gettempdir()) / f"async-mysqlpool-{os.getuid()}")


def _private_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # What lies in it gets executed, and anybody may create names in the folder for temporary files.
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder} is not ours alone: set XDG_CACHE_HOME to a folder of your own")
    return folder


def contents() -> dict[str, int]:
    """What lies in the cache: the name of each folder, such as ``packages/mariadb``, and its bytes on the disk."""
    root = cache_folder()
    folders = sorted(path for path in root.glob("*/*") if path.is_dir())
    return {str(path.relative_to(root)): sum(map(_on_disk, path.rglob("*"))) for path in folders}


def _on_disk(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError:  # somebody has removed it
        return 0


def clear() -> None:
    """Remove all of it, waiting for who builds something just now. Servers that run from it must be gone."""
    for name in contents():
        final = cache_folder() / name
        with final.with_name(f"{final.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(final, ignore_errors=True)


def build_once(name: str, build: Callable[[Path], None]) -> Path:
    """The cached folder `name`; where there is none, `build` fills an empty one, which gets that name.

    A lock makes other processes wait for the one that builds; an interrupted build leaves nothing behind.
    """
    final = cache_folder() / name
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with final.with_name(f"{final.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            _build(final, build)
    return final


def _build(final: Path, build: Callable[[Path], None]) -> None:
    prefix = f".{final.name}.building-"
    for leftover in final.parent.glob(f"{prefix}*"):  # of builders that were killed: nobody else builds now
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
    try:
        build(folder)
        folder.rename(final)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
