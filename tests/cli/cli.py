"""The command line as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

COMMAND = (sys.executable, "-W", "error", "-c", "from async_mysqlpool.cli import main; main()")


def run(*args: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in a pipe."""
    return subprocess.run(
        [*COMMAND, *args], env=os.environ | environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def run_json(*args: str, code: int = 0, **environment: str) -> Any:
    """The same with --json."""
    result = run(*args, "--json", **environment)
    assert (result.returncode, result.stderr) == (code, "")
    return json.loads(result.stdout)
