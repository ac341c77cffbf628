"""Nodes that share a database: once a second each compares what it knows with the database.

Between these pulses the store says what other nodes commit (see NodeStore.listen). Such a message
only makes things faster. If it is lost, the next pulse finds the change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from livejobs import clock
from livejobs.access.keyring import Keyring
from livejobs.core.cursor import Cursor
from livejobs.core.errors import StorageUnavailable
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import Beat, Project, Pulse, Store

EVERY: Final = 1.0  # seconds
MOST_SKEW: Final = 2_000  # ms that clocks of nodes may differ without a warning
WENT_BACK: Final = (
    "The database is not as this server left it: it was replaced, or a failover has lost commits. "
    "Restart this server."
)

TOO_LATE: Final = (
    "This server was cut off from the database for so long that the database has forgotten some "
    "deletions. Restart this server."
)

log = logging.getLogger("livejobs.service.nodes")


class Nodes:
    def __init__(
        self,
        store: Store,
        committer: Committer,
        registry: Registry,
        keyring: Keyring,
        learn: Callable[[], Awaitable[None]],
    ) -> None:
        """`learn`: read again what is kept beside keys, and changes as seldom."""
        self._store = store
        self._committer = committer
        self._registry = registry
        self._keyring = keyring
        self._learn = learn
        self.begin()

    def begin(self) -> None:
        #: Whether this node does what only one of them does.
        self.leads = not self._store.shared
        self.others = 0  # nodes on the same database
        self.away = False  # the last pulse failed
        self._heard_until = clock.monotonic()
        self._keys: int | None = None
        self._warned = False

    async def run(self) -> None:
        while True:
            try:
                await self.pulse()
            except Exception:  # a bug; the next pulse tries again
                log.exception("a pulse failed")
            await asyncio.sleep(EVERY)

    def heard_until(self) -> float:
        """By the monotonic clock: until when this node knows every heartbeat, of all nodes. A
        pulse may be late on a busy machine, and its worker must not be taken for silent."""
        return self._heard_until if self._store.shared else clock.monotonic()

    async def pulse(self) -> None:
        beats, self._committer.beats = self._committer.beats, {}
        began = clock.monotonic()
        known = dict(self._committer.seqs)  # the database may be further, but not behind this
        try:
            pulse = await self._store.pulse([Beat(job, at) for job, at in beats.items()])
        except StorageUnavailable as error:
            self._committer.beats = beats | self._committer.beats
            self.leads = not self._store.shared
            self.away = True
            self._committer.note_failure(error)
            return
        if self.away:
            self._listen_anew()
        self.leads, self.others = pulse.leads, pulse.others
        self._compare(pulse.projects, known)
        self._note_beats(pulse)
        self._heard_until = began - pulse.late
        self._check_clock(pulse.skew_ms)
        await self._read_keys(pulse.keys)

    def _listen_anew(self) -> None:
        """While the database was away, other nodes could not tell of heartbeats. So the silence
        of every job begins now."""
        self.away = False
        for slot in self._registry.unfinished():
            slot.silent_since = clock.monotonic()

    def _compare(self, projects: Sequence[Project], known: Mapping[str, int]) -> None:
        for project in projects:
            epoch = self._committer.epochs.get(project.name, project.epoch)
            seq = known.get(project.name, project.floor)
            if epoch != project.epoch or project.seq < seq:
                self._committer.fence(WENT_BACK)
            elif seq < project.floor:
                self._committer.fence(TOO_LATE)
            else:
                self._committer.note_project(project)
                self._committer.hear(project.name, project.seq)

    def _note_beats(self, pulse: Pulse) -> None:
        for beat in pulse.beats:
            slot = self._registry.get(beat.job)
            if slot is not None and not slot.head.finished:
                slot.note_heartbeat(max(beat.at, slot.heartbeat_at or 0))

    def _check_clock(self, skew: int) -> None:
        if abs(skew) <= MOST_SKEW:
            self._warned = False
        elif not self._warned:
            self._warned = True
            log.warning(
                "This machine's clock is %.1f s %s the database's. Set it, for example with NTP: "
                "times in jobs and the ends of tokens depend on it.",
                abs(skew) / 1000,
                "ahead of" if skew > 0 else "behind",
            )

    async def _read_keys(self, version: int) -> None:
        if self._store.shared and self._keys != version:
            await self._keyring.load()
            await self._learn()
        self._keys = version

    # What clients bring

    async def reach(self, slot: Slot, cursor: Cursor) -> None:
        """If another node has given a client this cursor of the job, learn what it knows."""
        if cursor.epoch == slot.epoch and cursor.seq > slot.seq:
            await self._committer.reach(slot.head.project, cursor.seq)

    async def end_after(self, project: str, cursor: Cursor | None) -> Cursor | None:
        """Where the changes of the project end now; None if there is no such project. If another
        server has given the client a newer cursor, this one first learns what it has missed."""
        if cursor is not None and self._store.shared and project not in self._committer.epochs:
            await self._committer.learn_projects()
        epoch = self._committer.epochs.get(project)
        if epoch is None:
            return None
        if cursor is not None and cursor.epoch == epoch:
            try:
                await self._committer.reach(project, cursor.seq)
            except StorageUnavailable:  # the client waits for what comes after its cursor
                return cursor
        return Cursor(epoch, self._committer.seqs.get(project, 0))
