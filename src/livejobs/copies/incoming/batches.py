"""Turn the lines of jobs into changes for a store, in batches that are bounded in bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from livejobs.copies.folder import Manifest
from livejobs.copies.incoming.checking import brought, is_part, with_totals
from livejobs.copies.lines import EntryLine, JobLine
from livejobs.core.model import Entry, File, Head
from livejobs.store.base import PAGE_BYTES, Change

CHANGE_ENTRIES: Final = 1_000  # servers read all entries of a change at once
CHANGE_BYTES: Final = PAGE_BYTES
BATCH_CHANGES: Final = 1_000
BATCH_BYTES: Final = 4 * PAGE_BYTES


class Batch(Struct):
    """What one commit writes, and the files that must be there before it."""

    changes: list[Change] = msgspec.field(default_factory=list)
    files: list[File] = msgspec.field(default_factory=list)
    bytes: int = 0

    @property
    def full(self) -> bool:
        return self.bytes >= BATCH_BYTES or len(self.changes) >= BATCH_CHANGES


class Batches:
    """Takes the lines in order. `write` gets each batch."""

    def __init__(self, manifest: Manifest, write: Callable[[Batch], None]) -> None:
        self._manifest = manifest
        self._write = write
        self._batch = Batch()
        self._goal: Head | None = None  # the job that comes now; None: it is left as it is
        self._last: Head | None = None  # its last state in the batch or in the database
        self._entries: list[Entry] = []
        self._size = 0

    def begin(self, line: JobLine, size: int, there: Head | None) -> None:
        """`there`: the job in the database."""
        if there is not None and not is_part(there, line.head):
            return
        self._goal = line.head
        self._batch.bytes += size
        if there is None:
            changes = born(line.head)
            self._batch.changes += changes
            self._batch.files += brought(line.head, self._manifest)
            there = changes[-1].after
        self._last = there

    def add(self, line: EntryLine, size: int) -> None:
        if self._last is None or line.n <= self._last.total(line.kind):
            return
        self._entries.append(line.entry)
        self._size += size
        if self._size >= CHANGE_BYTES or len(self._entries) >= CHANGE_ENTRIES:
            self._change()

    def end(self) -> None:
        """The job is complete."""
        if self._last != self._goal:
            self._change()
        self._goal = self._last = None
        if self._batch.full:
            self.flush()

    def _change(self) -> None:
        assert self._goal is not None
        assert self._last is not None
        last, more = self._last, Counter(entry.kind for entry in self._entries)
        after = with_totals(self._goal, lambda kind: last.total(kind) + more[kind])
        self._batch.changes.append(Change(last, after, tuple(self._entries)))
        self._batch.bytes += self._size
        self._last, self._entries, self._size = after, [], 0
        if self._batch.full:
            self.flush()

    def flush(self) -> None:
        batch, self._batch = self._batch, Batch()
        self._write(batch)


def born(head: Head) -> list[Change]:
    """The first changes of a job, so that each of its moves counts in the history at its time."""
    first = replace(head, status="queued", updated_at=head.created_at, files=())
    first = with_totals(first, head.removed)  # without entries, except those that were removed
    states: list[Head | None] = [None, first]
    if head.started_at is not None and head.status != "queued":
        states.append(replace(first, status="running", updated_at=head.started_at))
    return [Change(before, after) for before, after in pairwise(states)]
