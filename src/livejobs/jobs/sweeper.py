"""Changes that time causes: jobs stall, are lost, and expire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from livejobs import clock
from livejobs.core import reducer
from livejobs.core.errors import LivejobsError, StorageUnavailable
from livejobs.core.model import Head, Stored
from livejobs.jobs.committer import Committer
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry, Slot
from livejobs.jobs.transaction import Transaction
from livejobs.store.base import JobStore

EVERY: Final = 1.0  # seconds
EXPIRED_AT_ONCE: Final = 200
FILES_AT_ONCE: Final = 500  # of expired jobs, as one round removes from the disk
SLICE: Final = 5_000  # jobs checked before other tasks run

log = logging.getLogger("livejobs.sweeper")


class Sweeper:
    def __init__(
        self,
        committer: Committer,
        registry: Registry,
        store: JobStore,
        lost_after: float,
        reader: Reader,
        leads: Callable[[], bool] = lambda: True,
        heard_until: Callable[[], float] = lambda: clock.monotonic(),  # noqa: PLW0108  tests set it
    ) -> None:
        """`leads`: whether this node does what only one of those on a database does.
        `heard_until`: by the monotonic clock, until when every heartbeat is known."""
        self._committer = committer
        self._registry = registry
        self._store = store
        self._lost_after = lost_after
        self._reader = reader
        self._leads = leads
        self._heard_until = heard_until
        self.also: list[Callable[[], Awaitable[None]]] = []  # of other rooms, each round

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.sweep()

    async def sweep(self) -> None:
        # Each on its own: if a full disk refuses one, another may free space.
        for job in (
            self._trim,
            self._probe,
            *((self._notice_silence, self._remove_expired) if self._leads() else ()),
            *self.also,
        ):
            try:
                await job()
            except LivejobsError as error:  # the disk refused it; the next round tries again
                log.debug("%s", error)
            except Exception:  # a bug; the next round tries again
                log.exception("a sweep failed")

    async def _trim(self) -> None:
        self._registry.trim()

    async def _probe(self) -> None:
        if self._committer.failing:
            await self._committer.probe()

    async def _notice_silence(self) -> None:
        slots = self._registry.unfinished()
        for start in range(0, len(slots), SLICE):
            now = clock.now_ms()
            some = slots[start : start + SLICE]
            silent = [slot for slot in some if self._silent(slot, slot.head, now) is not slot.head]
            if silent:
                await self._committer.submit(partial(self._mark, silent))
            await asyncio.sleep(0)

    def _mark(self, silent: list[Slot], transaction: Transaction) -> None:
        for slot in silent:
            head = transaction.head(slot)
            after = None if head is None else self._silent(slot, head, transaction.now)
            if after is not None and after is not head:
                transaction.change(slot, after)

    def _silent(self, slot: Slot, head: Head, now: int) -> Head:
        """The head after this silence: unchanged, stalled, or lost."""
        # The head may be from a transaction in which the worker has just reported, or has just got
        # its answer.
        known = slot.head
        if head.status != "running" or head.heartbeat_at != known.heartbeat_at:
            return head
        if head.waiting is not known.waiting:
            return head
        silent = self._heard_until() - slot.silent_since
        if self._lost_after and silent >= self._lost_after and head.waiting is None:
            return reducer.lose(head, now, silent)
        if head.heartbeat_timeout and silent >= head.heartbeat_timeout:
            return reducer.stall(head, now)
        return head

    async def _expired(self) -> Sequence[Stored]:
        try:
            return await self._store.expired(clock.now_ms(), limit=EXPIRED_AT_ONCE)
        except StorageUnavailable:  # learn whether it takes writes, before a worker does
            await self._committer.probe()
            raise

    async def _remove_expired(self) -> None:
        slots: list[Slot] = []
        files = 0
        for stored in await self._expired():
            files += len(stored.head.files)
            if slots and files > FILES_AT_ONCE:  # the next round removes the rest
                break
            slot = await self._reader.look_up(stored.head.id)
            if slot is not None:
                slots.append(slot)
        if slots:
            await self._committer.submit(partial(_expire, slots))


def _expire(slots: list[Slot], transaction: Transaction) -> None:
    for slot in slots:
        head = transaction.head(slot)
        if head is not None and head.expires_at is not None and head.expires_at <= transaction.now:
            transaction.delete(slot)
