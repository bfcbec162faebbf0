"""OpenTelemetry, as its SDK reads it and as a collector receives it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import db_attributes as incubating
from opentelemetry.semconv._incubating.metrics import db_metrics
from opentelemetry.semconv.attributes import db_attributes, error_attributes, server_attributes
from opentelemetry.semconv.metrics import db_metrics as stable_metrics
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode

from async_mysqlpool import AcquireTimeoutError
from async_mysqlpool.observability import figures, otel_spans
from async_mysqlpool.observability.otel import instrument
from async_mysqlpool.testing.fake import slow


@pytest.fixture
def spans():
    """What is exported."""
    return InMemorySpanExporter()


@pytest.fixture
def tracers(spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader):
    provider = MeterProvider([reader])
    yield provider
    provider.shutdown()


def points(reader) -> dict:
    """(name, value of the attribute that is not the pool's name) -> data point."""
    found = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    rest = [v for k, v in sorted(point.attributes.items()) if k != figures.POOL_NAME]
                    found[metric.name, *(rest if len(rest) < 2 else ())] = point
    return found


# -- names ----------------------------------------------------------------------------------------------------------


def constants(*modules) -> set[str]:
    return {value for module in modules for value in vars(module).values() if isinstance(value, str)}


@pytest.mark.parametrize("item", [*figures.FIGURES, *figures.DURATIONS], ids=lambda item: item.name)
def test_metrics_are_called_as_the_released_conventions_call_them(item):
    if ".async_mysqlpool." in item.name:
        assert item.name.startswith("db.client.connection.async_mysqlpool.")
        return
    constants = {value: name for module in (stable_metrics, db_metrics) for name, value in vars(module).items()
                 if name.isupper()}  # fmt: skip
    create = getattr(db_metrics, f"create_{constants[item.name].lower()}")

    class Meter:
        """Takes note of the unit."""

        def __getattr__(self, kind):
            return lambda name, description, unit: (name, unit)

    assert create(Meter()) == (item.name, getattr(item, "unit", "s"))


def test_the_buckets_of_operations_are_the_conventions():
    assert figures.OPERATION_BUCKETS == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


def test_the_schema_is_one_that_was_released():
    assert otel_spans._SCHEMA in {schema.value for schema in Schemas}


# -- metrics ----------------------------------------------------------------------------------------------------------


async def test_every_figure_is_there_and_right(fake, make_pool, reader, meters):
    async with make_pool(max_size=2, min_size=1, queue_timeout=0.05, reset="none") as pool:
        instrument(pool, meter_provider=meters, spans=False)
        async with pool.acquire() as conn, conn.cursor() as cursor, pool.acquire():
            await cursor.execute("SELECT 1")
            with pytest.raises(AcquireTimeoutError):
                await pool.acquire()
            waiter = asyncio.create_task(pool.acquire(timeout=5).__aenter__())
            await asyncio.sleep(0)
            found = points(reader)
        (await waiter).close()
    numbers = {key: point.value for key, point in found.items() if hasattr(point, "value")}
    name, ours = "db.client.connection", "db.client.connection.async_mysqlpool"
    assert numbers.pop((f"{ours}.acquire_time",)) >= 0.05
    assert numbers == {
        (f"{name}.count", "idle"): 0, (f"{name}.count", "used"): 2, (f"{name}.max",): 2, (f"{name}.idle.max",): 2,
        (f"{name}.idle.min",): 1, (f"{name}.pending_requests",): 1, (f"{name}.timeouts",): 1,
        (f"{ours}.acquires", "at_once"): 1, (f"{ours}.acquires", "waited"): 1, (f"{ours}.acquires", "timed_out"): 1,
        (f"{ours}.acquires", "cancelled"): 0, (f"{ours}.acquires", "refused"): 0,
        (f"{ours}.connects", "ok"): 2, (f"{ours}.connects", "failed"): 0,
        (f"{ours}.resets", "ok"): 0, (f"{ours}.resets", "failed"): 0, (f"{ours}.killed",): 0,
        (f"{ours}.acquire_timeout",): 0.05,
        (f"{ours}.left_behind", "transaction"): 0, (f"{ours}.left_behind", "result"): 0,
    }  # fmt: skip
    assert found[f"{name}.wait_time",].count == 2
    assert found["db.client.operation.duration",].count == 1
    assert found["db.client.operation.duration",].explicit_bounds == figures.OPERATION_BUCKETS
    assert {item.name for item in figures.FIGURES} - {key[0] for key in found} == {
        f"{ours}.suggested_size",  # the last minutes tell nothing yet
        f"{ours}.suggested_size", f"{ours}.closed",  # nothing of this has happened
    }  # fmt: skip


async def test_durations_are_those_of_the_events(fake, make_pool, reader, meters):
    fake.connect.set(slow(0.02))
    async with make_pool(reset="none") as pool:
        instrument(pool, meter_provider=meters, spans=False)
        async with pool.acquire():
            await asyncio.sleep(0.03)
        found = points(reader)
    assert 0.02 <= found["db.client.connection.create_time",].sum <= 5
    assert 0.02 <= found["db.client.connection.wait_time",].sum <= 5
    assert 0.03 <= found["db.client.connection.use_time",].sum <= 5


async def test_without_histograms_nobody_is_told_of_anything(make_pool, reader, meters):
    async with make_pool() as pool:
        instrument(pool, meter_provider=meters, spans=False, histograms=False)
        await pool.fetch_value("SELECT 1")
        assert pool.statements() == []
        assert "db.client.connection.count" in {key[0] for key in points(reader)}


async def test_two_pools_of_one_provider_closed_and_forgotten(make_pool, reader, meters):
    def pools() -> Counter:
        data = reader.get_metrics_data()
        return Counter(
            point.attributes[figures.POOL_NAME]
            for scope in (data.resource_metrics[0].scope_metrics if data else ())
            for metric in scope.metrics
            if metric.name == "db.client.connection.max"
            for point in metric.data.data_points
        )

    first, second = make_pool(name="first"), make_pool(name="second")
    stops = [instrument(pool, meter_provider=meters) for pool in (first, second)]
    async with first:
        async with second:
            assert pools() == {"first": 1, "second": 1}
        assert pools() == {"first": 1}
        stops[0]()
        assert pools() == {}
    known = weakref.ref(second)
    del second, stops
    gc.collect()
    assert known() is None


# -- spans ------------------------------------------------------------------------------------------------------------


def tree(spans) -> list[tuple[str, str | None]]:
    """Names of the spans and of their parents, in the order in which they began."""
    finished = sorted(spans.get_finished_spans(), key=lambda span: span.start_time)
    names = {span.context.span_id: span.name for span in finished}
    return [(span.name, span.parent and names.get(span.parent.span_id)) for span in finished]


async def test_spans_on_every_driver(real, server, tracers, spans):
    pool = real(max_size=1)
    instrument(pool, tracer_provider=tracers, metrics=False)
    tracer = tracers.get_tracer("test")
    await pool.open()
    with tracer.start_as_current_span("request"):
        for _ in range(3):  # the last one is read past the driver, where that is possible
            await pool.fetch_all("SELECT id FROM probe WHERE note_ = 'secret'".replace("note_", "'x'"))
        async with pool.transaction() as conn, conn.transaction(), conn.cursor() as cursor:
            await cursor.executemany("UPDATE probe SET value = value WHERE id = %s", [(1,), (2,)])
    assert tree(spans) == [
        ("request", None),
        *[("SELECT probe", "request")] * 3,
        ("transaction", "request"),
        ("START", "transaction"),
        ("savepoint", "transaction"),
        ("SAVEPOINT", "savepoint"),
        ("BATCH UPDATE probe", "savepoint"),
        ("RELEASE", "savepoint"),
        ("COMMIT", "transaction"),
    ]
    select = next(span for span in spans.get_finished_spans() if span.name == "SELECT probe")
    assert select.kind is SpanKind.CLIENT
    attributes = dict(select.attributes)
    assert attributes.pop("async_mysqlpool.connection_id") > 0
    assert attributes == {
        "db.system.name": server.flavor, "db.namespace": server.database, "server.address": server.host,
        "server.port": server.port, "db.client.connection.pool.name": "shop", "db.query.summary": "SELECT probe",
        "db.query.text": "SELECT id FROM probe WHERE ? = ?", "db.response.returned_rows": 0,
    }  # fmt: skip
    batch = next(span for span in spans.get_finished_spans() if span.name.startswith("BATCH"))
    assert batch.attributes["db.operation.batch.size"] == 2
    known = constants(db_attributes, incubating, server_attributes, error_attributes)
    used = {key for span in spans.get_finished_spans() for key in span.attributes}
    assert used - known == {"async_mysqlpool.connection_id"}


async def test_an_error_is_the_servers_number_and_no_value_of_it(real, tracers, spans):
    pool = real()
    instrument(pool, tracer_provider=tracers, metrics=False)
    await pool.open()
    with pytest.raises(Exception, match="secret"):
        await pool.execute("SELECT * FROM probe WHERE secret = 1")
    (span,) = (span for span in spans.get_finished_spans() if span.name != "acquire")
    assert span.status.status_code is StatusCode.ERROR
    number = span.attributes["db.response.status_code"]
    assert number == span.attributes["error.type"] == span.status.description
    assert number.isdigit()
    assert "Unknown" not in span.to_json()  # nothing of the message


async def test_a_cancelled_statement_is_an_error_of_its_kind(real, tracers, spans):
    pool = real()
    instrument(pool, tracer_provider=tracers, metrics=False)
    await pool.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await pool.fetch_value("SELECT SLEEP(5)")
    (span,) = (span for span in spans.get_finished_spans() if span.name == "SELECT")
    assert span.attributes["error.type"].endswith("CancelledError")
    assert 0.2e9 < span.end_time - span.start_time < 4e9


async def test_procedures_commits_and_rollbacks_say_what_they_are(real, tracers, spans):
    pool = real()
    instrument(pool, tracer_provider=tracers, metrics=False)
    async with pool, pool.acquire() as conn:
        await conn.begin()
        await conn.rollback()
        async with conn.cursor() as cursor:
            await cursor.callproc("commits")
    found = [
        (span.name, span.attributes.get("db.operation.name"), span.attributes.get("db.stored_procedure.name"))
        for span in spans.get_finished_spans()
        if span.kind is SpanKind.CLIENT
    ]
    assert found == [("BEGIN", "BEGIN", None), ("ROLLBACK", "ROLLBACK", None), ("CALL commits", "CALL", "commits")]


async def test_an_acquire_has_a_span_only_if_it_waited_or_failed(fake, make_pool, tracers, spans):
    fake.connect.set(slow(0.05))
    async with make_pool(max_size=1) as pool:
        instrument(pool, tracer_provider=tracers, metrics=False)
        async with pool.acquire():  # connects
            with contextlib.suppress(AcquireTimeoutError):
                await pool.acquire(timeout=0.05)
        async with pool.acquire():  # at once
            pass
    connected, failed = spans.get_finished_spans()
    assert {connected.name, failed.name} == {"acquire"}
    assert 0.05e9 <= connected.end_time - connected.start_time <= 5e9
    assert (connected.status.status_code, failed.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert failed.attributes["error.type"] == "async_mysqlpool.errors.AcquireTimeoutError"


async def test_a_block_leaves_the_context_as_it_was(make_pool, tracers, spans):
    async with make_pool() as pool:
        instrument(pool, tracer_provider=tracers, metrics=False)
        with tracers.get_tracer("test").start_as_current_span("request") as request:
            async with pool.transaction():
                assert trace.get_current_span() is not request
            with pytest.raises(ZeroDivisionError):
                async with pool.transaction():
                    raise ZeroDivisionError
            assert trace.get_current_span() is request
    assert [(s.status.status_code.name, s.attributes.get("error.type")) for s in spans.get_finished_spans()
            if s.name == "transaction"] == [("UNSET", None), ("ERROR", "ZeroDivisionError")]  # fmt: skip


@pytest.mark.parametrize(
    ("query_text", "expected"),
    [("off", None), ("sanitized", "SELECT ?"), ("full", "SELECT 7")],
)
async def test_how_much_of_a_statement_is_told(make_pool, tracers, spans, query_text, expected):
    async with make_pool() as pool:
        instrument(pool, tracer_provider=tracers, metrics=False, query_text=query_text)
        await pool.fetch_value("SELECT 7")
    assert [s.attributes.get("db.query.text") for s in spans.get_finished_spans() if s.name == "SELECT"] == [expected]


@pytest.mark.parametrize(
    ("opt_in", "old"), [("", False), ("database", False), ("http,database/dup", True), ("database/dup", True)]
)
async def test_old_names_for_those_who_ask_for_both(make_pool, tracers, spans, monkeypatch, opt_in, old):
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opt_in)
    async with make_pool() as pool:
        instrument(pool, tracer_provider=tracers, metrics=False)
        await pool.fetch_value("SELECT 7")
    span = spans.get_finished_spans()[-1]
    assert ("db.statement" in span.attributes, "db.query.text" in span.attributes) == (old, True)
    assert set(otel_spans._OLD_NAMES.values()) <= constants(incubating) | {"net.peer.name", "net.peer.port"}


@pytest.mark.filterwarnings("ignore::pymysql.err.Warning")
async def test_sqlcommenter_sends_the_spans_own_traceparent(real, tracers, spans):
    pool = real()
    instrument(pool, tracer_provider=tracers, metrics=False, sqlcommenter=True)
    await pool.open()
    said = await pool.fetch_value("SELECT info FROM information_schema.processlist WHERE id = CONNECTION_ID()")
    span = spans.get_finished_spans()[-1]
    parent = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
    assert said.endswith(f"/*traceparent='{parent}'*/")
    assert "traceparent" not in span.attributes["db.query.text"]


# -- a collector ------------------------------------------------------------------------------------------------------


class Receiver:
    """Takes what is sent by OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.traces, self.metrics = [], []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind, kept = {
                    "/v1/traces": (ExportTraceServiceRequest, receiver.traces),
                    "/v1/metrics": (ExportMetricsServiceRequest, receiver.metrics),
                }[self.path]
                kept.append(kind.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


async def test_a_collector_receives_both(real, tracers):
    pool = real()
    with Receiver() as receiver:
        tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{receiver.url}/v1/traces")))
        metrics = PeriodicExportingMetricReader(OTLPMetricExporter(f"{receiver.url}/v1/metrics"), 60_000)
        meters = MeterProvider([metrics])
        instrument(pool, tracer_provider=tracers, meter_provider=meters)
        await pool.open()
        await pool.fetch_value("SELECT 1")
        await asyncio.to_thread(meters.force_flush)  # stats() is read in another thread, as it always is
        await asyncio.to_thread(meters.shutdown)
    names = [s.name for t in receiver.traces for r in t.resource_spans for scope in r.scope_spans for s in scope.spans]
    assert names[-1] == "SELECT"
    found = {
        metric.name: metric
        for m in receiver.metrics
        for r in m.resource_metrics
        for scope in r.scope_metrics
        for metric in scope.metrics
    }
    assert found.keys() >= {item.name for item in figures.DURATIONS} | {"db.client.connection.count"}
    assert found["db.client.operation.duration"].histogram.data_points[0].count == 1
