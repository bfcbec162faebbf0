"""The console script ``async-mysqlpool``.

app.py          its commands and options
cache.py        the servers that were downloaded: how big they are, and away with them
demo.py         the demo from start to summary
walkthrough.py  the demo's first part: X DevAPI's pool, step by step
load.py         its second part: a coroutine service with more tasks than connections
display.py      what the second part shows, live in a terminal or line by line elsewhere
output.py       what all commands have in common: consoles, exit codes, errors in one line
check/          what a pool meets at a server
bench/          a statement of yours over sizes, tasks, drivers and resets
top.py          live pages in a terminal
tune/           how large the pool should be, measured
"""

import sys

__all__ = ["main"]


def main() -> None:
    """The console script's entry. Typer and rich come with the extra ``cli``."""
    try:
        from async_mysqlpool.cli.app import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        sys.exit(f"async-mysqlpool needs {missing}: pip install 'async-mysqlpool[cli]'")
    app()
