"""Copy the bytes of files from one area to another, some at once, and check their digests.

A file keeps its key, and a key never names two files. So a file that is there is not copied again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, TypeAlias

from livejobs.core.errors import NotFound
from livejobs.core.model import File
from livejobs.files.areas.area import Area, Opened
from livejobs.files.threads import Threads
from livejobs.files.upload import Upload

AT_ONCE: Final = 8  # an object store takes long to answer, but takes many requests
FILES_AT_ONCE: Final = 64  # in one call

Wrong: TypeAlias = Literal["gone", "damaged"]
Moved: TypeAlias = Callable[[int], None]  # gets the bytes


class Carrier:
    """`spool`: a folder from which the target takes files."""

    def __init__(self, source: Area, target: Area, spool: Path, threads: Threads) -> None:
        self._source = source
        self._target = target
        self._spool = spool
        self._threads = threads
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def carry(self, files: Sequence[File], moved: Moved) -> Sequence[Wrong | None]:
        """Return what is wrong with each file. Raise the first error after all others ended."""
        tasks = (self._one(file, moved) for file in files)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        wrong: list[Wrong | None] = []
        for result in found:
            if isinstance(result, BaseException):
                raise result
            wrong.append(result)
        return wrong

    async def _one(self, file: File, moved: Moved) -> Wrong | None:
        async with self._turns:
            wrong = await self._copy(file)
        moved(file.size or 0)
        return wrong

    async def _copy(self, file: File) -> Wrong | None:
        path = self._spool / f"{file.key}.copy"
        await asyncio.to_thread(path.unlink, missing_ok=True)  # of an interrupted run
        upload = Upload(path, self._threads)
        try:
            async with opened(self._source, file.key) as there:
                async for data in read(there):
                    await upload.write(data)
            await upload.finish()
            if not is_whole(file, upload.size, upload.sha256):
                return "damaged"
            await self._target.keep(file.key, path, file.name, file.media_type)
        except NotFound:
            return "gone"
        finally:
            upload.abandon()
        return None


async def checked(source: Area, file: File) -> Wrong | None:
    """What is wrong with the bytes of a file. Nothing is written."""
    digest, size = sha256(), 0
    try:
        async with opened(source, file.key) as there:
            async for data in read(there):
                digest.update(data)
                size += len(data)
    except NotFound:
        return "gone"
    return None if is_whole(file, size, digest.digest()) else "damaged"


async def has(area: Area, file: File) -> bool:
    try:
        async with opened(area, file.key) as there:
            return there.size == file.size
    except NotFound:
        return False


def is_whole(file: File, size: int, digest: bytes) -> bool:
    return size == file.size and file.sha256 in (None, digest.hex())


@asynccontextmanager
async def opened(area: Area, key: str) -> AsyncIterator[Opened]:
    file = await area.find(key)
    try:
        yield file
    finally:
        await file.close()


async def read(file: Opened) -> AsyncIterator[bytes]:
    offset = 0
    while data := await file.read(offset, file.piece):
        yield data
        offset += len(data)
