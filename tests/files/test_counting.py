"""Downloads counted while the disk refuses writes are written once it accepts them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from livejobs.core import reducer
from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import File
from livejobs.core.reports import NewJob
from livejobs.files.counting import Downloads, Sent
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change
from livejobs.store.files import Tally
from livejobs.store.memory import MemoryStore

HEAD = reducer.create(NewJob(), id="j", project="default", owner="a", now=0)
FILE = File("a", 9, "text/plain", key="k")


class Full(MemoryStore):
    """A response ends while the disk refuses to record the one before."""

    downloads_of: Downloads
    full = True

    async def downloaded(self, tallies: Mapping[str, Tally], audit: Sequence[AuditRecord]) -> None:
        if self.full:
            self.downloads_of.note(Sent(HEAD, FILE, "a", 2, None, whole=True))
            raise StorageUnavailable("The disk is full.")
        await super().downloaded(tallies, audit)


async def test_no_download_is_forgotten_when_a_write_fails() -> None:
    store = Full()
    store.downloads_of = downloads = Downloads(store)
    downloads.note(Sent(HEAD, FILE, "a", 1, None, whole=True))
    with pytest.raises(StorageUnavailable):
        await downloads.flush()
    store.full = False
    await downloads.flush()
    (noted,) = await store.audit(limit=10)
    assert (noted.record.detail["bytes"], noted.record.detail["answers"]) == (3, 2)


class Slow(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.begun, self.enough = asyncio.Event(), asyncio.Event()

    async def downloaded(self, tallies: Mapping[str, Tally], audit: Sequence[AuditRecord]) -> None:
        self.begun.set()
        await self.enough.wait()
        await super().downloaded(tallies, audit)


async def test_downloads_that_are_being_written_count() -> None:
    store = Slow()
    downloads = Downloads(store)
    await store.open()
    await store.project("default")
    await store.commit([Change(None, reducer.take_file(HEAD, FILE, 0))])
    downloads.note(Sent(HEAD, FILE, "a", 1, None, whole=True))
    async with asyncio.TaskGroup() as group:
        group.create_task(downloads.flush())
        await store.begun.wait()
        asked = group.create_task(downloads.of([FILE]))
        store.enough.set()
    assert asked.result()["k"].count == 1
