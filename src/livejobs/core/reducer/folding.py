"""What a report does to a job: which function applies it, and which reports were applied before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr as put

from livejobs.core import reports as say
from livejobs.core.model import Entry, Head
from livejobs.core.reducer import asking, ending, fields, lines
from livejobs.core.reducer.draft import Draft
from livejobs.core.reducer.moves import MOVES

PRODUCERS: Final = 1000  # whose numbers a job knows

# Where a report leaves the status as it is: nearly always, so it is looked up in advance.
_STAYS: Final = frozenset(a for (a, event), b in MOVES.items() if event == "report" and a == b)

# For each type of report the function that applies it. So the report that the function gets has
# exactly the type that is written there.
_APPLY: Final[dict[type, Callable[..., None]]] = {
    say.Start: fields.start,
    say.Progress: fields.progress,
    say.Step: fields.step,
    say.Count: fields.count,
    say.Meta: fields.meta,
    say.Log: lines.log,
    say.Result: lines.result,
    say.Error: lines.error,
    say.Ask: asking.ask,
    say.Retry: ending.retry,
    say.Succeed: ending.succeed,
    say.Fail: ending.fail,
    say.Cancelled: ending.cancelled,
}  # a heartbeat has no more to apply than that it came


class Folded(Struct, frozen=True):
    head: Head
    entries: tuple[Entry, ...]
    accepted: int  # reports that were applied; numbers seen before are skipped


def fold(head: Head, reports: Iterable[say.AnyReport], now: int) -> Folded:
    """Apply all of the reports, or raise Finished and apply none. The time grows with the
    reports; the head is copied once, however many there are."""
    draft = Draft(head, now)
    put(draft.head, "heartbeat_at", now)
    put(draft.head, "stalled", False)
    accepted = 0
    for report in reports:
        if report.n is None or not seen_before(draft.head, report):
            _advance(draft, report, now)
            accepted += 1
    if not accepted:
        return Folded(head, (), 0)
    return Folded(draft.finish(), tuple(draft.entries), accepted)


def seen_before(head: Head, report: say.AnyReport) -> bool:
    if report.n is None or report.producer is None:
        return False
    return report.n <= head.producers.get(report.producer, 0)


def _advance(draft: Draft, report: say.AnyReport, now: int) -> None:
    """Apply one report; the entry that it appends goes to the draft's entries."""
    if draft.head.status not in _STAYS:
        draft.move("report")
        draft.put(started_at=now, error=None)
    if report.answered is not None:
        asking.answered(draft, report.answered)
    apply = _APPLY.get(type(report))
    if apply is not None:
        apply(draft, report, now)
    if report.n is not None and report.producer is not None:
        _note_producer(draft.own("producers"), report.producer, report.n)


def _note_producer(producers: dict[str, int], name: str, n: int) -> None:
    """The one silent longest comes first, and is forgotten when there are too many: a job with
    a new producer for each report would fill its head with them."""
    producers.pop(name, None)
    producers[name] = n
    if len(producers) > PRODUCERS:
        del producers[next(iter(producers))]
