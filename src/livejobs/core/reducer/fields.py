"""Reports that set fields of the head: worker, progress, steps, counters and meta."""

from __future__ import annotations

from msgspec.structs import force_setattr as put

from livejobs.core import reports as say
from livejobs.core.model import Progress, Step
from livejobs.core.reducer.draft import Draft


def start(draft: Draft, report: say.Start, now: int) -> None:
    if report.worker is not None:
        put(draft.head, "worker", report.worker)


def progress(draft: Draft, report: say.Progress, now: int) -> None:
    was: Progress = draft.head.progress
    current = was.current if report.current is None else report.current
    if report.advance is not None:
        current = say.clamp((current or 0) + report.advance)
    percent = was.reported
    if report.current is not None or report.advance is not None or report.total is not None:
        percent = None
    if report.percent is not None:
        percent = int(report.percent)
    progress = Progress(
        reported=percent,
        current=current,
        total=was.total if report.total is None else report.total,
        unit=was.unit if report.unit is None else report.unit,
        message=was.message if report.message is None else report.message,
        pace=was.pace,
        rate=was.rate,
        eta=was.eta,
    )
    put(draft.head, "progress", progress)
    draft.measured = False


def step(draft: Draft, report: say.Step, now: int) -> None:
    steps = draft.steps()
    steps.change(_changed(steps.find(report.name) or Step(report.name), report, now))
    draft.measured = False


def _changed(step: Step, report: say.Step, now: int) -> Step:
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


def count(draft: Draft, report: say.Count, now: int) -> None:
    counters = draft.own("counters")
    for name, by in report.counters.items():
        counters[name] = say.clamp(counters.get(name, 0) + by)


def meta(draft: Draft, report: say.Meta, now: int) -> None:
    meta = draft.own("meta")
    for key, value in report.set.items():
        meta.pop(key, None)
        if value is not None:
            meta[key] = value
