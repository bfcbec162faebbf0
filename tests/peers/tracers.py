"""What the agents of tracing services see of five statements on our pools: by themselves, and through OpenTelemetry.

python tests/peers/tracers.py; needs sentry-sdk, ddtrace, elastic-apm, newrelic and opentelemetry-sdk. Nothing is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

from async_mysqlpool import ConnectionPool
from async_mysqlpool.testing import start_server

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

DRIVERS = ("asyncmy", "aiomysql", "mysql.connector.aio")
# (service, way) -> how many of the five, on each driver. docs/observability.md has the same table.
EXPECTED = {
    ("sentry-sdk", "own"): (0, 5, 0),
    ("sentry-sdk", "otel"): (5, 5, 5),
    ("ddtrace", "own"): (0, 0, 0),
    ("ddtrace", "otel"): (5, 5, 5),
    ("elastic-apm", "own"): (0, 5, 0),
    ("elastic-apm", "otel"): (4, 4, 4),  # its bridge loses what is in a transaction block
    ("newrelic", "own"): (0, 0, 0),
    ("newrelic", "otel"): (5, 5, 5),
}
NOWHERE = "127.0.0.1:1"

seen: list[str] = []  # what an agent would have sent


def sentry(otel: bool) -> tuple[Any, AbstractContextManager[Any]]:
    import sentry_sdk
    from sentry_sdk.integrations.aiomysql import AioMySQLIntegration
    from sentry_sdk.transport import Transport

    class Sink(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            for item in envelope.items:
                seen.extend(str(span["description"]) for span in (item.get_transaction_event() or {}).get("spans", ()))

    common: dict[str, Any] = {"traces_sample_rate": 1.0, "transport": Sink}
    if not otel:
        sentry_sdk.init(f"http://key@{NOWHERE}/1", integrations=[AioMySQLIntegration()], **common)
        return None, sentry_sdk.start_transaction(name="request")
    from opentelemetry.sdk.trace import TracerProvider
    from sentry_sdk.integrations.opentelemetry import SentrySpanProcessor

    sentry_sdk.init(f"http://key@{NOWHERE}/1", instrumenter="otel", **common)
    provider = TracerProvider()
    provider.add_span_processor(SentrySpanProcessor())
    return provider, provider.get_tracer("test").start_as_current_span("request")


def datadog(otel: bool) -> tuple[Any, AbstractContextManager[Any]]:
    os.environ |= {"DD_TRACE_STARTUP_LOGS": "false", "DD_TRACE_AGENT_URL": f"http://{NOWHERE}",
                   "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_TRACE_OTEL_ENABLED": str(otel)}  # fmt: skip
    import ddtrace.auto  # noqa: F401
    from ddtrace.trace import TraceFilter, tracer

    class Sink(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            seen.extend(span.resource for span in trace)

    tracer.configure(trace_processors=[Sink()])
    if not otel:
        return None, tracer.trace("request")
    from ddtrace.opentelemetry import TracerProvider

    return TracerProvider(), tracer.trace("request")


def elastic(otel: bool) -> tuple[Any, AbstractContextManager[Any]]:
    import elasticapm

    class Sink:
        start_stop_order = 1

        def __init__(self, *_: object, **__: object) -> None: ...
        def start_thread(self, pid: object = None) -> None: ...
        def close(self) -> None: ...
        def queue(self, kind: str, data: Any, flush: bool = False) -> None:
            if kind == "span":
                seen.append(data["name"])

    sys.modules["sink"] = module = types.ModuleType("sink")
    vars(module)["Sink"] = Sink
    client = elasticapm.Client(
        service_name="shop", transport_class="sink.Sink", cloud_provider="none", metrics_interval="0ms",
        central_config=False, span_compression_enabled=False, instrument=not otel,
    )  # fmt: skip
    if not otel:
        elasticapm.instrument()

    @contextlib.contextmanager
    def request() -> Any:
        client.begin_transaction("request")
        yield
        client.end_transaction("request")

    if not otel:
        return None, request()
    from elasticapm.contrib.opentelemetry import Tracer

    return types.SimpleNamespace(get_tracer=lambda *_, **__: Tracer("shop", elasticapm_client=client)), request()


def newrelic(otel: bool) -> tuple[Any, AbstractContextManager[Any]]:
    os.environ |= {"NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_APP_NAME": "shop", "NEW_RELIC_DEVELOPER_MODE": "true",
                   "NEW_RELIC_LOG": os.devnull, "NEW_RELIC_OPENTELEMETRY_ENABLED": str(otel)}  # fmt: skip
    import newrelic.agent
    import newrelic.core.application
    from opentelemetry import trace

    newrelic.agent.initialize()
    application = newrelic.agent.register_application(timeout=10)

    def note(node: Any) -> None:
        if type(node).__name__ in ("DatastoreNode", "DatabaseNode"):
            seen.append(str(getattr(node, "operation", None) or getattr(node, "sql", "")).upper())
        for child in node.children:
            note(child)

    newrelic.core.application.Application.record_transaction = lambda _, data, *__, **___: note(data.root)
    return trace.get_tracer_provider() if otel else None, newrelic.agent.BackgroundTask(application, "request")


AGENTS = {"sentry-sdk": sentry, "ddtrace": datadog, "elastic-apm": elastic, "newrelic": newrelic}


async def five_statements(dsn: str, provider: Any, request: AbstractContextManager[Any]) -> None:
    async with ConnectionPool(dsn) as pool:
        if provider is not None:
            from async_mysqlpool.observability.otel import instrument

            instrument(pool, tracer_provider=provider, metrics=False)
        with request:
            for _ in range(4):
                await pool.fetch_all("SELECT 42")
            async with pool.transaction() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT %s", (43,))


def look(agent: str, way: str, dsn: str) -> None:
    """In a process of its own: agents change whatever they find."""
    asyncio.run(five_statements(dsn, *AGENTS[agent](way == "otel")))
    if agent == "sentry-sdk":
        import sentry_sdk

        sentry_sdk.flush()
    print("seen:", sum("SELECT" in text for text in seen))


def main() -> None:
    wrong = []
    with start_server("mariadb") as server:
        for (agent, way), expected in EXPECTED.items():
            counts = []
            for driver in DRIVERS:
                command = [sys.executable, __file__, agent, way, server.dsn(driver)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
                counts.append(int(done.stdout.split("seen: ")[1]) if "seen: " in done.stdout else done.stderr[-500:])
            print(f"{agent} {importlib.metadata.version(agent)}, {way}:", *counts, flush=True)
            if tuple(counts) != expected:
                wrong.append(f"{agent}, {way}: {counts}, not {expected}")
    assert not wrong, wrong


if __name__ == "__main__":
    look(*sys.argv[1:]) if len(sys.argv) > 1 else main()
