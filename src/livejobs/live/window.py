"""What has changed since a channel's last message, and the messages that show it.

A window keeps one base for each job, to find what changed, and all entries. So it grows with jobs
and entries only. Past its bound the channel drops it, and viewers read from the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from msgspec import Raw

from livejobs import clock
from livejobs.core import delta, wire
from livejobs.core.cursor import Cursor
from livejobs.core.model import Entry, EntryKind, Head, size_of
from livejobs.jobs.commit.publishing import Committed
from livejobs.jobs.state import Slot
from livejobs.live.form import Step
from livejobs.live.frames import Message
from livejobs.live.options import Options

WINDOW_ENTRIES: Final = 10_000
WINDOW_BYTES: Final = 1024 * 1024


class Pending:
    """A job with a new head that is still to be sent."""

    __slots__ = ("base", "entered", "fields", "gone", "head", "seq", "slot", "state")

    def __init__(self, slot: Slot, base: Head | None = None, *, entered: bool = True) -> None:
        self.slot = slot
        self.base = base  # the head that the viewers have
        self.head = slot.head
        self.entered = entered  # the viewers have none
        self.seq = 0
        self.gone = False
        self.fields: dict[str, Any] = {}
        self.state = b""

    def freeze(self, options: Options, *, feed: bool) -> Pending:
        """Keep the job as it is now: the slot changes while viewers are written to."""
        self.head = self.slot.head
        if options.form is not None:  # made from the head alone
            return self
        now = clock.now_ms()
        self.fields = self.slot.fields(now)
        if options.view == "state" and not self.gone:
            self.state = self.slot.head_json(now) if feed else self.slot.state_json(now)
        return self

    def changed(self) -> dict[str, Any]:
        """The fields that differ from the base. A queued job's place is always among them."""
        if self.base is None or self.entered:
            return self.fields
        old = wire.fields(self.base, self.slot.cursor, base=self.slot.base)
        if self.base.status == "queued":
            del old["queue"]
        return {**delta.diff(old, self.fields), "cursor": self.fields["cursor"]}


class Run(NamedTuple):
    """Consecutive changes of one job: its entries, and its head unless a later run has it."""

    seq: int
    slot: Slot
    entries: tuple[Entry, ...]
    head: Pending | None

    def messages(self, since: int, options: Options, *, feed: bool, whole: bool) -> list[Message]:
        """The messages for a client that has seen `since`. `whole`: it has no base for this job."""
        before, after = str(Cursor(self.slot.epoch, since)), str(Cursor(self.slot.epoch, self.seq))
        if self.head is not None and self.head.gone:
            return [gone_message(self.slot.head.id, after)]
        if options.form is not None:
            return [Message("form", options.form.change(self._step()), after)]
        if options.view == "delta":
            return [delta_message(self.slot, after, self._set(after, whole), self.entries)]
        state = self.head.state if self.head is not None and options.view == "state" else None
        lines = logs_json(self.slot, self.entries, named=feed) if self.entries else None
        return state_and_logs(state, lines, before, after)

    def _step(self) -> Step:
        slot, head = self.slot, self.head
        before, now = (None, slot.head) if head is None else (head.base, head.head)
        cursor = Cursor(slot.epoch, self.seq)
        return Step(before, now, self.entries, head is not None, cursor, slot.base)

    def _set(self, cursor: str, whole: bool) -> dict[str, Any]:
        """For a job that enters a feed this is every field: such a delta is its own base."""
        if self.head is None:
            return {"cursor": cursor}
        return self.head.fields if whole else self.head.changed()


class Window:
    def __init__(self) -> None:
        self.heads: dict[Slot, Pending] = {}
        self.items: list[Run] = []  # one change each, with its entries
        self.entries = 0
        self.bytes = 0

    def add(self, change: Committed, entries: tuple[Entry, ...], *, entered: bool) -> None:
        head = self.heads.get(change.slot)
        if head is None:
            head = self.heads[change.slot] = Pending(change.slot, change.before, entered=entered)
        head.seq = change.seq
        head.gone = change.after is None
        if entries:
            self.items.append(Run(change.seq, change.slot, entries, None))
            self.entries += len(entries)
            self.bytes += size_of(entries)

    @property
    def overfull(self) -> bool:
        changes = max(self.entries, len(self.heads))
        return changes > WINDOW_ENTRIES or self.bytes > WINDOW_BYTES

    @property
    def last_seq(self) -> int:
        return max(head.seq for head in self.heads.values())

    def freeze(self, options: Options, *, feed: bool) -> None:
        for head in self.heads.values():
            head.freeze(options, feed=feed)

    def runs(self, since: int) -> list[Run]:
        """What came after `since`, in order of seq. Each job shows only its last head. All entries
        are shown, each before anything with a higher seq."""
        steps = {item.seq: item for item in self.items if item.seq > since}
        for head in self.heads.values():
            if head.seq > since:
                entries = steps[head.seq].entries if head.seq in steps else ()
                steps[head.seq] = Run(head.seq, head.slot, entries, head)
        return joined(run for _, run in sorted(steps.items()))


def joined(runs: Iterable[Run]) -> list[Run]:
    """Neighbours of the same job as one run."""
    result: list[Run] = []
    for run in runs:
        if result and result[-1].slot is run.slot:
            run = run._replace(entries=result.pop().entries + run.entries)  # noqa: PLW2901 - the joined one
        result.append(run)
    return result


def state_and_logs(
    state: bytes | None, lines: bytes | None, before: str, after: str
) -> list[Message]:
    """A client may get a state twice, but no line twice. So a state that lines follow has the
    cursor from before both: a client that is cut between them gets the state again."""
    messages = []
    if state is not None:
        messages.append(Message("state", state, after if lines is None else before))
    if lines is not None:
        messages.append(Message("logs", lines, after))
    return messages


def delta_message(
    slot: Slot, cursor: str, fields: dict[str, Any], entries: Iterable[Entry]
) -> Message:
    append: dict[EntryKind, list[Raw]] = {}
    for entry in entries:
        append.setdefault(entry.kind, []).append(entry.value)
    body = {"job": slot.head.id, "cursor": cursor, "set": fields, "append": append}
    return Message("delta", wire.encode(body), cursor)


def logs_json(slot: Slot, entries: Iterable[Entry], *, named: bool) -> bytes:
    """An array of lines. `named`: each line has the job's id, for feeds."""
    values = [bytes(entry.value) for entry in entries]
    if named:
        prefix = b'{"job":' + wire.encode(slot.head.id) + b","
        values = [prefix + value[1:] for value in values]
    return b"[" + b",".join(values) + b"]"


def trimmed_message(removed: int) -> Message:
    """For a stream of lines alone. Other streams send the head, which has the same."""
    return Message("trimmed", wire.encode({"logs": removed}))


def gone_message(job: str, cursor: str) -> Message:
    return Message("gone", wire.encode({"job": job, "cursor": cursor}), cursor)


def end_message(cursor: str) -> Message:
    return Message("end", b"{}", cursor)
