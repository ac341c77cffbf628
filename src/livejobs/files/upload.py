"""An upload: written to the incoming folder, digested and synced.

A small file takes one trip to a thread; a large one takes a trip for every mebibyte.
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

from livejobs.files.areas.local import refusals
from livejobs.private import make_folder

PIECE: Final = 1 << 20


class Upload:
    """Bytes that are not a file of a job yet. After `finish` the area takes them from `path`;
    `abandon` removes what is still there."""

    def __init__(self, path: Path, threads: Executor) -> None:
        self.path = path
        self.size = 0
        self._threads = threads
        self._digest = hashlib.sha256()
        self._gathered = bytearray()
        self._fd: int | None = None  # None: not open yet; -1: closed
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
        """Write and sync the rest."""
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
        """Close the file and remove it from `path`. A cancelled caller may leave a thread that
        still writes, so another thread waits for that one."""
        try:
            self._threads.submit(self._drop)
        except RuntimeError:  # the threads have ended, so none writes
            self._drop()

    def _drop(self) -> None:
        with self._turn, contextlib.suppress(OSError):
            fd, self._fd = self._fd, -1  # later writes fail with a bad descriptor
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
    """The bytes of a file that in-process code gives, in pieces."""
    if isinstance(data, Path):
        async with await anyio.open_file(data, "rb") as source:
            while piece := await source.read(PIECE):
                yield piece
    elif isinstance(data, bytes):
        yield data
    else:
        async for piece in data:
            yield piece
