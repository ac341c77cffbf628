"""The jobs in memory: every unfinished one, and finished ones while they are read.

A Slot is the one place a job has in this process. Only the committer changes its head, and only
after the change is on disk, so whoever reads a slot reads what will survive.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from livejobs import clock
from livejobs.core import wire
from livejobs.core.cursor import Cursor
from livejobs.core.model import Entry, EntryKind, Head, Record, Stored
from livejobs.jobs.lanes import Lane

FINISHED_KEPT: Final = 2_000  # finished jobs in memory
ENTRY_BYTES_KEPT: Final = 64 * 1024 * 1024  # results and errors in memory, all jobs together
OBJECT: Final = 150  # bytes of an entry beside its value, with what a face makes of it


class Last:
    """The last of a job's results or errors, within what is shown with the job."""

    __slots__ = ("size", "values")

    def __init__(self) -> None:
        self.values: deque[Raw] = deque()
        self.size = 0

    def append(self, value: Raw) -> None:
        self.values.append(value)
        self.size += len(bytes(value))
        while len(self.values) > wire.LAST or self.size > wire.LAST_BYTES:
            self.size -= len(bytes(self.values.popleft()))


class Tail:
    """A job's last results and errors, as they are sent."""

    __slots__ = ("_errors", "_results")

    def __init__(self) -> None:
        self._results = Last()
        self._errors = Last()

    @property
    def results(self) -> deque[Raw]:
        return self._results.values

    @property
    def errors(self) -> deque[Raw]:
        return self._errors.values

    @property
    def size(self) -> int:
        return self._results.size + self._errors.size

    def append(self, value: Raw, kind: EntryKind) -> None:
        (self._results if kind == "results" else self._errors).append(value)


class Whole:
    """All results and errors of a job, for the faces, which show them all. It is read once, and
    grows by what is committed, so that the next poll needs no query."""

    __slots__ = ("errors", "made", "results", "size")

    def __init__(self) -> None:
        self.results: list[Raw] = []
        self.errors: list[Raw] = []
        self.made: dict[Any, Any] = {}  # by faces, of entries that will never change
        self.size = 0

    def append(self, value: Raw, kind: EntryKind) -> None:
        (self.results if kind == "results" else self.errors).append(value)
        self.size += len(bytes(value)) + OBJECT


class Recent:
    """The last entries with their seqs, so that who was away for a moment is brought up to date
    without a query. Whole changes, as that is how they were committed."""

    __slots__ = ("changes", "count", "floor", "size")

    COUNT: Final = 256
    BYTES: Final = 64 * 1024

    def __init__(self, floor: int) -> None:
        self.floor = floor  # every entry with a higher seq is here
        self.changes: deque[tuple[int, Sequence[Entry], int]] = deque()
        self.count = 0
        self.size = 0

    def append(self, seq: int, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        size = sum([len(bytes(entry.value)) for entry in entries])
        self.changes.append((seq, entries, size))
        self.count += len(entries)
        self.size += size
        while self.size > self.BYTES or self.count > self.COUNT:
            self.floor, oldest, size = self.changes.popleft()
            self.count -= len(oldest)
            self.size -= size

    def after(self, seq: int) -> list[Record] | None:
        """Entries with a higher seq; None when some of them are no longer here."""
        if seq < self.floor:
            return None
        newer = ((at, entries) for at, entries, _ in self.changes if at > seq)
        return [Record(at, entry) for at, entries in newer for entry in entries]


class Slot:
    """One job in memory, with its encoded forms until it changes."""

    __slots__ = (
        "__weakref__",
        "_fields",
        "_head_json",
        "_state_json",
        "_waiting",
        "answer",
        "arriving",
        "base",
        "busy",
        "channels",
        "epoch",
        "faces",
        "gone",
        "head",
        "heard_at",
        "lane",
        "measured",
        "moves",
        "reading",
        "recent",
        "seq",
        "silent_since",
        "tail",
        "ticket",
        "whole",
    )

    def __init__(self, stored: Stored, epoch: str, base: str, tail: Tail | None) -> None:
        self.head: Head = stored.head
        self.seq = stored.seq
        # A head of this job, and what it takes as JSON at most (see reporting.py).
        self.measured: tuple[Head | None, int] = (None, 0)
        self.epoch = epoch
        self.base = base
        self.tail = tail  # None: not read from the store yet
        self.arriving: Tail | None = None  # what is committed while the tail is being read
        self.whole: Whole | None = None  # None: no face has asked for it lately
        self.heard_at = stored.head.heartbeat_at  # moves without a commit
        # The clock of the wall may jump, and a jump is not silence; so it is measured by another,
        # and of a job of an earlier run from now: its worker could not reach us in between.
        self.silent_since = clock.monotonic()
        self.recent = Recent(stored.seq)
        self.channels: dict[Any, Any] = {}  # who watches this job, by how they do
        self.answer: Any = None  # the snapshot as a poller gets it, made by the web's door
        self.faces: dict[Any, Any] | None = None  # the same for other addresses, by where they are
        self.gone = False  # deleted
        self.busy = 0  # submissions and viewers that hold it in memory
        self.reading = 0  # faces that are at its whole
        self.lane: Lane | None = None
        self.ticket = 0
        self.moves = -1  # of the lane, when the encoded forms were made
        self._fields: dict[str, Any] | None = None
        self._head_json: bytes | None = None
        self._state_json: bytes | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.seq)

    def take(self, head: Head, seq: int, entries: Sequence[Entry]) -> None:
        """A change that is on disk."""
        self.head, self.seq = head, seq
        if head.heartbeat_at != self.heard_at:
            self.silent_since = clock.monotonic()
        # A finished job never changes, so a heartbeat that came during this commit is forgotten.
        heard = None if head.finished else self.heard_at
        self.heard_at = wire.max_time(heard, head.heartbeat_at)
        self.recent.append(seq, entries)
        for into in (self.tail or self.arriving, self.whole):
            if into is not None:
                for entry in entries:
                    if entry.kind != "logs":
                        into.append(entry.value, entry.kind)
        self.forget_encoded()
        self.wake()

    def with_heard(self, head: Head) -> Head:
        """A head about to be written. Where it is not the worker who speaks, with the heartbeats
        that were only in memory so far."""
        if head.heartbeat_at == self.heard_at or head.heartbeat_at != self.head.heartbeat_at:
            return head
        return replace(head, heartbeat_at=self.heard_at)

    def hear(self, now: int) -> None:
        """A heartbeat: seen by those who ask, told to nobody."""
        self.heard_at = now
        self.silent_since = clock.monotonic()
        self.forget_encoded()

    def forget_moved(self) -> None:
        """A queued job's place moves without its cursor."""
        if self.lane is not None and self.lane.moves != self.moves:
            self.forget_encoded()
            self.moves = self.lane.moves

    def forget_encoded(self) -> None:
        self._fields = self._head_json = self._state_json = self.answer = self.faces = None

    @property
    def size(self) -> int:
        """Bytes held that can be read again."""
        return (0 if self.tail is None else self.tail.size) + self.size_of_faces

    @property
    def size_of_faces(self) -> int:
        size = 0 if self.whole is None else self.whole.size
        if self.faces is not None:
            size += sum(answer.size for answer in self.faces.values())
        return size

    def let_go(self) -> int:
        """What nobody needs just now; its size. Viewers need the tail alone."""
        before = self.size
        if not self.reading:
            self.whole = self.faces = None
        if not self.busy:
            self.tail = None
            self.forget_encoded()
        return before - self.size

    def fields(self, now: int) -> dict[str, Any]:
        """The job without results and errors; a queued one with its place as of now."""
        self.forget_moved()
        if self._fields is None:
            place = None if self.lane is None else self.lane.place(self.ticket, now)
            self._fields = wire.fields(
                self.head, self.cursor, base=self.base, queue=place, heartbeat_at=self.heard_at
            )
        return self._fields

    def head_json(self, now: int) -> bytes:
        made = self.fields(now)
        if self._head_json is None:
            self._head_json = wire.encode(made)
        return self._head_json

    def state_json(self, now: int) -> bytes:
        """The whole job. Its tail must have been read."""
        made = self.fields(now)
        if self._state_json is None:
            assert self.tail is not None, "the tail is read before the state is shown"
            job = wire.with_entries(made, list(self.tail.results), list(self.tail.errors))
            self._state_json = wire.encode(job)
        return self._state_json

    def tag(self, now: int) -> str:
        """What tells one encoded state from another: the cursor, and the place in the queue,
        which moves without it."""
        place = self.fields(now)["queue"]
        return f"{self.cursor}+{place.position}.{place.length}" if place else str(self.cursor)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep this the one place of the job in memory."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    @contextmanager
    def held_whole(self) -> Iterator[None]:
        """The same, with all its results and errors."""
        self.reading += 1
        try:
            with self.held():
                yield
        finally:
            self.reading -= 1

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def changed(self) -> asyncio.Future[None]:
        """Done at the next change. Ask before reading, then nothing falls in between."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future


class Registry:
    """The slots. Unfinished jobs stay; of the finished, those read last."""

    def __init__(self) -> None:
        self._unfinished: dict[str, Slot] = {}
        self._finished: OrderedDict[str, Slot] = OrderedDict()
        self.unfinished_of: Counter[str] = Counter()  # by project
        self.deletions = 0  # grows, so that a read that raced a delete can be told

    def get(self, id: str) -> Slot | None:
        slot = self._unfinished.get(id)
        if slot is not None:
            return slot
        slot = self._finished.get(id)
        if slot is not None:
            self._finished.move_to_end(id)
        return slot

    def add(self, slot: Slot) -> Slot:
        """The slot now in memory for this job: the given one, or one that was there first."""
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
        """An unfinished job has ended."""
        if self._left(slot):
            self._keep_finished(slot)

    def _left(self, slot: Slot) -> bool:
        """Whether it was among the unfinished, which it no longer is."""
        if self._unfinished.pop(slot.head.id, None) is None:
            return False
        project = slot.head.project
        self.unfinished_of[project] -= 1
        if not self.unfinished_of[project]:
            del self.unfinished_of[project]
        return True

    def _keep_finished(self, slot: Slot) -> None:
        self._finished[slot.head.id] = slot
        # Two are looked at for one that comes, so that it shrinks again once those that were in
        # use are let go.
        for _ in range(2):
            if len(self._finished) <= FINISHED_KEPT:
                return
            # The oldest, unless it is in use; then it is the newest again.
            id, oldest = self._finished.popitem(last=False)
            if oldest.busy:
                self._finished[id] = oldest

    def remove(self, slot: Slot) -> None:
        slot.gone = True
        self.deletions += 1
        self._finished.pop(slot.head.id, None)
        self._left(slot)
        slot.wake()

    def clear(self) -> None:
        """Let go of all jobs; whoever still holds one finds it gone."""
        for slot in self.all():
            self.remove(slot)

    def all(self) -> list[Slot]:
        return [*self._finished.values(), *self._unfinished.values()]

    def unfinished(self) -> list[Slot]:
        return list(self._unfinished.values())

    def trim(self) -> None:
        """Let go of what is past the bound and can be read again: of jobs that are past it by
        themselves, then of those read longest ago. Walks all slots, so it is for the sweeper."""
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
    """Of those that hold anything. There may be very many, and most have had no face look."""
    for slot in slots:
        if slot.tail is not None:
            yield slot.tail.size
        if slot.whole is not None or slot.faces is not None:
            yield slot.size_of_faces
