"""Workers, from the side of the one that gives them their jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contenders import Account, Contender

WORKER = Path(__file__).parent / "worker.py"


class ContenderMissing(RuntimeError):  # noqa: N818 - nothing is wrong: it is not installed here
    """The contender cannot be had here; the message says what is not installed."""


class Worker:
    """A process that has one contender open. Close it when done.

    Args:
        contender: what it opens.
        account: on which server.
        size: how many connections.
        under: a command that starts it, such as valgrind's.

    Raises:
        ContenderMissing: something that it needs is not installed.
        RuntimeError: it does not come up; the message has what it wrote.
    """

    def __init__(self, contender: Contender, account: Account, size: int, under: Sequence[str] = ()) -> None:
        self.contender = contender
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        arguments = [json.dumps(asdict(contender)), json.dumps(asdict(account)), str(size)]
        self._process = subprocess.Popen(
            [*under, sys.executable, str(WORKER), *arguments],
            env=environment(contender),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            answer = self._answer()
            if missing := answer.get("missing"):
                raise ContenderMissing(f"{contender.label}: {missing}")
        except BaseException:
            self.close()
            raise

    def ask(self, job: Job) -> Outcome:
        """Have one round done. Raises RuntimeError with what the worker wrote if it failed."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        return Outcome(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        if line := self._process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._process.wait()
        raise RuntimeError(f"{self.contender.label} failed:\n{self.errors()}")

    def errors(self) -> str:
        """What it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def close(self) -> None:
        """No more jobs: it closes its pool and ends."""
        self._process.communicate()


def environment(contender: Contender) -> dict[str, str]:
    """In which the worker finds the package it is to measure, in the form it is to have."""
    env = os.environ | {"PYTHONHASHSEED": "0"}
    if contender.interpreted:
        env["ASYNC_MYSQLPOOL_PURE"] = "1"
    if contender.tree:
        env["PYTHONPATH"] = contender.tree
    return env


def is_compiled(tree: str = "") -> bool:
    """Whether the package, or that of a checkout, is there in its compiled form."""
    code = "import async_mysqlpool; print(getattr(async_mysqlpool, 'compiled', False))"
    env = os.environ | ({"PYTHONPATH": tree} if tree else {})
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


def other_tree(text: str) -> tuple[str, tuple[str, bool]]:
    """Name and folder of a checkout, from NAME=FOLDER, and whether it is compiled. Raises ValueError if it is none."""
    name, _, folder = text.partition("=")
    if not (Path(folder) / "async_mysqlpool").is_dir():
        raise ValueError(f"{text}: not NAME=FOLDER of a checkout")
    path = str(Path(folder).resolve())
    return name, (path, is_compiled(path))
