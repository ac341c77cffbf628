"""The jobs in memory: every unfinished job, and finished jobs while clients read them.

A job has one Slot in this process. Only the committer changes the slot's head, and only after the
change is on disk. So everything that a slot shows survives a crash.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec.structs import replace

from livejobs import clock
from livejobs.core import wire
from livejobs.core.cursor import Cursor
from livejobs.core.model import Entry, Head, Stored
from livejobs.jobs.entries import Recent, Tail, Whole
from livejobs.jobs.lanes import Lane, Ticket

FINISHED_KEPT: Final = 2_000  # finished jobs in memory
ENTRY_BYTES_KEPT: Final = 64 * 1024 * 1024  # results and errors in memory, of all jobs together


class Forms:
    """The job encoded, as it is now. The next change replaces the object."""

    __slots__ = ("answers", "answers_size", "fields", "head_json", "moves", "state_json")

    def __init__(self, moves: int) -> None:
        self.moves = moves  # of the lane; -1 without a lane
        self.fields: dict[str, Any] | None = None
        self.head_json: bytes | None = None
        self.state_json: bytes | None = None
        #: What others make of this state and keep here, by a key of theirs.
        self.answers: dict[Hashable, Any] = {}
        self.answers_size = 0

    def keep(self, key: Hashable, answer: object, size: int) -> None:
        """`size`: how many bytes the answer holds beside the forms above."""
        self.answers_size += 0 if key in self.answers else size  # two may have made it at once
        self.answers[key] = answer

    def drop_answers(self) -> None:
        self.answers, self.answers_size = {}, 0


class Slot:
    """One job in memory, and its encoded forms until it changes."""

    __slots__ = (
        "__weakref__",
        "_waiting",
        "arriving",
        "base",
        "epoch",
        "forms",
        "gone",
        "head",
        "heartbeat_at",
        "holders",
        "lane",
        "measured",
        "recent",
        "seq",
        "silent_since",
        "tail",
        "ticket",
        "whole",
        "whole_holders",
    )

    def __init__(self, stored: Stored, epoch: str, base: str, tail: Tail | None) -> None:
        # The job.
        self.head: Head = stored.head
        self.seq = stored.seq
        self.epoch = epoch
        self.base = base
        self.gone = False  # deleted
        # A head of this job and an upper bound of its size as JSON (see changes/reporting.py).
        self.measured: tuple[Head | None, int] = (None, 0)
        # Its entries.
        self.tail = tail  # None: not read from the store yet
        self.arriving: Tail | None = None  # entries committed while the tail is being read
        self.whole: Whole | None = None  # None: no face has asked for it lately
        self.recent = Recent(stored.seq)
        # Its last heartbeat, which may be newer than the head's: a heartbeat alone is not
        # committed. Silence is measured by the monotonic clock, because the wall clock may jump.
        # For a job of an earlier run it begins now: its worker could not reach the server.
        self.heartbeat_at = stored.head.heartbeat_at
        self.silent_since = clock.monotonic()
        # Its place in the queue.
        self.lane: Lane | None = None
        self.ticket: Ticket = (0, 0)
        # Who uses it.
        self.holders = 0  # submissions, viewers and readers that keep the slot in memory
        self.whole_holders = 0  # those of them that need all results and errors
        self._waiting: set[asyncio.Future[None]] = set()
        self.forms: Forms | None = None  # None: not asked for since the last change

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.seq)

    def take(self, head: Head, seq: int, entries: Sequence[Entry]) -> None:
        """Apply a change that is on disk."""
        answered = self.head.waiting is not None and head.waiting is None
        self.head, self.seq = head, seq
        # While the job waited for a person, this clock stood still.
        if answered or head.heartbeat_at != self.heartbeat_at:
            self.silent_since = clock.monotonic()
        # A finished job never changes, so a heartbeat that came during this commit is dropped.
        last = None if head.finished else self.heartbeat_at
        self.heartbeat_at = wire.max_time(last, head.heartbeat_at)
        if entries:
            self._take_entries(head, seq, entries)
        self.forms = None
        if self._waiting:
            self.wake()

    def _take_entries(self, head: Head, seq: int, entries: Sequence[Entry]) -> None:
        self.recent.append(seq, entries)
        for into in (self.tail or self.arriving, self.whole):
            if into is not None:
                for entry in entries:
                    if entry.kind != "logs":
                        into.append(entry.value, entry.kind)
                if head.kept:
                    into.limit(head)

    def skip(self, head: Head, seq: int) -> None:
        """Apply changes that are on disk without their entries: these are read when needed."""
        self.take(head, seq, ())
        self.tail = self.arriving = self.whole = None
        self.recent = Recent(seq)

    def with_last_heartbeat(self, head: Head) -> Head:
        """The head to commit. If the change is not the worker's, it gets the last heartbeat,
        which so far was only in memory."""
        if head.heartbeat_at == self.heartbeat_at or head.heartbeat_at != self.head.heartbeat_at:
            return head
        return replace(head, heartbeat_at=self.heartbeat_at)

    def note_heartbeat(self, now: int) -> None:
        """Pollers see the heartbeat; it is neither committed nor sent to viewers."""
        self.heartbeat_at = now
        self.silent_since = clock.monotonic()
        self.forms = None

    @property
    def size(self) -> int:
        """Bytes in memory that can be read again from the store."""
        return (0 if self.tail is None else self.tail.size) + self.size_for_faces

    @property
    def size_for_faces(self) -> int:
        whole = 0 if self.whole is None else self.whole.size
        return whole + (0 if self.forms is None else self.forms.answers_size)

    def let_go(self) -> int:
        """Drop what nobody needs now, and return its size. Viewers need only the tail."""
        before = self.size
        if not self.whole_holders:
            self.whole = None
            if self.forms is not None:
                self.forms.drop_answers()
        if not self.holders:
            self.tail = self.forms = None
        return before - self.size

    def current(self) -> Forms:
        """The forms of the job as it is now. A queued job's place moves without its cursor."""
        forms, lane = self.forms, self.lane
        if forms is None or (lane is not None and lane.moves != forms.moves):
            forms = self.forms = Forms(-1 if lane is None else lane.moves)
        return forms

    def fields(self, now: int) -> dict[str, Any]:
        """The job without results and errors; a queued job with its place as of now."""
        forms = self.current()
        if forms.fields is None:
            place = None if self.lane is None else self.lane.place(self.ticket, now)
            forms.fields = wire.fields(
                self.head, self.cursor, base=self.base, queue=place, heartbeat_at=self.heartbeat_at
            )
        return forms.fields

    def head_json(self, now: int) -> bytes:
        forms = self.current()
        if forms.head_json is None:
            forms.head_json = wire.encode(self.fields(now))
        return forms.head_json

    def state_json(self, now: int) -> bytes:
        """The job with its last results and errors. The caller has read the tail."""
        forms = self.current()
        if forms.state_json is None:
            assert self.tail is not None, "read the tail before the state"
            job = wire.with_entries(
                self.fields(now), list(self.tail.results), list(self.tail.errors)
            )
            forms.state_json = wire.encode(job)
        return forms.state_json

    def tag(self, now: int) -> str:
        """Identifies an encoded state: the cursor, and the place in the queue, which moves
        without the cursor."""
        place = self.fields(now)["queue"]
        return f"{self.cursor}+{place.position}.{place.length}" if place else str(self.cursor)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep this slot the job's only one, in memory."""
        self.holders += 1
        try:
            yield
        finally:
            self.holders -= 1

    @contextmanager
    def held_whole(self) -> Iterator[None]:
        """The same, with all results and errors."""
        self.whole_holders += 1
        try:
            with self.held():
                yield
        finally:
            self.whole_holders -= 1

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def changed(self) -> asyncio.Future[None]:
        """Resolves at the next change. Call it before you read, so that no change is missed."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future


class Registry:
    """The slots: of all unfinished jobs, and of the finished jobs read most recently."""

    def __init__(self) -> None:
        self._unfinished: dict[str, Slot] = {}
        self._finished: OrderedDict[str, Slot] = OrderedDict()
        self.unfinished_of: Counter[str] = Counter()  # by project
        self.deletions = 0  # only grows; shows whether a delete came during a read

    def get(self, id: str) -> Slot | None:
        slot = self._unfinished.get(id)
        if slot is not None:
            return slot
        slot = self._finished.get(id)
        if slot is not None:
            self._finished.move_to_end(id)
        return slot

    def add(self, slot: Slot) -> Slot:
        """The job's slot in memory: the existing one if there is one, else the given one."""
        there = self.get(slot.head.id)
        if there is not None:
            return there
        if slot.head.finished:
            self._keep_finished(slot)
        else:
            self._unfinished[slot.head.id] = slot
            self.unfinished_of[slot.head.project] += 1
        return slot

    def finished(self, slot: Slot) -> None:
        """Move a job that has ended to the finished ones."""
        if self._left(slot):
            self._keep_finished(slot)

    def _left(self, slot: Slot) -> bool:
        """Take the job out of the unfinished ones; False if it was not there."""
        if self._unfinished.pop(slot.head.id, None) is None:
            return False
        project = slot.head.project
        self.unfinished_of[project] -= 1
        if not self.unfinished_of[project]:
            del self.unfinished_of[project]
        return True

    def _keep_finished(self, slot: Slot) -> None:
        self._finished[slot.head.id] = slot
        # Check two for each one added, so that the number shrinks again once held slots are
        # released.
        for _ in range(2):
            if len(self._finished) <= FINISHED_KEPT:
                return
            # Drop the oldest. If something holds it, it becomes the newest instead.
            id, oldest = self._finished.popitem(last=False)
            if oldest.holders:
                self._finished[id] = oldest

    def remove(self, slot: Slot) -> None:
        slot.gone = True
        self.deletions += 1
        self._finished.pop(slot.head.id, None)
        self._left(slot)
        slot.wake()

    def clear(self) -> None:
        """Remove all jobs. Code that still holds a slot finds it gone."""
        for slot in self.all():
            self.remove(slot)

    def all(self) -> list[Slot]:
        return [*self._finished.values(), *self._unfinished.values()]

    def unfinished(self) -> list[Slot]:
        return list(self._unfinished.values())

    def trim(self) -> None:
        """Drop entries past the bound; the store still has them. Jobs that exceed the bound alone
        come first, then those read longest ago. This walks all slots: only the sweeper calls it."""
        slots = self.all()
        over = sum(_sizes(slots)) - ENTRY_BYTES_KEPT
        if over > 0:
            slots.sort(key=lambda slot: slot.size <= ENTRY_BYTES_KEPT)
        for slot in slots:
            if over <= 0:
                return
            over -= slot.let_go()

    def statistics(self) -> dict[str, int]:
        return {
            "jobs_unfinished": len(self._unfinished),
            "jobs_finished_in_memory": len(self._finished),
        }


def _sizes(slots: list[Slot]) -> Iterator[int]:
    """The sizes that are not 0. There may be very many slots, most of them never read by a face."""
    for slot in slots:
        if slot.tail is not None:
            yield slot.tail.size
        if slot.whole is not None or (slot.forms is not None and slot.forms.answers_size):
            yield slot.size_for_faces
