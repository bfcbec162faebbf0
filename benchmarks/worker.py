"""One contender in a process of its own: `worker.py CONTENDER ACCOUNT SIZE`, the first two as JSON.

It says when it is ready, then reads jobs and writes outcomes, a line of JSON each, until there are no more.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import threads
from contenders import Account, Contender
from jobs import Job
from pools import opened
from rounds import one_round, warmed_up

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    contender, account = Contender(**json.loads(sys.argv[1])), Account(**json.loads(sys.argv[2]))
    size = int(sys.argv[3])
    try:
        if contender.kind == "threads":
            use_threads(account, size)
        else:
            asyncio.run(use_tasks(contender, account, size))
    except ImportError as error:
        say({"missing": str(error)})


async def use_tasks(contender: Contender, account: Account, size: int) -> None:
    async with opened(contender, account, size) as pool:
        say({"ready": True})
        for job in jobs():
            if contender.driver != "fake":
                await warmed_up(pool, size)
            say(asdict(await one_round(pool, job)))


def use_threads(account: Account, size: int) -> None:
    pool = threads.open_pool(account, size)
    say({"ready": True})
    for job in jobs():
        say(asdict(threads.one_round(pool, job)))


def jobs() -> Iterator[Job]:
    """Waiting for one stops the loop, as nothing else is to run between two rounds."""
    for line in sys.stdin:
        yield Job(**json.loads(line))


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
