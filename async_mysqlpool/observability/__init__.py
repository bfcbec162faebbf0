"""What the pool does, in the tools that people have: one file each, loaded only when used.

    otel.py         OpenTelemetry: metrics and spans
    prometheus.py   Prometheus: a collector
    page/           the live page, an ASGI application

The first two say the same under the names of their world; `figures.py` has what that is, docs/observability.md what it
means.
"""
