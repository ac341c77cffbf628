"""The file area in a folder: one file a key, in 256 folders by its last two digits.

A key made of time begins like its neighbours and ends at random.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from livejobs.core.errors import StorageUnavailable
from livejobs.files.area import Opened, gone
from livejobs.private import FOLDER, SHARED, close_to_others, make_folder

P = ParamSpec("P")
T = TypeVar("T")

PIECE: Final = 128 << 10  # a hundred streams of one HTTP/2 connection may each hold two
FOLDERS: Final = [f"{n:02x}" for n in range(256)]
FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalFile:
    """An open descriptor: what it reads can't be replaced under it."""

    def __init__(
        self, fd: int, threads: Executor, etag: str | None = None, path: Path | None = None
    ) -> None:
        status = os.fstat(fd)
        self.size = status.st_size
        # Anyone may set an mtime, also to a time in the future. Only the kernel sets the ctime,
        # to its clock, with every change of the content. So neither moves while the file rests.
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
    def __init__(self, folder: Path, threads: Executor, *, shared: bool = False) -> None:
        self._folder = folder
        self._threads = threads
        self._shared = shared  # with a web server of our group, which sends the files

    async def open(self) -> None:
        await self._run(self._open)

    def _open(self) -> None:
        """The outer folder is what keeps users out; those in it are made when a file comes."""
        with refusals():
            if self._shared:
                make_folder(self._folder, SHARED)
                self._folder.chmod(SHARED)  # it may be from before
            close_to_others(self._folder, FOLDER)

    async def close(self) -> None:
        """Nothing is held."""

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
        for name in FOLDERS:
            yield await self._run(self._in_folder, name)

    def _in_folder(self, name: str) -> list[str]:
        try:
            return [it.name for it in (self._folder / name).iterdir() if len(it.name) == 32]
        except FileNotFoundError:
            return []

    def place(self, key: str) -> Path:
        return self._folder / key[-2:] / key

    async def _run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(fn, *args, **kwargs))


def _sync(folder: Path) -> None:
    """What was renamed into a folder is there after a crash only once this is done."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unavailable(error: OSError) -> StorageUnavailable:
    if error.errno in FULL:
        return StorageUnavailable("The disk of the files is full. Nothing of this one was kept.")
    return StorageUnavailable(f"The folder of the files can't be used: {error.strerror}.")


@contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unavailable(error) from error


# Files that lie under an allowed root


def open_below(root: str, path: str) -> int:
    """A descriptor of the regular file `path`, without following a link below `root`, so that
    what is opened is what was allowed even if somebody moves things about meanwhile."""
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
        # Not waiting, in case it is a pipe; a device may not be opened at all, for that alone
        # can do something.
        if not stat.S_ISREG(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        fd = os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        with contextlib.suppress(OSError):
            os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    return fd
