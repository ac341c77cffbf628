"""Removing the bytes of files that no job has any more, or never had."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from typing import Final

from livejobs.core.errors import LivejobsError
from livejobs.files.areas.area import Area
from livejobs.jobs.commit.publishing import Committed
from livejobs.store.base import Store

REMOVED_AT_ONCE: Final = 500

log = logging.getLogger("livejobs.files")


class Removing:
    def __init__(self, area: Area, store: Store, pinned: Container[str]) -> None:
        """`pinned`: keys of files that are being read, whose bytes must stay."""
        self.coming: set[str] = set()  # keys of files that no job has yet
        self.removed = 0  # counted for /metrics
        self._area = area
        self._store = store
        self._pinned = pinned
        self._due = True  # there may be bytes to remove

    def committed(self, changes: Sequence[Committed]) -> None:
        self._due |= any(_lost_some(change) for change in changes)

    def look_again(self) -> None:
        """Other nodes may have ended files."""
        self._due = True

    async def remove_ended(self) -> None:
        """Remove the bytes of files that no job has and no download reads."""
        if not self._due:
            return
        self._due = False
        try:
            ended = await self._store.ended_files(limit=REMOVED_AT_ONCE)
            free = [key for key in ended if key not in self._pinned]
            self._due = bool(ended)
            if free:
                await self._area.remove(free)
                await self._store.forget_files(free)
                self.removed += len(free)
        except LivejobsError:
            self._due = True
            raise

    async def remove_orphans(self) -> None:
        """Remove bytes that no job has because a server was killed during an upload."""
        async for keys in self._area.keys():
            # In this order: the store knows a key before the key leaves `coming`.
            settled = [key for key in keys if key not in self.coming]
            if not settled:
                continue
            known = await self._store.known_files(settled)
            orphans = [key for key in settled if key not in known]
            if orphans:
                log.info("removing %d files that no job has", len(orphans))
                await self._area.remove(orphans)


def _lost_some(change: Committed) -> bool:
    if change.before is None or not change.before.files:
        return False
    return change.after is None or change.after.files != change.before.files
