"""Resumable uploads: they arrive in several requests, and continue after a restart.

Each upload is two files in the incoming folder: `ID.part` holds the bytes so far, and `ID.json`
what the client declared. The size of `ID.part` is the offset of the upload, so the bytes of an
interrupted request count too. Nodes may share the folder: so the truth is on the disk, and whoever
writes holds the kernel's lock of `ID.json`, which ends with the process. `ID.json` is removed last,
so that the lock stays until the job has the file.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial as bound
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec
from msgspec import Struct

from livejobs import clock
from livejobs.core.errors import LivejobsError, NotFound
from livejobs.files.areas.local import refusals, unavailable
from livejobs.files.quota import Reservation
from livejobs.files.upload import PIECE
from livejobs.private import make_folder

KEPT_FOR: Final = 24 * 3600 * 1000  # ms after the last byte
EMPTY_FOR: Final = 3600 * 1000  # ms, for an upload without a byte
READ_BACK: Final = 256 << 20  # bytes at a time


class UploadLocked(LivejobsError):
    status, title, default_code = 423, "Locked", "upload_locked"

    def __init__(self) -> None:
        super().__init__("Another request is sending this upload. Try again.")


def no_upload(job: str) -> NotFound:
    return NotFound(f"Job {job!r} has no such upload under way.", code="no_upload")


class Declared(Struct, frozen=True):
    """What the client declared when it began the upload."""

    id: str
    job: str
    project: str
    name: str
    media_type: str
    length: int
    metadata: str  # the Upload-Metadata header


def encoded_metadata(**fields: str) -> str:
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in fields.items())


decode_declared: Final = msgspec.json.Decoder(Declared).decode


class Partial:
    """One resumable upload. One request at a time adds to it."""

    def __init__(self, declared: Declared, folder: Path, room: Reservation) -> None:
        self.declared = declared
        self.path = folder / f"{declared.id}.part"
        self.sidecar = folder / f"{declared.id}.json"
        self.room = room
        self.size = 0  # bytes on disk
        self.moved_at = clock.now_ms()
        self.unwanted = False  # its job has finished or was deleted
        self.done = False  # it has become a file of its job
        self._claimed = False
        self._fd = -1  # of `path`, while the upload is locked
        self._lock_fd = -1
        self._work: set[asyncio.Future[None]] = set()
        self._digest = hashlib.sha256()
        self._digested = 0
        self._turn = Lock()

    @property
    def whole(self) -> bool:
        return self.size == self.declared.length

    @property
    def expires_at(self) -> int:
        return self.moved_at + (KEPT_FOR if self.size else EMPTY_FOR)

    @property
    def sha256(self) -> bytes:
        assert self._digested == self.size, "read_back comes first"
        return self._digest.digest()

    @property
    def over(self) -> bool:
        return self.unwanted or self.expires_at <= clock.now_ms()

    @property
    def busy(self) -> bool:
        """Whether a request of this node has claimed it, or a thread still works on it, which an
        interrupted request left."""
        return self._claimed or bool(self._work)

    async def claim(self, threads: Executor) -> None:
        """Keep other requests and other nodes out until `release`, and learn its size."""
        if self.busy:
            raise UploadLocked
        self._claimed = True
        try:
            await self.run(self._lock, threads)
        except BaseException:  # also when cancelled: nobody else would release it
            await self.release(threads)
            raise

    async def release(self, threads: Executor) -> None:
        self._claimed = False
        await self.run(self._unlock, threads)

    async def run(self, fn: Callable[[], None], threads: Executor) -> None:
        """Run it to the end, even if the caller is cancelled."""
        work = asyncio.get_running_loop().run_in_executor(threads, fn)
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        await asyncio.shield(work)

    async def write(self, at: int, data: bytearray, threads: Executor, *, sync: bool) -> None:
        await self.run(bound(self._write, at, data, sync=sync), threads)

    # In threads

    def create(self) -> None:
        with refusals():
            make_folder(self.path.parent)
            self.path.touch(0o640, exist_ok=False)
            self.sidecar.write_bytes(msgspec.json.encode(self.declared))

    def look(self) -> None:
        """Learn its size, as another node may have added to it."""
        with self._turn, self._refusals():
            if self._fd < 0:
                try:
                    with self.path.open("rb") as file:
                        self._learn(file.fileno())
                except FileNotFoundError:
                    os.close(self._locked())  # else another node makes it a file of its job
                    self.sidecar.unlink(missing_ok=True)
                    raise

    def _lock(self) -> None:
        with self._turn, self._refusals():
            lock = self._locked()
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except BaseException:  # whatever it was, nobody else knows the descriptor
                os.close(lock)
                raise
            self._fd, self._lock_fd = fd, lock
            self._learn(fd)
            if not self._claimed:  # the request was cancelled, and its `_unlock` ran before
                self._close()

    def _locked(self) -> int:
        """The descriptor of `ID.json`, which no other node has locked."""
        fd = os.open(self.sidecar, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(fd), self.sidecar.stat()):
                raise FileNotFoundError(self.sidecar)
        except BaseException:  # whatever it was, nobody else knows the descriptor
            os.close(fd)
            raise
        return fd

    def _unlock(self) -> None:
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            os.close(self._lock_fd)
            self._fd = -1

    def _learn(self, fd: int) -> None:
        status = os.fstat(fd)
        self.size = min(status.st_size, self.declared.length)
        self.moved_at = status.st_mtime_ns // 1_000_000

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:  # it has ended
            raise no_upload(self.declared.job) from None
        except BlockingIOError:
            raise UploadLocked from None
        except OSError as error:
            raise unavailable(error) from error

    def _write(self, at: int, data: bytearray, *, sync: bool) -> None:
        with self._turn, refusals():
            if at != self.size or self._fd < 0:  # an earlier write was refused
                return
            view = memoryview(data)
            while view:
                count = os.pwrite(self._fd, view, self.size)
                self._count(view[:count])
                view = view[count:]
            if sync:
                os.fdatasync(self._fd)

    def _count(self, data: memoryview) -> None:
        if self._digested == self.size:
            self._digest.update(data)
            self._digested += len(data)
        self.size += len(data)
        self.moved_at = clock.now_ms()

    def read_back(self) -> bool:
        """Digest some bytes that another run or node received. Return whether those were the
        last."""
        upto = min(self.size, self._digested + READ_BACK)
        with self._turn, refusals():
            if self._digested < upto:
                os.fdatasync(self._fd)  # whoever wrote them may have been killed before
            while piece := os.pread(self._fd, min(PIECE, upto - self._digested), self._digested):
                self._digest.update(piece)
                self._digested += len(piece)
        return self._digested < upto or upto == self.size

    def remove(self) -> None:
        with self._turn, refusals():
            self.path.unlink(missing_ok=True)
            self.sidecar.unlink(missing_ok=True)
