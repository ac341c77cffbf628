"""Put changes that are on disk into the slots: our own, and those of other nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import attrgetter

from msgspec import Struct

from livejobs import clock
from livejobs.core.model import Entry, Head, Record, Stored
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import Gone
from livejobs.store.news import News


class Committed(Struct, frozen=True):
    """A change that is on disk and in its slot."""

    slot: Slot
    before: Head | None  # None: created
    after: Head | None  # None: deleted
    entries: tuple[Entry, ...]
    seq: int
    #: One of several changes of another node, which show the same head. The last one has False.
    part: bool = False

    @property
    def unknown(self) -> bool:
        """Whether another node has deleted a job that was not in memory here."""
        return self.before is None and self.after is None


class Publisher:
    def __init__(self, registry: Registry, lanes: Lanes, base: str) -> None:
        self.epochs: dict[str, str] = {}  # by project
        self.seqs: dict[str, int] = {}  # of the last published change, by project
        self._registry = registry
        self._lanes = lanes
        self._base = base
        #: By project and id, jobs whose id is a job of another project now. The news of their own
        #: deletion has not been read yet.
        self._displaced: dict[tuple[str, str], Slot] = {}

    def own(self, transaction: Transaction, seqs: Sequence[int]) -> list[Committed]:
        committed = []
        for (slot, change), seq in zip(transaction.changes, seqs, strict=True):
            if change.after is None:
                self._registry.remove(slot)
            else:
                slot.take(change.after, seq, change.entries)
                self._place(slot, change.before, transaction.now)
            self.seqs[change.job.project] = seq
            committed.append(Committed(slot, change.before, change.after, change.entries, seq))
        return committed

    def news(self, news: News) -> list[Committed]:
        """What other nodes have changed. A job shows its last head with each of its changes: a
        viewer may get a head before its cursor, but no entry twice."""
        entries: defaultdict[str, list[Record]] = defaultdict(list)
        for record in news.entries:
            entries[record.job].append(record)
        committed: list[Committed] = []
        steps: list[Stored | Gone] = [*news.jobs, *news.gone]
        for step in sorted(steps, key=attrgetter("seq")):
            if isinstance(step, Gone):
                committed += self._deleted(step, news.project)
            else:
                committed += self._changed(step, entries[step.head.id], whole=news.whole)
        self.seqs[news.project] = news.upto
        return sorted(committed, key=attrgetter("seq"))

    def _changed(
        self, stored: Stored, records: Sequence[Record], *, whole: bool
    ) -> Iterator[Committed]:
        head, slot = stored.head, self._registry.get(stored.head.id)
        if slot is not None and slot.head.project != head.project:
            self._displaced[slot.head.project, head.id] = slot
            self._remove(slot)
            slot = None
        if slot is not None and slot.seq >= stored.seq:  # read a moment ago, when it was wanted
            return
        before = None if slot is None else slot.head
        steps = _steps(stored.seq, records)
        if slot is None:
            slot = Slot(stored, self.epochs[head.project], self._base, None)
        elif whole:
            for seq, entries in steps:
                slot.take(head, seq, entries)
        else:
            slot.skip(head, stored.seq)
        self._place(slot, before, clock.now_ms())
        for seq, entries in steps:
            yield Committed(slot, before, head, entries, seq, part=seq != stored.seq)

    def _deleted(self, gone: Gone, project: str) -> Iterator[Committed]:
        slot = self._displaced.pop((project, gone.id), None) or self._registry.get(gone.id)
        if slot is None or slot.head.project != project:
            slot = Slot(_unknown(gone, project), self.epochs[project], self._base, None)
            yield Committed(slot, None, None, (), gone.seq)
        elif slot.seq < gone.seq:
            if not slot.gone:
                self._remove(slot)
            yield Committed(slot, slot.head, None, (), gone.seq)

    def _remove(self, slot: Slot) -> None:
        self._leave(slot, clock.now_ms())
        self._registry.remove(slot)

    def _place(self, slot: Slot, before: Head | None, now: int) -> None:
        """Move the slot into its lane while it is queued, and to the finished jobs at the end."""
        head = slot.head
        if before is None:
            self._registry.add(slot)
        requeued = before is not None and before.attempt != head.attempt
        if requeued or head.status != "queued":
            self._leave(slot, now)
        if head.status == "queued" and slot.lane is None:
            slot.lane, slot.ticket = self._lanes.join(head)
        if head.finished:
            self._registry.finished(slot)

    def _leave(self, slot: Slot, now: int) -> None:
        if slot.lane is not None:
            started = slot.head.started_at is not None
            self._lanes.leave(slot.lane, slot.ticket, now, started=started)
            slot.lane = None


def _steps(last: int, records: Sequence[Record]) -> list[tuple[int, tuple[Entry, ...]]]:
    """The entries of each change, up to the job's last one, which may have none."""
    steps: dict[int, list[Entry]] = {}
    for record in records:
        steps.setdefault(record.seq, []).append(record.entry)
    steps.setdefault(last, [])
    return [(seq, tuple(entries)) for seq, entries in steps.items()]


def _unknown(gone: Gone, project: str) -> Stored:
    """A stand-in for a deleted job of which nothing is known but its id."""
    return Stored(Head(gone.id, project, "", 0, 0, 0), gone.seq)
