"""All resumable uploads that are under way, and their limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial as bound
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from livejobs.core.errors import Conflict, LivejobsError, NotFound, TooMany
from livejobs.files.areas.area import KEY
from livejobs.files.areas.local import is_left, refusals
from livejobs.files.partial import Declared, Partial, UploadLocked, decode_declared
from livejobs.files.quota import FileTooLarge, Quota, Reservation
from livejobs.files.upload import PIECE

T = TypeVar("T")

# Bounds on unfinished uploads: even a small one is two files.
MOST: Final = 1_000  # of one project
MOST_EACH: Final = 100  # of one job, so that its workers can't use up the project's


def _project(declared: Declared) -> str:
    return f"Project {declared.project!r}"


def _job(declared: Declared) -> str:
    return f"Job {declared.job!r}"


class Partials:
    def __init__(
        self, folder: Path, quota: Quota, threads: Executor, settled: timedelta | None = None
    ) -> None:
        self._settled = settled  # None: no other node uses the folder
        self._folder = folder
        self._quota = quota
        self._threads = threads
        self._all: dict[str, Partial] = {}
        self._count: Counter[str] = Counter()  # by project, and by job

    def __len__(self) -> int:
        return len(self._all)

    async def start(self) -> None:
        """Continue the uploads of earlier runs."""
        while self._all:  # from an earlier start
            self._all.popitem()[1].room.release()
        self._count.clear()
        await self._run(self._clear)
        await self.look()

    def _clear(self) -> None:
        """Remove a file without its pair."""
        paths = set(self._folder.iterdir()) if self._folder.is_dir() else set()
        for path in paths:
            other = path.with_suffix({".json": ".part", ".part": ".json"}.get(path.suffix, ".none"))
            alone = other not in paths or (path.suffix == ".json" and not self._declared(path.stem))
            if path.suffix in (".json", ".part") and alone and is_left(path, self._settled):
                path.unlink(missing_ok=True)
                other.unlink(missing_ok=True)

    def _declared(self, id: str) -> Declared | None:
        """What the client declared; None if there is no such upload."""
        if KEY.match(id):
            with refusals(), contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
                return decode_declared((self._folder / f"{id}.json").read_bytes())
        return None

    async def look(self) -> None:
        """Learn what is on the disk: other nodes begin, continue and end uploads too."""
        for id in await self._run(self._ids) | self._all.keys():
            with contextlib.suppress(UploadLocked):
                await self._current(id)

    def _ids(self) -> set[str]:
        with refusals(), contextlib.suppress(FileNotFoundError):
            names = {path.name for path in self._folder.iterdir()}
            return {it[:-5] for it in names if it.endswith(".part") and f"{it[:-5]}.json" in names}
        return set()

    async def _current(self, id: str) -> Partial | None:
        """The upload as it is on the disk now."""
        partial = self._all.get(id)
        if partial is None:
            declared = await self._run(bound(self._declared, id))
            if declared is None:
                return None
            partial = self._all.get(id) or self._add(declared)
        if not partial.busy:
            try:
                await self._run(partial.look)
            except NotFound:
                if not partial.busy:
                    self._drop(partial)
                    return None
        if not partial.busy:
            partial.room.note(partial.size)
        return partial

    async def create(self, declared: Declared) -> Partial:
        self._check_room(_project(declared), MOST)
        self._check_room(_job(declared), MOST_EACH)
        # The declared length must fit now, but reserves nothing: declaring costs a client nothing.
        # Bytes reserve room as they arrive.
        self._quota.check(declared.project, declared.length, declared.length)
        partial = self._add(declared)
        try:
            await partial.run(partial.create, self._threads)
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

    def _add(self, declared: Declared) -> Partial:
        partial = Partial(declared, self._folder, Reservation(self._quota, declared.project))
        self._all[declared.id] = partial
        self._count[_project(declared)] += 1
        self._count[_job(declared)] += 1
        return partial

    def _drop(self, partial: Partial) -> None:
        if self._all.get(partial.declared.id) is not partial:
            return
        del self._all[partial.declared.id]
        partial.room.release()
        for of in (_project(partial.declared), _job(partial.declared)):
            self._count[of] -= 1
            if not self._count[of]:
                del self._count[of]

    async def find(self, job: str, id: str) -> Partial | None:
        partial = await self._current(id)
        if partial is None or partial.declared.job != job or partial.unwanted:
            return None
        return partial

    def completed(self, declared: Declared) -> Partial:
        """An upload that has become a file. A client that lost the answer asks for it."""
        partial = Partial(declared, self._folder, Reservation(self._quota, declared.project))
        partial.size, partial.done = declared.length, True
        return partial

    @asynccontextmanager
    async def claimed(self, partial: Partial) -> AsyncIterator[None]:
        """The one that adds to the upload or ends it, among all requests on all nodes."""
        if partial.done:  # nothing is left to lock
            yield
            return
        try:
            await partial.claim(self._threads)
        except NotFound:
            self._drop(partial)
            raise
        partial.room.note(partial.size)
        try:
            yield
        finally:
            await partial.release(self._threads)

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
        """Its bytes have become a file."""
        partial.done = True
        await self.remove(partial)

    async def remove(self, partial: Partial) -> None:
        self._drop(partial)
        with contextlib.suppress(LivejobsError):  # the next start removes what is left
            await self._run(partial.remove)

    def job_ended(self, id: str) -> None:
        for partial in self._all.values():
            partial.unwanted |= partial.declared.job == id

    async def sweep(self) -> None:
        for partial in [it for it in self._all.values() if it.over and not it.busy]:
            with contextlib.suppress(LivejobsError):  # another node sends it, or has ended it
                async with self.claimed(partial):
                    if partial.over:
                        await self.remove(partial)

    async def _run(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, fn)
