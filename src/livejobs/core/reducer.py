"""The fold: a head and a report make the next head, and the entries to append.

The law: a job moves only along MOVES, a finished job never changes again, and each number of a
producer counts once. Nothing here reads a clock or does I/O; `now` is passed in, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw
from msgspec.structs import force_setattr as put
from msgspec.structs import replace

from livejobs.core import progress as gauge
from livejobs.core import reports as say
from livejobs.core.errors import Conflict
from livejobs.core.model import (
    FINISHED,
    LEVELS,
    Answer,
    Entry,
    EntryKind,
    Failure,
    File,
    Head,
    Level,
    Plan,
    Progress,
    Question,
    Status,
    Step,
)
from livejobs.core.times import rfc3339

Event: TypeAlias = Literal[
    "report", "retry", "succeed", "fail", "cancelled",
    "cancel", "force_cancel", "stall", "lose", "file",
]  # fmt: skip

# From a status, on an event, to a status. A finished status has no row. Every report is first a
# "report", which starts a queued job; so the other events of a worker come to a running job.
MOVES: Final[dict[tuple[Status, Event], Status]] = {
    # from the worker
    ("queued", "report"): "running",
    ("running", "report"): "running",
    ("running", "retry"): "queued",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    ("running", "cancelled"): "cancelled",
    # from a client
    ("queued", "cancel"): "cancelled",
    ("running", "cancel"): "running",  # the worker decides when the job ends
    ("queued", "force_cancel"): "cancelled",
    ("running", "force_cancel"): "cancelled",
    # from the server, when the worker is silent
    ("running", "stall"): "running",
    ("running", "lose"): "failed",
    # an uploaded or attached file is not a report, and starts nothing
    ("queued", "file"): "queued",
    ("running", "file"): "running",
}

# Where a report leaves the status as it is: nearly always, so it is looked up in advance.
_STAYS: Final = frozenset(a for (a, event), b in MOVES.items() if event == "report" and a == b)


PRODUCERS: Final = 1000  # whose numbers a job knows


class Folded(NamedTuple):
    head: Head
    entries: tuple[Entry, ...]
    accepted: int  # reports that were applied; numbers seen before are skipped


class NotWaiting(Conflict):
    title = "The job does not wait for this answer"
    default_code = "not_waiting"


class Finished(Conflict):
    title = "The job has finished"
    default_code = "job_finished"

    def __init__(self, head: Head) -> None:
        super().__init__(
            f"Job {head.id!r} has {head.status}; a finished job never changes.",
            extra={"job_status": head.status},
        )


def may(head: Head, event: Event) -> bool:
    return (head.status, event) in MOVES


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
    """The head of a new job. The two keyword defaults apply where `new` sets nothing."""
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
    )


def _planned(step: str | say.PlannedStep) -> Step:
    if isinstance(step, str):
        return Step(step)
    return Step(step.name, title=step.title, weight=step.weight, total=step.total)


def fold(head: Head, reports: Iterable[say.AnyReport], now: int) -> Folded:
    """Apply all of the reports, or raise Finished and apply none. The time grows with the
    reports; the head is copied once, however many there are."""
    draft = _Draft(head, now)
    put(draft.head, "heartbeat_at", now)
    put(draft.head, "stalled", False)
    accepted = 0
    for report in reports:
        if not seen_before(draft.head, report):
            _advance(draft, report, now)
            accepted += 1
    if not accepted:
        return Folded(head, (), 0)
    return Folded(draft.finish(), tuple(draft.entries), accepted)


def seen_before(head: Head, report: say.AnyReport) -> bool:
    if report.n is None or report.producer is None:
        return False
    return report.n <= head.producers.get(report.producer, 0)


class _Steps:
    """The steps of a job while reports change them, found by name."""

    def __init__(self, base: tuple[Step, ...]) -> None:
        self.base = base
        self._there = {step.name: step for step in base}
        self._changed: dict[str, Step] = {}

    def find(self, name: str) -> Step | None:
        return self._changed.get(name) or self._there.get(name)

    def change(self, step: Step) -> None:
        self._changed[step.name] = step

    def discard(self) -> None:
        self._changed = {}

    def take(self) -> tuple[Step, ...]:
        """Return all steps, new ones at the end, and forget the changes."""
        changed, self._changed = self._changed, {}
        if not changed:
            return self.base
        kept = tuple([changed.pop(step.name, step) for step in self.base])
        return kept + tuple(changed.values())


class _Draft:
    """The next head while it is made. This is the one way in which a head changes: the draft
    copies it once, fields are put into the copy, and `finish` hands the copy out. Until then
    nobody else has it. A new head for every report of a call would cost as much as the reports;
    steps are joined at the end for the same reason."""

    _owned: tuple[str, ...] = ()  # dictionaries that were copied
    _steps: _Steps | None = None  # None: no report has changed a step
    _known: tuple[_Steps, ...] = ()  # a retry starts with the planned steps again
    measured = True  # False: there is progress that the rate does not include yet

    def __init__(self, head: Head, now: int) -> None:
        self.head = copy(head)
        self.now = now
        self.entries: list[Entry] = []
        put(self.head, "updated_at", now)

    def put(self, **fields: Any) -> None:
        for name, value in fields.items():
            put(self.head, name, value)

    def move(self, event: Event) -> bool:
        """Look up the event, change the status, and return whether it changed. There is no other
        way to change a status. Raises Finished for a finished job; ends the job when the new
        status is a finished one."""
        head = self.head
        try:
            status = MOVES[head.status, event]
        except KeyError:
            if head.finished:
                raise Finished(head) from None
            raise
        if status == head.status:
            return False
        put(head, "status", status)
        self.forget_question()
        if status in FINISHED:
            self._end(status)
        return True

    def forget_question(self) -> None:
        """Nobody waits for an answer any more, and an answer that nobody has fetched is void."""
        self.put(waiting=None, answer=None, replied=None)

    def own(self, name: str) -> dict[str, Any]:
        """A dictionary of the head, copied at its first change and changed in place after it."""
        values: dict[str, Any] = getattr(self.head, name)
        if name not in self._owned:
            values = values.copy()
            put(self.head, name, values)
            self._owned += (name,)
        return values

    def steps(self) -> _Steps:
        if self._steps is None:
            base = self.head.steps
            self._steps = next((it for it in self._known if it.base is base), None)
            if self._steps is None:
                self._steps = _Steps(base)
                self._known += (self._steps,)  # two at most: the head's and the planned ones
        return self._steps

    def _join_steps(self) -> None:
        if self._steps is not None:
            put(self.head, "steps", self._steps.take())
            self._steps = None

    def _end(self, status: Status) -> None:
        """A step that still runs ends with its job."""
        self._join_steps()
        self.measured = True  # a finished job has no rate
        head, now, ttl = self.head, self.now, self.head.ttl_seconds
        self.put(
            stalled=False,
            progress=replace(head.progress, pace=None, rate=None, eta=None),
            steps=tuple(_step_ended(step, status, now) for step in head.steps),
            completed_at=now,
            expires_at=None if ttl is None else now + int(ttl * 1000),
        )

    def begin_again(self) -> None:
        """Discard the steps and the progress of this attempt."""
        if self._steps is not None:
            self._steps.discard()
            self._steps = None
        self.measured = True
        plan = self.head.plan
        self.put(steps=plan.steps, progress=Progress(total=plan.total, unit=plan.unit))

    def finish(self) -> Head:
        """The next head. The rate takes all reports of one call as one sample."""
        head = self.head
        self._join_steps()
        if not self.measured:
            put(head, "progress", gauge.paced(head.progress, head.steps, self.now))
        return head


def _advance(draft: _Draft, report: say.AnyReport, now: int) -> None:
    """Apply one report; the entry that it appends goes to the draft's entries."""
    if draft.head.status not in _STAYS:
        draft.move("report")
        draft.put(started_at=now, error=None)
    if report.answered is not None:
        _answered(draft, report.answered)
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


# One function for each type of report: what the report changes. _APPLY finds the function by that
# type, so each argument has exactly the type that is written here.


def _start(draft: _Draft, report: say.Start, now: int) -> None:
    if report.worker is not None:
        put(draft.head, "worker", report.worker)


def _progress(draft: _Draft, report: say.Progress, now: int) -> None:
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


def _step(draft: _Draft, report: say.Step, now: int) -> None:
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


def _log(draft: _Draft, report: say.Log, now: int) -> None:
    n = draft.head.logs_total + 1
    at = now if report.at is None else int(report.at.timestamp() * 1000)
    line = LogLine(n, rfc3339(at), report.level, report.source, report.message)
    draft.entries.append(_entry("logs", n, line, LEVELS.index(report.level)))
    put(draft.head, "logs_total", n)


def _result(draft: _Draft, report: say.Result, now: int) -> None:
    n = draft.head.results_total + 1
    draft.entries.append(_entry("results", n, ResultLine(n, rfc3339(now), report.value)))
    put(draft.head, "results_total", n)


def _error(draft: _Draft, report: say.Error, now: int) -> None:
    n = draft.head.errors_total + 1
    line = ErrorLine(n, rfc3339(now), report.message, report.item, report.detail)
    draft.entries.append(_entry("errors", n, line))
    put(draft.head, "errors_total", n)


def _count(draft: _Draft, report: say.Count, now: int) -> None:
    counters = draft.own("counters")
    for name, by in report.counters.items():
        counters[name] = say.clamp(counters.get(name, 0) + by)


def _meta(draft: _Draft, report: say.Meta, now: int) -> None:
    meta = draft.own("meta")
    for key, value in report.set.items():
        meta.pop(key, None)
        if value is not None:
            meta[key] = value


def _ask(draft: _Draft, report: say.Ask, now: int) -> None:
    """A question takes the place of the one before: with two, two answers would have to be kept.
    But the same question of another producer is the one that a worker before it asked."""
    head = draft.head
    asker = None
    if report.producer is not None and report.n is not None:
        asker = (report.producer, report.n)
    if not _continues(head, report):
        n = head.questions + 1
        question = Question(n, report.prompt, now, report.schema)
        draft.put(questions=n, waiting=question, answer=None, replied=None)
    put(head, "asker", asker)


def _continues(head: Head, report: say.Ask) -> bool:
    last = head.waiting or head.replied
    if last is None or head.asker is None or report.n is None:
        return False
    same = (last.prompt, last.schema) == (report.prompt, report.schema)
    return same and report.producer not in (None, head.asker[0])


def _answered(draft: _Draft, n: int) -> None:
    """Another number is of a question that is gone."""
    head = draft.head
    if head.answer is not None and head.answer.n == n:
        draft.put(answer=None, replied=None)
    if head.waiting is not None and head.waiting.n == n:
        put(head, "waiting", None)


def _retry(draft: _Draft, report: say.Retry, now: int) -> None:
    if draft.head.cancel_requested:  # a worker that gives up on such a job need not start it again
        draft.move("cancelled")
        return
    draft.move("retry")
    draft.begin_again()
    draft.put(
        attempt=draft.head.attempt + 1,
        error=_failure(report.error),
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


def _succeed(draft: _Draft, report: say.Succeed, now: int) -> None:
    draft.move("succeed")
    put(draft.head, "result", report.result)


def _fail(draft: _Draft, report: say.Fail, now: int) -> None:
    draft.move("fail")
    put(draft.head, "error", Failure(report.message, report.code, report.detail))


def _cancelled(draft: _Draft, report: say.Cancelled, now: int) -> None:
    draft.move("cancelled")


_APPLY: Final[dict[type, Callable[..., None]]] = {
    say.Start: _start,
    say.Progress: _progress,
    say.Step: _step,
    say.Log: _log,
    say.Result: _result,
    say.Error: _error,
    say.Count: _count,
    say.Meta: _meta,
    say.Ask: _ask,
    say.Retry: _retry,
    say.Succeed: _succeed,
    say.Fail: _fail,
    say.Cancelled: _cancelled,
}  # a heartbeat has no more to apply than that it came


_STEP_ENDS: Final[dict[Status, Any]] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "skipped",
}


def _step_ended(step: Step, status: Status, now: int) -> Step:
    if step.status != "running":
        return step
    return replace(step, status=_STEP_ENDS[status], completed_at=now)


# Changes that no worker reports: a client asks for them, the sweeper makes them, or a child does.


def cancel(head: Head, now: int, *, force: bool = False) -> Head:
    """End the job, or ask its worker to end it. The same head if that was asked for before."""
    draft = _Draft(head, now)
    moved = draft.move("force_cancel" if force else "cancel")
    if head.cancel_requested and not moved:
        return head
    put(draft.head, "cancel_requested", True)
    draft.forget_question()
    return draft.finish()


def answer(head: Head, n: int | None, value: Any, by: str, now: int) -> Head:
    """Take the answer to the open question. `n`: only if that is its number. The value was
    checked. Raises NotWaiting."""
    question = open_question(head, n)
    draft = _Draft(head, now)  # no move: a job waits only while it runs
    draft.put(waiting=None, answer=Answer(question.n, value, by), replied=question)
    return draft.finish()


def open_question(head: Head, n: int | None) -> Question:
    question = head.waiting
    if question is None:
        raise NotWaiting(f"Job {head.id!r} is {head.status}, and does not wait for an answer.")
    if n is not None and n != question.n:
        raise NotWaiting(f"Job {head.id!r} waits for the answer to question {question.n}, not {n}.")
    return question


def asked(head: Head, reports: Sequence[say.AnyReport]) -> int | None:
    """The number of the question that these reports asked, once they are in the head. None: they
    asked none, or another producer has asked since."""
    if not head.questions:
        return None
    last = next((it for it in reversed(reports) if type(it) is say.Ask), None)
    if last is None:
        return None
    by = None if last.producer is None or last.n is None else (last.producer, last.n)
    return head.questions if by == head.asker else None


def stall(head: Head, now: int) -> Head:
    if head.stalled or not may(head, "stall"):
        return head
    draft = _Draft(head, now)
    draft.move("stall")
    put(draft.head, "stalled", True)
    return draft.finish()


def lose(head: Head, now: int, silent_seconds: float) -> Head:
    """While the job waits for a person, the clock for this stands still."""
    if head.waiting is not None or not may(head, "lose"):
        return head
    draft = _Draft(head, now)
    draft.move("lose")
    message = f"The worker has sent nothing for {silent_seconds:.0f} seconds."
    put(draft.head, "error", Failure(message, code="lost"))
    return draft.finish()


def take_file(head: Head, file: File, now: int) -> Head:
    """Add the file to the job, or put it in place of the file with its name."""
    draft = _Draft(head, now)
    draft.move("file")
    names = [it.name for it in head.files]
    files = [*head.files, file]
    if file.name in names:
        files[names.index(file.name)] = files.pop()
    put(draft.head, "files", tuple(files))
    if head.status == "running":  # a worker that sends a file is alive
        draft.put(heartbeat_at=now, stalled=False)
    return draft.finish()


def child_moved(head: Head, before: Status | None, after: Status, now: int) -> Head:
    """Count a child under its new status. A finished parent keeps the counts that it had."""
    if head.finished or before == after:
        return head
    if before is not None and not getattr(head.children, before):
        return head  # the child belongs to an earlier job with this id
    counts = {after: getattr(head.children, after) + 1}
    if before is not None:
        counts[before] = getattr(head.children, before) - 1
    draft = _Draft(head, now)
    put(draft.head, "children", replace(head.children, **counts))
    return draft.finish()


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


def _entry(kind: EntryKind, n: int, line: msgspec.Struct, level: int = 0) -> Entry:
    return Entry(kind, n, level, Raw(_encode(line)))
