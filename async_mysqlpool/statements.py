"""What a statement may do to its session beyond its own rows, as far as its text tells.

Reading too much into a text costs a command at the next reset; reading too little would leave something behind. So any
doubt counts as an effect.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from async_mysqlpool.entry import Entry

__all__ = ["note_statement"]

# What reset="auto" takes for harmless: statements of these kinds, unless they hold a word of those. The server's
# session tracker sees neither variables assigned in a SELECT, nor named locks, nor LAST_INSERT_ID().
_HARMLESS = re.compile(r"\s*(?:select|show|update|delete|explain|describe|desc)\b")
_HARMFUL = re.compile(r"@|:=|\binto\b|lock|last_insert_id|nextval|lastval|setval|/\*!|;\s*\S")
_READ_ONLY = re.compile(r"\btransaction\b[^']*\bread\s+only\b|\btransaction_read_only\b|\btx_read_only\b")
_WRITE = re.compile(r"\s*(?:insert|update|delete|replace|load)\b")
# An index hint says USE as well.
_MOVE = re.compile(r"\bdrop\s+(?:database|schema)\b|\buse\b|\brole\b")
_LOCK = re.compile(
    r"\b(?:get_lock|release_lock|release_all_locks|lock\s+tables?|unlock\s+tables?|with\s+read\s+lock)\b"
)
_UNLOCK = re.compile(r"\b(?:release_lock|release_all_locks|unlock\s+tables?)\b")

_REMEMBERED = 1024  # texts, of at most
_SHORT = 2048  # characters: an application has a few statements, and says them often


class _Effects(NamedTuple):
    """Named as the attributes of `Entry`; `locked` is None for a statement that has nothing to do with locks."""

    dirty: bool
    wrote: bool
    moved: bool
    read_only: bool
    locked: bool | None


_NONE = _Effects(dirty=False, wrote=False, moved=False, read_only=False, locked=None)


def note_statement(entry: Entry, query: str | bytes) -> None:
    """Write down on `entry` what a statement that is about to be sent may do.

    Raises:
        TransactionError: it is a COMMIT or the like, in a transaction block.
    """
    if entry.block is not None:
        entry.block.check_statement(query, entry)
    effects = _remembered(query) if len(query) <= _SHORT else _read(query)
    if effects is _NONE:
        return
    entry.dirty |= effects.dirty
    entry.wrote |= effects.wrote
    entry.moved |= effects.moved
    entry.read_only |= effects.read_only
    if effects.locked is not None:
        entry.locked = effects.locked


def _read(query: str | bytes) -> _Effects:
    text = (query.decode("latin-1") if isinstance(query, bytes) else query).lower()
    effects = _Effects(
        dirty=_HARMLESS.match(text) is None or _HARMFUL.search(text) is not None,
        wrote=_WRITE.match(text) is not None,
        moved=_MOVE.search(text) is not None,
        read_only=_READ_ONLY.search(text) is not None,
        locked=_UNLOCK.search(text) is None if _LOCK.search(text) else None,
    )
    return _NONE if effects == _NONE else effects


_remembered = lru_cache(_REMEMBERED)(_read)
