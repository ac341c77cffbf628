"""Restore: make the database and the files of a backup anew, where nothing is yet.

All digests are checked before the database is there: that of each document first, then that of each
file while it is copied. In a data folder the database appears last, by a rename. PostgreSQL gets
its jobs after their files, as by an import. So the command can be run again after an interruption.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec.structs import replace

from livejobs.backups import documents
from livejobs.backups.carrying import FILES_AT_ONCE, Carrier, Wrong, checked, has
from livejobs.backups.database import give_epochs, make_newest
from livejobs.backups.manifest import DATABASE, Manifest, decode, document_of
from livejobs.backups.vault import Vault, vault_of
from livejobs.config import Settings
from livejobs.copies.counts import total_jobs
from livejobs.copies.errors import CannotCopy, WrongPlace, sentences
from livejobs.copies.folder import Folder, sync
from livejobs.copies.incoming.checking import check
from livejobs.copies.incoming.importing import (
    Choice,
    Import,
    make_data_folder,
    opened,
    refuse_servers,
)
from livejobs.copies.loop import Loop, running
from livejobs.copies.moving import Mover
from livejobs.copies.paging import in_groups
from livejobs.copies.snapshots.sqlite import SqliteSnapshot
from livejobs.copies.watch import OnlyWarnings, Watch
from livejobs.core.errors import NotFound
from livejobs.core.model import File
from livejobs.files.areas.chosen import chosen_area
from livejobs.files.threads import Threads
from livejobs.private import FILE
from livejobs.store.base import Store
from livejobs.store.choice import store_of
from livejobs.store.sqlite.opening import Lock

THREADS: Final = 16
STAGING: Final = "restore-staging"


class Source:
    """One backup of a vault, and its documents in a local folder."""

    def __init__(self, loop: Loop, vault: Vault, manifest: Manifest, folder: Path) -> None:
        self.loop = loop
        self.vault = vault
        self.manifest = manifest
        self.folder = folder

    def fetch(self) -> None:
        self.folder.mkdir()
        for document in self.manifest.documents:
            path = self.folder / document.name
            path.touch(FILE)
            try:
                self.loop.call(self.vault.fetch, self.manifest.name, document.name, path)
            except NotFound:
                raise self.damaged(f"{document.name} is missing") from None
            if document_of(path) != document:
                raise self.damaged(f"{document.name} has been changed since")
        if self.manifest.from_sqlite:
            make_newest(self.folder / DATABASE)

    def files(self) -> Iterator[Sequence[File]]:
        found = documents.files(self.loop, self.folder)
        lost = set(self.manifest.lost)
        return in_groups((file for file in found if file.key not in lost), FILES_AT_ONCE)

    def refuse_wrong(self, files: Sequence[File], wrong: Sequence[Wrong | None]) -> None:
        for file, why in zip(files, wrong, strict=True):
            if why is not None:
                how = "is missing" if why == "gone" else "is damaged"
                raise self.damaged(f"the file {file.name!r} (key {file.key}) {how}")

    def damaged(self, wrong: str) -> CannotCopy:
        return CannotCopy(
            f"The backup {self.manifest.name} in {self.vault.where} is damaged: {wrong}. Restore "
            "another one: `--list` names all, and `--at NAME` chooses."
        )


def names(settings: Settings, source: str) -> list[Manifest]:
    """All backups, oldest first."""
    with _vault(settings, source) as (loop, vault, _):
        return [_manifest(loop, vault, name) for name in _whole(loop, vault)]


def verify(settings: Settings, source: str, watch: Watch, name: str | None) -> Manifest:
    """Check a whole backup, and write nothing."""
    with _vault(settings, source) as (loop, vault, _), TemporaryDirectory() as folder:
        it = Source(loop, vault, _chosen(loop, vault, name), Path(folder) / "documents")
        watch.begin(it.manifest.counts)
        it.fetch()
        watch.jobs(total_jobs(it.manifest.counts))
        for files in it.files():
            wrong = [loop.call(checked, vault.area, file) for file in files]
            it.refuse_wrong(files, wrong)
            watch.bytes(sum(file.size or 0 for file in files))
        return it.manifest


def restore(settings: Settings, source: str, watch: Watch, name: str | None) -> Manifest:
    with _vault(settings, source) as (loop, vault, threads):
        manifest = _chosen(loop, vault, name)
        with ExitStack() as held:
            if settings.database is None:
                held.enter_context(_alone(settings))
            make_data_folder(settings)
            staging = held.enter_context(documents.staging(settings.data / STAGING))
            it = Source(loop, vault, manifest, staging / "documents")
            watch.begin(manifest.counts)
            it.fetch()
            Restore(settings, it, threads, watch).run()
        return manifest


@contextmanager
def _vault(settings: Settings, source: str) -> Iterator[tuple[Loop, Vault, Threads]]:
    threads = Threads(THREADS, "livejobs-restore")
    vault = vault_of(source, threads, settings.data / STAGING, write=False)
    with sentences(), running() as loop, loop.inside(vault):
        yield loop, vault, threads
        threads.shutdown()


def _whole(loop: Loop, vault: Vault) -> list[str]:
    return [name for name, complete in loop.call(vault.names).items() if complete]


def _manifest(loop: Loop, vault: Vault, name: str) -> Manifest:
    where = f"The backup {name} in {vault.where}"
    manifest = decode(loop.call(vault.manifest, name), where)
    if manifest.name != name:  # it becomes a part of paths
        raise CannotCopy(f"{where} was renamed. Give its folder the name {manifest.name!r} again.")
    return manifest


def _chosen(loop: Loop, vault: Vault, name: str | None) -> Manifest:
    """The backup with this name; None: the newest."""
    whole = _whole(loop, vault)
    if not whole:
        raise WrongPlace(f"{vault.where} holds no backup. Give the place of `livejobs backup`.")
    if name is not None and name not in whole:
        raise WrongPlace(f"{vault.where} has no backup {name}. `--list` names all.")
    return _manifest(loop, vault, name or whole[-1])


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """No server starts in the data folder meanwhile. Raise WrongPlace if there is a database."""
    place = settings.data / DATABASE
    for path in (place, place.with_name(f"{DATABASE}-wal")):
        if path.exists():
            raise WrongPlace(
                f"{path} exists, and a restore replaces nothing. Move livejobs.db and the files "
                "beside it away, or give another folder as --data."
            )
    make_data_folder(settings)
    lock = Lock(place)
    lock.take()
    try:
        yield
    finally:
        lock.release()


class Restore:
    def __init__(self, settings: Settings, source: Source, threads: Threads, watch: Watch) -> None:
        self._settings = settings
        self._source = source
        self._loop = source.loop
        self._threads = threads
        self._watch = watch
        self._staging = source.folder.parent
        self._area = chosen_area(settings, threads)

    def run(self) -> None:
        if self._settings.database is not None:
            self._import(store_of(self._settings.data, self._settings.database))
            return
        made = self._source.folder / DATABASE
        if self._source.manifest.from_sqlite:
            self._watch.jobs(total_jobs(self._source.manifest.counts))
            self._carry()
            give_epochs(made)
        else:
            self._import(store_of(self._staging, None))
            made = self._staging / DATABASE
        made.rename(self._settings.data / DATABASE)
        sync(self._settings.data)

    def _carry(self) -> None:
        self._loop.call(self._area.open)
        carrier = Carrier(self._source.vault.area, self._area, self._spool(), self._threads)
        for files in self._source.files():
            there = [self._loop.call(has, self._area, file) for file in files]
            new = [file for file, known in zip(files, there, strict=True) if not known]
            self._watch.bytes(sum(file.size or 0 for file in files if file not in new))
            wrong = self._loop.call(carrier.carry, new, self._watch.bytes)
            self._source.refuse_wrong(new, wrong)
        self._loop.call(self._area.close)

    def _spool(self) -> Path:
        """A folder in the file system of the file area."""
        return self._settings.files_folder / "incoming"

    def _import(self, store: Store) -> None:
        folder = self._export()
        with self._loop.inside(opened(store)), folder.to_read() as manifest:
            refuse_servers(self._loop, store)
            found = check(self._loop, folder, manifest, store)
            if found.changes or found.others:
                raise WrongPlace(
                    "The database has jobs already, and a restore replaces nothing. Restore into "
                    "an empty database."
                )
            self._carry()
            for mark in manifest.marks:
                self._loop.call(store.project, mark.project)
            with self._loop.inside(Mover(self._settings, folder, lambda _: None)) as mover:
                Import(self._loop, folder, manifest, store, mover, self._watch).run(Choice())

    def _export(self) -> Folder:
        """The documents as an export whose files lie elsewhere."""
        folder = Folder(self._source.folder)
        if self._source.manifest.from_sqlite:
            folder = Folder(self._staging / "export")
            folder.path.mkdir()
            path = self._source.folder / DATABASE
            with self._loop.inside(SqliteSnapshot(path)) as snapshot:
                documents.export(self._loop, snapshot, folder.path, OnlyWarnings(self._watch))
        manifest = folder.manifest()
        assert manifest is not None
        folder.write_manifest(replace(manifest, lost=self._source.manifest.lost))
        return folder
