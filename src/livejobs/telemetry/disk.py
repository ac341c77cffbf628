"""Free space where the server writes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PATIENCE: Final = 2.0  # seconds


class Disk:
    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self.begin()

    def begin(self) -> None:
        self._asked: asyncio.Future[int | None] | None = None  # belongs to one event loop

    async def free(self) -> int | None:
        """The free bytes, of the fullest disk. None: a disk does not answer.
        A network disk may hang. Then all callers wait for one thread, and not each for its own."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.ensure_future(asyncio.to_thread(least_free, self._folders))
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.shield(self._asked)
        except TimeoutError:
            return None


def least_free(folders: Iterable[Path]) -> int | None:
    try:
        return min(map(_free, folders))
    except OSError:
        return None


def _free(folder: Path) -> int:
    """Of the folder, or of the folder in which it will be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
