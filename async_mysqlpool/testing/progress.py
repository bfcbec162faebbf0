"""What takes long and happens once, a download, is told to whoever looks on: by default a person at a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["tell", "told_to"]

_listeners: list[Callable[[str], None]] = []


@contextmanager
def told_to(listener: Callable[[str], None]) -> Generator[None]:
    """`listener` is called with each text in the block, instead of the terminal."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(what: str, done: int = 0, total: int = 0) -> None:
    """What is being done, and how far it has got, in bytes; "" when it is over."""
    text = f"{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else what
    if _listeners:
        if text:
            _listeners[-1](text)
    elif sys.stderr is not None and sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]  pythonw has none
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
