"""A folder of backups: `backups/NAME/` for the documents of each, `files/` for the bytes of all."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from livejobs.backups.database import sync_file
from livejobs.backups.manifest import MANIFEST, NAME
from livejobs.copies.errors import WrongPlace
from livejobs.copies.folder import OTHER, locked, sync
from livejobs.core.errors import NotFound
from livejobs.files.areas.area import KEY, Area
from livejobs.files.areas.local import LocalArea
from livejobs.files.threads import Threads
from livejobs.private import FOLDER, make_folder

BACKUPS: Final = "backups"
FILES: Final = "files"
SPOOL: Final = "incoming"
OURS: Final = frozenset({BACKUPS, FILES, SPOOL})


class FolderVault:
    def __init__(self, path: Path, threads: Threads, *, write: bool) -> None:
        self.where = str(path)
        self.area: Area = LocalArea(path / FILES, threads)
        self.spool = path / SPOOL
        self._path = path
        self._backups = path / BACKUPS
        self._write = write
        self._lock = ExitStack()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._open)
        return self

    def _open(self) -> None:
        if self._path.exists() and not self._path.is_dir():
            raise WrongPlace(f"{self._path} is not a folder. {OTHER}")
        if self._write:
            make_folder(self._path, FOLDER)
        elif not self._backups.is_dir():
            raise WrongPlace(f"{self._path} holds no backup. Give the folder of `livejobs backup`.")
        self._lock.enter_context(
            locked(self._path, fcntl.LOCK_EX if self._write else fcntl.LOCK_SH)
        )
        if any(it.name not in OURS for it in self._path.iterdir()):
            self._lock.close()
            raise WrongPlace(f"{self._path} holds other files than backups. {OTHER}")
        if self._write:
            make_folder(self._backups, FOLDER)

    async def __aexit__(self, *exc: object) -> None:
        self._lock.close()

    async def names(self) -> Mapping[str, bool]:
        return await asyncio.to_thread(self._names)

    def _names(self) -> Mapping[str, bool]:
        found = sorted(it for it in self._backups.iterdir() if NAME.match(it.name))
        return {path.name: (path / MANIFEST).exists() for path in found}

    async def manifest(self, name: str) -> bytes:
        return await asyncio.to_thread((self._backups / name / MANIFEST).read_bytes)

    async def publish(self, name: str, folder: Path) -> None:
        await asyncio.to_thread(self._publish, name, folder)

    def _publish(self, name: str, folder: Path) -> None:
        for path in folder.iterdir():
            sync_file(path)
        sync(folder)
        folder.rename(self._backups / name)
        sync(self._backups)

    async def fetch(self, name: str, document: str, to: Path) -> None:
        try:
            await asyncio.to_thread(shutil.copyfile, self._backups / name / document, to)
        except FileNotFoundError:
            raise NotFound("It is missing.") from None

    async def drop(self, name: str) -> None:
        await asyncio.to_thread(self._drop, name)

    def _drop(self, name: str) -> None:
        (self._backups / name / MANIFEST).unlink(missing_ok=True)
        sync(self._backups / name)
        shutil.rmtree(self._backups / name)

    async def held(self) -> Mapping[str, int]:
        return await asyncio.to_thread(self._held)

    def _held(self) -> Mapping[str, int]:
        found = (self._path / FILES).glob("??/*")
        return {path.name: path.stat().st_size for path in found if KEY.match(path.name)}
