"""The store in dictionaries: for tests, and for servers that need not remember anything."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import attrgetter

from msgspec.structs import replace

from livejobs.core.history import RANGES, History, Range, moves
from livejobs.core.model import (
    KINDS,
    STATUSES,
    Entry,
    EntryKind,
    Head,
    Record,
    Status,
    Stored,
    encode_head,
)
from livejobs.store.audit import AUDIT_KEPT, AuditEntry, AuditRecord
from livejobs.store.base import (
    GONE_KEPT,
    SCANNED,
    Change,
    Changes,
    EntryQuery,
    Gone,
    Idempotency,
    Outpaced,
    Page,
    Project,
    Query,
    Tidied,
)
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from livejobs.store.matching import fits
from livejobs.store.memory_hooks import MemoryHooks
from livejobs.store.paging import merged, newest, up_to, whole_changes
from livejobs.store.single import SingleStore


class _Job:
    """A job's key, head and entries."""

    __slots__ = ("entries", "pk", "stored")

    def __init__(self, pk: int, stored: Stored) -> None:
        self.pk = pk
        self.stored = stored
        self.entries: dict[EntryKind, list[Record]] = {kind: [] for kind in KINDS}

    def after(self, kind: EntryKind, seq: int) -> list[Record]:
        """The entries with a higher seq. They are in order of seq."""
        records = self.entries[kind]
        return records[bisect_right(records, seq, key=attrgetter("seq")) :]


class _File:
    """What the store knows of a file."""

    __slots__ = ("ended", "project", "size", "tally")

    def __init__(self, project: str, size: int) -> None:
        self.project = project
        self.size = size
        self.ended = False
        self.tally = Tally()


class MemoryStore(SingleStore, MemoryHooks):
    def __init__(self, *, gone_kept: int = GONE_KEPT) -> None:
        SingleStore.__init__(self)
        MemoryHooks.__init__(self)
        self._gone_kept = gone_kept
        self._projects: dict[str, Project] = {}
        self._jobs: dict[str, _Job] = {}  # in order of creation
        self._gone: defaultdict[str, list[Gone]] = defaultdict(list)
        self._idempotency: dict[tuple[str, str], Idempotency] = {}
        self._keys: dict[str, Key] = {}
        self._audit: deque[AuditEntry] = deque(maxlen=AUDIT_KEPT)
        self._audited = 0
        self._files: dict[str, _File] = {}
        self._history: dict[tuple[int, str], dict[int, Counter[int]]] = {}  # step, project, at
        self._pk = 0

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: a second `open` finds what the first one kept."""

    async def project(self, name: str) -> Project:
        if name not in self._projects:
            self._projects[name] = Project(name, secrets.token_hex(4), 0)
        return self._projects[name]

    async def projects(self) -> Sequence[Project]:
        return tuple(self._projects.values())

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        if any(self._projects[name].seq != seq for name, seq in (on or {}).items()):
            raise Outpaced
        return [self._apply(change) for change in changes]

    def _apply(self, change: Change) -> int:
        project = self._projects[change.job.project]
        seq = project.seq + 1
        self._projects[project.name] = replace(project, seq=seq)
        if change.after is None:
            self._forget(change.job, seq)
        else:
            self._keep(change.after, change.entries, seq)
        self._count(change)
        self.add_hooks(change.hooks, change.unhooked())
        self.call(change.calls, change.job, seq)
        came, went = change.files()
        for it in came:
            self._files[it.key] = _File(project.name, it.size or 0 if it.kept else 0)
        for it in went:
            self._files[it.key].ended = True
        if change.audit is not None:
            self._write_audit(change.audit)
        if change.idempotency is not None:
            self._remember(change.idempotency, change.job.updated_at)
        return seq

    def _count(self, change: Change) -> None:
        if not change.moves:
            return
        head = change.job
        for range in RANGES.values():
            steps = self._history.setdefault((range.step, head.project), {})
            at = range.begin(head.updated_at)
            if at not in steps:
                for old in [it for it in steps if it < range.since(head.updated_at)]:
                    del steps[old]
            counted = steps.setdefault(at, Counter())
            for what, n in moves(change.before, change.after):
                counted[what] += n

    async def history(self, projects: tuple[str, ...] | None, range: Range, since: int) -> History:
        found: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for (step, project), steps in self._history.items():
            if step == range.step and (projects is None or project in projects):
                for at, counted in steps.items():
                    if at >= since:
                        found[at].update(counted)
        return History(await self.counts(Query(projects)), found)

    def _keep(self, head: Head, entries: Sequence[Entry], seq: int) -> None:
        job = self._jobs.get(head.id)
        if job is None:
            self._pk += 1
            job = self._jobs[head.id] = _Job(self._pk, Stored(head, seq))
        job.stored = Stored(head, seq)
        for entry in entries:
            job.entries[entry.kind].append(Record(seq, entry, head.id))
        for kind in head.kept:
            del job.entries[kind][: len(job.entries[kind]) - head.total(kind) + head.removed(kind)]

    def _forget(self, head: Head, seq: int) -> None:
        self._jobs.pop(head.id, None)
        gone = self._gone[head.project]
        gone.append(Gone(head.id, seq))
        if len(gone) > self._gone_kept:
            floor = gone.pop(0).seq
            self._projects[head.project] = replace(self._projects[head.project], floor=floor)

    def _remember(self, made: Idempotency, now: int) -> None:
        kept = self._idempotency
        for key in [key for key, other in kept.items() if other.expires_at <= now]:
            del kept[key]
        kept[made.credential, made.key] = made

    async def keys(self) -> Sequence[Key]:
        return sorted(self._keys.values(), key=attrgetter("id"))

    async def save_key(self, key: Key, record: AuditRecord | None = None) -> None:
        self._keys[key.id] = key
        if record is not None:
            self._write_audit(record)

    async def drop_key(self, id: str, record: AuditRecord | None = None) -> None:
        self._keys.pop(id, None)
        if record is not None:
            self._write_audit(record)

    async def note_use(self, key: Key) -> None:
        if key.id in self._keys:
            self._keys[key.id] = key

    def _write_audit(self, record: AuditRecord) -> None:
        self._audited += 1
        self._audit.append(AuditEntry(self._audited, record))

    async def file_bytes(self) -> Mapping[str, int]:
        sums = Counter[str]()
        for it in self._files.values():
            if not it.ended:
                sums[it.project] += it.size
        return sums

    async def ended_files(self, *, limit: int) -> Sequence[str]:
        return list(islice((key for key, it in self._files.items() if it.ended), limit))

    async def forget_files(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._files.pop(key, None)

    async def known_files(self, keys: Sequence[str]) -> set[str]:
        return set(keys) & self._files.keys()

    async def downloaded(
        self, tallies: Mapping[str, Tally], records: Sequence[AuditRecord]
    ) -> None:
        for key, tally in tallies.items():
            if (it := self._files.get(key)) is not None:
                it.tally = Tally(it.tally.count + tally.count, tally.last_at)
        for record in records:
            self._write_audit(record)

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]:
        return {key: self._files[key].tally for key in keys if key in self._files}

    async def audit(
        self, *, limit: int, before: int | None = None, job: str | None = None
    ) -> Sequence[AuditEntry]:
        found = (
            it
            for it in reversed(self._audit)
            if (before is None or it.n < before) and (job is None or it.record.job == job)
        )
        return list(islice(found, limit))

    async def add_audit(self, records: Sequence[AuditRecord]) -> None:
        for record in records:
            self._write_audit(record)

    async def job(self, id: str) -> Stored | None:
        job = self._jobs.get(id)
        return job.stored if job else None

    async def unfinished(self) -> Sequence[Stored]:
        return [job.stored for job in self._jobs.values() if not job.stored.head.finished]

    async def list(
        self,
        query: Query,
        *,
        limit: int,
        before: int | None = None,
        skip: int = 0,
        most_bytes: int | None = None,
    ) -> Page:
        found = (job for job in self._matching(query) if before is None or job.pk < before)
        jobs = list(islice(found, skip, skip + limit + 1))
        shown = up_to(jobs[:limit], lambda job: _size(job.stored), most_bytes)
        more = len(jobs) > len(shown)
        return Page(tuple(job.stored for job in shown), shown[-1].pk if more else None)

    async def latest(
        self,
        project: str,
        *,
        statuses: Sequence[Status] = (),
        limit: int,
        before: int | None = None,
        most_bytes: int | None = None,
        scanned: int = SCANNED,
    ) -> Page:
        jobs = sorted(
            (it.stored for it in self._in(project) if before is None or it.stored.seq < before),
            key=attrgetter("seq"),
            reverse=True,
        )
        wanted = statuses or STATUSES
        rows = ((it.seq, it if it.head.status in wanted else None) for it in jobs[:scanned])
        return newest(rows, lambda it: (it, _size(it)), limit, most_bytes, scanned)

    async def counts(self, query: Query) -> Mapping[Status, int]:
        found = self._matching(replace(query, statuses=()))
        count = Counter(job.stored.head.status for job in found)
        return {status: count[status] for status in STATUSES}

    def _matching(self, query: Query) -> Iterator[_Job]:
        """Newest first."""
        return (job for job in reversed(self._jobs.values()) if fits(job.stored.head, query))

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        if query.job not in self._jobs:
            return []
        newer = self._jobs[query.job].after(query.kind, query.after_seq)
        found = [r for r in newer if r.entry.n > query.after and r.entry.level >= query.level]
        if query.tail:
            return whole_changes(found[: -query.limit - 1 : -1], query.most_bytes)[::-1]
        return whole_changes(found[: query.limit], query.most_bytes)

    async def changes(
        self, project: str, after: int, *, limit: int, most_bytes: int | None = None
    ) -> Changes:
        jobs = sorted(
            (job.stored for job in self._in(project) if job.stored.seq > after),
            key=attrgetter("seq"),
        )
        some = up_to(jobs, _size, most_bytes)
        gone = [gone for gone in self._gone[project] if gone.seq > after]
        return merged(some, gone, limit, more=len(some) < len(jobs))

    async def feed_entries(
        self,
        project: str,
        after: int,
        upto: int,
        *,
        limit: int,
        kinds: Sequence[EntryKind],
        most_bytes: int | None = None,
    ) -> Sequence[Record]:
        newer = [r for job in self._in(project) for kind in KINDS for r in job.after(kind, after)]
        wanted = [r for r in newer if r.seq <= upto and r.entry.kind in kinds]
        wanted.sort(key=attrgetter("seq"))
        found: list[Record] = []
        for _, same in groupby(wanted, key=attrgetter("seq")):
            if len(found) >= limit:
                break
            found.extend(same)
        return whole_changes(found, most_bytes)

    def _in(self, project: str) -> Iterator[_Job]:
        return (job for job in self._jobs.values() if job.stored.head.project == project)

    async def repeated(self, credential: str, key: str, now: int) -> Idempotency | None:
        made = self._idempotency.get((credential, key))
        return made if made and made.expires_at > now else None

    async def expired(self, now: int, *, limit: int) -> Sequence[Stored]:
        due = [job.stored for job in self._jobs.values() if _due(job.stored.head, now)]
        return sorted(due, key=lambda stored: stored.head.expires_at or 0)[:limit]

    async def tidy(self, *, rows: int, bytes: int) -> Tidied:
        return Tidied()  # a commit leaves nothing


def _size(stored: Stored) -> int:
    return len(encode_head(stored.head))


def _due(head: Head, now: int) -> bool:
    return head.finished and head.expires_at is not None and head.expires_at <= now
