"""The program on docs/testing.md does what the page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_program_without_a_server():
    blocks = PAGE.read_text().split("```python\n")[1:]
    programs = [block.split("```")[0] for block in blocks if "run_virtual(main())" in block]
    assert len(programs) == 1
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", programs[0]], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
