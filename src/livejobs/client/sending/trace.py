"""The trace that the worker's code is in, if it uses OpenTelemetry. Nothing is imported here."""

from __future__ import annotations

import sys


def traceparent() -> str | None:
    """The current span as the header of W3C Trace Context; None if there is none."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        span = api.get_current_span().get_span_context()
        if not span.is_valid:
            return None
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
    except Exception:  # noqa: BLE001  the job must not end because a library is half loaded
        return None
