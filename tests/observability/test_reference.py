"""docs/observability.md has every figure, every event, every field of `stats()`."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import async_mysqlpool
from async_mysqlpool import PoolStats, events
from async_mysqlpool.config import PoolConfig
from async_mysqlpool.observability import otel
from async_mysqlpool.observability.figures import DURATIONS, FIGURES

DOCS = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
QUOTED = set(re.findall(r"`([^`\n]+)`", DOCS))
EVENTS = [name for name in events.__all__ if dataclasses.is_dataclass(getattr(events, name))]


@pytest.mark.parametrize("item", [*FIGURES, *DURATIONS], ids=lambda item: item.name)
def test_every_figure_is_there(item):
    name = item.name.replace("db.client.connection.async_mysqlpool", "")
    row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{name}`"))
    assert getattr(item, "attribute", None) is None or f"`{item.attribute}`" in row


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_there(name):
    assert name in QUOTED
    attributes = {field.name for field in dataclasses.fields(getattr(events, name))}
    row = next(line for line in DOCS.splitlines() if line.startswith("|") and f"`{name}`" in line)
    told = set(re.findall(r"`(\w+)`", row.split("|")[3]))
    assert told & attributes or attributes <= {"pool", "connection_id"}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(PoolStats)])
def test_every_field_of_stats_is_there(name):
    gauges = {"in_use", "opening", "cleaning", "closing"}  # what "used" is made of
    assert any(re.search(rf"\b{name}\b", text) for text in QUOTED) or name in gauges


def test_every_argument_of_instrument_is_there():
    arguments = set(inspect.signature(otel.instrument).parameters) - {"pool"}
    assert all(any(re.search(rf"\b{name}\b", line) for line in DOCS.splitlines()) for name in arguments)


def test_reasons_of_ends_are_those_in_the_code():
    root = Path(async_mysqlpool.__file__).parent
    code = "".join(path.read_text() for path in root.rglob("*.py"))
    paragraph = DOCS[DOCS.index("Reasons for which") : DOCS.index("## Events")]
    reasons = set(re.findall(r"`([a-z_ ]+)`", paragraph)) - {"max_uses"}
    assert len(reasons) == 18
    assert all(f'"{reason}"' in code for reason in reasons)


def test_the_options_it_names_exist():
    options = {field.name for field in dataclasses.fields(PoolConfig)}
    assert {"slow_statement", "slow_acquire", "hold_warning", "queue_timeout", "watch_statements"} <= options
    assert options & QUOTED >= {"slow_statement", "slow_acquire", "hold_warning", "queue_timeout"}
