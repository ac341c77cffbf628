"""Apply reports: check them, fold them into the head, and acknowledge them once on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct

from livejobs.config import Settings
from livejobs.core import reducer, wire
from livejobs.core import reports as say
from livejobs.core.cursor import Cursor
from livejobs.core.errors import FieldError, HeadTooLarge, Invalid, LivejobsError
from livejobs.core.model import Answer, Head, Status, encode_head
from livejobs.core.questions import VALUE_BYTES
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.outcomes import Done, Outcome, answered, attempt
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.state import Slot


class Receipt(Struct, frozen=True, omit_defaults=True):
    """The answer to a worker once its reports are on disk."""

    cursor: str
    status: Status
    accepted: int
    cancel_requested: bool
    asked: int | None = None  # the number of the question that these reports asked
    waiting: int | None = None  # the number of the open question
    answer: Answer | None = None  # repeated until a report carries `answered`


class LinesReceipt(Struct, frozen=True):
    """The answer to NDJSON: how many lines are kept, and why the next one is refused."""

    receipt: Receipt
    kept: int
    refused: LivejobsError | None = None


class Reporting:
    def __init__(self, committer: Committer, bounds: say.Bounds) -> None:
        self.bounds = bounds
        self.applied = 0  # reports, since the start
        self._committer = committer

    def check(self, reports: Sequence[say.AnyReport | Mapping[str, Any]]) -> list[say.AnyReport]:
        """Check in-process reports by the same rules as reports over the wire."""
        return self.decode(encoded(reports))

    def decode(self, body: bytes) -> list[say.AnyReport]:
        """Decode one report or an array of them, within this server's limits."""
        return say.decode_body(body, self.bounds)

    async def apply(self, slot: Slot, reports: Sequence[say.AnyReport]) -> Receipt:
        """Apply all of the reports, or none. They have been checked."""
        return await answered(partial(self.put, slot, reports))

    def put(self, slot: Slot, reports: Sequence[say.AnyReport], done: Done[Receipt]) -> None:
        """The same for a caller that does not wait. `done` may be called at once."""
        if self._only_heartbeats(slot, reports):
            self._committer.note_heartbeat(slot)
            new = sum(not reducer.seen_before(slot.head, report) for report in reports)
            self.applied += new
            done(_receipt(slot, slot.head, slot.seq, new, reports))
            return
        call = _Call(self, slot, reports, done)
        self._committer.put(call.fold, call.acknowledge)
        slot.holders += 1

    async def apply_lines(self, slot: Slot, reports: Sequence[say.AnyReport]) -> LinesReceipt:
        """Apply reports that came line by line: all before the first that must be refused."""

        def operation(transaction: Transaction) -> tuple[Head, int, int, LivejobsError | None]:
            head = transaction.present(slot)
            folded, kept, refused = self._fold_lines(slot, head, reports, transaction.now)
            if folded.head is not head:
                transaction.change(slot, folded.head, folded.entries)
            return folded.head, folded.accepted, kept, refused

        with slot.held():
            outcome = await self._committer.submit(operation)
        head, accepted, kept, refused = outcome.value
        self.applied += accepted
        receipt = _receipt(slot, head, outcome.seq(slot), accepted, reports)
        return LinesReceipt(receipt, kept, refused)

    def fold(
        self, slot: Slot, head: Head, reports: Sequence[say.AnyReport], now: int
    ) -> reducer.Folded:
        """Fold all of the reports. Raises for the first that must be refused."""
        try:
            return self._fold(slot, head, reports, now)
        except HeadTooLarge as error:
            at = self._culprit(head, reports, now, error)
            raise HeadTooLarge(error.detail, errors=[FieldError(at, error.detail)]) from None

    def _culprit(
        self, head: Head, reports: Sequence[say.AnyReport], now: int, error: HeadTooLarge
    ) -> str:
        """The pointer to the largest field, if the head has room for all others; else to the field
        that the head has no room for after those before it."""
        sizes = [_largest(head, report)[0] for report in reports]
        found = sizes.index(max(sizes))
        if not self._fit(head, [*reports[:found], *reports[found + 1 :]], now):
            found = self._fold_some(head, reports, now, error)[1]
        name = _largest(head, reports[found])[1]
        return f"/{name}" if len(reports) == 1 else f"/{found}/{name}"

    def _fit(self, head: Head, reports: Sequence[say.AnyReport], now: int) -> bool:
        try:
            self._fold_exactly(head, reports, now)
        except LivejobsError:
            return False
        return True

    def _fold_lines(
        self, slot: Slot, head: Head, reports: Sequence[say.AnyReport], now: int
    ) -> tuple[reducer.Folded, int, LivejobsError | None]:
        """Fold all reports, the usual case; else those before the first that must be refused."""
        try:
            return self._fold(slot, head, reports, now), len(reports), None
        except LivejobsError as error:
            return self._fold_some(head, reports, now, error)

    def _fold_some(
        self, head: Head, reports: Sequence[say.AnyReport], now: int, refused: LivejobsError
    ) -> tuple[reducer.Folded, int, LivejobsError]:
        """Find the end by bisection: one pass over the head for each line would cost too much."""
        good, kept, bad = reducer.Folded(head, (), 0), 0, len(reports)
        while bad - kept > 1:
            middle = (kept + bad) // 2
            try:
                good, kept = self._fold_exactly(head, reports[:middle], now), middle
            except LivejobsError:
                bad = middle
        try:
            at = "/" + _largest(good.head, reports[kept])[1]
            self._fold_exactly(good.head, [reports[kept]], now, at)
        except LivejobsError as error:  # this error points into its own line
            refused = error
        return good, kept, refused

    def _fold_exactly(
        self, head: Head, reports: Sequence[say.AnyReport], now: int, at: str = ""
    ) -> reducer.Folded:
        folded = reducer.fold(head, reports, now)
        if any(_grows(head, report) for report in reports):
            self.check_size(folded.head, at)
        return folded

    def _fold(
        self, slot: Slot, head: Head, reports: Sequence[say.AnyReport], now: int
    ) -> reducer.Folded:
        """The same, but measure the head only when the reports since the last time could have
        filled it: the cost of measuring grows with the head and not with the reports."""
        folded = reducer.fold(head, reports, now)
        known, size = slot.measured
        if known is head:
            size += _growth(head, reports)
        fits = known is head and size <= self.bounds.head
        if not fits and any(_grows(head, report) for report in reports):
            size = self._measure(folded.head, "")
        elif known is not head:
            return folded
        slot.measured = folded.head, size
        return folded

    @staticmethod
    def _only_heartbeats(slot: Slot, reports: Sequence[say.AnyReport]) -> bool:
        """Whether there is nothing to commit: heartbeats of a running job that is not stalled."""
        head = slot.head
        if type(reports[0]) is not say.Heartbeat:  # as nearly always
            return False
        if head.status != "running" or head.stalled or slot.gone:
            return False
        for report in reports:  # `all` would cost more than the rest of the question
            if type(report) is not say.Heartbeat or report.answered is not None:
                return False
        return True

    def check_size(self, head: Head, at: str) -> None:
        self._measure(head, at)

    def _measure(self, head: Head, at: str) -> int:
        """The size of the head; raises HeadTooLarge."""
        limit = self.bounds.head
        if head.finished:  # a job whose head is full must still be able to end
            limit += limit // 32 + 64  # the constant is for the times that the server adds
        if head.answer is not None:  # whoever answers can't make room in the head
            limit += VALUE_BYTES
        size = len(encode_head(head))
        if size > limit:
            detail = (
                f"The job's current state would take {size} bytes; the limit is {limit}. Send "
                "large values as results or files."
            )
            raise HeadTooLarge(detail, errors=[FieldError(at, detail)])
        return size


class _Call(Struct, frozen=True):
    """The reports of one call while they wait. Functions within `put` would take four times as
    many objects, and a busy server has a thousand such calls at once."""

    reporting: Reporting
    slot: Slot
    reports: Sequence[say.AnyReport]
    done: Done[Receipt]

    def fold(self, transaction: Transaction) -> reducer.Folded:
        head = transaction.present(self.slot)
        folded = self.reporting.fold(self.slot, head, self.reports, transaction.now)
        if folded.head is not head:
            transaction.change(self.slot, folded.head, folded.entries)
        return folded

    def acknowledge(self, outcome: Outcome[reducer.Folded] | Exception) -> None:
        self.slot.holders -= 1
        self.done(attempt(self._receipt, outcome))

    def _receipt(self, outcome: Outcome[reducer.Folded]) -> Receipt:
        folded, seq = outcome.value, outcome.seq(self.slot)
        self.reporting.applied += folded.accepted
        return _receipt(self.slot, folded.head, seq, folded.accepted, self.reports)


def encoded(value: object) -> bytes:
    try:
        return wire.encode(value)
    except UnicodeEncodeError:  # as in the name of a file that is not UTF-8
        raise Invalid.at(
            "", "Text contains half of a surrogate pair, which is not a character."
        ) from None


def _receipt(
    slot: Slot, head: Head, seq: int, accepted: int, reports: Sequence[say.AnyReport]
) -> Receipt:
    return Receipt(
        str(Cursor(slot.epoch, seq)),
        head.status,
        accepted,
        head.cancel_requested,
        reducer.asked(head, reports),
        None if head.waiting is None else head.waiting.n,
        head.answer,
    )


# The fields of a report that can make the head larger by more than digits.
_GROWS: Final[Mapping[type, tuple[str, ...]]] = {
    say.Start: ("worker",),
    say.Progress: ("message", "unit"),
    say.Step: ("title", "name"),
    say.Count: ("counters",),
    say.Meta: ("set",),
    say.Ask: ("schema", "prompt"),
    say.Retry: ("error",),
    say.Succeed: ("result",),
    say.Fail: ("detail", "message"),
}


# The most that a report adds to a head beside its own text: digits, times, a rate.
_BESIDE: Final = 400
_DIGITS: Final = 48
_START: Final = 60  # a status and a time, as any report starts a queued job
# These are short and change much: every step, or everything of an attempt.
_TURNS: Final = frozenset({say.Retry, say.Succeed, say.Fail, say.Cancelled})
_MUCH: Final = 1 << 30


def _growth(head: Head, reports: Sequence[say.AnyReport]) -> int:
    """The most that the reports add to the head, in time proportional to the reports."""
    kinds = set(map(type, reports))
    if not _TURNS.isdisjoint(kinds):
        return _MUCH
    texts = [it for it in reports if type(it) in _GROWS or it.producer is not None]
    sums = len(reports)
    if say.Count in kinds:  # a sum takes more digits than what is added
        sums += sum(len(it.counters) for it in texts if type(it) is say.Count)
    return _START + _BESIDE * len(texts) + _DIGITS * sums + len(encoded(texts))


def _grows(head: Head, report: say.AnyReport) -> bool:
    named = _GROWS.get(type(report), ())
    return _is_new(head, report) or any(getattr(report, name) is not None for name in named)


def _is_new(head: Head, report: say.AnyReport) -> bool:
    return report.n is not None and report.producer not in head.producers


def _largest(head: Head, report: say.AnyReport) -> tuple[int, str]:
    """The field that can make the head larger by most, after its size. (0, ""): there is none."""
    named = (*_GROWS.get(type(report), ()), *(("producer",) if _is_new(head, report) else ()))
    fields = ((getattr(report, name), name) for name in named)
    return max(
        ((len(encoded(value)), name) for value, name in fields if value is not None),
        default=(0, ""),
    )


def bounds_of(settings: Settings) -> say.Bounds:
    return say.Bounds(
        body=settings.max_body_bytes,
        head=settings.max_head_bytes,
        line=settings.max_line_bytes,
        batch=settings.max_batch,
    )
