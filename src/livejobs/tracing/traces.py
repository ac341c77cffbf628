"""The spans of a report: its receipt, its commit, and its way to the viewers.

    livejobs.report              from the request's body to the receipt
    └─ livejobs.commit           from the queue of the committer to the disk
       └─ livejobs.fan_out       from the commit until the last channel has written to its viewers

The report's parent is the current span, as of an instrumented app around ours, or else the span
that the request's `traceparent` names (W3C Trace Context).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from threading import Thread
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from livejobs.core.model import Head
from livejobs.tracing.marks import Marks
from livejobs.tracing.parts import Parts
from livejobs.tracing.traced import TracedCommitter, TracedHub, TracedReporting

CARRIED: Final = (b"traceparent", b"tracestate")
LAST_SECONDS: Final = 2.0  # to send what is left when the server stops

_propagator: Final = TraceContextTextMapPropagator()


class Traces:
    """`LiveJobs(settings, traces=Traces(provider))`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("livejobs", version("livejobs"))
        self._marks = Marks(self._tracer)

    @property
    def parts(self) -> Parts:
        return Parts(
            partial(TracedCommitter, self._marks),
            partial(TracedReporting, self),
            partial(TracedHub, self._marks),
        )

    @contextmanager
    def within(self, scope: MutableMapping[str, Any]) -> Iterator[None]:
        carried = {
            name.decode(): value.decode("latin-1")
            for name, value in scope.get("headers", ())
            if name in CARRIED
        }
        if not carried or trace.get_current_span().get_span_context().is_valid:
            yield
            return
        token = context.attach(_propagator.extract(carried))
        try:
            yield
        finally:
            context.detach(token)

    @contextmanager
    def report(self, head: Head, reports: Sequence[Any]) -> Iterator[Span]:
        about: dict[str, str | int] = {
            "livejobs.job": head.id,
            "livejobs.project": head.project,
            "livejobs.type": head.type or "",
            "livejobs.reports": len(reports),
        }
        with self._tracer.start_as_current_span(
            "livejobs.report", kind=SpanKind.SERVER, attributes=about
        ) as span:
            yield span

    async def stop(self) -> None:
        """In a thread that nobody waits for: a collector that is away must not hold up the end."""
        flush = getattr(self._provider, "force_flush", None)  # the API's own provider has none
        if flush is not None:
            thread = Thread(target=flush, name="livejobs-traces", daemon=True)
            thread.start()
            await asyncio.to_thread(thread.join, LAST_SECONDS)
