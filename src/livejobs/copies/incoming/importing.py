"""Import: read the folder of an export into a database and a file area.

Everything is checked before anything is written. Then jobs are written oldest first, each after its
files, and without what is there already. So the command can be run again after any interruption.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from livejobs.config import SettingError, Settings
from livejobs.copies.errors import CannotCopy, NoDatabase, WrongPlace, sentences
from livejobs.copies.folder import Folder, Manifest
from livejobs.copies.incoming.batches import Batch, Batches
from livejobs.copies.incoming.checking import IDS_AT_ONCE, Found, check, known, refuse_mixing
from livejobs.copies.incoming.credentials import Credentials
from livejobs.copies.lines import (
    AuditLine,
    DownloadsLine,
    EntryLine,
    HookLine,
    JobLine,
    KeyLine,
    Piece,
    read,
)
from livejobs.copies.loop import Loop, running
from livejobs.copies.moving import FILES_AT_ONCE, Mover
from livejobs.copies.paging import in_groups
from livejobs.copies.snapshots.choice import snapshot_of
from livejobs.copies.watch import Watch
from livejobs.core.model import Head
from livejobs.private import FOLDER, SHARED, make_folder
from livejobs.store.base import Change, Outpaced, Store
from livejobs.store.choice import store_of
from livejobs.store.files import Tally

LINES_AT_ONCE: Final = 500


class Choice(Struct, frozen=True):
    merge: bool = False  # the database may have other jobs
    keys: bool = True  # bring keys, webhooks and the audit trail too


def import_jobs(settings: Settings, folder: Folder, watch: Watch, choice: Choice) -> Found:
    with sentences(), folder.to_read() as manifest, running() as loop:
        make_data_folder(settings)
        with loop.inside(opened(store_of(settings.data, settings.database))) as store:
            refuse_servers(loop, store)
            found = check(loop, folder, manifest, store)
            if not choice.merge:
                refuse_mixing(found)
            watch.begin(found.counts)
            for mark in manifest.marks:
                loop.call(store.project, mark.project)
            with loop.inside(Mover(settings, folder, watch.bytes)) as mover:
                Import(loop, folder, manifest, store, mover, watch).run(choice)
            return found


def survey(settings: Settings, folder: Folder, choice: Choice) -> Found:
    """What an import would do. Raise what it would raise before it writes."""
    with sentences(), folder.to_read() as manifest, running() as loop:
        try:
            with loop.inside(snapshot_of(settings.data, settings.database)) as snapshot:
                found = check(loop, folder, manifest, snapshot)
        except NoDatabase:
            found = check(loop, folder, manifest, None)
        if not choice.merge:
            refuse_mixing(found)
        return found


def refuse_servers(loop: Loop, store: Store) -> None:
    """They would show jobs without their entries, and could change what we compare."""
    if loop.call(store.others):
        raise WrongPlace(
            "Another livejobs uses the database, or was killed in the last 10 seconds. Stop it, "
            "and run the command again."
        )


def make_data_folder(settings: Settings) -> None:
    try:
        make_folder(settings.data, SHARED if settings.sendfile is not None else FOLDER)
    except OSError as error:
        wrong = f"can't be created: {error.strerror}"
        raise SettingError("data", str(settings.data), wrong) from None


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


class Import:
    def __init__(
        self,
        loop: Loop,
        folder: Folder,
        manifest: Manifest,
        store: Store,
        mover: Mover,
        watch: Watch,
    ) -> None:
        self._loop = loop
        self._folder = folder
        self._manifest = manifest
        self._store = store
        self._mover = mover
        self._watch = watch
        self._batches = Batches(manifest, self._write)

    def run(self, choice: Choice) -> None:
        credentials = Credentials(self._loop, self._store) if choice.keys else None
        for piece in self._manifest.pieces:
            if piece.jobs:
                self._jobs(piece)
            else:
                self._batches.flush()
                self._others(piece, credentials)

    def _others(self, piece: Piece, credentials: Credentials | None) -> None:
        lines = (line for line, _ in read(self._folder.path, piece))
        for some in in_groups(lines, LINES_AT_ONCE):
            self._count({it.key: it.tally for it in some if isinstance(it, DownloadsLine)})
            if credentials is not None:
                credentials.add([it.key for it in some if isinstance(it, KeyLine)])
                credentials.add_hooks([it.hook for it in some if isinstance(it, HookLine)])
                credentials.record([it.record for it in some if isinstance(it, AuditLine)])

    def _jobs(self, piece: Piece) -> None:
        there = self._there(piece)
        begun = False
        for line, size in read(self._folder.path, piece):
            if isinstance(line, JobLine):
                self._end(begun)
                self._batches.begin(line, size, there.get(line.head.id))
                begun = True
            elif isinstance(line, EntryLine):
                self._batches.add(line, size)
        self._end(begun)

    def _end(self, begun: bool) -> None:
        if begun:
            self._batches.end()
            self._watch.jobs()

    def _there(self, piece: Piece) -> Mapping[str, Head]:
        """The jobs of a piece that the database has."""
        lines = (line for line, _ in read(self._folder.path, piece))
        ids = (line.head.id for line in lines if isinstance(line, JobLine))
        there: dict[str, Head] = {}
        for some in in_groups(ids, IDS_AT_ONCE):
            there |= known(self._loop, self._store, some)
        return there

    def _write(self, batch: Batch) -> None:
        left = self._manifest.files_left
        for files in in_groups(iter(batch.files), FILES_AT_ONCE):
            self._loop.call(self._mover.bring_in, files, left=left)
        if batch.changes:
            self._commit(batch.changes)

    def _commit(self, changes: Sequence[Change]) -> None:
        try:
            self._loop.call(self._store.commit, changes)
        except Outpaced:
            raise CannotCopy(
                "A server has written to the database meanwhile. Stop all servers, and run the "
                "command again: it continues."
            ) from None

    def _count(self, downloads: Mapping[str, Tally]) -> None:
        """Add what is missing: an earlier run may have counted some."""
        there = self._loop.call(self._store.downloads, list(downloads)) if downloads else {}
        missing = {
            key: Tally(tally.count - there[key].count, tally.last_at)
            for key, tally in downloads.items()
            if key in there and there[key].count < tally.count
        }
        if missing:
            self._loop.call(self._store.downloaded, missing, [])
