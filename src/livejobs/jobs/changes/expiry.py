"""Remove expired jobs, and what removed jobs and entries left in the store.

This goes in steps so short that a report hardly waits for one, with pauses in which reports are
committed. A round ends when it has worked for a part of the second, so a backlog takes longer
instead of making reports wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final, NamedTuple

from livejobs import clock
from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import Stored
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import JobStore

FILES_AT_ONCE: Final = 500  # of expired jobs, as one round removes from the disk
LATE: Final = 60_000  # ms


class Pace(NamedTuple):
    """How much is done. A step takes some milliseconds."""

    jobs: int  # in one step, which is one commit
    rows: int  # or so many entries
    bytes: int
    work: float  # seconds in a round, for each of its two parts


USUAL: Final = Pace(20, 250, 256 * 1024, 0.12)
HURRIED: Final = Pace(100, 1_000, 1024 * 1024, 0.45)  # while a job is LATE


class Expiry:
    def __init__(
        self, committer: Committer, registry: Registry, store: JobStore, reader: Reader
    ) -> None:
        self._committer = committer
        self._registry = registry
        self._store = store
        self._reader = reader
        self._files = 0  # that this round may still take away
        # Counted for /metrics.
        self.jobs = 0
        self.entries = 0
        self.bytes = 0  # of entries
        self.returned = 0  # bytes of the database's file
        self.overdue = 0  # ms since the time of the oldest job that is to be removed

    async def round(self) -> bool:
        """Return whether there may be more to do."""
        self._files = FILES_AT_ONCE
        jobs = await self._work(self._remove_jobs)
        return await self._work(self._tidy) or jobs or self.overdue > 0

    @property
    def _pace(self) -> Pace:
        return HURRIED if self.overdue > LATE else USUAL

    async def _work(self, step: Callable[[], Awaitable[bool]]) -> bool:
        left, more = self._pace.work, True
        while more and left > 0:
            begin = clock.monotonic()
            more = await step()
            took = clock.monotonic() - begin
            left -= took
            if more:
                await asyncio.sleep(took)
        return more

    async def _remove_jobs(self) -> bool:
        """Return whether to go on in this round."""
        deletions = self._registry.deletions
        most = self._pace.jobs
        found = await self._expired(most)
        self.overdue = clock.now_ms() - (found[0].head.expires_at or 0) if found else 0
        few = self._few(found)
        with ExitStack() as held:
            slots = [await self._reader.adopt(stored, deletions) for stored in few]
            there = [slot for slot in slots if slot is not None]
            for slot in there:
                held.enter_context(slot.held())
            if there:
                removed = await self._committer.submit(partial(_expire, there))
                self.jobs += removed.value
        if len(few) == len(found) < most:
            self.overdue = 0
        return len(few) == most

    async def _expired(self, most: int) -> Sequence[Stored]:
        try:
            return await self._store.expired(clock.now_ms(), limit=most)
        except StorageUnavailable:  # learn whether it takes writes, before a worker does
            await self._committer.probe()
            raise

    def _few(self, found: Sequence[Stored]) -> Sequence[Stored]:
        """The first of them, so that a round takes away a bounded number of files."""
        for n, stored in enumerate(found):
            files = len(stored.head.files)
            if self._files < min(files, FILES_AT_ONCE):
                return found[:n]
            self._files -= files
        return found

    async def _tidy(self) -> bool:
        pace = self._pace
        done = await self._store.tidy(rows=pace.rows, bytes=pace.bytes)
        self.entries += done.entries
        self.bytes += done.bytes
        self.returned += done.returned
        return done.more

    def statistics(self) -> dict[str, int]:
        return {
            "expired_jobs": self.jobs,
            "expired_overdue": self.overdue // 1000,
            "entries_removed": self.entries,
            "entry_bytes_removed": self.bytes,
            "store_bytes_returned": self.returned,
        }


def _expire(slots: Sequence[Slot], transaction: Transaction) -> int:
    """Return how many jobs this removes."""
    removed = 0
    for slot in slots:
        head = transaction.head(slot)
        if head is not None and head.expires_at is not None and head.expires_at <= transaction.now:
            transaction.delete(slot)
            removed += 1
    return removed
