"""Writes docs/api.md from the package itself: `python docs/api.py`. A test holds the page against it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import async_mysqlpool
from async_mysqlpool import events

PAGE = Path(__file__).with_name("api.md")
HEAD = """# API

What can be imported from `async_mysqlpool`, and the first words on each; `help(...)` has all of them: arguments with
units, and what is raised. Written by `python docs/api.py` from the package itself. Options of a pool stand in the
[README](../README.md#options), errors and what to do in [failures](failures.md).
"""
TAIL = """## In frameworks and tests

- `async_mysqlpool.integrations`: [frameworks](frameworks.md), workers, [SQLAlchemy](sqlalchemy.md)
- `async_mysqlpool.testing`: [servers, fixtures, a fake driver](testing.md)
- `async_mysqlpool.compat`: [the pools of others](migration/index.md)
"""


def sentence(item: object) -> str:
    """The first sentence of a docstring."""
    text = " ".join((inspect.getdoc(item) or "").split("\n\n")[0].split())
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text).replace("``", "`")
    first = re.match(r".+?(?<!\.)\.(?= [A-Z`]|$)", text)
    return (first[0] if first else text).replace("|", r"\|")


def written(name: str, item: object) -> str:
    """How it is called."""
    if isinstance(item, property) or not callable(item):
        return f"`{name}`"
    words: list[str] = []
    for parameter in inspect.signature(item).parameters.values():
        if parameter.name in {"self", "host", "unnamed"}:  # `host`: what a helper is a method of
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not any(word.startswith("*") for word in words):
            words.append("*")
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        words.append(f"{star}{parameter.name}{default}")
    awaited = inspect.iscoroutinefunction(item) or "Coroutine[" in str(inspect.signature(item).return_annotation)
    call = "await " if awaited else ""
    return f"`{call}{name}({', '.join(words)})`"


def _default(value: object) -> str:
    if isinstance(value, type):
        return value.__name__
    return "..." if type(value).__module__.startswith("async_mysqlpool") else repr(value)


def members(kind: type) -> list[tuple[str, object]]:
    """Its public methods and properties, in the order of the text; those of its bases in the package come after."""
    found: dict[str, object] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("async_mysqlpool"):
            for name, item in vars(base).items():
                if not name.startswith("_") and (callable(item) or isinstance(item, (property, classmethod))):
                    found.setdefault(name, getattr(kind, name) if isinstance(item, classmethod) else item)
    return [(name, item) for name, item in found.items() if inspect.getdoc(item)]


def table(rows: list[tuple[str, object]]) -> str:
    """Names and sentences."""
    return "\n".join(["| | |", "|---|---|", *(f"| {written(name, item)} | {sentence(item)} |" for name, item in rows)])


def page() -> str:
    """The whole text."""
    parts = [HEAD]
    for name in _BIG:
        kind = getattr(async_mysqlpool, name)
        parts.append(f"## {name}\n\n{sentence(kind)}\n\n{table(members(kind))}\n")
    rest = {name: getattr(async_mysqlpool, name) for name in async_mysqlpool.__all__ if name not in _BIG}
    others = {name: item for name, item in rest.items() if not name.endswith("Error")}
    parts.append(f"## More names\n\n{listed(others)}\n")
    parts.append(f"## Errors\n\n{listed({name: item for name, item in rest.items() if name not in others})}\n")
    told = {name: getattr(events, name) for name in events.__all__}
    told = {name: kind for name, kind in told.items() if isinstance(kind, type) and name not in rest}
    parts.append(f"## Events\n\nOf `async_mysqlpool.events`, for observers.\n\n{listed(told)}\n")
    return "\n".join([*parts, TAIL])


def listed(items: dict[str, object]) -> str:
    """Names of what is not called by them."""
    rows = (f"| `{name}` | {_COMPILED if name == 'compiled' else sentence(item)} |" for name, item in items.items())
    return "\n".join(["| | |", "|---|---|", *rows])


_BIG = ("ConnectionPool", "PooledConnection", "PooledCursor")
_COMPILED = "Whether the hot path runs compiled; otherwise the same text is interpreted."

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
