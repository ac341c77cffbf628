"""Traces that are sent to a collector in the background."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from livejobs.tracing.traces import Traces

UNNAMED: Final = "unknown_service"  # how OpenTelemetry begins a name that nobody has set


def traces_to(endpoint: str | None) -> Traces:
    """None: the collector that OpenTelemetry's variables name."""
    url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
    # Not at exit: it would wait for a collector that is away. `Traces.stop` waits for a while.
    provider = TracerProvider(resource=_ourselves(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return Traces(provider)


def _ourselves() -> Resource:
    named = Resource.create({SERVICE_VERSION: version("livejobs")})
    if str(named.attributes.get(SERVICE_NAME, UNNAMED)).startswith(UNNAMED):
        return named.merge(Resource({SERVICE_NAME: "livejobs"}))
    return named
