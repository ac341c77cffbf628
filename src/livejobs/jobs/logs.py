"""Pages of a job's entries, and its log as it grows."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence

from livejobs.core.model import Record
from livejobs.jobs.reader import PAGE
from livejobs.jobs.state import Slot
from livejobs.jobs.waits import Waits
from livejobs.store.base import EntryQuery, JobStore


class EntryReader:
    def __init__(self, store: JobStore, waits: Waits) -> None:
        self._store = store
        self._waits = waits

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        """One page of entries."""
        return await self._store.entries(query)

    async def logs(
        self,
        slot: Slot,
        *,
        after: int = 0,
        after_seq: int = 0,
        level: int = 0,
        limit: int | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> AsyncIterator[Sequence[Record]]:
        """Pages of log lines; with `follow` until the job has ended. After a full page that is
        the last for now comes an empty one."""
        full = False
        after = max(after, slot.head.removed("logs"))
        with slot.held():
            if tail is not None:
                records = await self.entries(
                    EntryQuery(slot.head.id, "logs", limit=tail, level=level, tail=True)
                )
                after = records[-1].entry.n if records else slot.head.logs_total
                full = len(records) == tail
                yield records
            left = limit if limit is not None else sys.maxsize
            while left > 0 and (follow or tail is None):
                # As of before reading.
                ended, seq = not follow or self._waits.over(slot), slot.seq
                most = min(left, PAGE)
                records = await self.entries(
                    EntryQuery(slot.head.id, "logs", after, after_seq, most, level)
                )
                if records:
                    after = records[-1].entry.n
                    left -= len(records)
                    full = len(records) == most
                    yield records
                elif ended:
                    return
                elif full:
                    full = False
                    yield ()
                elif seq == slot.seq and not self._waits.over(slot):
                    await slot.changed()
