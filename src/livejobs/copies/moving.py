"""Move the bytes of files between a file area and the folder of an export, some at once.

A file keeps its key, and a key never names two files. So a file that is there already is whole, and
a second run skips it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeAlias, TypeVar

from livejobs.config import Settings
from livejobs.copies.errors import CannotCopy, Damaged
from livejobs.copies.folder import Folder
from livejobs.core.errors import NotFound
from livejobs.core.model import File
from livejobs.files.areas.chosen import chosen_area
from livejobs.files.threads import Threads
from livejobs.files.upload import Upload, pieces

AT_ONCE: Final = 8  # an object store takes long to answer, but takes many requests
FILES_AT_ONCE: Final = 64  # in one call

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Moved: TypeAlias = Callable[[int], None]  # gets the bytes


class Mover:
    """Entered where the area is used: in the event loop."""

    def __init__(self, settings: Settings, folder: Folder, moved: Moved) -> None:
        self._threads = Threads(2 * AT_ONCE, "livejobs-copies")
        self._folder = folder
        self._moved = moved
        self._incoming = settings.files_folder / "incoming"
        self._area = chosen_area(settings, self._threads)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        await self._area.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._area.close()
        await asyncio.to_thread(self._threads.shutdown)

    # Out of the area

    async def take_out(self, files: Sequence[File]) -> tuple[list[File], list[File]]:
        """Copy the files to the folder. Return those whose bytes are gone, and those whose bytes
        are not what was uploaded."""
        found = await self._all(self._out, files)
        gone = [file for file, wrong in zip(files, found, strict=True) if wrong == "gone"]
        return gone, [file for file, wrong in zip(files, found, strict=True) if wrong == "damaged"]

    async def _out(self, file: File) -> str | None:
        if await self._run(self._folder.has, file.key, file.size):
            return None
        try:
            opened = await self._area.find(file.key)
        except NotFound:
            return "gone"
        place = self._folder.place(file.key)
        upload = await self._upload(place.with_name(f"{file.key}.part"))
        try:
            while data := await opened.read(upload.size, opened.piece):
                await upload.write(data)
            await upload.finish()
            if not _is_whole(file, upload):
                return "damaged"
            await self._run(upload.path.rename, place)
        except NotFound:
            return "gone"
        finally:
            await opened.close()
            upload.abandon()
        return None

    # Into the area

    async def bring_in(self, files: Sequence[File], *, left: bool) -> None:
        """Copy files of the folder to the area. `left`: their bytes must be there already."""
        await self._all(self._must_be_there if left else self._in, files)

    async def _must_be_there(self, file: File) -> None:
        if not await self._is_there(file):
            raise CannotCopy(
                f"The file area does not have {file.name!r}, and the export was made with "
                "--leave-files. Import with the `files` setting of the source, or export without "
                "--leave-files."
            )

    async def _in(self, file: File) -> None:
        if await self._is_there(file):
            return
        source = self._folder.place(file.key)
        upload = await self._upload(self._incoming / file.key)
        try:
            async for data in pieces(source):
                await upload.write(data)
            await upload.finish()
            if not _is_whole(file, upload):
                name = source.relative_to(self._folder.path)
                raise Damaged(str(name), f"it is not {file.name!r} as it was uploaded")
            await self._area.keep(file.key, upload.path, file.name, file.media_type)
        finally:
            upload.abandon()

    async def _is_there(self, file: File) -> bool:
        try:
            opened = await self._area.find(file.key)
        except NotFound:
            return False
        await opened.close()
        return opened.size == file.size

    # Both

    async def _all(
        self, move: Callable[[File], Awaitable[T]], files: Sequence[File]
    ) -> Sequence[T]:
        """Move all, then raise the first error: nothing moves on behind it."""
        found = await asyncio.gather(*(self._one(move, it) for it in files), return_exceptions=True)
        results: list[T] = []
        for result in found:
            if isinstance(result, BaseException):
                raise result
            results.append(result)
        return results

    async def _one(self, move: Callable[[File], Awaitable[T]], file: File) -> T:
        async with self._turns:
            result = await move(file)
        self._moved(file.size or 0)
        return result

    async def _upload(self, path: Path) -> Upload:
        """Without what an interrupted run has left there."""
        await self._run(path.unlink, missing_ok=True)
        return Upload(path, self._threads)

    async def _run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(fn, *args, **kwargs))


def _is_whole(file: File, upload: Upload) -> bool:
    return upload.size == file.size and file.sha256 in (None, upload.sha256.hex())
