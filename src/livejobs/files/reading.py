"""Files that are open for reading: those of the area, and those attached by path."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from livejobs.config import SettingError
from livejobs.core.errors import Invalid
from livejobs.core.model import File
from livejobs.files.areas.area import Area, Opened, gone
from livejobs.files.areas.local import LocalFile, open_below, unavailable

LINKS: Final = {errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EINVAL}  # of a client's path


class Reading:
    def __init__(self, area: Area, roots: Sequence[str], threads: Executor) -> None:
        self.pinned: Counter[str] = Counter()  # keys of files that are being read
        self._area = area
        self._roots = [(root, os.path.realpath(root)) for root in roots]
        self._threads = threads

    async def start(self) -> None:
        isdir, loop = os.path.isdir, asyncio.get_running_loop()
        for root, real in self._roots:
            absolute = Path(root).is_absolute()
            if not (absolute and await loop.run_in_executor(self._threads, isdir, real)):
                raise SettingError("files_roots", root, "takes absolute paths of folders")

    async def open(self, file: File) -> Opened:
        """Open the file for reading. Raises NotFound `no_file` if its bytes are gone."""
        if file.path is not None:
            return await self.open_path(file.path)
        self.pinned[file.key] += 1
        try:
            return PinnedFile(await self._area.find(file.key), self.pinned, file.key)
        except BaseException:  # also when cancelled: nobody would read it
            _less(self.pinned, file.key)
            raise

    async def open_path(self, path: str) -> LocalFile:
        way, real = self._root_of(path)
        inside = real.rstrip("/") + path[len(way.rstrip("/")) :]
        try:
            fd = await asyncio.get_running_loop().run_in_executor(
                self._threads, open_below, real, inside
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
            raise gone() from None
        except OSError as error:
            if error.errno in LINKS:
                raise gone() from None
            raise unavailable(error) from error
        return LocalFile(fd, self._threads)

    def _root_of(self, path: str) -> tuple[str, str]:
        for root, real in self._roots:
            for way in (root, real):
                if path.startswith(way.rstrip("/") + "/"):
                    return way, real
        raise Invalid.at("/path", "This path is not below a folder in the setting files_roots.")


class PinnedFile:
    """An open file whose bytes stay until it is closed."""

    def __init__(self, opened: Opened, pinned: Counter[str], key: str) -> None:
        self.size, self.modified, self.etag = opened.size, opened.modified, opened.etag
        self.path, self.piece = opened.path, opened.piece
        self.read, self.fileno = opened.read, opened.fileno
        self._opened = opened
        self._pinned: Counter[str] | None = pinned
        self._key = key

    async def close(self) -> None:
        if self._pinned is not None:
            _less(self._pinned, self._key)
            self._pinned = None
        await self._opened.close()


def _less(count: Counter[str], key: str) -> None:
    count[key] -= 1
    if count[key] <= 0:
        del count[key]
