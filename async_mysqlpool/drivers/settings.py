"""The settings of a driver's connection object: whatever can be set on it that is not the conversation itself."""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["put_back", "take"]

Settings = list[tuple[str, Any, Any]]


def take(raw: Any, runtime: frozenset[str]) -> Settings:
    """Each attribute but those of `runtime`, its value, and a copy of that if its contents could be changed."""
    return [
        (name, value, value.copy() if isinstance(value, (dict, list, set)) else None)
        for name, value in _attributes(raw)
        if name not in runtime
    ]


def put_back(raw: Any, settings: Settings) -> None:
    """Each attribute has its value again, and each container its contents."""
    for name, value, contents in settings:
        if contents is not None and value != contents:
            value.clear()
            (value.extend if hasattr(value, "extend") else value.update)(contents)
        if getattr(raw, name, None) is not value:
            setattr(raw, name, value)


def _attributes(raw: Any) -> Iterable[tuple[str, Any]]:
    """What is in the object's dict; in a compiled class, what is declared as well."""
    declared = {
        name
        for base in type(raw).__mro__
        for name, member in vars(base).items()
        if isinstance(member, (GetSetDescriptorType, MemberDescriptorType)) and not name.startswith("__")
    }
    names = {*cast("dict[str, Any]", raw.__dict__), *declared}
    return [(name, getattr(raw, name)) for name in names]
