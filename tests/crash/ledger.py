"""All reports of workers, all acknowledgements, and all states that viewers received.

The ledger knows nothing of livejobs' inside. Each report leaves a trace of its own: a unique text,
a counter, a digit of the progress. So the server's answers show which reports were kept, and how
often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

Report: TypeAlias = dict[str, Any]
Job: TypeAlias = Mapping[str, Any]

KINDS: Final = ("logs", "results", "errors")
FINISHED: Final = frozenset({"succeeded", "failed", "cancelled"})
ENDS: Final = {"succeed": "succeeded", "fail": "failed", "cancelled": "cancelled"}
# A producer's advances are a number of their own within the job's progress: three producers of
# five digits stay exact in a double.
STRIDE: Final = 100_000


class Shown(NamedTuple):
    """Everything of one producer that a job shows."""

    entries: tuple[tuple[str, ...], ...]  # new ones, for each of KINDS
    times: int
    total: int
    advanced: int
    step: int | None
    meta: int | None
    told: tuple[Any, ...]  # of a lone producer all the rest; of one among others, its ending


class Sum:
    """The sum of a producer's reports, one by one."""

    def __init__(self) -> None:
        self.entries: tuple[list[str], ...] = ([], [], [])  # since the last look
        self.times = self.total = self.advanced = 0
        self.step: int | None = None
        self.meta: int | None = None
        self.status = "queued"
        self.attempt = 1
        self.cancel_requested = False
        self.worker: Any = None
        self.result: Any = None
        self.error: str | None = None

    def hear(self, report: Report) -> None:
        type_ = report["type"]
        if type_ == "!cancel":  # not a report: POST …/cancel
            self._asked_to_cancel(force=report["force"])
            return
        if self.status == "queued":
            self.status, self.error = "running", None
        if type_ in ENDS:
            self.status = ENDS[type_]
        getattr(self, "_" + type_)(report)

    def _asked_to_cancel(self, *, force: bool) -> None:
        self.cancel_requested = True
        if force or self.status == "queued":
            self.status = "cancelled"

    def _start(self, report: Report) -> None:
        self.worker = report["worker"]

    def _log(self, report: Report) -> None:
        self.entries[0].append(report["message"])

    def _result(self, report: Report) -> None:
        self.entries[1].append(report["value"]["said"])

    def _error(self, report: Report) -> None:
        self.entries[2].append(report["message"])

    def _count(self, report: Report) -> None:
        times, total = report["counters"].values()
        self.times += times
        self.total += total

    def _progress(self, report: Report) -> None:
        self.advanced += 1

    def _step(self, report: Report) -> None:
        self.step = report["current"]

    def _meta(self, report: Report) -> None:
        (self.meta,) = report["set"].values()

    def _retry(self, report: Report) -> None:
        if self.cancel_requested:
            self.status = "cancelled"
            return
        self.status = "queued"
        self.attempt += 1
        self.advanced, self.step, self.worker = 0, None, None
        self.error = report["error"]

    def _succeed(self, report: Report) -> None:
        self.result = report["result"]

    def _fail(self, report: Report) -> None:
        self.error = report["message"]

    def _cancelled(self, report: Report) -> None:
        pass

    def shown(self, *, alone: bool) -> Shown:
        entries = tuple(tuple(some) for some in self.entries)
        told: tuple[Any, ...] = (self.result, self.error)
        if alone:
            told = (*told, self.status, self.attempt, self.cancel_requested, self.worker)
        return Shown(entries, self.times, self.total, self.advanced, self.step, self.meta, told)


@dataclass
class Voice:
    """One producer of one job. It sends in order, one request at a time, so its unacknowledged
    reports are always its last ones."""

    name: str
    slot: int = 0  # whose digits of the progress are its own
    numbered: bool = True
    said: list[Report] = field(default_factory=list)
    acked: int = 0  # said[:acked] was acknowledged
    kept: int = 0  # said[:kept] was there when last looked at
    whole: bool = True  # what is not acknowledged was sent as all or nothing
    made: int = 0  # reports ever made, so that no text is said twice
    sum: Sum = field(default_factory=Sum)  # of said[:settled]
    settled: int = 0
    cursor: int = 0  # seq of the last receipt

    @property
    def waiting(self) -> bool:
        """Whether a request was sent and never answered."""
        return self.acked < len(self.said)

    def possible(self, count: int) -> bool:
        """Whether the server may hold exactly the first `count` reports."""
        least = max(self.acked, self.kept)
        if self.whole:
            return count in (least, len(self.said))
        return least <= count <= len(self.said)

    def say(self, reports: Sequence[Report], *, whole: bool) -> None:
        self.said += reports
        self.whole = whole

    def answered(self, count: int) -> None:
        """The server acknowledged the first `count` waiting reports. It refused the rest, which
        must not appear unless a viewer saw them."""
        self.acked += count
        self.kept = max(self.kept, self.acked)
        del self.said[self.kept :]

    def over(self) -> None:
        """The job has ended: waiting reports can no longer be sent."""
        self.answered(max(self.kept - self.acked, 0))

    @property
    def repeatable(self) -> bool:
        return self.numbered and self.said[-1]["type"] != "!cancel"

    def settle(self, shown: Shown, *, alone: bool) -> bool:
        """Whether the shown state is the sum of the first n reports, for any n. Keep these then."""
        trial = deepcopy(self.sum)
        for count in range(self.settled, len(self.said) + 1):
            if self.possible(count) and trial.shown(alone=alone) == shown:
                self._settled(count, trial)
                return True
            if count < len(self.said):
                trial.hear(self.said[count])
        return False

    def _settled(self, count: int, sum: Sum) -> None:
        self.sum, self.settled, self.kept = sum, count, count
        self.sum.entries = ([], [], [])
        if self.waiting and not self.repeatable:
            self.answered(count - self.acked)

    def forget_looks(self) -> None:
        """Compare everything again at the next check."""
        self.sum, self.settled = Sum(), 0


class Seen(NamedTuple):
    """A state that a viewer received."""

    seq: int
    facts: Job


@dataclass
class Book:
    """One job. Its title names it, since the server may choose the id."""

    title: str
    project: str
    type: str
    how: str  # it was made: post, key, id, put
    alone: bool = True  # only one producer speaks
    id: str | None = None
    parent: str | None = None
    born: bool = False  # acknowledged, or found
    found: bool = False  # it is there though its making was never acknowledged
    deleting: bool = False
    gone: bool = False
    seq: int = 0  # of the last receipt
    voices: dict[str, Voice] = field(default_factory=dict)
    looked: list[int] = field(default_factory=lambda: [0, 0, 0])  # entries compared, by kind
    seen: dict[str, Seen] = field(default_factory=dict)  # by viewer
    last: Job | None = None  # the state when last looked at
    final: Seen | None = None  # the state once it was seen finished
    promised: Job | None = None  # the state that a restored server must show, but for the cursor

    def forget_looks(self) -> None:
        self.looked = [0, 0, 0]
        for voice in self.voices.values():
            voice.forget_looks()

    @property
    def sums(self) -> list[Sum]:
        return [voice.sum for voice in self.voices.values()] or [Sum()]

    def main(self) -> Sum:
        """The sum with the job's status: of the voice that ended it, else that started it."""
        for good in (FINISHED, {"running"}):
            for sum in self.sums:
                if sum.status in good:
                    return sum
        return self.sums[0]


@dataclass
class Feed:
    """One project's cursors."""

    epoch: str
    top: int = 0  # the highest seq anyone was told
    floor: int = 0  # what is new since the restart must be above it
    taken: set[int] = field(default_factory=set)  # given to changes since


class Ledger:
    """All reports to all jobs. `wrong` lists what contradicts them."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}  # by title
        self.ids: dict[str, Book] = {}
        self.feeds: dict[str, Feed] = {}
        self.touched: set[str] = set()  # titles
        self.wrong: list[str] = []
        self.acknowledged = 0  # reports
        self.refused = 0  # requests answered with 503

    def complain(self, what: str) -> None:
        self.wrong.append(what)

    def expect(self, good: bool, what: str) -> None:
        if not good:
            self.complain(what)

    # What workers do

    def open(self, book: Book) -> None:
        """A job whose creation is about to be requested."""
        self.books[book.title] = book
        self.touched.add(book.title)
        if book.id is not None:
            self.ids[book.id] = book

    def drop(self, book: Book) -> None:
        """The job was not created and never will be."""
        del self.books[book.title]
        self.ids.pop(book.id or "", None)

    def is_there(self, book: Book, id: str) -> None:
        self.expect(book.id in (None, id), f"{book.title}: made as {book.id}, answered as {id}")
        book.id = id
        self.ids[id] = book

    def receipt(self, book: Book, voice: Voice, receipt: Mapping[str, Any], *, new: bool) -> None:
        """An answer to reports; `new`: at least one of them was applied just now."""
        seq = self.cursor(book.project, receipt["cursor"])
        who = f"{book.title} {voice.name}"
        self.expect(seq >= voice.cursor, f"{who}: cursor {seq} after {voice.cursor}")
        if new:
            feed = self.feeds[book.project]
            self.expect(seq > feed.floor, f"{who}: seq {seq} is from before the restart")
            self.expect(seq not in feed.taken, f"{who}: seq {seq} was given twice")
            feed.taken.add(seq)
        voice.cursor = seq
        book.seq = max(book.seq, seq)

    def cursor(self, project: str, text: str) -> int:
        epoch, _, seq = text.partition(".")
        feed = self.feeds.setdefault(project, Feed(epoch))
        self.expect(feed.epoch == epoch, f"{project}: epoch was {feed.epoch}, is {epoch}")
        feed.top = max(feed.top, int(seq))
        return int(seq)

    def restarted(self) -> None:
        for feed in self.feeds.values():
            feed.floor = feed.top
            feed.taken.clear()

    # What viewers see

    def saw(self, viewer: str, job: Job) -> None:
        """A viewer received this job, whole or its head."""
        book = self.ids.get(job["id"])
        if book is None:
            return
        self.touched.add(book.title)
        now = Seen(self.cursor(book.project, job["cursor"]), facts(job))
        before = book.seen.get(viewer)
        if before is not None:
            for complaint in went_back(before, now):
                self.complain(f"{book.title}, seen by {viewer}: {complaint}")
        book.seen[viewer] = now
        self._finally(book, now)

    def _finally(self, book: Book, now: Seen) -> None:
        if book.final is None:
            book.final = now if now.facts["status"] in FINISHED else None
        elif now.seq >= book.final.seq:  # viewers differ in how fast they are told
            changed = differences(book.final.facts, now.facts)
            self.expect(not changed, f"{book.title}: changed after its end: {changed}")

    def latest(self, book: Book) -> Seen | None:
        """The newest state that any viewer received."""
        return max(book.seen.values(), key=lambda seen: seen.seq, default=None)


_PASSING: Final = ("queue", "results", "errors")  # moves without a cursor, or is not in heads


def facts(job: Job) -> Job:
    """The fields that are equal in all views of one cursor."""
    hidden = _PASSING if job["status"] in FINISHED else (*_PASSING, "heartbeat_at")
    return {name: value for name, value in job.items() if name not in hidden}


def differences(before: Job, after: Job) -> dict[str, tuple[Any, Any]]:
    names = before.keys() | after.keys()
    return {n: (before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)}


def went_back(before: Seen, now: Seen) -> Iterator[str]:
    """The reasons why the later view cannot follow the earlier one."""
    old, new = before.facts, now.facts
    if now.seq < before.seq:
        yield f"cursor {now.seq} after {before.seq}"
    elif now.seq == before.seq and old != new:
        yield f"two states of one cursor {now.seq}: {differences(old, new)}"
    for kind in KINDS:
        if new[f"{kind}_total"] < old[f"{kind}_total"]:
            yield f"{kind}_total {new[f'{kind}_total']} after {old[f'{kind}_total']}"
    if new["attempt"] < old["attempt"]:
        yield f"attempt {new['attempt']} after {old['attempt']}"
    if new["attempt"] == old["attempt"] and old["status"] == "running" and _queued(new):
        yield "queued after running, in the same attempt"


def _queued(job: Job) -> bool:
    return bool(job["status"] == "queued")
