"""Waits for a job, which end early when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anyio import CancelScope

from livejobs.core.model import Head
from livejobs.jobs.state import Registry, Slot


class Waits:
    def __init__(self, registry: Registry) -> None:
        self.draining = False  # every wait is to end
        self._registry = registry
        self._open_ended: set[CancelScope] = set()

    def begin(self) -> None:
        self.draining = False

    def end(self) -> None:
        """End every wait, so that the server can stop."""
        self.draining = True
        for scope in self._open_ended:
            scope.cancel()
        for slot in self._registry.all():
            slot.wake()

    @contextmanager
    def until_drained(self) -> Iterator[CancelScope]:
        """Around a wait that lasts for as long as its client likes: it is cancelled when the
        server stops."""
        with CancelScope() as scope:
            self._open_ended.add(scope)
            if self.draining:
                scope.cancel()
            try:
                yield scope
            finally:
                self._open_ended.discard(scope)

    def over(self, slot: Slot) -> bool:
        """Whether there is nothing more to wait for."""
        return slot.head.finished or slot.gone or self.draining

    async def wait(
        self, slot: Slot, *, since: int | None, seconds: float, finished: bool = False
    ) -> bool:
        """Whether, within the time, the job moved past `since`, or with `finished` ended."""

        def moved(head: Head) -> bool:
            return not finished and slot.seq != since

        return await self.wait_until(slot, moved, seconds)

    async def wait_until(self, slot: Slot, reached: Callable[[Head], bool], seconds: float) -> bool:
        """Whether, within the time, this held of the job, or there was nothing to wait for."""
        with slot.held():
            try:
                async with asyncio.timeout(seconds):
                    while not (self.over(slot) or reached(slot.head)):
                        await slot.changed()
            except TimeoutError:
                return self.over(slot) or reached(slot.head)
        return True
