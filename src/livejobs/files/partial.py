"""Uploads that arrive in pieces, over several requests and several lives of the server.

Each is two files in the folder of what is coming in: `ID.part`, its bytes so far, and `ID.json`,
what was said of it. How many bytes there are is what the disk says: a request that is cut off
counts as far as it came.
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

KEPT_FOR: Final = 24 * 3600 * 1000  # since the last byte
EMPTY_FOR: Final = 3600 * 1000  # where no byte has come
# However small, each is two files.
MOST: Final = 1_000  # of one project
MOST_EACH: Final = 100  # of one job: those who may report to one can't use up its project's
READ_BACK: Final = 256 << 20  # bytes at a time
REMEMBERED: Final = 1_000  # that became files, for who did not hear of it


class UploadLocked(LivejobsError):
    status, title, default_code = 423, "Locked", "upload_locked"


class Said(Struct, frozen=True):
    """What its sender said of it when it began."""

    id: str
    job: str
    project: str
    name: str
    media_type: str
    length: int
    metadata: str  # as it was sent


decode_said: Final = msgspec.json.Decoder(Said).decode


class Partial:
    """One such upload. One request at a time adds to it."""

    def __init__(self, said: Said, folder: Path, room: Reservation) -> None:
        self.said = said
        self.path = folder / f"{said.id}.part"
        self.sidecar = folder / f"{said.id}.json"
        self.room = room
        self.size = 0  # bytes on disk
        self.moved_at = clock.now_ms()
        self.unwanted = False  # its job has ended
        self.done = False  # it is a file of its job
        self._busy = False
        self._writing: asyncio.Future[None] | None = None
        self._digest = hashlib.sha256()
        self._digested = 0
        self._turn = Lock()

    @property
    def whole(self) -> bool:
        return self.size == self.said.length

    @property
    def expires_at(self) -> int:
        return self.moved_at + (KEPT_FOR if self.size else EMPTY_FOR)

    @property
    def sha256(self) -> bytes:
        assert self._digested == self.size, "it is read back before it is asked for"
        return self._digest.digest()

    @property
    def busy(self) -> bool:
        """A request that was cut off leaves a thread that still writes."""
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
        """Goes on to its end even if who waits is cut off."""
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(threads, bound(self._write, at, data, sync=sync))
        await asyncio.shield(self._writing)

    # In threads

    def create(self) -> None:
        with refusals():
            make_folder(self.path.parent)
            self.path.touch(0o640, exist_ok=False)
            self.sidecar.write_bytes(msgspec.json.encode(self.said))

    def recall(self) -> None:
        """Where an earlier run left it."""
        status = self.path.stat()
        self.size = min(status.st_size, self.said.length)
        self.moved_at = status.st_mtime_ns // 1_000_000

    def _write(self, at: int, data: bytearray, *, sync: bool) -> None:
        with self._turn, refusals():
            if at != self.size:  # what should have gone before was refused
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
        """The digest of some of what an earlier run received; whether that was the last of it."""
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


def _project(said: Said) -> str:
    return f"Project {said.project!r}"


def _job(said: Said) -> str:
    return f"Job {said.job!r}"


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
        while self._all:  # of an earlier start
            self._all.popitem()[1].room.release()
        for said in await self._run(self._left):
            partial = Partial(said, self._folder, self._quota.reserve(said.project, 0))
            try:
                await self._run(partial.recall)
                partial.room.grow(partial.size)
                self._add(partial)
            except FileTooLarge:  # less is allowed than when it began
                partial.room.release()
                await self._run(partial.remove)

    def _left(self) -> list[Said]:
        """What an earlier run was still being sent. Halves of a pair are removed."""
        found: list[Said] = []
        paths = set(self._folder.iterdir()) if self._folder.is_dir() else set()
        for path in paths:
            other = path.with_suffix({".json": ".part", ".part": ".json"}.get(path.suffix, ".none"))
            try:
                if other not in paths:
                    path.unlink()
                elif path.suffix == ".json":
                    found.append(decode_said(path.read_bytes()))
            except msgspec.DecodeError:
                path.unlink()
                other.unlink(missing_ok=True)
        return found

    async def create(self, said: Said) -> Partial:
        self._check_room(_project(said), MOST)
        self._check_room(_job(said), MOST_EACH)
        # It must fit as things are now. What is declared costs nothing, so it holds no room: that
        # is for the bytes that come.
        self._quota.check(said.project, said.length, said.length)
        partial = Partial(said, self._folder, self._quota.reserve(said.project, 0))
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
                f"{of} has {most} unfinished uploads, the most it may. Finish or delete some.",
                code="too_many_uploads",
            )

    def _add(self, partial: Partial) -> None:
        self._all[partial.said.id] = partial
        self._count[_project(partial.said)] += 1
        self._count[_job(partial.said)] += 1

    def _drop(self, partial: Partial) -> bool:
        """Whether it was there."""
        if self._all.pop(partial.said.id, None) is None:
            return False
        for of in (_project(partial.said), _job(partial.said)):
            self._count[of] -= 1
            if not self._count[of]:
                del self._count[of]
        return True

    def find(self, job: str, id: str) -> Partial | None:
        partial = self._all.get(id) or self._done.get(id)
        if partial is None or partial.said.job != job or partial.unwanted:
            return None
        return partial

    async def receive(
        self, partial: Partial, offset: int, body: AsyncIterable[bytes], heard: Callable[[], None]
    ) -> None:
        """Bytes from `offset` on. Whatever ends them, those that came are kept."""
        if offset != partial.size:
            raise Conflict(
                f"The upload goes on at byte {partial.size}, not at {offset}.",
                code="offset_mismatch",
            )
        at, gathered = offset, bytearray()
        try:
            async for data in body:
                heard()
                if at + len(gathered) + len(data) > partial.said.length:
                    raise FileTooLarge("More bytes came than Upload-Length said.")
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
        while not done:  # it may be very large, and the server be told to stop meanwhile
            done = await self._run(partial.read_back)

    async def finished(self, partial: Partial) -> None:
        """Its bytes are a file. That it is whole can still be asked for a while."""
        partial.done = True
        if len(self._done) >= REMEMBERED:
            del self._done[next(iter(self._done))]
        self._done[partial.said.id] = partial
        await self.remove(partial)

    async def remove(self, partial: Partial) -> None:
        if self._drop(partial):
            partial.room.release()
            with contextlib.suppress(LivejobsError):  # what stays is found at the next start
                await self._run(partial.remove)

    def job_ended(self, id: str) -> None:
        for partial in self._all.values():
            partial.unwanted |= partial.said.job == id

    async def sweep(self) -> None:
        now = clock.now_ms()
        for partial in list(self._all.values()):
            if (partial.unwanted or partial.expires_at <= now) and not partial.busy:
                await self.remove(partial)

    async def _run(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, fn)
