"""Whether the server can take reports, and why not: for load balancers, people and alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from livejobs import clock
from livejobs.core.model import FLAGS, Flag
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.state import Registry, Slot
from livejobs.service.nodes import Nodes
from livejobs.telemetry.disk import Disk

Phase: TypeAlias = Literal["starting", "running", "stopping"]

LONGEST_BEHIND: Final = 5.0  # seconds; a node is nearly always behind for milliseconds
SLICE: Final = 5_000  # jobs counted before other tasks run

# Anyone may read these, so they name no path, no host and no number of this server.
PHASES: Final = {
    "starting": "The server has not started.",
    "stopping": "The server is stopping.",
}
REFUSES: Final = "The store refuses writes. The server's log says why."
AWAY: Final = "The database does not answer. The server's log says why."
BEHIND: Final = "This node has not yet learned what other nodes have committed."
SILENT: Final = "The disk does not answer."
FULL: Final = "The disk has less free space than the setting min_free_bytes."


class Check(NamedTuple):
    name: str
    why: str | None = None  # why the server is not ready; None: this check found nothing

    @property
    def ok(self) -> bool:
        return self.why is None


class Census(NamedTuple):
    """Of the unfinished jobs."""

    flagged: dict[Flag, int]
    longest_queued: float  # seconds


class Health:
    def __init__(
        self,
        committer: Committer,
        nodes: Nodes,
        registry: Registry,
        disk: Disk,
        *,
        shared: bool,
        least_free: int,
    ) -> None:
        self.phase: Phase = "starting"
        self.disk = disk
        self._committer = committer
        self._nodes = nodes
        self._registry = registry
        self._shared = shared  # with other nodes: then the store is a database elsewhere
        self._least_free = least_free

    def begin(self) -> None:
        self.phase = "starting"
        self.disk.begin()

    async def checks(self) -> Sequence[Check]:
        return list(self.given(await self.disk.free()))

    def given(self, free: int | None) -> Iterator[Check]:
        """The same, where the free space is known."""
        yield Check("running", PHASES.get(self.phase))
        yield Check("store", REFUSES if self._committer.failing else None)
        if self._shared:
            yield Check("database", AWAY if self._nodes.away else None)
            behind = self._committer.behind_for() >= LONGEST_BEHIND
            yield Check("current", BEHIND if behind else None)
        full = FULL if free is not None and free < self._least_free else None
        yield Check("disk", SILENT if free is None else full)

    async def census(self) -> Census:
        """Counted when asked for, in slices: kept up to date, it would cost every report."""
        counts: dict[Flag, int] = dict.fromkeys(FLAGS, 0)
        first = now = clock.now_ms()
        slots = self._registry.unfinished()
        for start in range(0, len(slots), SLICE):
            for slot in slots[start : start + SLICE]:
                for flag in slot.head.flags:
                    counts[flag] += 1
                first = min(first, _queued_since(slot, now))
            await asyncio.sleep(0)
        return Census(counts, (now - first) / 1000)


def _queued_since(slot: Slot, now: int) -> int:
    return slot.head.queued_at if slot.head.status == "queued" else now
