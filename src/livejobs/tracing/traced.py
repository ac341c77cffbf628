"""Reporting, the committer and channels as they are, with spans around what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Span

from livejobs.core import reports as say
from livejobs.core.model import Head
from livejobs.jobs.changes.reporting import LinesReceipt, Receipt, Reporting
from livejobs.jobs.commit.committer import Committer, Operation
from livejobs.jobs.commit.outcomes import Done, Outcome
from livejobs.jobs.commit.publishing import Committed
from livejobs.jobs.state import Slot
from livejobs.live.channel import Channel
from livejobs.live.hub import Hub
from livejobs.live.options import Filter, Options
from livejobs.tracing.marks import FanOut, Marked, Marks

T = TypeVar("T")


class Reports(Protocol):
    def report(self, head: Head, reports: Sequence[Any]) -> AbstractContextManager[Any]: ...


class TracedReporting(Reporting):
    def __init__(self, traces: Reports, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._traces = traces

    async def apply(self, slot: Slot, reports: Sequence[say.AnyReport]) -> Receipt:
        with self._traces.report(slot.head, reports):
            return await super().apply(slot, reports)

    async def apply_lines(self, slot: Slot, reports: Sequence[say.AnyReport]) -> LinesReceipt:
        with self._traces.report(slot.head, reports):
            return await super().apply_lines(slot, reports)


class TracedCommitter(Committer):
    def __init__(self, marks: Marks, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._marks = marks

    def put(self, operation: Operation[T], done: Done[Outcome[T]]) -> None:
        if not trace.get_current_span().is_recording():  # as for what time causes
            super().put(operation, done)
            return
        span = self._marks.tracer.start_span("livejobs.commit")
        marked = Marked(operation, span, self._marks)

        def committed(outcome: Outcome[T] | Exception) -> None:
            # Later: the channels hear of the commit after its callers.
            asyncio.get_running_loop().call_soon(_end, span, marked, outcome)
            done(outcome)

        super().put(marked, committed)


class TracedChannel(Channel):
    def __init__(self, marks: Marks, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._marks = marks
        self._gathered: list[FanOut] = []  # of changes in the window
        self._flushing: list[FanOut] = []  # of changes that are being written

    def add(self, change: Committed) -> None:
        super().add(change)
        if change.slot not in self._window.heads:  # filtered out, or too much for a window
            return
        fan_out = self._marks.fan_out(change.after)
        if fan_out is not None:
            fan_out.join()
            self._gathered.append(fan_out)

    def resync(self) -> None:
        super().resync()
        gathered, self._gathered = self._gathered, []
        _leave(gathered, 0)

    def _flush(self) -> None:
        self._flushing, self._gathered = self._gathered, []
        nobody = not (self._window.heads and self.viewers)
        super()._flush()
        if nobody:
            self._written_out()

    def _pause(self, messages: int) -> None:
        super()._pause(messages)
        self._written_out()

    def _written_out(self) -> None:
        flushing, self._flushing = self._flushing, []
        _leave(flushing, len(self.viewers))


class TracedHub(Hub):
    def __init__(self, marks: Marks, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._marks = marks

    def _new_channel(
        self, key: Hashable, options: Options, slot: Slot | None, filter: Filter
    ) -> Channel:
        return TracedChannel(self._marks, key, options, slot, filter, self._drop, self._sent)


def _end(span: Span, marked: Marked, outcome: Outcome[Any] | Exception) -> None:
    marked.clear()
    if isinstance(outcome, Exception):
        span.record_exception(outcome)
        span.set_status(trace.StatusCode.ERROR)
    else:
        span.set_attribute("livejobs.changes", len(outcome.changes))
    span.end()


def _leave(spans: Sequence[FanOut], viewers: int) -> None:
    for span in spans:
        span.leave(viewers)
