"""Commands and options; what they do stands elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

import async_mysqlpool
from async_mysqlpool import PoolError
from async_mysqlpool.cli import cache
from async_mysqlpool.cli import demo as demo_module
from async_mysqlpool.cli.bench.command import bench
from async_mysqlpool.cli.check.command import check
from async_mysqlpool.cli.top import top
from async_mysqlpool.cli.tune.command import tune
from async_mysqlpool.testing import Server, ServerUnavailable, start_server
from async_mysqlpool.testing.progress import told_to

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(bench)
app.command()(check)
app.command()(tune)
app.command()(top)


class Flavor(StrEnum):
    """Servers that can be started."""

    MARIADB = "mariadb"
    MYSQL = "mysql"


def _say_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def commands(
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The asyncio connection pool for MySQL and MariaDB."""


@app.command()
def version() -> None:
    """Print the version, and whether its hot path is compiled."""
    form = "compiled" if async_mysqlpool.compiled else "pure Python"
    typer.echo(f"{async_mysqlpool.__version__} ({form})")


app.command()(cache.cache)


@app.command()
def demo(
    server: Annotated[Flavor | None, typer.Option(help="Which server to start; default: whichever can be had.")] = None,
    driver: Annotated[str | None, typer.Option(help="asyncmy, aiomysql or mysql.connector.aio.")] = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks of the service under load.")] = 100,
    connections: Annotated[int, typer.Option(min=1, help="max_size of the pool under load.")] = 10,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long the load lasts.")] = 8.0,
    dsn: Annotated[str | None, typer.Option(help="Use this server instead of a throwaway one: mysql://...")] = None,
) -> None:
    """Show the pool at work on a real server: X DevAPI's walk-through, then a service under load."""
    console = Console(highlight=False)
    # What the pool logs would tear the live table apart; whatever matters here is raised or counted as well.
    logging.getLogger("async_mysqlpool").addHandler(logging.NullHandler())
    try:
        with contextlib.ExitStack() as stack:
            url = dsn or stack.enter_context(_throwaway(console, server)).dsn()
            asyncio.run(demo_module.run(console, url, demo_module.Load(driver, tasks, connections, seconds)))
    except (PoolError, ServerUnavailable) as error:
        Console(stderr=True, highlight=False).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def _throwaway(console: Console, flavor: Flavor | None) -> Generator[Server]:
    title = {"mariadb": "MariaDB", "mysql": "MySQL"}
    name = title[flavor.value] if flavor else "MariaDB or MySQL"
    if console.is_terminal:
        with (
            console.status(f"starting a throwaway {name} server") as status,
            told_to(lambda text: status.update(escape(text))),
        ):
            server = start_server(flavor.value if flavor else None)
    else:
        console.print(f"starting a throwaway {name} server (the first time, it may have to be downloaded)")
        server = start_server(flavor.value if flavor else None)
    with server:
        console.print(f"throwaway server: {title[server.flavor]} {server.version} on port {server.port}")
        yield server
