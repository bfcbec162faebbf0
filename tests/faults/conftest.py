"""Bad days: real servers with a fault proxy before them. What the tests are given stands in `rig.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "server"))  # kit.py: a second look at the server, and patience

from rig import *  # noqa: E402, F403  the path above comes first; fixtures are found by their names


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for a server here needs a real one."""
    for item in items:
        if item.path.parent == FOLDER and "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)
