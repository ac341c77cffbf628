"""What happens because time passes: jobs stall, are lost, and expire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from livejobs import clock
from livejobs.core import reducer
from livejobs.core.errors import LivejobsError
from livejobs.core.model import Head
from livejobs.jobs.committer import Committer, Draft
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import JobStore

EVERY: Final = 1.0  # seconds
EXPIRED_AT_ONCE: Final = 200
FILES_AT_ONCE: Final = 500  # of expired jobs; as many are removed from the disk in a round
SLICE: Final = 5_000  # jobs looked at before others get a turn

log = logging.getLogger("livejobs.sweeper")


class Sweeper:
    def __init__(
        self,
        committer: Committer,
        registry: Registry,
        store: JobStore,
        lost_after: float,
        reader: Reader,
    ) -> None:
        self._committer = committer
        self._registry = registry
        self._store = store
        self._lost_after = lost_after
        self._reader = reader
        self.also: list[Callable[[], Awaitable[None]]] = []  # what else time brings

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.sweep()

    async def sweep(self) -> None:
        # Each for itself: where the disk refuses one, another may be what makes room.
        for job in (self._trim, self._ask, self._notice_silence, self._remove_expired, *self.also):
            try:
                await job()
            except LivejobsError as error:  # the disk refused; the next round tries again
                log.debug("%s", error)
            except Exception:
                log.exception("a sweep failed")

    async def _trim(self) -> None:
        self._registry.trim()

    async def _ask(self) -> None:
        if self._committer.failing:
            await self._committer.ask()

    async def _notice_silence(self) -> None:
        slots = self._registry.unfinished()
        for start in range(0, len(slots), SLICE):
            now = clock.now_ms()
            some = slots[start : start + SLICE]
            silent = [slot for slot in some if self._silent(slot, slot.head, now) is not slot.head]
            if silent:
                await self._committer.submit(partial(self._tell, silent))
            await asyncio.sleep(0)

    def _tell(self, silent: list[Slot], draft: Draft) -> None:
        for slot in silent:
            head = draft.head(slot)
            after = None if head is None else self._silent(slot, head, draft.now)
            if after is not None and after is not head:
                draft.change(slot, after)

    def _silent(self, slot: Slot, head: Head, now: int) -> Head:
        """The head as its silence makes it: itself, stalled, or lost."""
        # The head may be a draft's, in which its worker has just spoken.
        if head.status != "running" or head.heartbeat_at != slot.head.heartbeat_at:
            return head
        silent = clock.monotonic() - slot.silent_since
        if self._lost_after and silent >= self._lost_after:
            return reducer.lose(head, now, silent)
        if head.heartbeat_timeout and silent >= head.heartbeat_timeout:
            return reducer.stall(head, now)
        return head

    async def _remove_expired(self) -> None:
        slots: list[Slot] = []
        files = 0
        for stored in await self._store.expired(clock.now_ms(), limit=EXPIRED_AT_ONCE):
            files += len(stored.head.files)
            if slots and files > FILES_AT_ONCE:  # those left have their turn in the next round
                break
            slot = await self._reader.look_up(stored.head.id)
            if slot is not None:
                slots.append(slot)
        if slots:
            await self._committer.submit(partial(_expire, slots))


def _expire(slots: list[Slot], draft: Draft) -> None:
    for slot in slots:
        head = draft.head(slot)
        if head is not None and head.expires_at is not None and head.expires_at <= draft.now:
            draft.delete(slot)
