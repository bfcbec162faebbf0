"""The files that are compiled as well, and which form of them is loaded.

The text is the same; CONTRIBUTING.md says how. `setup.py` runs this file by itself, so it imports nothing of the
package.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, PathFinder
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["MODULES", "is_compiled"]

_FILES = (
    "wire/reads.py",
    "wire/wakeups.py",
    "wire/outgoing.py",
    "wire/wire.py",
    "wire/transport.py",
    "drivers/results.py",
    "drivers/rows.py",
    "drivers/stand_in.py",
    "connection/entry.py",
    "connection/session.py",
    "lease/held.py",
    "lease/guard.py",
    "lease/connection.py",
    "capacity/permits.py",
    "capacity/flow.py",
    "capacity/acquire.py",
)
_HERE = Path(__file__).parent
_PURE = os.environ.get("ASYNC_MYSQLPOOL_PURE", "0") not in ("", "0")  # to debug, to trace, to compare
MODULES = {f"async_mysqlpool.{file.removesuffix('.py').replace('/', '.')}": file for file in _FILES}


class _WithText(ExtensionFileLoader):
    """Loads a compiled module and knows its text: tracebacks show the lines."""

    def get_source(self, fullname: str) -> str:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        """What was compiled."""
        return (_HERE / MODULES[fullname]).read_text(encoding="utf-8")


class _Finder(MetaPathFinder):
    """Finds the modules of the list, in the form that is wanted."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        if _PURE:
            return spec_from_file_location(fullname, _HERE / MODULES[fullname])
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and isinstance(spec.loader, ExtensionFileLoader):
            spec.loader = _WithText(fullname, spec.origin)
        return spec


def is_compiled() -> bool:
    """Whether the modules of the list are loaded, or would be, in the compiled form: all of them."""
    specs = [find_spec(name) for name in MODULES]
    return all(spec is not None and isinstance(spec.loader, ExtensionFileLoader) for spec in specs)


sys.meta_path.insert(0, _Finder())
