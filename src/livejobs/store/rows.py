"""Turn changes into the rows that one transaction writes. Nothing here touches a database.

A transaction may hold many changes of one job, and writes only the job's last head. A job may
even be deleted and created again in it, so changes are joined by life: from the first change of
a job in the transaction to its last change, or to its deletion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from msgspec import Raw

from livejobs.core.history import RANGES, moves
from livejobs.core.hooks import Hook
from livejobs.core.model import KINDS, STATUSES, EntryKind, Head, encode_head
from livejobs.store.base import Change, Idempotency, Query

EVERY: Final = ""  # a label that every job has
ALL: Final = 0  # in the history: the sum of all projects, which has its own rows

Stretch: TypeAlias = tuple[str, int, int]  # label, project, status
ToldRow: TypeAlias = tuple[int | None, int, int, int, bytes | Raw]  # as in commit.sql
MovedRow: TypeAlias = tuple[str, int, int, int | None, int]  # as in commit.sql
Row: TypeAlias = tuple[object, ...]

_N_BITS: Final = 30
_JOB_BITS: Final = _N_BITS + 2
_KIND: Final[dict[EntryKind, int]] = {kind: at << _N_BITS for at, kind in enumerate(KINDS)}
LAST: Final = (1 << _N_BITS) - 1  # the highest n


def key(pk: int, kind: EntryKind, n: int) -> int:
    """The key of an entry: job, kind and n in one integer, so that the entries of a job and kind
    lie together in the table. It holds 2^31 jobs with 2^30 entries of each kind."""
    return pk << _JOB_BITS | _KIND[kind] | n


def keys(pk: int) -> tuple[int, int]:
    """The first and the last key of a job's entries."""
    return pk << _JOB_BITS, (pk + 1 << _JOB_BITS) - 1


def first_key(last: int) -> int:
    """The key of the first entry of the job and kind that this entry is of."""
    return last >> _N_BITS << _N_BITS | 1


def kind_of(key: int) -> EntryKind:
    return KINDS[key >> _N_BITS & 3]


def n_of(key: int) -> int:
    return key & LAST


def labels(head: Head) -> Iterator[str]:
    """Everything that a job can be found by."""
    yield EVERY
    yield f"owner:{head.owner}"
    if head.type is not None:
        yield f"type:{head.type}"
    if head.parent is not None:
        yield f"parent:{head.parent}"
    for tag in head.tags:
        yield f"tag:{tag}"
    for flag in head.flags:
        yield f"flag:{flag}"


def named(query: Query) -> list[str]:
    """The labels of the jobs that a query looks for."""
    wanted = ("type", query.type), ("owner", query.owner), ("parent", query.parent)
    others = (*wanted, ("tag", query.tag), ("flag", query.flag))
    return [f"{kind}:{value}" for kind, value in others if value is not None]


def projects_of(query: Query, projects: Mapping[str, int]) -> set[int]:
    if query.projects is None:
        return set(projects.values())
    return {projects[name] for name in query.projects if name in projects}


class Life:
    """One job in one transaction."""

    __slots__ = ("after", "before", "pk", "project", "seq")

    def __init__(self, before: Head | None, pk: int, project: int) -> None:
        self.before = before
        self.after: Head | None = None
        self.pk = pk
        self.project = project
        self.seq = 0

    def row(self, head: Head) -> Row:
        status = STATUSES.index(head.status)
        value = encode_head(head)
        return self.pk, head.id, self.project, status, head.expires_at, self.seq, value

    def stays(self) -> bool:
        """Whether the job is found where it was, which is the usual case."""
        a, b = self.before, self.after
        return (
            a is not None
            and b is not None
            and a.status == b.status
            and a.expires_at == b.expires_at
            and a.tags == b.tags
            and a.flags == b.flags
            and a.title == b.title
            and a.type == b.type
            and a.owner == b.owner
            and a.parent == b.parent
        )

    def stretches(self, head: Head | None) -> set[Stretch]:
        if head is None:
            return set()
        status = STATUSES.index(head.status)
        return {(label, self.project, status) for label in labels(head)}


class CallRow(NamedTuple):
    """A delivery to queue."""

    hook: str
    project: int
    job: str
    event: str
    seq: int
    at: int
    receiver: str
    head: bytes
    #: Whether it takes the place of a progress that waits at the end of the job's queue.
    renews: bool


class Rows:
    """The rows of one transaction, by statement, in the order of writing."""

    def __init__(
        self, seqs: Mapping[str, int], projects: Mapping[str, int], pks: Iterator[int]
    ) -> None:
        """`pks`: the keys of new jobs."""
        self.given: list[int] = []  # the seq of each change
        self.seqs = dict(seqs)  # the last seq of each project
        self.created = 0
        self.lives: list[Life] = []
        self.moving: list[Life] = []  # those that are created, deleted, or now found elsewhere
        self.now = 0
        self.ended: list[int] = []  # keys of jobs that are deleted
        self.unsearched: list[Row] = []
        self.jobs: list[Row] = []  # jobs that are new or are now found elsewhere
        self.searched: list[tuple[int, str, str]] = []
        self.moved: list[MovedRow] = []
        self.told: list[ToldRow] = []
        self.gone: list[tuple[int, int, str]] = []  # project, seq, id
        self.idempotency: list[Idempotency] = []
        self.files: list[tuple[str, int, int]] = []  # key, project, size
        self.files_ended: list[tuple[str]] = []
        self.trimmed: dict[tuple[int, int], int] = {}  # project, job and kind: a key
        self.counted: Counter[tuple[int, int, int, int]] = Counter()  # step, project, at, what
        self.hooks: list[Hook] = []
        self.hooks_gone: set[str] = set()
        self.calls: list[CallRow] = []
        self._last_calls: dict[tuple[str, str], int] = {}  # by webhook and job
        self._pks = pks
        self._projects = projects
        self._open: dict[str, Life] = {}

    @property
    def only_told(self) -> bool:
        return (
            not (self.moved or self.jobs or self.gone or self.idempotency or self.files)
            and not (self.files_ended or self.counted or self.trimmed or self.calls)
            and not (self.hooks or self.hooks_gone)
        )

    def add(self, changes: Sequence[Change], pks: Mapping[str, int]) -> None:
        for change in changes:
            self._add(change, pks)
        if self.gone:
            dead = {life.pk for life in self.lives if life.after is None}
            self.told = [row for row in self.told if row[1] >> _JOB_BITS not in dead]
            self.trimmed = {it: key for it, key in self.trimmed.items() if it[1] >> 2 not in dead}
        self.moving = [life for life in self.lives if not self._stays(life)]
        if self.moving:
            self._move(self.moving)

    def _add(self, change: Change, pks: Mapping[str, int]) -> None:
        head = change.job
        seq = self.seqs[head.project] = self.seqs[head.project] + 1
        self.given.append(seq)
        life = self._open.get(head.id) or self._begin(change, pks)
        life.after, life.seq = change.after, seq
        if change.entries:
            first, project = key(life.pk, "logs", 0), life.project
            self.told += [
                (it.level, first | _KIND[it.kind] | it.n, project, seq, it.value)
                for it in change.entries
            ]
        if change.after is not None and change.after.kept:
            self._trim(life, change.before, change.after)
        if change.moves:
            self._count(change, life.project)
        came, went = change.files()
        if came or went:
            self.files += [(it.key, life.project, it.size or 0 if it.kept else 0) for it in came]
            self.files_ended += [(it.key,) for it in went]
        if change.after is None:
            del self._open[head.id]
            self.gone.append((life.project, seq, head.id))
        self.hooks += change.hooks
        self.hooks_gone |= change.unhooked()
        if change.calls:
            self._call(change, life.project, seq)
        if change.idempotency is not None:
            self.idempotency.append(change.idempotency)
            self.now = max(self.now, head.updated_at)

    def _trim(self, life: Life, before: Head | None, after: Head) -> None:
        for kind in after.kept:
            removed = after.removed(kind)
            if removed > (0 if before is None else before.removed(kind)):
                last = key(life.pk, kind, removed)
                self.trimmed[life.project, last >> _N_BITS] = last

    def _call(self, change: Change, project: int, seq: int) -> None:
        head = change.job
        value = encode_head(head)
        for call in change.calls:
            lane = call.hook, head.id
            last = self._last_calls.get(lane)
            progress = call.event == "progress"
            row = CallRow(
                call.hook, project, head.id, call.event, seq, head.updated_at, call.receiver,
                value, progress and last is None,
            )  # fmt: skip
            if last is not None and progress and self.calls[last].event == "progress":
                self.calls[last] = row._replace(renews=self.calls[last].renews)
            else:
                self._last_calls[lane] = len(self.calls)
                self.calls.append(row)

    def _count(self, change: Change, project: int) -> None:
        at = change.job.updated_at
        for what, n in moves(change.before, change.after):
            for range in RANGES.values():
                self.counted[range.step, project, range.begin(at), what] += n
                self.counted[range.step, ALL, range.begin(at), what] += n

    def newest_steps(self) -> dict[tuple[int, int], int]:
        """The last step that is counted in, by length and project."""
        return {(step, project): at for step, project, at, _ in sorted(self.counted)}

    def _begin(self, change: Change, pks: Mapping[str, int]) -> Life:
        head = change.job
        if change.before is None:
            pk = next(self._pks)
            self.created += 1
        else:
            pk = pks[head.id]
        life = Life(change.before, pk, self._projects[head.project])
        self._open[head.id] = life
        self.lives.append(life)
        return life

    def _stays(self, life: Life) -> bool:
        if life.after is None or not life.stays():
            return False
        self.told.append((None, life.pk, life.project, life.seq, encode_head(life.after)))
        return True

    def _move(self, lives: Sequence[Life]) -> None:
        """Write jobs that are created, deleted, or now found elsewhere."""
        left: list[tuple[Stretch, int]] = []
        entered: list[tuple[Stretch, int]] = []
        for life in lives:
            if life.after is not None:
                self.jobs.append(life.row(life.after))
            elif life.before is not None:
                self.ended.append(life.pk)
            self._search(life)
            before, after = life.stretches(life.before), life.stretches(life.after)
            left += [(stretch, life.pk) for stretch in before - after]
            entered += [(stretch, life.pk) for stretch in after - before]
        self.moved += [(*stretch, pk, -1) for stretch, pk in left]
        self.moved += [(*stretch, pk, 1) for stretch, pk in entered]
        self.moved += _sums(left, entered)

    def _search(self, life: Life) -> None:
        was, text = _text(life.before), _text(life.after)
        if was != text:
            self.unsearched += [(life.pk, *was)] if was else []
            self.searched += [(life.pk, *text)] if text else []


def _text(head: Head | None) -> tuple[str, str] | None:
    """The text that a job is searched in."""
    return (head.id, head.title or "") if head else None


def _sums(
    left: Sequence[tuple[Stretch, int]], entered: Sequence[tuple[Stretch, int]]
) -> list[MovedRow]:
    """How much each stretch grows or shrinks."""
    count = Counter(stretch for stretch, _ in entered)
    count.subtract(stretch for stretch, _ in left)
    return [(*stretch, None, n) for stretch, n in count.items() if n]
