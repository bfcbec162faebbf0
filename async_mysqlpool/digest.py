"""A statement without its values: what groups statements in tables, and may stand in logs and traces.

One pass over the text, each character is looked at once, and only the first few thousand of them.
"""

from __future__ import annotations

import re

__all__ = ["digest", "summary"]

_LOOKED_AT = 4096  # characters of a statement
_LONGEST = 1024  # characters of a digest
_LONGEST_SUMMARY = 255  # as OpenTelemetry's conventions want it

# Of a text in quotes that is cut off, all that is left is a value. Possessive, so that nothing is looked at twice.
# Where a group is repeated it is in an atomic one: the possessive form, ``)*+``, goes wrong in Python 3.11.2.
_QUOTED = r"(?:\b[xXbBnN])?(?:'(?>(?:[^'\\]++|\\.|'')*)(?:'|\\?\Z)|\"(?>(?:[^\"\\]++|\\.|\"\")*)(?:\"|\\?\Z))"
_QUOTED_PLAIN = r"(?:\b[xXbBnN])?(?:'(?>(?:[^']++|'')*)(?:'|\Z)|\"(?>(?:[^\"]++|\"\")*)(?:\"|\Z))"
_PART = r"""
    (?P<gap>(?>(?:\s++|/\*(?>(?:[^*]++|\*(?!/))*)(?:\*/|\Z)|(?:\#|--(?=\s|\Z))[^\n]*+)+))
  | (?P<value>QUOTED
      | (?<![\w$.])(?:0[xX][0-9a-fA-F]++|0b[01]++|(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?)(?![\w$])
      | %(?:\(\w++\))?s)
  | (?P<name>`(?>(?:[^`]++|``)*)(?:`|\Z)|[\w$@]++)
  | (?P<rest>%%|.)
"""
_PARTS = {
    escapes: re.compile(_PART.replace("QUOTED", _QUOTED if escapes else _QUOTED_PLAIN), re.VERBOSE | re.DOTALL)
    for escapes in (True, False)
}
_VALUES = re.compile(r"\?(?>(?: ?, ?\?)+)")
_TUPLES = re.compile(r"(\( ?\?(?:, \.\.\.)? ?\))(?>(?: ?, ?\( ?\?(?:, \.\.\.)? ?\))+)")


def digest(text: str | bytes, escapes: bool = True) -> str:
    """The statement with ``?`` for each value, lists of them as ``?, ...``, no comments, and single spaces.

    Args:
        text: as it is said, with values or with placeholders.
        escapes: a backslash escapes in quotes; False with the server's sql_mode NO_BACKSLASH_ESCAPES.
    """
    start = text[: _LOOKED_AT + 1]
    said = start if isinstance(start, str) else bytes(start).decode("latin-1")
    result = _PARTS[escapes].sub(_replaced, said[:_LOOKED_AT]).strip().rstrip("; ")
    result = _TUPLES.sub(r"\1, ...", _VALUES.sub("?, ...", result))
    if len(said) > _LOOKED_AT or len(result) > _LONGEST:
        result = result[: _LONGEST - 4] + " ..."
    return result


def _replaced(token: re.Match[str]) -> str:
    kind = token.lastgroup
    if kind == "gap":
        return " "
    if kind == "value":
        return "?"
    return "%" if token[0] == "%%" else token[0]


_TARGET = re.compile(
    r"\b(?:from|join|into|update|table|call)\b (?>(?:ignore |low_priority |if (?:not )?exists )?)"
    r"((?>(?:`[^`]*+`|[\w$.@])+))",
    re.IGNORECASE,
)
_VERB = re.compile(r"[(\s]*(\w++)")
_NO_TARGETS = {"SET", "SHOW", "BEGIN", "COMMIT", "ROLLBACK", "START", "SAVEPOINT", "RELEASE", "XA", "LOCK", "UNLOCK"}
_NO_NAMES = {"SELECT", "LATERAL", "SET"}


def summary(digested: str) -> str:
    """What a digest does to what, in a few words: ``SELECT orders customers``. "" if that cannot be told."""
    verb = _VERB.match(digested)
    if verb is None:
        return ""
    words = [verb[1].upper()]
    if words[0] not in _NO_TARGETS:
        targets = (match[1].replace("`", "") for match in _TARGET.finditer(digested))
        words += dict.fromkeys(target for target in targets if target.upper() not in _NO_NAMES)
    while len(" ".join(words)) > _LONGEST_SUMMARY and len(words) > 1:
        words.pop()
    return " ".join(words)[:_LONGEST_SUMMARY]
