"""What one transaction writes: changes in, rows out. Nothing here touches a database.

A batch may hold many changes of one job, and only the last head of each is written. A job may
even be deleted and made again in it, so what is reduced is a life: from its first change in
the batch to its last, or to its deletion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from livejobs.core.model import KINDS, STATUSES, Entry, Head, Kind, encode_head
from livejobs.store.base import Change, Idempotency

LABELS: Final = ("all", "type", "owner", "parent", "tag")
ALL, TYPE, OWNER, PARENT, TAG = range(len(LABELS))

Label: TypeAlias = tuple[int, str]  # kind, value
Stretch: TypeAlias = tuple[int, str, int, int]  # kind, value, project, status
EntryRow: TypeAlias = tuple[int, int, int, int, bytes]

_N_BITS: Final = 30
_JOB_BITS: Final = _N_BITS + 2
LAST: Final = (1 << _N_BITS) - 1  # the highest n


def key(pk: int, kind: Kind, n: int) -> int:
    """Where an entry lies: job, kind and n in one integer, so that a job's entries of a kind are
    a stretch of the table's own key. Room for 2^31 jobs with 2^30 entries of each kind."""
    return pk << _JOB_BITS | KINDS.index(kind) << _N_BITS | n


def kind_of(key: int) -> Kind:
    return KINDS[key >> _N_BITS & 3]


def n_of(key: int) -> int:
    return key & LAST


def labels(head: Head) -> Iterable[Label]:
    """All that a job is found by."""
    yield ALL, ""
    yield OWNER, head.owner
    if head.type is not None:
        yield TYPE, head.type
    if head.parent is not None:
        yield PARENT, head.parent
    for tag in head.tags:
        yield TAG, tag


class Life:
    """One job in one batch."""

    __slots__ = ("after", "before", "entries", "pk", "project", "seq")

    def __init__(self, before: Head | None, pk: int, project: int) -> None:
        self.before = before
        self.after: Head | None = None
        self.pk = pk
        self.project = project
        self.seq = 0
        self.entries: list[tuple[int, Entry]] = []

    def add(self, change: Change, seq: int) -> None:
        self.after, self.seq = change.after, seq
        self.entries.extend((seq, entry) for entry in change.entries)

    def stretches(self, head: Head | None) -> set[Stretch]:
        if head is None:
            return set()
        status = STATUSES.index(head.status)
        return {(kind, value, self.project, status) for kind, value in labels(head)}

    def row(self, head: Head) -> tuple[object, ...]:
        status = STATUSES.index(head.status)
        return self.project, status, head.expires_at, self.seq, encode_head(head), self.pk


class Batch:
    """The rows, by the statement that writes them."""

    def __init__(self, seqs: Mapping[str, int], projects: Mapping[str, int], next_pk: int) -> None:
        self.given: list[int] = []  # the seq of each change
        self.seqs = dict(seqs)  # the last of each project
        self.next_pk = next_pk
        self.lives: list[Life] = []
        self.gone: list[tuple[int, int, str]] = []
        self.idempotency: list[Idempotency] = []
        self.now = 0
        self._projects = projects
        self._open: dict[str, Life] = {}

    def add(self, changes: Sequence[Change], pks: Mapping[str, int]) -> None:
        for change in changes:
            self._add(change, pks)

    def _add(self, change: Change, pks: Mapping[str, int]) -> None:
        head = change.job
        seq = self.seqs[head.project] = self.seqs[head.project] + 1
        self.given.append(seq)
        self.now = max(self.now, head.updated_at)
        life = self._open.get(head.id) or self._begin(change, pks)
        life.add(change, seq)
        if change.after is None:
            del self._open[head.id]
            self.gone.append((life.project, seq, head.id))
        if change.idempotency is not None:
            self.idempotency.append(change.idempotency)

    def _begin(self, change: Change, pks: Mapping[str, int]) -> Life:
        head = change.job
        if change.before is None:
            pk = self.next_pk
            self.next_pk += 1
        else:
            pk = pks[head.id]
        life = Life(change.before, pk, self._projects[head.project])
        self._open[head.id] = life
        self.lives.append(life)
        return life

    def entries(self) -> list[EntryRow]:
        return [
            (key(life.pk, entry.kind, entry.n), life.project, seq, entry.level, bytes(entry.value))
            for life in self.lives
            if life.after is not None
            for seq, entry in life.entries
        ]

    def moves(self) -> tuple[list[tuple[Stretch, int]], list[tuple[Stretch, int]]]:
        """The stretches that jobs left and entered."""
        left, entered = [], []
        for life in self.lives:
            if life.before is not None and life.after is not None and _alike(life):
                continue
            before, after = life.stretches(life.before), life.stretches(life.after)
            left += [(stretch, life.pk) for stretch in before - after]
            entered += [(stretch, life.pk) for stretch in after - before]
        return left, entered


def _alike(life: Life) -> bool:
    """Nothing that a job is found by has changed: the usual case."""
    before, after = life.before, life.after
    assert before is not None
    assert after is not None
    return (
        before.status == after.status
        and before.tags == after.tags
        and before.type == after.type
        and before.owner == after.owner
        and before.parent == after.parent
    )


def deltas(
    left: Sequence[tuple[Stretch, int]], entered: Sequence[tuple[Stretch, int]]
) -> dict[Stretch, int]:
    """By how much each stretch grows or shrinks."""
    count = Counter(stretch for stretch, _ in entered)
    count.subtract(stretch for stretch, _ in left)
    return {stretch: n for stretch, n in count.items() if n}
