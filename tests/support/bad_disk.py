"""`python -m tests.support.bad_disk DIRECTORY full|failing reports|creates`: commit until the disk
refuses, check that no commit is lost or invented, repair the disk, and go on. Exits with 0 if all
checks passed. For `full`, DIRECTORY must be a small disk; `failing` makes writes fail as on a bad
disk.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import Entry, Head
from livejobs.store.base import Change, EntryQuery, Query, Store
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import create, job

ROUNDS = 5


class Drill:
    """Commits, and a record of those that the store acknowledged."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.head = job("reported")
        self.seq = 0
        self.created: list[str] = []
        self.ids = count()

    async def start(self) -> None:
        await self.store.project("default")
        [self.seq] = await create(self.store, self.head)

    async def report(self, size: int = 3000) -> None:
        n = self.head.logs_total + 1
        after = replace(self.head, logs_total=n)
        value = Raw(b'"%s"' % (b"x" * size))
        await self._commit(self.head, after, (Entry("logs", n, 1, value),))
        self.head = after

    async def create(self) -> None:
        head = job(f"made-{next(self.ids)}", title="y" * 2000)
        await self._commit(None, head, ())
        self.created.append(head.id)

    async def _commit(self, before: Head | None, after: Head, entries: tuple[Entry, ...]) -> None:
        [seq] = await self.store.commit([Change(before, after, entries)])
        assert seq == self.seq + 1, (seq, self.seq)
        self.seq = seq

    async def check(self) -> None:
        """The store holds all acknowledged commits and nothing else."""
        assert (await self.store.project("default")).seq == self.seq
        stored = await self.store.job("reported")
        assert stored is not None
        assert stored.head == self.head
        records = await self.store.entries(
            EntryQuery("reported", "logs", limit=10**6, most_bytes=None)
        )
        assert [record.entry.n for record in records] == list(range(1, self.head.logs_total + 1))
        page = await self.store.list(Query(None), limit=10**6)
        assert [one.head.id for one in page.jobs] == [*self.created[::-1], "reported"]
        assert (await self.store.counts(Query(None)))["queued"] == len(page.jobs)
        await self.store.changes("default", 0, limit=10**6)


class Full:
    """A full disk that gets room when a ballast file is deleted."""

    says = "disk is full"

    def __init__(self, directory: Path) -> None:
        self._ballast = [directory / f"ballast-{n}" for n in range(ROUNDS)]
        for file in self._ballast:
            file.write_bytes(bytes(200_000))

    def harm(self) -> None:
        """Nothing to do: the commits fill it."""

    def mend(self) -> None:
        self._ballast.pop().unlink()


class Failing:
    """A disk that returns an error when a file grows (EFBIG, which SQLite does not handle)."""

    says = "disk reported an error"

    def __init__(self, directory: Path) -> None:
        self._log = directory / "jobs.db-wal"

    def harm(self) -> None:
        limit(self._log.stat().st_size + 20_000)

    def mend(self) -> None:
        limit(resource.RLIM_INFINITY)


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def main(directory: Path, fault: str, filling: str) -> None:
    disk = Full(directory) if fault == "full" else Failing(directory)
    store = SqliteStore(directory / "jobs.db")
    await store.open()
    try:
        drill = Drill(store)
        await drill.start()
        fill = drill.report if filling == "reports" else drill.create
        for _ in range(ROUNDS):
            disk.harm()
            for _ in range(20):
                await until_refused(fill, disk.says)
            await drill.check()
            disk.mend()
            assert list(await store.commit([])) == []
            await fill()
            await drill.check()
        await store.close()
        await store.open()
        await drill.check()
    finally:
        await store.close()


async def until_refused(fill: Callable[[], Awaitable[None]], says: str) -> None:
    try:
        for _ in range(10_000):
            await fill()
    except StorageUnavailable as error:
        if says in error.detail:
            return
        raise
    raise AssertionError("the disk never refused")


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
