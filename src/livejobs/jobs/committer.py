"""One writer: everything that changes a job is an act, and acts are committed in groups.

An act is a plain function. It is run when its group's turn comes, sees the jobs as the acts
before it left them, and says what should change. The group is written in one transaction; only
then do slots change, callers get their answer, and viewers hear of it. So there is nothing to
undo when the store refuses: what was never written was never shown.

While one group is being written the next one gathers, so the cost of a sync to disk is shared
by all who wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Final, Generic, NamedTuple, TypeVar

from livejobs import clock
from livejobs.core import reducer
from livejobs.core.errors import LivejobsError, NotFound, StorageUnavailable
from livejobs.core.model import Entry, Head, Status, Stored
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry, Slot, Tail
from livejobs.store.base import AuditRecord, Change, Idempotency, JobStore

GROUP: Final = 1000  # acts in one transaction

log = logging.getLogger("livejobs.committer")
T = TypeVar("T")


class Committed(NamedTuple):
    """A change that is on disk and in its slot."""

    slot: Slot
    before: Head | None  # None: created
    after: Head | None  # None: deleted
    entries: tuple[Entry, ...]
    seq: int


class Done(NamedTuple, Generic[T]):
    """An act's answer, and the seqs its own changes were given."""

    value: T
    seqs: dict[Slot, int]


class Draft:
    """What a group of acts will write. Heads here are newer than those in the slots."""

    def __init__(self, now: int, registry: Registry, lanes: Lanes, epochs: dict[str, str]) -> None:
        self.now = now
        self.changes: list[tuple[Slot, Change]] = []
        self.queued = lanes.queued
        self._more: Counter[str] = Counter()  # unfinished jobs than there were, by project
        self.asking = False  # write, even if there is nothing to
        self._registry = registry
        self._epochs = epochs
        self._heads: dict[str, Head | None] = {}
        self._slots: dict[str, Slot] = {}

    def slot(self, id: str) -> Slot | None:
        """The job's slot if it is in memory, or made by an act before."""
        slot = self._slots.get(id) or self._registry.get(id)
        return None if slot is None or self.head(slot) is None else slot

    def head(self, slot: Slot) -> Head | None:
        """As the acts before left it; None once it is deleted, though its id may be used anew."""
        if slot.gone or self._slots.get(slot.head.id, slot) is not slot:
            return None
        return self._heads.get(slot.head.id, slot.head)

    def present(self, slot: Slot) -> Head:
        """For an act that is of a job that may have been deleted meanwhile."""
        head = self.head(slot)
        if head is None:
            raise NotFound.job(slot.head.id)
        return head

    def create(self, head: Head, base: str, idempotency: Idempotency | None = None) -> Slot:
        slot = Slot(Stored(head, 0), self._epochs[head.project], base, Tail())
        self._slots[head.id] = slot
        self._note(slot, Change(None, head, (), idempotency), None, head)
        return slot

    def change(
        self,
        slot: Slot,
        head: Head,
        entries: tuple[Entry, ...] = (),
        audit: AuditRecord | None = None,
    ) -> None:
        before = self.head(slot)
        assert before is not None, "acts look before they change"
        head = slot.with_heard(head)
        self._note(slot, Change(before, head, entries, audit=audit), before, head)

    def delete(self, slot: Slot, audit: AuditRecord | None = None) -> None:
        before = self.head(slot)
        assert before is not None, "acts look before they delete"
        self._heads[before.id] = None
        self.changes.append((slot, Change(before, None, audit=audit)))

    def _note(self, slot: Slot, change: Change, before: Head | None, after: Head) -> None:
        self._heads[after.id] = after
        self.changes.append((slot, change))
        self._count(before, after, 1)
        if after.parent is not None:
            self._tell_parent(after.parent, before.status if before else None, after.status)

    def _tell_parent(self, parent: str, before: Status | None, after: Status) -> None:
        slot = self.slot(parent)
        head = self.head(slot) if slot is not None else None
        if slot is None or head is None:
            return
        counted = reducer.child_moved(head, before, after, self.now)
        if counted is not head:
            self.change(slot, counted)

    def back_to(self, length: int) -> None:
        """Forget what a refused act had said, the last first."""
        while len(self.changes) > length:
            slot, change = self.changes.pop()
            self._heads[change.job.id] = change.before
            if change.before is None:
                del self._slots[slot.head.id]
            if change.after is not None:
                self._count(change.before, change.after, -1)

    def unfinished(self, project: str) -> int:
        """How many of its jobs have not ended."""
        return self._registry.unfinished_of[project] + self._more[project]

    def _count(self, before: Head | None, after: Head, times: int) -> None:
        was = before.status if before is not None else None
        if was != after.status:
            self.queued += times * ((after.status == "queued") - (was == "queued"))
            self._more[after.project] += times * (_unfinished(after) - _unfinished(before))


def _unfinished(head: Head | None) -> int:
    return head is not None and not head.finished


Act = Callable[[Draft], T]
Listener = Callable[[Sequence[Committed]], None]


class Committer:
    def __init__(self, store: JobStore, registry: Registry, lanes: Lanes) -> None:
        self.epochs: dict[str, str] = {}  # of the projects that exist
        self.seqs: dict[str, int] = {}  # of their last changes that were told
        self.listeners: list[Listener] = []
        self.commits = 0
        self._store = store
        self._registry = registry
        self._lanes = lanes
        self.begin()

    def begin(self) -> None:
        """Take acts, for the first time or again after `close`."""
        self.failing = False  # the last commit was refused
        self._pending: list[tuple[Act[Any], asyncio.Future[Any]]] = []
        self._wake = asyncio.Event()  # each belongs to one event loop
        self._told = asyncio.Event()
        self._told.set()
        self._closing = False

    async def submit(self, act: Act[T]) -> Done[T]:
        """Run the act in the next group; its answer, once what it changed is on disk."""
        if self._closing:
            raise shutting_down()
        future: asyncio.Future[Done[T]] = asyncio.get_running_loop().create_future()
        self._pending.append((act, future))
        self._wake.set()
        return await future

    async def ask(self) -> None:
        """Whether the store takes writes again: StorageUnavailable if not. Else a server that
        is not ready would wait for reports, and those who report for it to be ready."""
        await self.submit(_ask)

    @property
    def writing(self) -> bool:
        return not self._told.is_set()

    async def told(self) -> None:
        """Until what is being written has been told, or refused."""
        await self._told.wait()

    def close(self) -> None:
        """Take nothing more; `run` returns when what was taken is written."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        while not self._closing or self._pending:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                group, self._pending = self._pending[:GROUP], self._pending[GROUP:]
                self._told.clear()
                await self._commit(group)
                self._told.set()

    async def _commit(self, group: list[tuple[Act[Any], asyncio.Future[Any]]]) -> None:
        draft = Draft(clock.now_ms(), self._registry, self._lanes, self.epochs)
        answers = [(future, _run(act, draft), len(draft.changes)) for act, future in group]
        try:
            seqs = await self._write(draft)
        except Exception as error:  # noqa: BLE001  whatever it is, all who wait must hear of it
            self._note_failure(error)
            _refuse(group, error)
            return
        if self.failing and (draft.changes or draft.asking):
            self.failing = False
            log.warning("The store takes writes again.")
        committed = self._publish(draft, seqs)
        begin = 0
        for future, answer, end in answers:
            _answer(future, answer, {c.slot: c.seq for c in committed[begin:end]})
            begin = end
        self._tell(committed)

    def _tell(self, committed: Sequence[Committed]) -> None:
        for listener in self.listeners:
            try:
                listener(committed)
            except Exception:  # a bug; what is committed stays so, and the next commit goes on
                log.exception("a listener failed")

    def _note_failure(self, error: Exception) -> None:
        if not isinstance(error, StorageUnavailable):
            log.error("a commit failed", exc_info=error)
        elif not self.failing:  # said once, or it would be said for every request
            log.warning("%s", error)
        self.failing = True

    async def _write(self, draft: Draft) -> list[int]:
        if not (draft.changes or draft.asking):
            return []
        self.commits += 1
        return await self._store.commit([change for _, change in draft.changes])

    def _publish(self, draft: Draft, seqs: list[int]) -> list[Committed]:
        committed = []
        for (slot, change), seq in zip(draft.changes, seqs, strict=True):
            if change.after is None:
                self._registry.remove(slot)
            else:
                slot.take(change.after, seq, change.entries)
                self._place(slot, change, draft.now)
            self.seqs[change.job.project] = seq
            committed.append(Committed(slot, change.before, change.after, change.entries, seq))
        return committed

    def _place(self, slot: Slot, change: Change, now: int) -> None:
        """The slot where it belongs: in its lane while queued, among the finished at the end."""
        head, before = slot.head, change.before
        if before is None:
            self._registry.add(slot)
        requeued = before is not None and before.attempt != head.attempt
        if slot.lane is not None and (requeued or head.status != "queued"):
            self._lanes.leave(slot.lane, slot.ticket, now, started=head.started_at is not None)
            slot.lane = None
        if head.status == "queued" and slot.lane is None:
            slot.lane, slot.ticket = self._lanes.join(head)
        if head.finished:
            self._registry.finished(slot)


def shutting_down() -> StorageUnavailable:
    return StorageUnavailable("The server is shutting down. Try again in a moment.")


def _run(act: Act[Any], draft: Draft) -> Any:
    """The act's answer, or the error it ended with; then nothing of it is kept."""
    length = len(draft.changes)
    try:
        return act(draft)
    except Exception as error:
        draft.back_to(length)
        if not isinstance(error, LivejobsError):
            log.exception("an act failed")
        return error


def _answer(future: asyncio.Future[Any], answer: Any, seqs: dict[Slot, int]) -> None:
    if future.done():  # its caller has gone; the change stands
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(Done(answer, seqs))


def _ask(draft: Draft) -> None:
    draft.asking = True


def _refuse(group: list[tuple[Act[Any], asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            # One each: an exception raised in many tasks would gather their tracebacks.
            future.set_exception(copy(error))
