"""A forked child inherits the sockets of its parent and must never touch them, not even to close them.

Both processes would write to the same connection; and closing a socket in asyncio tells the selector, which they share.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["keep_for_ever", "watch"]


class _Pool(Protocol):
    def abandon(self) -> None:
        """The process was forked: this is the child."""


_pools: weakref.WeakSet[_Pool] = weakref.WeakSet()
_inherited: list[object] = []


def watch(pool: _Pool) -> None:
    """Have `pool.abandon()` called in every child of this process."""
    _pools.add(pool)


def keep_for_ever(connections: object) -> None:
    """Never let the garbage collector of a child close connections of its parent."""
    _inherited.append(connections)


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
