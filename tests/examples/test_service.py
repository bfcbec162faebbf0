"""examples/service has tests of its own: they run as its author runs them, on the server that the DSN names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = pytest.mark.server


def test_the_services_own_tests(programs: Programs):
    output = programs.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "examples/service")
    assert re.search(r"^\d+ passed in ", output, re.MULTILINE), output
