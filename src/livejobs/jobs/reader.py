"""Find jobs by id, in memory or in the store, and read their entries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from msgspec import Raw

from livejobs import clock
from livejobs.core import wire
from livejobs.core.access import ANONYMOUS, Principal
from livejobs.core.errors import NotFound
from livejobs.core.model import EntryKind, Stored
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.entries import Tail, Whole
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import EntryQuery, Store

PAGE: Final = 1000  # entries in one read


class Reader:
    def __init__(self, store: Store, registry: Registry, committer: Committer, base: str) -> None:
        self._store = store
        self._registry = registry
        self._committer = committer
        self._base = base
        self._reading: WeakKeyDictionary[Slot, asyncio.Lock] = WeakKeyDictionary()

    async def find(self, id: str, by: Principal = ANONYMOUS) -> Slot:
        """The job, if it exists and the caller may see it; else NotFound."""
        slot = self._registry.get(id) or await self.look_up(id)
        if slot is None or not by.sees(slot.head):
            raise NotFound.job(id)
        return slot

    async def look_up(self, id: str) -> Slot | None:
        slot = self._registry.get(id)
        while slot is None:
            deletions = self._registry.deletions
            stored = await self._store.job(id)
            if stored is None:
                return self._registry.get(id)  # created during the read
            if not stored.head.finished and self._committer.writing:
                # Every unfinished job is in memory, so this one is about to be published.
                await self._committer.published()
                slot = self._registry.get(id)
            elif self._committer.lacks(stored):
                await self._committer.reach(stored.head.project, stored.seq)
                slot = self._registry.get(id)
            elif deletions == self._registry.deletions:
                slot = self._registry.add(self.slot(stored))
        return slot

    async def adopt(self, stored: Stored, deletions: int) -> Slot | None:
        """The slot of a finished job that was read when there had been so many deletions."""
        if deletions != self._registry.deletions or self._committer.lacks(stored):
            return await self.look_up(stored.head.id)
        return self._registry.add(self.slot(stored))

    async def refresh(self, slot: Slot) -> None:
        """Learn what other nodes have committed to the job. Do this before saying no: another
        server may have told the client that there is more."""
        if self._store.shared:
            stored = await self._store.job(slot.head.id)
            if stored is not None and self._committer.lacks(stored):
                await self._committer.reach(stored.head.project, stored.seq)

    def slot(self, stored: Stored) -> Slot:
        """A slot for a job read from the store. The registry's slot, if any, is newer."""
        there = self._registry.get(stored.head.id)
        if there is not None:
            return there
        return Slot(stored, self._committer.epochs[stored.head.project], self._base, None)

    async def state(self, slot: Slot) -> bytes:
        """The whole job as JSON. From memory, once its results have been read."""
        if slot.tail is None:
            await self.read_tail(slot)
            if slot.gone:  # and its results with it, while they were read
                raise NotFound.job(slot.head.id)
        return slot.state_json(clock.now_ms())

    async def read_tail(self, slot: Slot) -> None:
        """Read the job's last results and errors, and add those committed meanwhile."""
        with slot.held():
            while slot.tail is None:
                if slot.arriving is not None:  # another task reads it
                    await slot.changed()
                    continue
                arriving = slot.arriving = Tail()
                try:
                    tail = await self._tail(slot, arriving)
                    if slot.arriving is arriving:  # else changes were skipped: read again
                        tail.limit(slot.head)
                        slot.tail = tail
                finally:
                    if slot.arriving is arriving:
                        slot.arriving = None
                    slot.wake()

    async def _tail(self, slot: Slot, arriving: Tail) -> Tail:
        tail, head = Tail(), slot.head  # before the first await; later entries go to `arriving`
        kinds: tuple[EntryKind, ...] = ("results", "errors")
        missing = False
        for kind in kinds:
            upto = head.total(kind)
            if not upto:
                continue
            records = await self._store.entries(
                EntryQuery(head.id, kind, limit=wire.LAST, tail=True, most_bytes=wire.LAST_BYTES)
            )
            for record in records:
                if head.removed(kind) < record.entry.n <= upto:
                    tail.append(record.entry.value, kind)
            missing = missing or all(record.entry.n != upto for record in records)
        if missing:  # a delete that is written but not yet published has removed them
            await self._committer.published()
        for value in arriving.results:
            tail.append(value, "results")
        for value in arriving.errors:
            tail.append(value, "errors")
        return tail

    async def whole(self, slot: Slot) -> Whole:
        """All results and errors that the head counts, and no others. If the tail has them all,
        this needs no query; nor does any later call."""
        if slot.whole is None:
            with slot.held_whole():
                async with self._reading.setdefault(slot, asyncio.Lock()):
                    if slot.whole is None:
                        slot.whole = await self._whole(slot)
        if slot.gone:  # and its entries with it, while they were read
            raise NotFound.job(slot.head.id)
        return slot.whole

    async def _whole(self, slot: Slot) -> Whole:
        whole = Whole()
        kinds: tuple[EntryKind, ...] = ("results", "errors")
        read = {kind: slot.head.removed(kind) for kind in kinds}  # up to this n
        behind = list(kinds)
        while behind and not slot.gone:
            for kind in behind:
                for n, value in await self._more(slot, kind, read[kind]):
                    whole.append(value, kind)
                    read[kind] = n
            # Read again what was committed meanwhile. There is no await between the last check
            # and the caller's assignment, after which commits append to the Whole themselves.
            behind = [kind for kind in kinds if read[kind] < slot.head.total(kind)]
        whole.limit(slot.head)
        return whole

    async def _more(self, slot: Slot, kind: EntryKind, have: int) -> Sequence[tuple[int, Raw]]:
        """The next entries, each with its n, up to the head's total."""
        total = slot.head.total(kind)
        known = () if slot.tail is None else getattr(slot.tail, kind)
        if total - len(known) <= have:
            return list(enumerate(known, total - len(known) + 1))[len(known) - (total - have) :]
        records = await self._store.entries(EntryQuery(slot.head.id, kind, after=have, limit=PAGE))
        return [(it.entry.n, it.entry.value) for it in records if it.entry.n <= total]
