"""Backup: one state of the database, and the bytes of the files that it names.

The database comes first, beside a running server, then its files. A file never changes under its
key, so it is copied once for all backups. Until the manifest is written, nothing of earlier backups
has changed. So an interrupted backup leaves those, and the files that it has copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from livejobs import clock
from livejobs.backups import documents
from livejobs.backups.carrying import FILES_AT_ONCE, Carrier, Wrong
from livejobs.backups.database import require
from livejobs.backups.manifest import (
    DATABASE,
    KEYS,
    MANIFEST,
    Manifest,
    decode,
    document_of,
    encode,
    manifest_of,
)
from livejobs.backups.vault import Vault, vault_of
from livejobs.config import Settings
from livejobs.copies.counts import Counts
from livejobs.copies.errors import CannotCopy, WrongPlace, sentences
from livejobs.copies.lines import new_file
from livejobs.copies.loop import Loop, running
from livejobs.copies.paging import in_groups
from livejobs.copies.watch import Watch
from livejobs.core.errors import NotFound
from livejobs.core.model import File
from livejobs.files.areas.area import Area
from livejobs.files.areas.chosen import chosen_area
from livejobs.files.threads import Threads
from livejobs.private import FOLDER

TRIES: Final = 3
THREADS: Final = 16
STAGING: Final = "backup-staging"
ABANDONED: Final = timedelta(days=1)  # a backup without a manifest is no longer being written


class Lost(Struct, frozen=True):
    file: File
    wrong: Wrong
    dropped: bool  # its job was deleted while the backup ran


def backup(settings: Settings, target: str, watch: Watch, *, keep: int | None) -> Manifest:
    """Return the manifest of the new backup. `keep`: remove all but so many of the newest."""
    _refuse_own_files(settings, target)
    if settings.database is None:
        require(settings.data / DATABASE)
    threads = Threads(THREADS, "livejobs-backup")
    vault = vault_of(target, threads, settings.data / STAGING, write=True)
    with sentences(), running() as loop, loop.inside(vault):
        with documents.staging(vault.spool):
            run = Backup(loop, settings, vault, threads, watch)
            manifest = run.run()
            if keep is not None:
                Pruning(loop, vault).run(keep, manifest.name)
        threads.shutdown()
    _report(run.lost, watch)
    return manifest


def _refuse_own_files(settings: Settings, target: str) -> None:
    """The server removes what it does not know from its own file area, and we from ours."""
    own = settings.object_store or _resolved(str(settings.files_folder))
    place = target if "://" in target.removeprefix("file://") else _resolved(target)
    one, other = f"{own.rstrip('/')}/", f"{place.rstrip('/')}/"
    if one.startswith(other) or other.startswith(one):
        raise WrongPlace(
            f"{target} and the server's file area are one inside the other. Give another place "
            "for backups."
        )


def _resolved(path: str) -> str:
    return str(Path(path.removeprefix("file://")).resolve())


class Backup:
    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        vault: Vault,
        threads: Threads,
        watch: Watch,
    ) -> None:
        self.lost: Sequence[Lost] = ()
        self._loop = loop
        self._settings = settings
        self._vault = vault
        self._folder = vault.spool / "documents"
        self._watch = watch
        self._area: Area = chosen_area(settings, threads)
        self._carrier = Carrier(self._area, vault.area, vault.spool, threads)
        self._held: dict[str, int] = {}
        self._keys: set[str] = set()
        self._at = clock.now()  # of the state of the database

    def run(self) -> Manifest:
        self._folder.mkdir(FOLDER)
        self._loop.call(self._area.open)
        self._held = dict(self._loop.call(self._vault.held))
        try:
            counts = self._take()
        finally:
            self._loop.call(self._area.close)
        with new_file(self._folder / KEYS) as file:
            file.writelines(f"{key}\n".encode() for key in sorted(self._keys))
        lost = tuple(it.file.key for it in self.lost)
        manifest = manifest_of(self._folder, counts, lost, self._at)
        with new_file(self._folder / MANIFEST) as file:
            file.write(encode(manifest))
        self._loop.call(self._vault.publish, manifest.name, self._folder)
        return manifest

    def _take(self) -> Counts:
        """Copy the database, then its files. If jobs with files were deleted meanwhile, begin
        again: the second time takes only what is new."""
        before: set[str] = set()
        for _ in range(TRIES):
            self._at = clock.now()
            counts = documents.write(self._loop, self._settings, self._folder, self._watch)
            wrong = self._carry()
            gone = {it.key for it, why in wrong if why == "gone"}
            self.lost = [Lost(it, why, it.key in gone - before) for it, why in wrong]
            if gone <= before:  # the database still names them, so they are missing there
                break
            before |= gone
        return counts

    def _carry(self) -> list[tuple[File, Wrong]]:
        wrong: list[tuple[File, Wrong]] = []
        self._keys = set()
        for files in in_groups(documents.files(self._loop, self._folder), FILES_AT_ONCE):
            new = [file for file in files if self._held.get(file.key) != file.size]
            self._watch.bytes(sum(file.size or 0 for file in files if file not in new))
            found = self._loop.call(self._carrier.carry, new, self._watch.bytes)
            bad = {it.key: why for it, why in zip(new, found, strict=True) if why is not None}
            wrong += [(file, bad[file.key]) for file in new if file.key in bad]
            self._held |= {it.key: it.size or 0 for it in new if it.key not in bad}
            self._keys |= {file.key for file in files if file.key not in bad}
        return wrong


def _report(lost: Sequence[Lost], watch: Watch) -> None:
    for it in lost:
        why = {
            "gone": "was deleted while the backup ran" if it.dropped else "has no bytes",
            "damaged": "is damaged",
        }[it.wrong]
        watch.warn(f"The file {it.file.name!r} (key {it.file.key}) {why}, and was left out.")
    wrong = sum(not it.dropped for it in lost)
    if wrong:
        raise CannotCopy(
            f"Files that are missing or damaged at their source were left out: {wrong}. The rest "
            "of the backup is complete, and can be restored."
        )


class Pruning:
    """Remove old backups, and the files that no other backup names."""

    def __init__(self, loop: Loop, vault: Vault) -> None:
        self._loop = loop
        self._vault = vault

    def run(self, keep: int, made: str) -> None:
        """`made`: the new backup, which stays even if a clock that went back calls it old."""
        names = self._loop.call(self._vault.names)
        whole = [name for name, complete in names.items() if complete]
        kept = {*whole[-keep:], made}
        needed: set[str] = set().union(*map(self._keys, kept))  # all are read before any goes
        limit = f"{clock.now() - ABANDONED:%Y%m%dT%H%M%S}"
        for name, complete in names.items():
            if name not in kept and (complete or name < limit):
                self._loop.call(self._vault.drop, name)
        held = self._loop.call(self._vault.held)
        for keys in in_groups(iter(sorted(held.keys() - needed)), FILES_AT_ONCE):
            self._loop.call(self._vault.area.remove, keys)

    def _keys(self, name: str) -> list[str]:
        where = f"The backup {name} in {self._vault.where}"
        manifest = decode(self._loop.call(self._vault.manifest, name), where)
        path = self._vault.spool / KEYS
        try:
            self._loop.call(self._vault.fetch, name, KEYS, path)
            if document_of(path) not in manifest.documents:
                raise NotFound("It has been changed since.")
        except NotFound:
            raise CannotCopy(
                f"{where} is damaged: {KEYS} is missing, or has been changed since. So no backup "
                "was removed. The new backup is complete."
            ) from None
        return path.read_text().split()
