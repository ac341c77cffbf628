"""What the rules of retention would remove now, and remove it.

The look needs no lock: a server may run meanwhile. To remove, the command becomes the server of the
data folder for a moment, or one more node on a PostgreSQL database.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from msgspec import Struct

from livejobs import clock
from livejobs.config import Settings
from livejobs.copies.errors import CannotCopy, sentences
from livejobs.copies.exporting import Survey
from livejobs.copies.loop import Loop, running
from livejobs.copies.paging import in_groups
from livejobs.copies.snapshots.choice import snapshot_of
from livejobs.copies.snapshots.readable import Snapshot
from livejobs.core.errors import NotFound
from livejobs.core.model import KINDS, Head, Stored
from livejobs.files.areas.area import Area
from livejobs.files.areas.chosen import chosen_area
from livejobs.files.threads import Threads
from livejobs.service import LiveJobs
from livejobs.store.base import Space, StoreUnusable
from livejobs.store.sqlite.opening import Lock

KEYS_AT_ONCE: Final = 10_000


class Amount(Struct):
    """So many of something, and their bytes."""

    count: int = 0
    bytes: int = 0

    def add(self, count: int, bytes: int) -> None:
        self.count += count
        self.bytes += bytes


class Surplus(Struct):
    """What would go, by reason."""

    jobs: Amount
    entries: Amount  # of those jobs
    files: Amount
    leftovers: Amount  # entries that are cut off or whose jobs are gone
    orphans: Amount  # files that no job has
    space: Space

    @property
    def removable(self) -> Amount:
        """Entries and files, for whatever reason."""
        total = Amount()
        for it in (self.entries, self.files, self.leftovers, self.orphans):
            total.add(it.count, it.bytes)
        return total


def look(settings: Settings) -> Surplus:
    with sentences(), running() as loop:
        stray = loop.call(_kept_files, settings)
        with loop.inside(snapshot_of(settings.data, settings.database)) as snapshot:
            return _Look(loop, snapshot).surplus(stray)


class _Look:
    def __init__(self, loop: Loop, snapshot: Snapshot) -> None:
        self._loop = loop
        self._snapshot = snapshot
        self._now = clock.now_ms()
        self._jobs, self._entries, self._files = Amount(), Amount(), Amount()

    def surplus(self, kept: dict[str, int]) -> Surplus:
        """`kept`: the files in the area, with their sizes. They were listed first: a file whose
        upload ends now is known by the time of the question."""
        Survey(self._loop, self._snapshot, self._add)
        space = self._loop.call(self._snapshot.space)
        left = Amount(space.leftovers, space.leftover_bytes)
        return Surplus(self._jobs, self._entries, self._files, left, self._orphans(kept), space)

    def _orphans(self, kept: dict[str, int]) -> Amount:
        found = Amount()
        for keys in in_groups(iter(kept), KEYS_AT_ONCE):
            known = self._loop.call(self._snapshot.known_files, keys)
            sizes = [kept[key] for key in keys if key not in known]
            found.add(len(sizes), sum(sizes))
        return found

    def _add(self, page: Sequence[Stored]) -> None:
        due = [stored.head for stored in page if self._due(stored.head)]
        if not due:
            return
        ids = [head.id for head in due]
        self._jobs.add(len(due), 0)
        entries = sum(head.total(kind) - head.removed(kind) for head in due for kind in KINDS)
        self._entries.add(entries, self._loop.call(self._snapshot.entry_bytes, ids))
        sizes = [file.size or 0 for head in due for file in head.files if file.kept]
        self._files.add(len(sizes), sum(sizes))

    def _due(self, head: Head) -> bool:
        return head.finished and head.expires_at is not None and head.expires_at <= self._now


async def _kept_files(settings: Settings) -> dict[str, int]:
    """The files in the area, by key, with their sizes."""
    if settings.object_store is None and not settings.files_folder.exists():
        return {}
    threads = Threads(2, "livejobs-gc")
    area = chosen_area(settings, threads)
    try:
        await area.open()
        sizes: dict[str, int] = {}
        async for keys in area.keys():
            for key in keys:
                sizes[key] = await _size(area, key)
        return sizes
    finally:
        await area.close()
        await asyncio.to_thread(threads.shutdown)


async def _size(area: Area, key: str) -> int:
    try:
        opened = await area.find(key)
    except NotFound:  # removed meanwhile
        return 0
    await opened.close()
    return opened.size


def collect(settings: Settings) -> None:
    """Remove all of it."""
    try:
        with sentences():
            asyncio.run(_collect(settings))
    except StoreUnusable as error:
        raise CannotCopy(
            f"{error} A running server removes all of this by itself; --dry-run shows it."
        ) from None


async def _collect(settings: Settings) -> None:
    async with LiveJobs(settings) as live:
        while await live.sweeper.expiry.round():
            """There is more."""
        while await live.store.ended_files(limit=1):
            await live.files.sweep()
        await live.files.clear_orphans()


def vacuum(settings: Settings) -> None:
    """Write the SQLite file anew, without free space, and so that it can shrink from now on."""
    path = settings.data / "livejobs.db"
    lock = Lock(path)
    with sentences():
        lock.take()
        try:
            needed, free = 2 * path.stat().st_size, shutil.disk_usage(path.parent).free
            if free < needed:
                raise CannotCopy(
                    f"To write {path} anew takes {needed} bytes of free space for a while, and "
                    f"the disk has {free}. Free some space, and run the command again."
                )
            os.environ["SQLITE_TMPDIR"] = str(path.parent)  # /tmp may be small, or readable
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                db.execute("VACUUM")
        finally:
            lock.release()
