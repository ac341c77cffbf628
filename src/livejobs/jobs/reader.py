"""Jobs by id, from memory or the store, with what is shown of their entries."""

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
from livejobs.core.model import Kind, Stored
from livejobs.jobs.committer import Committer
from livejobs.jobs.state import Registry, Slot, Tail, Whole
from livejobs.store.base import PAGE_BYTES, Store

PAGE: Final = 1000  # entries read at once


class Reader:
    def __init__(self, store: Store, registry: Registry, committer: Committer, base: str) -> None:
        self._store = store
        self._registry = registry
        self._committer = committer
        self._base = base
        self._reading: WeakKeyDictionary[Slot, asyncio.Lock] = WeakKeyDictionary()

    async def find(self, id: str, by: Principal = ANONYMOUS) -> Slot:
        """The job, if there is one that the caller may see."""
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
                return self._registry.get(id)  # made while we looked
            if not stored.head.finished and self._committer.writing:
                # All of those are in memory, so it is on disk and about to be told of.
                await self._committer.told()
                slot = self._registry.get(id)
            elif deletions == self._registry.deletions:
                slot = self._registry.add(self.slot(stored))
        return slot

    def slot(self, stored: Stored) -> Slot:
        """A slot for what was read; the registry's own, if it has one, is newer."""
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
        """The job's last results and errors, joined with those committed while we read."""
        with slot.held():
            while slot.tail is None:
                if slot.arriving is not None:  # somebody reads already
                    await slot.changed()
                    continue
                slot.arriving = Tail()
                try:
                    slot.tail = await self._tail(slot, slot.arriving)
                finally:
                    slot.arriving = None
                    slot.wake()

    async def _tail(self, slot: Slot, arriving: Tail) -> Tail:
        tail, head = Tail(), slot.head  # before the first await: what comes later arrives
        kinds: tuple[Kind, ...] = ("results", "errors")
        missing = False
        for kind in kinds:
            upto = head.total(kind)
            if not upto:
                continue
            records = await self._store.entries(
                head.id, kind, limit=wire.LAST, tail=True, most_bytes=wire.LAST_BYTES
            )
            for record in records:
                if record.entry.n <= upto:
                    tail.append(record.entry.value, kind)
            missing = missing or all(record.entry.n != upto for record in records)
        if missing:  # a delete that is on disk and not yet told has taken them
            await self._committer.told()
        for value in arriving.results:
            tail.append(value, "results")
        for value in arriving.errors:
            tail.append(value, "errors")
        return tail

    async def whole(self, slot: Slot) -> Whole:
        """All results and errors, exactly those that the head counts. Without a query where the
        tail has them all, and from then on."""
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
        kinds: tuple[Kind, ...] = ("results", "errors")
        behind = list(kinds)
        while behind and not slot.gone:
            for kind in behind:
                have: Sequence[Raw] = getattr(whole, kind)
                for value in await self._more(slot, kind, len(have)):
                    whole.append(value, kind)
            # Those committed meanwhile are looked for again. With no await after the last look,
            # what comes next comes to the whole itself.
            behind = [kind for kind in kinds if len(getattr(whole, kind)) < slot.head.total(kind)]
        return whole

    async def _more(self, slot: Slot, kind: Kind, have: int) -> Sequence[Raw]:
        """The next of them, as far as the head counts."""
        total = slot.head.total(kind)
        known = () if slot.tail is None else getattr(slot.tail, kind)
        if total - len(known) <= have:
            return list(known)[len(known) - (total - have) :]
        records = await self._store.entries(
            slot.head.id, kind, after=have, limit=PAGE, most_bytes=PAGE_BYTES
        )
        return [record.entry.value for record in records if record.entry.n <= total]
