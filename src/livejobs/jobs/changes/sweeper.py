"""Changes that time causes: jobs stall, are lost, and expire."""

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
from livejobs.jobs.changes.expiry import Expiry
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import JobStore

EVERY: Final = 1.0  # seconds
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
        self._lost_after = lost_after
        self.expiry = Expiry(committer, registry, store, reader)
        self._leads = leads
        self._heard_until = heard_until
        self.also: list[Callable[[], Awaitable[object]]] = []  # of other rooms, each round

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.sweep()

    async def sweep(self) -> None:
        # Each on its own: if a full disk refuses one, another may free space.
        for job in (
            self._trim,
            self._probe,
            *((self._notice_silence, self.expiry.round) if self._leads() else ()),
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
