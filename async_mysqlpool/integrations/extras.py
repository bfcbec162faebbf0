"""What an integration needs, and where it comes from."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["needs"]


@contextmanager
def needs(extra: str) -> Generator[None]:
    """Around the imports of a framework that the package's `extra` brings.

    Raises:
        ImportError: it is not installed; says what installs it.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        raise ImportError(
            f"async_mysqlpool.integrations.{extra} needs {exc.name}: pip install 'async-mysqlpool[{extra}]'",
            name=exc.name,
        ) from exc
