"""Waits for a job, which end early when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anyio import CancelScope

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

        def reached() -> bool:
            return not finished and slot.seq != since

        return await self.until(slot, reached, seconds)

    async def until(self, slot: Slot, reached: Callable[[], bool], seconds: float) -> bool:
        """Whether, within the time, this became true, or there was nothing more to wait for."""

        def done() -> bool:
            return reached() or self.over(slot)

        with slot.held():
            try:
                async with asyncio.timeout(seconds):
                    while not done():
                        await slot.changed()
            except TimeoutError:
                return done()
        return True
