"""What stands between a pool and a server: real programs and bad ones. What the tests get stands in `between.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
sys.path.extend(str(FOLDER.parent / name) for name in ("server", "faults"))  # kit.py and lab.py

from between import *  # noqa: E402, F403  the path above comes first; fixtures are found by their names


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them need a real server."""
    for item in items:
        if item.path.parent == FOLDER:
            item.add_marker(pytest.mark.server)
