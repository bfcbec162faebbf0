"""The servers that were downloaded for demos and tests: how much room they take, and away with them."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["cache"]


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove them; the next test or demo downloads again.")] = False,
) -> None:
    """Show the downloaded servers and the size of each, or remove them."""
    try:
        from async_mysqlpool.testing import cache as folder
    except ImportError:  # Windows has no fcntl, and no servers that are downloaded
        typer.echo("nothing is downloaded on this system")
        return
    sizes = folder.contents()
    for name, size in sizes.items():
        typer.echo(f"{size / 1e6:8,.1f} MB  {name}")
    typer.echo(f"{sum(sizes.values()) / 1e6:8,.1f} MB  in {folder.cache_folder()}")
    if clear:
        folder.clear()
        typer.echo("removed")
    elif sizes:
        typer.echo("async-mysqlpool cache --clear removes them")
