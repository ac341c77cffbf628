"""What becomes of reports: checked, folded when their turn comes, and acknowledged once on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from livejobs import clock
from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.cursor import Cursor
from livejobs.core.errors import FieldError, HeadTooLarge, Invalid, LivejobsError
from livejobs.core.model import Head, Status, encode_head
from livejobs.jobs.committer import Committer, Draft
from livejobs.jobs.state import Slot


class Receipt(Struct, frozen=True):
    """What a worker hears once its reports are on disk."""

    cursor: str
    status: Status
    accepted: int
    cancel_requested: bool


class Applied(Struct, frozen=True):
    """What became of lines sent one by one: those kept, and why the next was not."""

    receipt: Receipt
    kept: int
    refused: LivejobsError | None = None


class Reporting:
    def __init__(self, committer: Committer, bounds: say.Bounds) -> None:
        self.bounds = bounds
        self._committer = committer

    def check(self, reports: Sequence[say.AnyReport | Mapping[str, Any]]) -> list[say.AnyReport]:
        """In-process reports held to the same rules as those that come over the wire."""
        return self.decode(encoded(reports))

    def decode(self, body: bytes) -> list[say.AnyReport]:
        """One report or an array of them, held to this server's bounds."""
        return say.decode_body(body, self.bounds)

    async def apply(self, slot: Slot, reports: Sequence[say.AnyReport]) -> Receipt:
        """Reports that have been checked."""
        if self._only_heard(slot, reports):
            slot.hear(clock.now_ms())
            new = sum(not reducer.seen_before(slot.head, report) for report in reports)
            return _receipt(slot, slot.head, slot.seq, new)

        def act(draft: Draft) -> tuple[Head, int]:
            head = draft.present(slot)
            folded = self._fold(slot, head, reports, draft.now)
            if folded.head is not head:
                draft.change(slot, folded.head, folded.entries)
            return folded.head, folded.accepted

        with slot.held():
            done = await self._committer.submit(act)
        head, accepted = done.value
        return _receipt(slot, head, done.seqs.get(slot, slot.seq), accepted)

    async def apply_lines(self, slot: Slot, reports: Sequence[say.AnyReport]) -> Applied:
        """Reports that came line by line: each is kept that comes before one that can't be."""

        def act(draft: Draft) -> tuple[Head, int, int, LivejobsError | None]:
            head = draft.present(slot)
            folded, kept, refused = self._fold_lines(slot, head, reports, draft.now)
            if folded.head is not head:
                draft.change(slot, folded.head, folded.entries)
            return folded.head, folded.accepted, kept, refused

        with slot.held():
            done = await self._committer.submit(act)
        head, accepted, kept, refused = done.value
        seq = done.seqs.get(slot, slot.seq)
        return Applied(_receipt(slot, head, seq, accepted), kept, refused)

    def _fold_lines(
        self, slot: Slot, head: Head, reports: Sequence[say.AnyReport], now: int
    ) -> tuple[reducer.Folded, int, LivejobsError | None]:
        """All of them, as is usual; else those before one that can't be kept."""
        try:
            return self._fold(slot, head, reports, now), len(reports), None
        except LivejobsError as error:
            return self._fold_some(head, reports, now, error)

    def _fold_some(
        self, head: Head, reports: Sequence[say.AnyReport], now: int, refused: LivejobsError
    ) -> tuple[reducer.Folded, int, LivejobsError]:
        """Halving finds the end: each line checked by itself would cost what the head costs."""
        good, kept, bad = reducer.Folded(head, (), 0), 0, len(reports)
        while bad - kept > 1:
            middle = (kept + bad) // 2
            try:
                good, kept = self._fold_exactly(head, reports[:middle], now), middle
            except LivejobsError:
                bad = middle
        try:
            self._fold_exactly(good.head, [reports[kept]], now)
        except LivejobsError as error:  # it points at the field of its own line
            refused = error
        return good, kept, refused

    def _fold_exactly(
        self, head: Head, reports: Sequence[say.AnyReport], now: int
    ) -> reducer.Folded:
        folded = reducer.fold(head, reports, now)
        grown = _grown_by(head, reports)
        if grown is not None:
            self.check_size(folded.head, grown)
        return folded

    def _fold(
        self, slot: Slot, head: Head, reports: Sequence[say.AnyReport], now: int
    ) -> reducer.Folded:
        """The same. The head is measured only when what was added since could have filled it, as
        measuring takes the time of the head and not of the reports."""
        folded = reducer.fold(head, reports, now)
        grown = _grown_by(head, reports)
        known, size = slot.measured
        if known is head:
            size += _growth(head, reports)
        if grown is not None and (known is not head or size > self.bounds.head):
            size = self._measure(folded.head, grown)
        elif known is not head:
            return folded
        slot.measured = folded.head, size
        return folded

    @staticmethod
    def _only_heard(slot: Slot, reports: Sequence[say.AnyReport]) -> bool:
        """Heartbeats of a job that runs as it should change nothing that is kept."""
        head = slot.head
        if head.status != "running" or head.stalled or slot.gone:
            return False
        return all(type(report) is say.Heartbeat for report in reports)

    def check_size(self, head: Head, at: str) -> None:
        self._measure(head, at)

    def _measure(self, head: Head, at: str) -> int:
        """Its size; refused if that is too large."""
        limit = self.bounds.head
        if head.finished:  # a job whose head is full must be able to say how it ended
            limit += limit // 32 + 64  # the constant is for the times that we add ourselves
        size = len(encode_head(head))
        if size > limit:
            said = (
                f"The job's current state would take {size} bytes; {limit} are allowed. Keep "
                "large values in results or files."
            )
            raise HeadTooLarge(said, errors=[FieldError(at, said)])
        return size


def encoded(said: object) -> bytes:
    try:
        return msgspec.json.encode(said)
    except UnicodeEncodeError:  # as in the name of a file that is not UTF-8
        raise Invalid.at("", "Holds half of a surrogate pair, which is no character.") from None


def _receipt(slot: Slot, head: Head, seq: int, accepted: int) -> Receipt:
    cursor = Cursor(slot.epoch, seq)
    return Receipt(str(cursor), head.status, accepted, head.cancel_requested)


# Which fields of a report can make the head larger by more than digits.
_GROWS: Final[Mapping[type, tuple[str, ...]]] = {
    say.Start: ("worker",),
    say.Progress: ("message", "unit"),
    say.Step: ("title", "name"),
    say.Count: ("counters",),
    say.Meta: ("set",),
    say.Retry: ("error",),
    say.Succeed: ("result",),
    say.Fail: ("detail", "message"),
}


# What a report adds to a head at most, beside what it says: digits; times; a rate.
_BESIDE: Final[Mapping[type, int]] = {say.Progress: 300, say.Step: 400}
_DIGITS: Final = 48
_START: Final = 60  # a status and a time, as any report starts a queued job
# These say little and change much: every step, or all that there was of an attempt.
_TURNS: Final = frozenset({say.Retry, say.Succeed, say.Fail, say.Cancelled})
_MUCH: Final = 1 << 30


def _growth(head: Head, reports: Sequence[say.AnyReport]) -> int:
    """How much larger a head is after them, at most; in time proportional to them."""
    start = _START if head.status == "queued" else 0
    return start + sum(map(_growth_by, reports))


def _growth_by(report: say.AnyReport) -> int:
    kind = type(report)
    if kind in _TURNS:
        return _MUCH
    size = _BESIDE.get(kind, _DIGITS)
    if kind in _GROWS or report.producer is not None:
        size += len(encoded(report))
    if isinstance(report, say.Count):  # a sum takes more digits than what is added
        size += _DIGITS * len(report.counters)
    return size


def _grown_by(head: Head, reports: Sequence[say.AnyReport]) -> str | None:
    """Where to point if the head has become too large: the last field that could do it."""
    for at in range(len(reports) - 1, -1, -1):
        if (name := _grows(head, reports[at])) is not None:
            return f"/{name}" if len(reports) == 1 else f"/{at}/{name}"
    return None


def _grows(head: Head, report: say.AnyReport) -> str | None:
    for name in _GROWS.get(type(report), ()):
        if getattr(report, name) is not None:
            return name
    new = report.n is not None and report.producer not in head.producers
    return "producer" if new else None
