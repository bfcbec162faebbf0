"""Prometheus: what is exposed is read by its own parser; the dashboard and the alerts ask for what is there."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import weakref
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from async_mysqlpool import AcquireTimeoutError
from async_mysqlpool.observability.figures import DURATIONS, FIGURES
from async_mysqlpool.observability.prometheus import PoolCollector, instrument

DOCS = Path(__file__).parents[2] / "docs" / "observability"
POOL = "db_client_connection_pool_name"


@pytest.fixture
def registry():
    return CollectorRegistry()


def samples(registry) -> dict:
    """(name, values of labels but the pool's) -> value, by way of the text and its parser."""
    return {
        (sample.name, *(value for label, value in sorted(sample.labels.items()) if label != POOL)): sample.value
        for family in parse(generate_latest(registry).decode())
        for sample in family.samples
    }


async def use(pool):
    """Something of everything."""
    async with pool.acquire() as conn:
        with pytest.raises(AcquireTimeoutError):
            await pool.acquire()
        async with conn.cursor() as cursor:
            await cursor.execute("SELECT 1")
        with pytest.raises(Exception, match="1064"):
            await conn.cursor().execute("SELECT nothing FROM nowhere")
        await conn.begin()
    await asyncio.sleep(0.01)
    pool.expire()
    await asyncio.sleep(0.01)


async def test_every_figure_is_there_and_right(fake, make_pool, registry):
    fake.answer("nowhere", error=1064)
    async with make_pool(max_size=1, queue_timeout=0.05) as pool:
        instrument(pool, registry=registry)
        await use(pool)
        found = samples(registry)
    expected = {
        ("db_client_connection_max",): 1, ("db_client_connection_idle_max",): 1, ("db_client_connection_idle_min",): 0,
        ("db_client_connection_count", "idle"): 0, ("db_client_connection_count", "used"): 0,
        ("db_client_connection_pending_requests",): 0, ("db_client_connection_timeouts_total",): 1,
        ("db_client_connection_async_mysqlpool_acquires_total", "waited"): 1,
        ("db_client_connection_async_mysqlpool_acquires_total", "timed_out"): 1,
        ("db_client_connection_async_mysqlpool_acquire_timeout_seconds",): 0.05,
        ("db_client_connection_async_mysqlpool_connects_total", "ok"): 1,
        ("db_client_connection_async_mysqlpool_left_behind_total", "transaction"): 1,
        ("db_client_connection_async_mysqlpool_closed_total", "expired"): 1,
        ("db_client_connection_wait_time_seconds_count",): 1,
        ("db_client_connection_use_time_seconds_bucket", "+Inf"): 1,
        ("db_client_connection_create_time_seconds_count",): 1,
        ("db_client_operation_duration_seconds_count", "BEGIN", ""): 1,
        ("db_client_operation_duration_seconds_count", "SELECT", ""): 1,
        ("db_client_operation_duration_seconds_count", "SELECT nowhere", "1064"): 1,
    }  # fmt: skip
    assert {key: found.get(key) for key in expected} == expected
    assert found["db_client_connection_use_time_seconds_sum",] >= 0.05
    assert found["db_client_connection_use_time_seconds_bucket", "0.01"] == 0


async def test_the_names_are_opentelemetrys(registry, make_pool):
    async with make_pool() as pool:
        instrument(pool, registry=registry)
        families = {family.name: family.type for family in parse(generate_latest(registry).decode())}
    for item in [*FIGURES, *DURATIONS]:
        monotonic, unit = getattr(item, "monotonic", None), getattr(item, "unit", "s")
        name = item.name.replace(".", "_") + ("_seconds" if unit == "s" else "")  # as its specification has it
        kind = {None: "histogram", True: "counter", False: "gauge"}[monotonic]
        assert families[name] == kind


async def test_the_stricter_format_reads_it_as_well(fake, make_pool, registry):
    fake.answer("nowhere", error=1064)
    async with make_pool(max_size=1, queue_timeout=0.05) as pool:
        instrument(pool, registry=registry)
        await use(pool)
        assert list(parse_openmetrics(generate_openmetrics(registry).decode()))


async def test_kinds_of_statements_are_bounded(fake, make_pool, registry):
    fake.answer(r"FROM t\d")
    async with make_pool() as pool:
        instrument(pool, registry=registry)
        async with pool.acquire() as conn, conn.cursor() as cursor:
            for number in range(300):
                await cursor.execute(f"SELECT a FROM t{number}")
        counts = [v for key, v in samples(registry).items() if key[0] == "db_client_operation_duration_seconds_count"]
    assert len(counts) == 201
    assert sum(counts) == 300


async def test_two_pools_of_one_registry_closed_and_forgotten(make_pool, registry):
    def pools() -> list[str]:
        return sorted(
            re.findall(rf'^db_client_connection_max{{{POOL}="(\w+)"', generate_latest(registry).decode(), re.MULTILINE)
        )

    first, second = make_pool(name="first"), make_pool(name="second")
    stops = [instrument(pool, registry=registry) for pool in (first, second)]
    async with first:
        async with second:
            assert pools() == ["first", "second"]
        assert pools() == ["first"]
        stops[0]()
        assert pools() == []
    known = weakref.ref(second)
    del second, stops
    gc.collect()
    assert known() is None


async def test_figures_alone_cost_no_borrow_anything(make_pool, registry):
    async with make_pool() as pool:
        instrument(pool, registry=registry, histograms=False, operations=False)
        await pool.fetch_value("SELECT 1")
        assert pool.statements() == []
        assert samples(registry)["db_client_connection_async_mysqlpool_acquires_total", "waited"] == 1


def test_a_collector_names_what_it_will_say():
    names = [family.name for family in PoolCollector().describe()]
    assert len(set(names)) == len(FIGURES) + len(DURATIONS)


async def test_dashboard_and_alerts_ask_for_what_is_exported(fake, make_pool, registry):
    fake.answer("nowhere", error=1064)
    async with make_pool(max_size=1, queue_timeout=0.05) as pool:
        instrument(pool, registry=registry)
        await use(pool)
        families = list(parse(generate_latest(registry).decode()))
    there = {sample.name for family in families for sample in family.samples}
    there |= {family.name for family in families if not family.samples}  # as no suggested size yet
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["name"] != "datasource"
    ]
    alerts = (DOCS / "alerts.yml").read_text()
    asked += re.split(r"^ +- alert: ", alerts, flags=re.MULTILINE)[1:]
    assert len(asked) > 25
    for text in asked:
        words = set(re.findall(r"\b(?:db_|async_mysqlpool_|error_)\w+", text))
        assert words, text
        assert words <= there | labels
    shown = {word for text in asked for word in re.findall(r"\bdb_\w+", text)}
    families_shown = {family.name for family in families if {family.name, f"{family.name}_total"} & shown
                      or {f"{family.name}_{part}" for part in ("bucket", "sum", "count")} & shown}  # fmt: skip
    assert {family.name for family in families} - families_shown == {
        "db_client_connection_idle_max", "db_client_connection_idle_min",  # which change only by resize()
    }  # fmt: skip
