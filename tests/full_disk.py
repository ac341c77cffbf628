"""`python -m tests.full_disk DIRECTORY reports|creates`, on a small disk of its own: fill it,
see that nothing is lost or made up, make room, and go on. Exits with 0 when all of it held."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import Entry, Head
from livejobs.store.base import Change, Query, Store
from livejobs.store.sqlite import SqliteStore
from tests.contract.test_store import create, job

ROUNDS = 5


class Drill:
    """Commits, and what was acknowledged of them."""

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
        """The store says what was acknowledged, and no more."""
        assert (await self.store.project("default")).seq == self.seq
        stored = await self.store.job("reported")
        assert stored is not None
        assert stored.head == self.head
        records = await self.store.entries("reported", "logs", limit=10**6)
        assert [record.entry.n for record in records] == list(range(1, self.head.logs_total + 1))
        page = await self.store.list(Query(None), limit=10**6)
        assert [one.head.id for one in page.jobs] == [*self.created[::-1], "reported"]
        assert (await self.store.counts(Query(None)))["queued"] == len(page.jobs)
        await self.store.changes("default", 0, limit=10**6)


async def main(directory: Path, filling: str) -> None:
    ballast = [directory / f"ballast-{n}" for n in range(ROUNDS)]
    for file in ballast:
        file.write_bytes(bytes(200_000))
    store = SqliteStore(directory / "jobs.db")
    await store.open()
    try:
        drill = Drill(store)
        await drill.start()
        fill = drill.report if filling == "reports" else drill.create
        for file in ballast:
            for _ in range(20):
                await until_refused(fill)
            await drill.check()
            file.unlink()
            await fill()
            await drill.check()
        await store.close()
        await store.open()
        await drill.check()
    finally:
        await store.close()


async def until_refused(fill: Callable[[], Awaitable[None]]) -> None:
    try:
        for _ in range(10_000):
            await fill()
    except StorageUnavailable as error:
        if "disk is full" in error.detail:
            return
        raise
    raise AssertionError("the disk never filled")


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
