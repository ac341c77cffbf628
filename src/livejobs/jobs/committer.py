"""The only writer: every change of a job is an operation, and operations are committed in groups.

An operation is a plain function. When its group's turn comes, the committer calls it with the
group's transaction, in which it sees the jobs as earlier operations left them and records its own
changes. The store writes the whole group at once. Only then do slots change, callers get their
results, and listeners get the changes. So a refused write needs no undo: nobody saw it. A store
that is elsewhere can lose a write whose fate it learns later (InDoubt): the callers are refused,
and the group is published or dropped before anything else is done.

While one group is being written, the next one collects. All callers in a group share the cost of
one sync to disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Final, Generic, NamedTuple, TypeVar

from livejobs import clock
from livejobs.core.errors import LivejobsError, StorageUnavailable
from livejobs.core.model import Entry, Head
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry, Slot
from livejobs.jobs.transaction import Transaction
from livejobs.store.base import Change, InDoubt, JobStore

GROUP: Final = 1000  # operations in one transaction

log = logging.getLogger("livejobs.committer")
T = TypeVar("T")


class Committed(NamedTuple):
    """A change that is on disk and in its slot."""

    slot: Slot
    before: Head | None  # None: created
    after: Head | None  # None: deleted
    entries: tuple[Entry, ...]
    seq: int


class Outcome(NamedTuple, Generic[T]):
    """What an operation returned, and the seqs of its own changes."""

    value: T
    seqs: dict[Slot, int]


Operation = Callable[[Transaction], T]
Listener = Callable[[Sequence[Committed]], None]


class Committer:
    def __init__(self, store: JobStore, registry: Registry, lanes: Lanes) -> None:
        self.epochs: dict[str, str] = {}  # by project
        self.seqs: dict[str, int] = {}  # of the last published change, by project
        self.listeners: list[Listener] = []
        self.commits = 0
        self._store = store
        self._registry = registry
        self._lanes = lanes
        self.begin()

    def begin(self) -> None:
        """Accept operations, for the first time or again after `close`."""
        self.failing = False  # the store refused the last commit
        self._doubted: tuple[Transaction, InDoubt] | None = None  # it may have been kept
        self._pending: list[tuple[Operation[Any], asyncio.Future[Any]]] = []
        self._wake = asyncio.Event()  # each belongs to one event loop
        self._published = asyncio.Event()
        self._published.set()
        self._closing = False

    async def submit(self, operation: Operation[T]) -> Outcome[T]:
        """Run the operation in the next group. Returns when its changes are on disk."""
        if self._closing:
            raise shutting_down()
        future: asyncio.Future[Outcome[T]] = asyncio.get_running_loop().create_future()
        self._pending.append((operation, future))
        self._wake.set()
        return await future

    async def probe(self) -> None:
        """Raise StorageUnavailable unless the store takes writes again. Without this a server that
        is not ready would wait for reports, while its workers wait until it is ready."""
        await self.submit(_probe)

    @property
    def writing(self) -> bool:
        return not self._published.is_set()

    async def published(self) -> None:
        """Wait until the group that is being written has been published, or refused."""
        await self._published.wait()

    def close(self) -> None:
        """Accept nothing more. `run` returns when the operations accepted so far are written."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        while not self._closing or self._pending:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                group, self._pending = self._pending[:GROUP], self._pending[GROUP:]
                self._published.clear()
                await self._commit(group)
                if self._doubted is None:
                    self._published.set()

    async def _commit(self, group: list[tuple[Operation[Any], asyncio.Future[Any]]]) -> None:
        try:
            await self._settle()
        except Exception as error:  # noqa: BLE001  every caller must get it
            self._note_failure(error)
            _refuse(group, error)
            return
        transaction = Transaction(clock.now_ms(), self._registry, self._lanes, self.epochs)
        results = [
            (future, _run(operation, transaction), len(transaction.changes))
            for operation, future in group
        ]
        try:
            seqs = await self._write(transaction)
        except Exception as error:  # noqa: BLE001  whatever it is, every caller must get it
            self._note_failure(error)
            if isinstance(error, InDoubt):
                self._doubted = transaction, error
            _refuse(group, error)
            return
        if self.failing and (transaction.changes or transaction.probing):
            self.failing = False
            log.warning("The store takes writes again.")
        committed = self._publish(transaction, seqs)
        begin = 0
        for future, result, end in results:
            _resolve(future, result, {c.slot: c.seq for c in committed[begin:end]})
            begin = end
        self._notify(committed)

    async def _settle(self) -> None:
        """Learn whether the group in doubt was kept, and publish it if so."""
        if self._doubted is not None:
            transaction, doubt = self._doubted
            seqs = await doubt.settle()
            self._doubted = None
            if seqs is not None:
                self._notify(self._publish(transaction, seqs))

    def _notify(self, committed: Sequence[Committed]) -> None:
        for listener in self.listeners:
            try:
                listener(committed)
            except Exception:  # a bug; the commit stands, and the next one goes on
                log.exception("a listener failed")

    def _note_failure(self, error: Exception) -> None:
        if not isinstance(error, StorageUnavailable):
            log.error("a commit failed", exc_info=error)
        elif not self.failing:  # log it once, not for every request
            log.warning("%s", error)
        self.failing = True

    async def _write(self, transaction: Transaction) -> list[int]:
        if not (transaction.changes or transaction.probing):
            return []
        self.commits += 1
        return await self._store.commit([change for _, change in transaction.changes])

    def _publish(self, transaction: Transaction, seqs: list[int]) -> list[Committed]:
        committed = []
        for (slot, change), seq in zip(transaction.changes, seqs, strict=True):
            if change.after is None:
                self._registry.remove(slot)
            else:
                slot.take(change.after, seq, change.entries)
                self._place(slot, change, transaction.now)
            self.seqs[change.job.project] = seq
            committed.append(Committed(slot, change.before, change.after, change.entries, seq))
        return committed

    def _place(self, slot: Slot, change: Change, now: int) -> None:
        """Move the slot into its lane while it is queued, and to the finished jobs at the end."""
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


def _run(operation: Operation[Any], transaction: Transaction) -> Any:
    """What the operation returned, or its exception; then none of its changes is kept."""
    length = len(transaction.changes)
    try:
        return operation(transaction)
    except Exception as error:  # whatever it is, the caller gets it
        transaction.roll_back(length)
        if not isinstance(error, LivejobsError):
            log.exception("an operation failed")
        return error


def _resolve(future: asyncio.Future[Any], result: Any, seqs: dict[Slot, int]) -> None:
    if future.done():  # the caller was cancelled; the change stands
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(Outcome(result, seqs))


def _probe(transaction: Transaction) -> None:
    transaction.probing = True


def _refuse(group: list[tuple[Operation[Any], asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            # A copy each: one exception raised in many tasks would collect their tracebacks.
            future.set_exception(copy(error))
