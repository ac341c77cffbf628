"""What a group of operations sees and changes, before any of it is written."""

from __future__ import annotations

from collections import Counter

from livejobs.config import Settings
from livejobs.core import reducer
from livejobs.core.errors import NotFound
from livejobs.core.hooks import Book, Hook
from livejobs.core.model import Entry, EntryKind, Head, Status, Stored
from livejobs.core.trimming import Cap, Caps, trim
from livejobs.jobs.entries import Tail
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry, Slot
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, Idempotency


class Transaction:
    """The changes of a group so far. Its heads are newer than those in the slots."""

    def __init__(
        self,
        now: int,
        registry: Registry,
        lanes: Lanes,
        epochs: dict[str, str],
        caps: Caps,
        book: Book,
    ) -> None:
        self.now = now
        self.changes: list[tuple[Slot, Change]] = []
        self.queued = lanes.queued
        self._unfinished: Counter[str] = Counter()  # change in the number, by project
        self.probing = False  # write to the store even without changes
        self.again = False  # the operations have run before, on heads that were too old
        self._registry = registry
        self._epochs = epochs
        self._caps = caps
        self._book = book  # of webhooks
        self._heads: dict[str, Head | None] = {}
        self._slots: dict[str, Slot] = {}

    @property
    def projects(self) -> list[str]:
        """Those with changes."""
        return list(dict.fromkeys(change.job.project for _, change in self.changes))

    @property
    def created(self) -> list[str]:
        """The ids of new jobs."""
        return [change.job.id for _, change in self.changes if change.before is None]

    def slot(self, id: str) -> Slot | None:
        """The job's slot, if it is in memory or an earlier operation created it."""
        slot = self._slots.get(id) or self._registry.get(id)
        return None if slot is None or self.head(slot) is None else slot

    def head(self, slot: Slot) -> Head | None:
        """The job's head after earlier operations. None if the slot's job was deleted, even when
        a new job has its id."""
        if slot.gone or self._slots.get(slot.head.id, slot) is not slot:
            return None
        return self._heads.get(slot.head.id, slot.head)

    def present(self, slot: Slot) -> Head:
        """The same, for a job that may have been deleted meanwhile: raises NotFound."""
        head = self.head(slot)
        if head is None:
            raise NotFound.job(slot.head.id)
        return head

    def create(
        self,
        head: Head,
        base: str,
        idempotency: Idempotency | None = None,
        audit: AuditRecord | None = None,
        hooks: tuple[Hook, ...] = (),
    ) -> Slot:
        slot = Slot(Stored(head, 0), self._epochs[head.project], base, Tail())
        self._slots[head.id] = slot
        calls = self._book.calls(None, head)
        self._add(slot, Change(None, head, (), idempotency, audit, calls, hooks), None, head)
        return slot

    def change(
        self,
        slot: Slot,
        head: Head,
        entries: tuple[Entry, ...] = (),
        audit: AuditRecord | None = None,
        hooks: tuple[Hook, ...] = (),
    ) -> None:
        before = self.head(slot)
        assert before is not None, "an operation checks the head before it changes the job"
        head = slot.with_last_heartbeat(head)
        if entries:
            head = trim(head, entries, self._caps)
        calls = self._book.calls(before, head)
        change = Change(before, head, entries, audit=audit, calls=calls, hooks=hooks)
        self._add(slot, change, before, head)

    def delete(self, slot: Slot, audit: AuditRecord | None = None) -> None:
        before = self.head(slot)
        assert before is not None, "an operation checks the head before it deletes the job"
        self._heads[before.id] = None
        self.changes.append((slot, Change(before, None, audit=audit)))

    def _add(self, slot: Slot, change: Change, before: Head | None, after: Head) -> None:
        self._heads[after.id] = after
        self.changes.append((slot, change))
        self._count(before, after, 1)
        if after.parent is not None:
            self._update_parent(after.parent, before.status if before else None, after.status)

    def _update_parent(self, parent: str, before: Status | None, after: Status) -> None:
        slot = self.slot(parent)
        head = self.head(slot) if slot is not None else None
        if slot is None or head is None:
            return
        counted = reducer.child_moved(head, before, after, self.now)
        if counted is not head:
            self.change(slot, counted)

    def roll_back(self, length: int) -> None:
        """Remove the changes of a refused operation, the newest first."""
        while len(self.changes) > length:
            slot, change = self.changes.pop()
            self._heads[change.job.id] = change.before
            if change.before is None:
                del self._slots[slot.head.id]
            if change.after is not None:
                self._count(change.before, change.after, -1)

    def unfinished(self, project: str) -> int:
        """How many jobs of the project have not ended."""
        return self._registry.unfinished_of[project] + self._unfinished[project]

    def _count(self, before: Head | None, after: Head, times: int) -> None:
        was = before.status if before is not None else None
        if was != after.status:
            self.queued += times * ((after.status == "queued") - (was == "queued"))
            self._unfinished[after.project] += times * (_unfinished(after) - _unfinished(before))


def _unfinished(head: Head | None) -> int:
    return head is not None and not head.finished


def caps_of(settings: Settings) -> Caps:
    """How much is kept of a job's entries: only the kinds with a limit."""
    logs = Cap(settings.keep_log_lines, settings.keep_log_bytes)
    results = Cap(settings.keep_results, settings.keep_result_bytes)
    caps: dict[EntryKind, Cap] = {"logs": logs, "results": results, "errors": results}
    return {kind: cap for kind, cap in caps.items() if cap != Cap()}
