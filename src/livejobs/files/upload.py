"""A file on its way in: written beside its final place, with its digest, and synced.

A small one is one trip to a thread; a large one a trip for every piece of a mebibyte.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from threading import Lock
from typing import Final

import anyio

from livejobs.files.local import refusals
from livejobs.private import make_folder

PIECE: Final = 1 << 20


class Upload:
    """Bytes that are no file yet. It is finished or abandoned, and then gone from `path`."""

    def __init__(self, path: Path, threads: Executor) -> None:
        self.path = path
        self.size = 0
        self._threads = threads
        self._digest = hashlib.sha256()
        self._gathered = bytearray()
        self._fd: int | None = None  # not open yet; -1: no longer
        self._turn = Lock()

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()

    async def write(self, data: bytes) -> None:
        self._gathered += data
        self.size += len(data)
        if len(self._gathered) >= PIECE:
            await self._in_thread(end=False)

    async def finish(self) -> None:
        """All of it is on disk, under its first name."""
        await self._in_thread(end=True)

    async def _in_thread(self, *, end: bool) -> None:
        piece, self._gathered = self._gathered, bytearray()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._write, piece, end)

    def _write(self, piece: bytearray, end: bool) -> None:
        with self._turn, refusals():
            if self._fd is None:
                self._fd = _created(self.path)
            view = memoryview(piece)
            while view:
                view = view[os.write(self._fd, view) :]
            self._digest.update(piece)
            if end:
                os.fsync(self._fd)

    def abandon(self) -> None:
        """Let go of it; if it was not taken from `path`, nothing is left. Its caller may be cut
        off while a thread writes, so that is waited for by a thread, too."""
        try:
            self._threads.submit(self._drop)
        except RuntimeError:  # the threads have ended, and nobody writes
            self._drop()

    def _drop(self) -> None:
        with self._turn, contextlib.suppress(OSError):
            fd, self._fd = self._fd, -1  # what comes now is refused as a bad descriptor
            if fd is not None and fd >= 0:
                os.close(fd)
                self.path.unlink(missing_ok=True)


def _created(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o640)
    except FileNotFoundError:
        make_folder(path.parent)
        return os.open(path, flags, 0o640)


async def pieces(data: bytes | Path | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """What in-process code gives as a file."""
    if isinstance(data, Path):
        async with await anyio.open_file(data, "rb") as source:
            while piece := await source.read(PIECE):
                yield piece
    elif isinstance(data, bytes):
        yield data
    else:
        async for piece in data:
            yield piece
