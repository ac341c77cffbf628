"""The span of the worker's own code, as the SDK sends it. tests/tracing shows it at the server."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from livejobs.client.sending.trace import traceparent


def test_the_current_span_is_named_as_w3c_trace_context_does() -> None:
    assert traceparent() is None
    context = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(0))
    with trace.use_span(NonRecordingSpan(context)):
        assert traceparent() == f"00-{'abc':0>32}-{'def':0>16}-00"
    with TracerProvider().get_tracer("worker").start_as_current_span("task"):
        flags = (traceparent() or "").rpartition("-")[2]
        assert int(flags, 16) & TraceFlags.SAMPLED
    assert traceparent() is None


@pytest.mark.parametrize("loaded", [None, ModuleType("opentelemetry.trace")])
def test_a_library_that_is_not_or_half_loaded_is_no_error(
    monkeypatch: pytest.MonkeyPatch, loaded: ModuleType | None
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", loaded)
    assert traceparent() is None
