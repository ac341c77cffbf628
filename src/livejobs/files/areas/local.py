"""The file area in a folder: one file for each key, in 256 folders by the key's last two digits.

A key begins with the time, like its neighbours, and ends in random digits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from livejobs import clock
from livejobs.config import SettingError
from livejobs.core.errors import StorageUnavailable
from livejobs.files.areas.area import KEY, MARKER, Marker, Opened, gone
from livejobs.private import FOLDER, SHARED, close_to_others, make_folder

P = ParamSpec("P")
T = TypeVar("T")

PIECE: Final = 128 << 10  # each of the hundred streams of an HTTP/2 connection may hold two
FOLDERS: Final = frozenset(f"{n:02x}" for n in range(256))
PAUSE: Final = 0.1  # seconds between looks at a marker that is being written
PAUSES: Final = 20
FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalFile:
    """An open descriptor: reads return the file that was opened, even if it is replaced."""

    def __init__(
        self, fd: int, threads: Executor, etag: str | None = None, path: Path | None = None
    ) -> None:
        status = os.fstat(fd)
        self.size = status.st_size
        # Anyone may set an mtime, even in the future. Only the kernel sets the ctime, at every
        # change of the content. So the earlier of the two stays as long as the content does.
        self.modified = max(0, min(status.st_mtime_ns, status.st_ctime_ns) // 1_000_000)
        self.etag = etag or f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"'
        self.path = path
        self.piece = PIECE
        self._fd = fd
        self._threads = threads

    async def read(self, offset: int, length: int) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, os.pread, self._fd, length, offset)

    def fileno(self) -> int | None:
        return self._fd

    async def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class LocalArea:
    def __init__(
        self,
        folder: Path,
        threads: Executor,
        *,
        shared: bool = False,
        url: str | None = None,
        settled: timedelta | None = None,
    ) -> None:
        self._folder = folder
        self._threads = threads
        self._shared = shared  # a web server of our group sends the files
        self._url = url  # if an operator made the folder, and chose its modes
        self._settled = settled  # None: no other server puts files there

    async def open(self) -> None:
        await self._run(self._open)

    def _open(self) -> None:
        """The outer folder keeps other users out. Inner folders are made when a file needs them."""
        if self._url is not None:
            if not os.access(f"{self._folder}/.", os.R_OK | os.W_OK | os.X_OK):
                raise SettingError("files", self._url, "is not a folder that livejobs can write in")
            return
        with refusals():
            if self._shared:
                make_folder(self._folder, SHARED)
                self._folder.chmod(SHARED)  # it may be from an earlier run
            close_to_others(self._folder, FOLDER)

    async def close(self) -> None:
        """Nothing to release."""

    async def keep(self, key: str, path: Path, name: str, media_type: str) -> None:
        await self._run(self._keep, key, path)

    def _keep(self, key: str, path: Path) -> None:
        place = self.place(key)
        with refusals():
            if not place.parent.is_dir():
                make_folder(self._folder)
                place.parent.mkdir(SHARED, exist_ok=True)
                _sync(self._folder)
            path.rename(place)
            _sync(place.parent)

    async def find(self, key: str) -> Opened:
        try:
            fd = await self._run(os.open, self.place(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise gone() from None
        except OSError as error:
            raise unavailable(error) from error
        return LocalFile(fd, self._threads, f'"{key}"', self.place(key))

    async def link(self, key: str) -> str | None:
        return None

    async def remove(self, keys: Sequence[str]) -> None:
        await self._run(self._remove, keys)

    def _remove(self, keys: Sequence[str]) -> None:
        with refusals():
            for key in keys:
                self.place(key).unlink(missing_ok=True)

    async def keys(self) -> AsyncIterator[Sequence[str]]:
        for name in await self._run(self._folders):
            yield await self._run(self._in_folder, name)

    def _folders(self) -> list[str]:
        """The folders that exist. Nothing in one that is made later is left from before."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return sorted(FOLDERS & {path.name for path in self._folder.iterdir()})
        return []

    def _in_folder(self, name: str) -> list[str]:
        try:
            paths = [it for it in (self._folder / name).iterdir() if KEY.match(it.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [it.name for it in paths if it.name.endswith(name) and is_left(it, self._settled)]

    async def marker(self) -> Marker | None:
        return await self._run(self._marker)

    def _marker(self) -> Marker | None:
        """The file holds the id, and then a byte for each beat."""
        with refusals(), suppress(FileNotFoundError):
            for _ in range(PAUSES):
                with (self._folder / MARKER).open("rb") as file:
                    id, size = file.read(32), os.fstat(file.fileno()).st_size
                if size:
                    return Marker(id.decode("latin-1"), size - len(id))
                time.sleep(PAUSE)  # another node has just created it
            return Marker("")
        return None

    async def mark(self, id: str) -> None:
        await self._run(self._mark, id)

    def _mark(self, id: str) -> None:
        with refusals():
            make_folder(self._folder)
            with suppress(FileExistsError):
                self._append(id, os.O_CREAT | os.O_EXCL)
            _sync(self._folder)

    async def unmark(self) -> None:
        await self._run(self._unmark)

    def _unmark(self) -> None:
        with refusals():
            (self._folder / MARKER).unlink(missing_ok=True)

    async def beat(self) -> None:
        await self._run(self._beat)

    def _beat(self) -> None:
        with refusals():
            self._append(".", 0)

    def _append(self, text: str, flags: int) -> None:
        flags |= os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self._folder / MARKER, flags, 0o640)
        try:
            os.write(fd, text.encode())
            os.fsync(fd)
        finally:
            os.close(fd)

    def place(self, key: str) -> Path:
        return self._folder / key[-2:] / key

    async def _run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(fn, *args, **kwargs))


def is_left(path: Path, settled: timedelta | None) -> bool:
    """Whether no server is still busy with this file. Where others write too (`settled`), it must
    have a name of ours, and be unchanged for so long. A rename is a change."""
    if settled is None:
        return True
    with suppress(FileNotFoundError):
        if KEY.match(path.stem):
            return clock.now().timestamp() - path.stat().st_ctime > settled.total_seconds()
    return False


def _sync(folder: Path) -> None:
    """Make a rename into the folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unavailable(error: OSError) -> StorageUnavailable:
    if error.errno in FULL:
        return StorageUnavailable(
            "The disk for files is full, and this file was not kept. Free some space and try again."
        )
    return StorageUnavailable(f"The folder for files can't be used: {error.strerror}.")


@contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unavailable(error) from error


# Files below an allowed folder


def open_below(root: str, path: str) -> int:
    """Open the regular file `path` without following any link below `root`, so that the file is
    below `root` even if somebody moves folders meanwhile."""
    parts = Path(path).relative_to(root).parts
    if not parts or ".." in parts:
        raise FileNotFoundError(errno.ENOENT, "not below the root", path)
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(
                part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
            )
            os.close(folder)
            folder = inner
        # O_NONBLOCK, in case it is a pipe. A device must not be opened, since opening it can have
        # an effect; so its type is checked before and after.
        if not stat.S_ISREG(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        fd = os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        with suppress(OSError):
            os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    return fd
