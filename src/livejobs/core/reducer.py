"""The fold: a head and a report make the next head, and the entries to append.

The law: a job moves only along MOVES, a finished job never changes again, and a producer's
number counts once. Nothing here reads a clock or does I/O; `now` comes in as milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import force_setattr as put
from msgspec.structs import replace

from livejobs.core import progress as gauge
from livejobs.core import reports as say
from livejobs.core.errors import Conflict
from livejobs.core.model import (
    LEVELS,
    Children,
    Entry,
    Failure,
    File,
    Head,
    Kind,
    Level,
    Plan,
    Progress,
    Status,
    Step,
)
from livejobs.core.times import rfc3339

# From where, on what, to where. Any report first starts a queued job; those not named leave
# the status as it is. `retry` ends as cancelled where that was asked for.
MOVES: Final[dict[tuple[Status, str], Status]] = {
    ("queued", "start"): "running",
    ("queued", "cancel"): "cancelled",
    ("running", "retry"): "queued",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    ("running", "lose"): "failed",
    ("running", "cancelled"): "cancelled",
}
UNFINISHED: Final = frozenset(status for status, _ in MOVES)


class Folded(NamedTuple):
    head: Head
    entries: tuple[Entry, ...]
    accepted: int  # what was applied; numbers seen before are skipped


class Finished(Conflict):
    title = "The job has finished"
    default_code = "job_finished"

    def __init__(self, head: Head) -> None:
        super().__init__(f"Job {head.id!r} has {head.status}; a finished job never changes.")


def create(
    new: say.NewJob,
    *,
    id: str,
    project: str,
    owner: str,
    now: int,
    heartbeat_timeout: float | None = None,
    ttl_seconds: float | None = None,
) -> Head:
    """The head of a job that begins now. What it does not say is taken from the settings."""
    plan = Plan(new.total, new.unit, tuple(_planned(step) for step in new.steps))
    return Head(
        id=id,
        project=project,
        owner=owner,
        created_at=now,
        updated_at=now,
        queued_at=now,
        type=new.type,
        title=new.title,
        plan=plan,
        progress=Progress(total=plan.total, unit=plan.unit),
        steps=plan.steps,
        meta=new.meta,
        tags=tuple(dict.fromkeys(new.tags)),
        parent=new.parent,
        heartbeat_timeout=new.heartbeat_timeout or heartbeat_timeout,
        ttl_seconds=new.ttl_seconds or ttl_seconds,
        webhooks=tuple(new.webhooks),
    )


def _planned(step: str | say.PlannedStep) -> Step:
    if isinstance(step, str):
        return Step(step)
    return Step(step.name, title=step.title, weight=step.weight, total=step.total)


def fold(head: Head, reports: Iterable[say.AnyReport], now: int) -> Folded:
    """All of the reports, or Finished with none of them applied. The work is that of the reports,
    and of the head once, however many they are."""
    draft = _Draft()
    accepted = 0
    for report in reports:
        if not seen_before(head, report):
            if not accepted:
                head = _heard(head, now)
            _advance(head, report, now, draft)
            accepted += 1
    if draft.moved:
        draft.settle(head, now)
    return Folded(head, tuple(draft.entries), accepted)


def seen_before(head: Head, report: say.AnyReport) -> bool:
    if report.n is None or report.producer is None:
        return False
    return report.n <= head.producers.get(report.producer, 0)


class _Steps:
    """Steps that change: those told of since, in front of those that were there."""

    def __init__(self, base: tuple[Step, ...]) -> None:
        self.base = base
        self._there = {step.name: step for step in base}
        self._told: dict[str, Step] = {}

    def find(self, name: str) -> Step | None:
        return self._told.get(name) or self._there.get(name)

    def tell(self, step: Step) -> None:
        self._told[step.name] = step

    def take_back(self) -> None:
        self._told = {}

    def take(self) -> tuple[Step, ...]:
        """All of them. What was told of is then forgotten."""
        told, self._told = self._told, {}
        if not told:
            return self.base
        kept = tuple([told.pop(step.name, step) for step in self.base])
        return kept + tuple(told.values())


class _Draft:
    """What one fold gathers, and what of its head it has made its own. A dictionary is copied at
    the first change and changed in place after it; steps are put together again at the end."""

    _owned: tuple[str, ...] = ()
    _steps: _Steps | None = None  # None: as the head has them
    _known: tuple[_Steps, ...] = ()  # a retry begins with the planned ones again
    moved = False  # progress was made that the rate has not heard of

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def own(self, head: Head, name: str) -> dict[str, Any]:
        """A dictionary of the head, to be changed in place."""
        values: dict[str, Any] = getattr(head, name)
        if name not in self._owned:
            values = values.copy()
            put(head, name, values)
            self._owned += (name,)
        return values

    def steps(self, head: Head) -> _Steps:
        if self._steps is None:
            self._steps = next((it for it in self._known if it.base is head.steps), None)
        if self._steps is None:
            self._steps = _Steps(head.steps)
            self._known += (self._steps,)  # two at most: the head's and the planned ones
        return self._steps

    def put_steps(self, head: Head) -> None:
        """The steps as told of, before anyone reads them."""
        if self._steps is not None:
            put(head, "steps", self._steps.take())
            self._steps = None

    def end(self, head: Head) -> None:
        """The job ends: its steps are read, and its rate is of no more interest."""
        self.put_steps(head)
        self.moved = False

    def begin_again(self) -> None:
        """What was told of steps and progress is forgotten."""
        if self._steps is not None:
            self._steps.take_back()
            self._steps = None
        self.moved = False

    def settle(self, head: Head, now: int) -> None:
        """What is made of all reports together: those of one moment make one sample."""
        self.put_steps(head)
        put(head, "progress", gauge.paced(head.progress, head.steps, now))


def _heard(head: Head, now: int) -> Head:
    """The head of a job whose worker speaks, ours to change until it is handed out."""
    head = copy(head)
    put(head, "updated_at", now)
    put(head, "heartbeat_at", now)
    put(head, "stalled", False)
    return head


def _advance(head: Head, report: say.AnyReport, now: int, draft: _Draft) -> None:
    """One report applied, in place; what it appends goes to the draft's entries."""
    if head.status not in UNFINISHED:
        raise Finished(head)
    if head.status == "queued":
        _change(head, status=MOVES["queued", "start"], started_at=now, error=None)
    apply = _APPLY.get(type(report))
    if apply is not None:
        apply(head, report, now, draft)
    if report.n is not None and report.producer is not None:
        draft.own(head, "producers")[report.producer] = report.n


def _change(head: Head, **changes: Any) -> None:
    for name, value in changes.items():
        put(head, name, value)


# One function a report: what it changes. Its type is the key in _APPLY, so the arguments are as
# precise as they look.


def _start(head: Head, report: say.Start, now: int, draft: _Draft) -> None:
    if report.worker is not None:
        put(head, "worker", report.worker)


def _progress(head: Head, report: say.Progress, now: int, draft: _Draft) -> None:
    was = head.progress
    current = was.current if report.current is None else report.current
    if report.advance is not None:
        current = say.clamp((current or 0) + report.advance)
    said = was.said
    if report.current is not None or report.advance is not None or report.total is not None:
        said = None
    if report.percent is not None:
        said = int(report.percent)
    told = Progress(
        said=said,
        current=current,
        total=was.total if report.total is None else report.total,
        unit=was.unit if report.unit is None else report.unit,
        message=was.message if report.message is None else report.message,
        pace=was.pace,
        rate=was.rate,
        eta=was.eta,
    )
    put(head, "progress", told)
    draft.moved = True


def _step(head: Head, report: say.Step, now: int, draft: _Draft) -> None:
    steps = draft.steps(head)
    steps.tell(_told(steps.find(report.name) or Step(report.name), report, now))
    draft.moved = True


def _told(step: Step, report: say.Step, now: int) -> Step:
    status = report.status or ("running" if step.status == "pending" else step.status)
    ended = status in ("succeeded", "failed", "skipped")
    begun = status not in ("pending", "skipped")
    return Step(
        step.name,
        title=step.title if report.title is None else report.title,
        status=status,
        weight=step.weight if report.weight is None else report.weight,
        current=step.current if report.current is None else report.current,
        total=step.total if report.total is None else report.total,
        started_at=(step.started_at or now) if begun else None,
        completed_at=(step.completed_at or now) if ended else None,
    )


def _log(head: Head, report: say.Log, now: int, draft: _Draft) -> None:
    n = head.logs_total + 1
    at = now if report.at is None else int(report.at.timestamp() * 1000)
    line = LogLine(n, rfc3339(at), report.level, report.source, report.message)
    draft.entries.append(_entry("logs", n, line, LEVELS.index(report.level)))
    put(head, "logs_total", n)


def _result(head: Head, report: say.Result, now: int, draft: _Draft) -> None:
    n = head.results_total + 1
    draft.entries.append(_entry("results", n, ResultLine(n, rfc3339(now), report.value)))
    put(head, "results_total", n)


def _error(head: Head, report: say.Error, now: int, draft: _Draft) -> None:
    n = head.errors_total + 1
    line = ErrorLine(n, rfc3339(now), report.message, report.item, report.detail)
    draft.entries.append(_entry("errors", n, line))
    put(head, "errors_total", n)


def _count(head: Head, report: say.Count, now: int, draft: _Draft) -> None:
    counters = draft.own(head, "counters")
    for name, by in report.counters.items():
        counters[name] = say.clamp(counters.get(name, 0) + by)


def _meta(head: Head, report: say.Meta, now: int, draft: _Draft) -> None:
    meta = draft.own(head, "meta")
    for key, value in report.set.items():
        meta.pop(key, None)
        if value is not None:
            meta[key] = value


def _retry(head: Head, report: say.Retry, now: int, draft: _Draft) -> None:
    if head.cancel_requested:
        draft.end(head)
        _change(head, **_ended(head, "cancelled", now))
        return
    draft.begin_again()
    _change(
        head,
        status=MOVES["running", "retry"],
        attempt=head.attempt + 1,
        error=_failure(report.error),
        progress=Progress(total=head.plan.total, unit=head.plan.unit),
        steps=head.plan.steps,
        worker=None,
        queued_at=now,
        started_at=None,
    )


def _failure(error: str | say.Reason | None) -> Failure | None:
    if error is None:
        return None
    if isinstance(error, str):
        return Failure(error)
    return Failure(error.message, error.code, error.detail)


def _succeed(head: Head, report: say.Succeed, now: int, draft: _Draft) -> None:
    draft.end(head)
    _change(head, **_ended(head, MOVES["running", "succeed"], now), result=report.result)


def _fail(head: Head, report: say.Fail, now: int, draft: _Draft) -> None:
    draft.end(head)
    error = Failure(report.message, report.code, report.detail)
    _change(head, **_ended(head, MOVES["running", "fail"], now), error=error)


def _cancelled(head: Head, report: say.Cancelled, now: int, draft: _Draft) -> None:
    draft.end(head)
    _change(head, **_ended(head, MOVES["running", "cancelled"], now))


_APPLY: Final[dict[type, Callable[..., None]]] = {
    say.Start: _start,
    say.Progress: _progress,
    say.Step: _step,
    say.Log: _log,
    say.Result: _result,
    say.Error: _error,
    say.Count: _count,
    say.Meta: _meta,
    say.Retry: _retry,
    say.Succeed: _succeed,
    say.Fail: _fail,
    say.Cancelled: _cancelled,
}  # a heartbeat says nothing more than that it came


# A step still running when the job ends has ended with it.
_STEP_ENDS: Final[dict[Status, Any]] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "skipped",
}


def _ended(head: Head, status: Status, now: int) -> dict[str, Any]:
    kept = None if head.ttl_seconds is None else now + int(head.ttl_seconds * 1000)
    return {
        "status": status,
        "stalled": False,
        "progress": replace(head.progress, pace=None, rate=None, eta=None),
        "steps": tuple(_step_ended(step, status, now) for step in head.steps),
        "updated_at": now,
        "completed_at": now,
        "expires_at": kept,
    }


def _step_ended(step: Step, status: Status, now: int) -> Step:
    if step.status != "running":
        return step
    return replace(step, status=_STEP_ENDS[status], completed_at=now)


# What is not said by the worker: asked for by a viewer, noticed by the sweeper, or told by a child.


def cancel(head: Head, now: int, *, force: bool = False) -> Head:
    """The same head if it was already asked for."""
    if head.finished:
        raise Finished(head)
    if head.status == "queued" or force:
        ended = _ended(head, "cancelled", now)
        return replace(head, cancel_requested=True, **ended)
    return head if head.cancel_requested else replace(head, cancel_requested=True, updated_at=now)


def stall(head: Head, now: int) -> Head:
    if head.status != "running" or head.stalled:
        return head
    return replace(head, stalled=True, updated_at=now)


def lose(head: Head, now: int, silent_seconds: float) -> Head:
    if head.status != "running":
        return head
    error = Failure(f"The worker has said nothing for {silent_seconds:.0f} seconds.", code="lost")
    return replace(head, **_ended(head, MOVES["running", "lose"], now) | {"error": error})


def take_file(head: Head, file: File, now: int) -> Head:
    """The file among the job's, in the place of one with its name. It is no report and starts
    nothing; but a worker that brings one is alive."""
    if head.finished:
        raise Finished(head)
    there = [it.name for it in head.files]
    files = [*head.files, file]
    if file.name in there:
        files[there.index(file.name)] = files.pop()
    heard = {"heartbeat_at": now, "stalled": False} if head.status == "running" else {}
    return replace(head, files=tuple(files), updated_at=now, **heard)


def child_moved(head: Head, before: Status | None, after: Status, now: int) -> Head:
    """A parent's counts follow its children while it lasts; they are history afterwards."""
    if head.finished or before == after:
        return head
    if before is not None and not getattr(head.children, before):
        return head  # a child of a job that had this id before
    counts = {after: getattr(head.children, after) + 1}
    if before is not None:
        counts[before] = getattr(head.children, before) - 1
    children: Children = replace(head.children, **counts)
    return replace(head, children=children, updated_at=now)


class LogLine(msgspec.Struct):
    n: int
    at: str
    level: Level
    source: str | None
    message: str


class ResultLine(msgspec.Struct):
    n: int
    at: str
    value: Any


class ErrorLine(msgspec.Struct):
    n: int
    at: str
    message: str
    item: str | int | float | None
    detail: Any


_encode = msgspec.json.Encoder().encode


def _entry(kind: Kind, n: int, line: msgspec.Struct, level: int = 0) -> Entry:
    return Entry(kind, n, level, Raw(_encode(line)))
