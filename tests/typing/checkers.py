"""What mypy and pyright, both strict, say of programs in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[2]


def mypy(folder: Path) -> str:
    """Its whole output, a line for each message."""
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = true\nmypy_path = {ROOT}:{folder}\n")
    settings = ("--follow-imports=silent", "--config-file", str(folder / "mypy.ini"))
    return _run("mypy", *settings, *map(str, folder.glob("*.py")))


def pyright(folder: Path) -> str:
    """The same, with "error:" where mypy has it."""
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    found = json.loads(_run("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)))
    return "\n".join(
        f"{Path(item['file']).name}:{item['range']['start']['line'] + 1}: {item['severity']}: {item['message']}"
        for item in cast("list[dict[str, Any]]", found["generalDiagnostics"])
    )


def _run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout
