"""Export: write the jobs of a database, and the bytes of their files, to a folder.

The database is read in one snapshot, in pieces of whole jobs, oldest first. After an interruption
the pieces that are there stay, if the database has not changed since. Files stay in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from livejobs.config import Settings
from livejobs.copies.counts import Counts, add
from livejobs.copies.errors import CannotCopy, Damaged, WrongPlace, sentences
from livejobs.copies.folder import OTHER, Folder, Manifest, Mark, manifest_of
from livejobs.copies.lines import (
    AuditLine,
    DownloadsLine,
    EntryLine,
    HookLine,
    JobLine,
    KeyLine,
    Line,
    Piece,
    PieceWriter,
    read,
)
from livejobs.copies.loop import Loop, running
from livejobs.copies.moving import FILES_AT_ONCE, Mover
from livejobs.copies.paging import in_groups, walk
from livejobs.copies.snapshots.choice import snapshot_of
from livejobs.copies.snapshots.readable import Readable
from livejobs.copies.watch import Watch
from livejobs.core.model import KINDS, EntryKind, File, Head, Record, Stored
from livejobs.store.audit import AuditEntry
from livejobs.store.base import PAGE_BYTES, EntryQuery, Query

PIECE_BYTES: Final = 16 << 20  # a piece ends with the job that makes it reach this size
JOBS_AT_ONCE: Final = 200
ENTRIES_AT_ONCE: Final = 1_000
KEYS: Final = "keys.ndjson"
HOOKS: Final = "webhooks.ndjson"
AUDIT: Final = "audit.ndjson"
JOBS: Final = "jobs-{:05}.ndjson"
DOWNLOADS: Final = "downloads.ndjson"


Seen: TypeAlias = Callable[[Sequence[Stored]], None]


class Start(Struct, frozen=True):
    """Where a page of jobs starts, and how many it has."""

    before: int | None
    jobs: int


def export(
    settings: Settings, folder: Folder, watch: Watch, *, leave_files: bool, hooks: bool = True
) -> Counts:
    """Return what the folder then holds."""
    with sentences(), folder.to_write(), running() as loop:
        with loop.inside(snapshot_of(settings.data, settings.database)) as snapshot:
            manifest = Export(loop, snapshot, folder, watch).run(
                leave_files=leave_files, hooks=hooks
            )
        damaged: list[File] = []
        if not leave_files:
            manifest, damaged = _take_files(settings, loop, folder, manifest, watch)
        folder.write_manifest(replace(manifest, complete=True))
        if damaged:
            raise CannotCopy(
                f"Files that are damaged at their source were left out: {len(damaged)}. "
                "The rest is complete, and can be imported."
            )
        return manifest.counts


def survey(settings: Settings) -> Counts:
    """Return what an export would hold."""
    source = snapshot_of(settings.data, settings.database)
    with sentences(), running() as loop, loop.inside(source) as snapshot:
        return Survey(loop, snapshot).counts


class Survey:
    """The first look at a snapshot. Only the starts of pages are kept. `seen` gets the jobs."""

    def __init__(self, loop: Loop, snapshot: Readable, seen: Seen = lambda _: None) -> None:
        self.counts: Counts = {}
        self.starts: list[Start] = []
        self._loop = loop
        self._snapshot = snapshot
        for before, page in walk(self.page):
            self.starts.append(Start(before, len(page)))
            for stored in page:
                add(self.counts, stored.head)
            seen(page)

    def page(self, before: int | None) -> tuple[Sequence[Stored], int | None]:
        page = self._loop.call(
            self._snapshot.list,
            Query(None),
            limit=JOBS_AT_ONCE,
            before=before,
            most_bytes=PAGE_BYTES,
        )
        return page.jobs, page.next

    def jobs(self, skip: int) -> Iterator[list[Stored]]:
        """All jobs but the oldest `skip`, oldest first: lists go by the order of creation."""
        for start in reversed(self.starts):
            if skip < start.jobs:
                jobs, _ = self.page(start.before)
                yield list(jobs[::-1][skip:])
            skip = max(0, skip - start.jobs)


class Export:
    """Everything that needs the snapshot."""

    def __init__(self, loop: Loop, snapshot: Readable, folder: Folder, watch: Watch) -> None:
        self._loop = loop
        self._snapshot = snapshot
        self._folder = folder
        self._watch = watch

    def run(self, *, leave_files: bool, hooks: bool = True) -> Manifest:
        marks = tuple(
            Mark(it.name, it.epoch, it.seq) for it in self._loop.call(self._snapshot.projects)
        )
        self._refuse_another(marks)
        there = tuple(self._kept(marks))
        manifest = manifest_of(marks, there, left=leave_files)
        self._folder.write_manifest(manifest)
        self._folder.remove_others(there)
        with PieceWriter(self._folder.path, DOWNLOADS) as writer:
            survey = Survey(self._loop, self._snapshot, partial(self._write_downloads, writer))
            downloads = writer.finish()
        self._watch.begin(survey.counts)
        others = (self._write_keys(), self._write_hooks(hooks), self._write_audit())
        pieces = (*others, *there)
        manifest = replace(manifest, counts=survey.counts, pieces=pieces)
        manifest = self._write_jobs(manifest, survey, sum(piece.jobs for piece in there))
        return replace(manifest, pieces=(*manifest.pieces, downloads))

    def _refuse_another(self, marks: tuple[Mark, ...]) -> None:
        """The export of another server may be the only copy of its jobs."""
        manifest = self._folder.manifest()
        theirs = {mark.epoch for mark in manifest.marks} if manifest else set()
        if theirs and theirs.isdisjoint(mark.epoch for mark in marks):
            raise WrongPlace(f"{self._folder.path} holds the export of another database. {OTHER}")

    def _kept(self, marks: tuple[Mark, ...]) -> Iterator[Piece]:
        """The first pieces of an earlier run, as far as they are whole and still true."""
        manifest = self._folder.manifest()
        if manifest is None or manifest.marks != marks:
            return
        try:
            for piece in manifest.pieces:
                if piece.jobs:
                    for _ in read(self._folder.path, piece):
                        """To its end."""
                    yield piece
        except Damaged:
            return

    def _write_keys(self) -> Piece:
        """First, so that a server on half an import is not open to everyone."""
        keys = self._loop.call(self._snapshot.keys)
        return self._written(KEYS, map(KeyLine, keys))

    def _write_hooks(self, wanted: bool) -> Piece:
        hooks = self._loop.call(self._snapshot.hooks) if wanted else ()
        return self._written(HOOKS, map(HookLine, hooks))

    def _write_audit(self) -> Piece:
        starts = [before for before, _ in walk(self._audit)]
        pages = (self._audit(before)[0] for before in reversed(starts))
        lines = (AuditLine(entry.record) for page in pages for entry in reversed(page))
        return self._written(AUDIT, lines)

    def _audit(self, before: int | None) -> tuple[Sequence[AuditEntry], int | None]:
        page = self._loop.call(self._snapshot.audit, limit=ENTRIES_AT_ONCE, before=before)
        return page, page[-1].n if page else None

    def _written(self, name: str, lines: Iterator[Line]) -> Piece:
        with PieceWriter(self._folder.path, name) as writer:
            for line in lines:
                writer.write(line)
            return writer.finish()

    def _write_jobs(self, manifest: Manifest, survey: Survey, done: int) -> Manifest:
        self._watch.jobs(done)
        jobs = (stored.head for page in survey.jobs(done) for stored in page)
        names = (JOBS.format(n) for n in count(len(manifest.pieces) - 2))
        for head in jobs:
            with PieceWriter(self._folder.path, next(names)) as writer:
                self._write_job(writer, head)
                while writer.bytes < PIECE_BYTES and (after := next(jobs, None)) is not None:
                    self._write_job(writer, after)
                manifest = replace(manifest, pieces=(*manifest.pieces, writer.finish()))
            self._folder.write_manifest(manifest)
        return manifest

    def _write_job(self, writer: PieceWriter, head: Head) -> None:
        # Without its webhooks: two copies of a job would send its events twice.
        writer.write(JobLine(replace(head, hooks=())))
        for kind in KINDS:
            for record in self._entries(head, kind):
                it = record.entry
                writer.write(EntryLine(it.kind, it.n, it.level, it.value))
        self._watch.jobs()

    def _write_downloads(self, writer: PieceWriter, page: Sequence[Stored]) -> None:
        keys = [file.key for stored in page for file in stored.head.files]
        found = self._loop.call(self._snapshot.downloads, keys) if keys else {}
        for key, tally in found.items():
            if tally.count:
                writer.write(DownloadsLine(key, tally))

    def _entries(self, head: Head, kind: EntryKind) -> Iterator[Record]:
        after, total = head.removed(kind), head.total(kind)
        while after < total:
            query = EntryQuery(head.id, kind, after, limit=ENTRIES_AT_ONCE)
            records = self._loop.call(self._snapshot.entries, query)
            if not records:
                raise CannotCopy(
                    f"The database is damaged: job {head.id} has only {after} of its {total} "
                    f"{kind}. Restore a copy of the database."
                )
            yield from records
            after = records[-1].entry.n


def _take_files(
    settings: Settings, loop: Loop, folder: Folder, manifest: Manifest, watch: Watch
) -> tuple[Manifest, list[File]]:
    lost: list[File] = []
    damaged: list[File] = []
    with loop.inside(Mover(settings, folder, watch.bytes)) as mover:
        for files in in_groups(kept_files(folder, manifest), FILES_AT_ONCE):
            gone, wrong = loop.call(mover.take_out, files)
            lost, damaged = lost + gone + wrong, damaged + wrong
    for file in lost:
        why = "is damaged at its source" if file in damaged else "has no bytes at its source"
        watch.warn(f"The file {file.name!r} (key {file.key}) {why}, and was left out.")
    folder.sync_files()
    return replace(manifest, lost=tuple(file.key for file in lost)), damaged


def kept_files(folder: Folder, manifest: Manifest) -> Iterator[File]:
    """The files whose bytes are in the file area."""
    for piece in manifest.pieces:
        for line, _ in read(folder.path, piece):
            if isinstance(line, JobLine):
                yield from (file for file in line.head.files if file.kept)
