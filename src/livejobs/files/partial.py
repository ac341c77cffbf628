"""Resumable uploads: they arrive in several requests, and continue after a restart.

Each upload is two files in the incoming folder: `ID.part` holds the bytes so far, and `ID.json`
what the client declared. The size of `ID.part` is the offset of the upload, so the bytes of an
interrupted request count too.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial as bound
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from livejobs import clock
from livejobs.core.errors import Conflict, LivejobsError, TooMany
from livejobs.files.local import refusals
from livejobs.files.quota import FileTooLarge, Quota, Reservation
from livejobs.files.upload import PIECE
from livejobs.private import make_folder

T = TypeVar("T")

KEPT_FOR: Final = 24 * 3600 * 1000  # ms after the last byte
EMPTY_FOR: Final = 3600 * 1000  # ms, for an upload without a byte
# Bounds on unfinished uploads: even a small one is two files.
MOST: Final = 1_000  # of one project
MOST_EACH: Final = 100  # of one job, so that its workers can't use up the project's
READ_BACK: Final = 256 << 20  # bytes at a time
REMEMBERED: Final = 1_000  # finished uploads, for clients that lost the answer


class UploadLocked(LivejobsError):
    status, title, default_code = 423, "Locked", "upload_locked"


class Declared(Struct, frozen=True):
    """What the client declared when it began the upload."""

    id: str
    job: str
    project: str
    name: str
    media_type: str
    length: int
    metadata: str  # the Upload-Metadata header


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
        self._busy = False
        self._writing: asyncio.Future[None] | None = None
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
    def busy(self) -> bool:
        """Whether something writes to it: a request, or a thread that an interrupted one left."""
        return self._busy or (self._writing is not None and not self._writing.done())

    @contextmanager
    def claimed(self) -> Iterator[None]:
        if self.busy:
            raise UploadLocked("Another request is sending this upload. Try again.")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    async def write(self, at: int, data: bytearray, threads: Executor, *, sync: bool) -> None:
        """Write to the end, even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(threads, bound(self._write, at, data, sync=sync))
        await asyncio.shield(self._writing)

    # In threads

    def create(self) -> None:
        with refusals():
            make_folder(self.path.parent)
            self.path.touch(0o640, exist_ok=False)
            self.sidecar.write_bytes(msgspec.json.encode(self.declared))

    def recall(self) -> None:
        """Continue where an earlier run stopped."""
        status = self.path.stat()
        self.size = min(status.st_size, self.declared.length)
        self.moved_at = status.st_mtime_ns // 1_000_000

    def _write(self, at: int, data: bytearray, *, sync: bool) -> None:
        with self._turn, refusals():
            if at != self.size:  # an earlier write was refused
                return
            fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                view = memoryview(data)
                while view:
                    count = os.pwrite(fd, view, self.size)
                    self._count(view[:count])
                    view = view[count:]
                if sync:
                    os.fdatasync(fd)
            finally:
                os.close(fd)

    def _count(self, data: memoryview) -> None:
        if self._digested == self.size:
            self._digest.update(data)
            self._digested += len(data)
        self.size += len(data)
        self.moved_at = clock.now_ms()

    def read_back(self) -> bool:
        """Digest some bytes that an earlier run received. Return whether those were the last."""
        upto = min(self.size, self._digested + READ_BACK)
        with self._turn, refusals(), self.path.open("rb") as source:
            source.seek(self._digested)
            while piece := source.read(min(PIECE, upto - self._digested)):
                self._digest.update(piece)
                self._digested += len(piece)
        return self._digested < upto or upto == self.size

    def remove(self) -> None:
        with self._turn, refusals():
            self.sidecar.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)


def _project(declared: Declared) -> str:
    return f"Project {declared.project!r}"


def _job(declared: Declared) -> str:
    return f"Job {declared.job!r}"


class Partials:
    def __init__(self, folder: Path, quota: Quota, threads: Executor) -> None:
        self._folder = folder
        self._quota = quota
        self._threads = threads
        self._all: dict[str, Partial] = {}
        self._count: Counter[str] = Counter()  # by project, and by job
        self._done: dict[str, Partial] = {}

    def __len__(self) -> int:
        return len(self._all)

    async def start(self) -> None:
        while self._all:  # from an earlier start
            self._all.popitem()[1].room.release()
        for declared in await self._run(self._left):
            partial = Partial(declared, self._folder, self._quota.reserve(declared.project, 0))
            try:
                await self._run(partial.recall)
                partial.room.grow(partial.size)
                self._add(partial)
            except FileTooLarge:  # the limits are lower than when it began
                partial.room.release()
                await self._run(partial.remove)

    def _left(self) -> list[Declared]:
        """The uploads that an earlier run had not finished. A file without its pair is removed."""
        found: list[Declared] = []
        paths = set(self._folder.iterdir()) if self._folder.is_dir() else set()
        for path in paths:
            other = path.with_suffix({".json": ".part", ".part": ".json"}.get(path.suffix, ".none"))
            try:
                if other not in paths:
                    path.unlink()
                elif path.suffix == ".json":
                    found.append(decode_declared(path.read_bytes()))
            except msgspec.DecodeError:
                path.unlink()
                other.unlink(missing_ok=True)
        return found

    async def create(self, declared: Declared) -> Partial:
        self._check_room(_project(declared), MOST)
        self._check_room(_job(declared), MOST_EACH)
        # The declared length must fit now, but reserves nothing: declaring costs a client nothing.
        # Bytes reserve room as they arrive.
        self._quota.check(declared.project, declared.length, declared.length)
        partial = Partial(declared, self._folder, self._quota.reserve(declared.project, 0))
        self._add(partial)
        try:
            await self._run(partial.create)
        except LivejobsError:
            await self.remove(partial)
            raise
        return partial

    def _check_room(self, of: str, most: int) -> None:
        if self._count[of] >= most:
            raise TooMany(
                f"{of} has {most} unfinished uploads, which is the limit. Finish or delete some.",
                code="too_many_uploads",
            )

    def _add(self, partial: Partial) -> None:
        self._all[partial.declared.id] = partial
        self._count[_project(partial.declared)] += 1
        self._count[_job(partial.declared)] += 1

    def _drop(self, partial: Partial) -> bool:
        """Return whether it was there."""
        if self._all.pop(partial.declared.id, None) is None:
            return False
        for of in (_project(partial.declared), _job(partial.declared)):
            self._count[of] -= 1
            if not self._count[of]:
                del self._count[of]
        return True

    def find(self, job: str, id: str) -> Partial | None:
        partial = self._all.get(id) or self._done.get(id)
        if partial is None or partial.declared.job != job or partial.unwanted:
            return None
        return partial

    async def receive(
        self, partial: Partial, offset: int, body: AsyncIterable[bytes], heard: Callable[[], None]
    ) -> None:
        """Append bytes at `offset`. Bytes that arrived are kept, however the request ends."""
        if offset != partial.size:
            raise Conflict(
                f"The upload continues at byte {partial.size}, not at {offset}.",
                code="offset_mismatch",
            )
        at, gathered = offset, bytearray()
        try:
            async for data in body:
                heard()
                if at + len(gathered) + len(data) > partial.declared.length:
                    raise FileTooLarge("The body is longer than Upload-Length declared.")
                partial.room.grow(at + len(gathered) + len(data))
                gathered += data
                if len(gathered) >= PIECE:
                    piece, gathered = gathered, bytearray()
                    at += len(piece)
                    await partial.write(at - len(piece), piece, self._threads, sync=False)
        finally:
            if not partial.done:
                await partial.write(at, gathered, self._threads, sync=True)

    async def read_back(self, partial: Partial) -> None:
        done = False
        while not done:  # in parts, since it may be large and the server may have to stop
            done = await self._run(partial.read_back)

    async def finished(self, partial: Partial) -> None:
        """Its bytes have become a file. A client can still ask for its offset for a while."""
        partial.done = True
        if len(self._done) >= REMEMBERED:
            del self._done[next(iter(self._done))]
        self._done[partial.declared.id] = partial
        await self.remove(partial)

    async def remove(self, partial: Partial) -> None:
        if self._drop(partial):
            partial.room.release()
            with contextlib.suppress(LivejobsError):  # the next start removes what is left
                await self._run(partial.remove)

    def job_ended(self, id: str) -> None:
        for partial in self._all.values():
            partial.unwanted |= partial.declared.job == id

    async def sweep(self) -> None:
        now = clock.now_ms()
        for partial in list(self._all.values()):
            if (partial.unwanted or partial.expires_at <= now) and not partial.busy:
                await self.remove(partial)

    async def _run(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, fn)
