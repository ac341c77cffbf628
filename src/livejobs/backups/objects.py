"""Backups in an object store, in the same places as in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import anyio
import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from livejobs.backups.manifest import MANIFEST, NAME
from livejobs.config import SettingError
from livejobs.copies.errors import WrongPlace
from livejobs.files.areas.area import KEY, Area
from livejobs.files.areas.objects import (
    CLIENT,
    LISTED_AT_ONCE,
    PART,
    PARTS,
    RETRIES,
    ObjectArea,
    refusals,
    shortly,
)
from livejobs.files.threads import Threads

BACKUPS: Final = "backups"
FILES: Final = "files"


class ObjectVault:
    def __init__(self, url: str, threads: Threads, spool: Path) -> None:
        self.where = url
        self.spool = spool
        url = url.rstrip("/")
        try:
            self.area: Area = ObjectArea(f"{url}/{FILES}", threads, settled=timedelta(0))
            self._store: Any = from_url(url, retry_config=RETRIES, client_options=CLIENT)
        except (BaseError, ValueError, SettingError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> WrongPlace:
        wrong = error.wrong if isinstance(error, SettingError) else shortly(error)
        return WrongPlace(f"{self.where} can't be used: {wrong}")

    async def __aenter__(self) -> Self:
        try:
            await self.area.open()
        except SettingError as error:
            raise self._unusable(error) from None
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.area.close()

    async def _paths(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        with refusals():
            async for some in obstore.list(self._store, prefix, chunk_size=LISTED_AT_ONCE):
                for it in some:
                    yield it["path"], it["size"]

    async def names(self) -> Mapping[str, bool]:
        found: dict[str, bool] = {}
        async for path, _ in self._paths(BACKUPS):
            name, _, document = path.removeprefix(f"{BACKUPS}/").partition("/")
            if NAME.match(name):
                found[name] = found.get(name, False) or document == MANIFEST
        return dict(sorted(found.items()))

    async def manifest(self, name: str) -> bytes:
        with refusals():
            found = await obstore.get_async(self._store, _path(name, MANIFEST))
            return bytes(await found.bytes_async())

    async def publish(self, name: str, folder: Path) -> None:
        for path, size in await asyncio.to_thread(_manifest_last, folder):
            with refusals():
                await obstore.put_async(
                    self._store, _path(name, path.name), path, chunk_size=max(PART, size // PARTS)
                )

    async def fetch(self, name: str, document: str, to: Path) -> None:
        with refusals():
            found = await obstore.get_async(self._store, _path(name, document))
            async with await anyio.open_file(to, "wb") as file:
                async for data in found.stream(PART):
                    await file.write(data)

    async def drop(self, name: str) -> None:
        documents = [path async for path, _ in self._paths(_path(name, ""))]
        first = [path for path in documents if path.endswith(f"/{MANIFEST}")]
        for path in (*first, *(path for path in documents if path not in first)):
            with refusals():
                await obstore.delete_async(self._store, path)

    async def held(self) -> Mapping[str, int]:
        found = {path.rpartition("/")[2]: size async for path, size in self._paths(FILES)}
        return {key: size for key, size in found.items() if KEY.match(key)}


def _manifest_last(folder: Path) -> list[tuple[Path, int]]:
    paths = sorted(folder.iterdir(), key=lambda it: it.name == MANIFEST)
    return [(path, path.stat().st_size) for path in paths]


def _path(name: str, document: str) -> str:
    return f"{BACKUPS}/{name}/{document}"
