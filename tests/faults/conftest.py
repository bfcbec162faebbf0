"""Bad days: real servers with a fault proxy before them. What the tests are given stands in `rig.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig import *  # noqa: F403  fixtures are found by their names

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for a server here needs a real one."""
    for item in items:
        if item.path.parent == FOLDER and "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)
