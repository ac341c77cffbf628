"""Which heads are of a commit that has a span, so that their way to the viewers has one too."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, Tracer

from livejobs.core.model import Head
from livejobs.jobs.commit.committer import Operation
from livejobs.jobs.commit.transaction import Transaction


class FanOut:
    """One span for all channels that carry a commit: it ends with the last of them."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._channels = self._open = self._viewers = 0

    def join(self) -> None:
        self._channels += 1
        self._open += 1

    def leave(self, viewers: int) -> None:
        self._viewers += viewers
        self._open -= 1
        if not self._open:
            self._span.set_attribute("livejobs.channels", self._channels)
            self._span.set_attribute("livejobs.viewers", self._viewers)
            self._span.end()


class Marked:
    """An operation whose changes are marked. It may run several times; the changes of the last
    time are committed, and marks of others do no harm."""

    def __init__(self, operation: Operation[Any], span: Span, marks: Marks) -> None:
        self._operation = operation
        self._marks = marks
        self._heads: list[Head] = []  # kept, as each is known by its id()
        self.span = span
        self.fan_out: FanOut | None = None

    def __call__(self, transaction: Transaction) -> Any:
        before = len(transaction.changes)
        value = self._operation(transaction)
        for _, change in transaction.changes[before:]:
            if change.after is not None:
                self._heads.append(change.after)
                self._marks.by_head[id(change.after)] = self
        return value

    def clear(self) -> None:
        for head in self._heads:
            self._marks.by_head.pop(id(head), None)
        self._heads.clear()


class Marks:
    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.by_head: dict[int, Marked] = {}  # while their commits are under way

    def fan_out(self, head: Head | None) -> FanOut | None:
        """The span of the head's way to the viewers; None if its commit has none."""
        marked = self.by_head.get(id(head))
        if marked is None:
            return None
        if marked.fan_out is None:
            parent = trace.set_span_in_context(marked.span)
            marked.fan_out = FanOut(self.tracer.start_span("livejobs.fan_out", parent))
        return marked.fan_out
