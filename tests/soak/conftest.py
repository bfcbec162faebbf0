"""Bad days for as long as asked: `SOAK_SECONDS=600 pytest tests/soak`, or `nox -s soak -- 600`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "faults"))

from rig import *  # noqa: E402, F403  the path above comes first; fixtures are found by their names


def pytest_configure(config: pytest.Config) -> None:
    """A marker of this folder's own."""
    config.addinivalue_line("markers", "soak: takes as long as the environment's SOAK_SECONDS says")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Not part of the usual run."""
    for item in items:
        if item.path.parent == FOLDER:
            item.add_marker(pytest.mark.server)
            item.add_marker(pytest.mark.soak)
            if "SOAK_SECONDS" not in os.environ:
                item.add_marker(pytest.mark.skip(reason="takes as long as the environment's SOAK_SECONDS says"))
