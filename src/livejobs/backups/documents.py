"""The documents of a backup in a local folder: from SQLite its database, else an export.

Both are read in the same way: how many jobs there are, and which files they name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX
from pathlib import Path

from msgspec.structs import replace

from livejobs.backups.database import copy_database
from livejobs.backups.manifest import DATABASE
from livejobs.config import Settings
from livejobs.copies.counts import Counts, total_jobs
from livejobs.copies.errors import CannotCopy
from livejobs.copies.exporting import Export, Survey, kept_files
from livejobs.copies.folder import Folder, locked
from livejobs.copies.loop import Loop
from livejobs.copies.paging import walk
from livejobs.copies.snapshots.choice import snapshot_of
from livejobs.copies.snapshots.readable import Readable
from livejobs.copies.snapshots.sqlite import SqliteSnapshot
from livejobs.copies.watch import Watch
from livejobs.core.model import File
from livejobs.files.areas.area import KEY
from livejobs.private import FOLDER, make_folder


@contextmanager
def staging(path: Path) -> Iterator[Path]:
    """An empty folder for us alone, without what an interrupted run has left there."""
    make_folder(path, FOLDER)
    with locked(path, LOCK_EX):
        for it in path.iterdir():
            shutil.rmtree(it) if it.is_dir() else it.unlink()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)  # perhaps it was moved


def write(loop: Loop, settings: Settings, folder: Path, watch: Watch) -> Counts:
    """Write one state of the settings' database to the folder."""
    if settings.database is None:
        copy_database(settings.data / "livejobs.db", folder / DATABASE)
        with loop.inside(SqliteSnapshot(folder / DATABASE)) as snapshot:
            counts = Survey(loop, snapshot).counts
        watch.begin(counts)
        watch.jobs(total_jobs(counts))  # all are in the copy
        return counts
    with loop.inside(snapshot_of(settings.data, settings.database)) as snapshot:
        return export(loop, snapshot, folder, watch)


def export(loop: Loop, snapshot: Readable, folder: Path, watch: Watch) -> Counts:
    """Write an export whose files lie elsewhere."""
    out = Folder(folder)
    manifest = Export(loop, snapshot, out, watch).run(leave_files=True)
    out.write_manifest(replace(manifest, complete=True))
    return manifest.counts


def files(loop: Loop, folder: Path) -> Iterator[File]:
    """The files of all jobs whose bytes belong to the backup."""
    for file in _files(loop, folder):
        if not KEY.match(file.key):  # it becomes a part of paths
            raise CannotCopy(f"{folder} is damaged: a file has no key. Restore another backup.")
        yield file


def _files(loop: Loop, folder: Path) -> Iterator[File]:
    if not (folder / DATABASE).exists():
        out = Folder(folder)
        with out.to_read() as manifest:
            yield from kept_files(out, manifest)
        return
    with loop.inside(SqliteSnapshot(folder / DATABASE)) as snapshot:
        survey = Survey(loop, snapshot)
        for _, page in walk(survey.page):
            yield from (file for it in page for file in it.head.files if file.kept)
