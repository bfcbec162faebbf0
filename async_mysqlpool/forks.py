"""A forked child inherits the sockets of its parent and must never touch them, not even to close them.

Both processes would write to the same connection; and closing a socket in asyncio tells the selector, which they share.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep_for_ever", "watch"]


_pools: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()
_inherited: list[object] = []


def watch(pool: object, abandon: Callable[[Any], None]) -> None:
    """Have `abandon(pool)` called in every child of this process, as long as the pool is there."""
    _pools[pool] = abandon


def keep_for_ever(connections: object) -> None:
    """Never let the garbage collector of a child close connections of its parent."""
    _inherited.append(connections)


def _after_fork_in_child() -> None:
    for pool, abandon in list(_pools.items()):
        abandon(pool)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
