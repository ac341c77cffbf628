"""The only writer: every change of a job is an operation, and operations are committed in groups.

An operation is a plain function. When its group's turn comes, the committer calls it with the
group's transaction, in which it sees the jobs as earlier operations left them and records its own
changes. The store writes the whole group at once. Only then do slots change, callers get their
results, and listeners get the changes. So a refused write needs no undo: nobody saw it.

Another node may have committed first (Outpaced). Then its changes are taken into the slots, and
the operations run again, on the newer heads. The second time, the store lets nobody else commit, so
that no node starves. A write that was refused and kept all the same, because the connection to
the database was lost, is learned in the same way.

While one group is being written, the next one collects. All callers in a group share the cost of
one sync to disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any, Final, TypeVar

from livejobs import clock
from livejobs.core.errors import LivejobsError, StorageUnavailable
from livejobs.core.hooks import Book
from livejobs.core.model import Stored
from livejobs.core.trimming import NO_CAPS, Caps
from livejobs.jobs.commit.outcomes import Done, Outcome, answered, give, refuse
from livejobs.jobs.commit.publishing import Committed, Publisher
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import Outpaced, Project, Store
from livejobs.store.news import read_news
from livejobs.telemetry.histogram import NUMBERS, SECONDS, Histogram

GROUP: Final = 1000  # operations in one transaction
TRIES: Final = 20  # of a group, each with the newest heads; nearly always the first one succeeds

log = logging.getLogger("livejobs.committer")
T = TypeVar("T")


Operation = Callable[[Transaction], T]
Listener = Callable[[Sequence[Committed]], None]
Waiting = tuple[Operation[Any], Done[Outcome[Any]]]
Result = tuple[Done[Outcome[Any]], Any, int]  # and how many changes there were with it


class Committer:
    def __init__(
        self,
        store: Store,
        registry: Registry,
        lanes: Lanes,
        base: str = "",
        caps: Caps = NO_CAPS,
    ) -> None:
        self._publisher = Publisher(registry, lanes, base)
        self.epochs, self.seqs = self._publisher.epochs, self._publisher.seqs
        self.listeners: list[Listener] = []
        #: Called with a project that has changed so much that the entries are left in the store.
        self.skipping: list[Callable[[str], None]] = []
        self.commits = 0
        self.refused = 0  # groups that the store did not take
        self.outpaced = 0  # groups that ran again
        self.seconds = Histogram(SECONDS)  # that the store took for a group
        self.changes = Histogram(NUMBERS)  # in a group
        self.book = Book()  # of webhooks, as they are known here
        self.beats: dict[str, int] = {}  # by job; heartbeats that other nodes do not know yet
        self._store = store
        self._registry = registry
        self._lanes = lanes
        self._caps = caps
        store.listen(self.hear)
        self.begin()

    def begin(self) -> None:
        """Accept operations, for the first time or again after `close`."""
        self.failing = False  # the store refused the last commit
        self._fenced: str | None = None  # why nothing is committed any more
        self._heard: dict[str, int] = {}  # projects in which other nodes may have committed
        self._behind_since: float | None = None  # by the monotonic clock; None: not behind
        self._skipped: set[str] = set()  # projects whose news are not whole up to the last page
        self._followed: asyncio.Future[None] | None = None  # until these changes are in the slots
        self._pending: list[Waiting] = []
        self._wake = asyncio.Event()  # each belongs to one event loop
        self._published = asyncio.Event()
        self._published.set()
        self._closing = False

    async def submit(self, operation: Operation[T]) -> Outcome[T]:
        """Run the operation in the next group. Returns when its changes are on disk."""
        return await answered(partial(self.put, operation))

    def put(self, operation: Operation[T], done: Done[Outcome[T]]) -> None:
        """Run the operation in the next group, and call `done` when its changes are on disk.
        Without a future or a task for each report, a report costs half."""
        if self._closing:
            raise shutting_down()
        self._pending.append((operation, done))
        self._wake.set()

    async def probe(self) -> None:
        """Raise StorageUnavailable unless the store takes writes again. Without this a server that
        is not ready would wait for reports, while its workers wait until it is ready."""
        await self.submit(_probe)

    @property
    def waiting(self) -> int:
        """How many operations wait for the next group."""
        return len(self._pending)

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
            if self._heard:
                await self._catch_up()
            while self._pending:
                group, self._pending = self._pending[:GROUP], self._pending[GROUP:]
                self._published.clear()
                await self._commit(group)
                self._published.set()
                if self._heard:
                    await self._catch_up()

    # Our own changes

    async def _commit(self, group: list[Waiting]) -> None:
        try:
            transaction, results, seqs = await self._write_group(group)
        except Exception as error:  # noqa: BLE001  whatever it is, every caller must get it
            self.refused += 1
            self.note_failure(error)
            refuse((done for _, done in group), error)
            return
        if transaction.changes or transaction.probing:
            self._note_success()
        committed = self._publisher.own(transaction, seqs)
        begin = 0
        for done, result, end in results:
            own = committed[begin:end]
            give(done, result if isinstance(result, Exception) else Outcome(result, own))
            begin = end
        self._notify(committed)

    async def _write_group(
        self, group: list[Waiting]
    ) -> tuple[Transaction, list[Result], list[int]]:
        """Run the operations and write their changes."""
        transaction, results = self._run(group)
        try:
            return transaction, results, await self._write(transaction)
        except Outpaced:
            pass
        for _ in range(TRIES):
            self.outpaced += 1
            async with self._store.alone(transaction.projects):
                await self._learn(transaction)
                transaction, results = self._run(group, again=True)
                with suppress(Outpaced):  # it has changes in other projects now
                    return transaction, results, await self._write(transaction)
        raise StorageUnavailable("Other nodes commit all the time. Try again in a moment.")

    def _run(
        self, group: list[Waiting], *, again: bool = False
    ) -> tuple[Transaction, list[Result]]:
        transaction = Transaction(
            clock.now_ms(), self._registry, self._lanes, self.epochs, self._caps, self.book
        )
        transaction.again = again
        results = [
            (done, _run(operation, transaction), len(transaction.changes))
            for operation, done in group
        ]
        return transaction, results

    async def _write(self, transaction: Transaction) -> list[int]:
        if not (transaction.changes or transaction.probing):
            return []
        if self._fenced is not None:
            raise StorageUnavailable(self._fenced)
        self.commits += 1
        on = {name: self.seqs.get(name, 0) for name in transaction.projects}
        began = clock.monotonic()
        seqs = await self._store.commit([change for _, change in transaction.changes], on)
        self.seconds.add(clock.monotonic() - began)
        self.changes.add(len(transaction.changes))
        return seqs

    def note_heartbeat(self, slot: Slot) -> None:
        """A heartbeat is not committed; other nodes hear of it with the next pulse."""
        now = clock.now_ms()
        slot.note_heartbeat(now)
        if self._store.shared:
            self.beats[slot.head.id] = now

    # Those of other nodes

    def hear(self, project: str, seq: int) -> None:
        """Another node may have committed to the project."""
        if seq > self.seqs.get(project, -1):
            self._heard[project] = max(seq, self._heard.get(project, 0))
            if self._behind_since is None:
                self._behind_since = clock.monotonic()
            self._wake.set()

    def behind_for(self) -> float:
        """Since how many seconds other nodes have committed what this one has not learned."""
        return 0.0 if self._behind_since is None else clock.monotonic() - self._behind_since

    def lacks(self, stored: Stored) -> bool:
        """Whether the job was changed by another node, and this one has not heard of it yet."""
        return self._store.shared and stored.seq > self.seqs.get(stored.head.project, -1)

    async def learn_projects(self) -> None:
        """Learn which projects other nodes have created."""
        for project in await self._store.projects():
            self.note_project(project)

    def note_project(self, project: Project) -> None:
        self.epochs.setdefault(project.name, project.epoch)
        self.seqs.setdefault(project.name, 0)  # its changes are still to be learned

    async def reach(self, project: str, seq: int) -> None:
        """Learn what other nodes have committed to the project, up to a seq that a client knows.
        A seq that nobody has given yet is not waited for."""
        if not self._store.shared or self.seqs.get(project, -1) >= seq or self._closing:
            return
        self.hear(project, seq)
        if self._followed is None:
            self._followed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._followed)

    async def _catch_up(self) -> None:
        heard, self._heard = self._heard, {}
        followed, self._followed = self._followed, None
        try:
            for project, seq in heard.items():
                behind = seq > self.seqs.get(project, -1)
                while behind:
                    async with self._store.alone(()):
                        behind = not await self._follow_page(project)
        except Exception as error:  # noqa: BLE001  the database; the next pulse finds it again
            self.note_failure(error)
            if followed is not None:
                followed.set_exception(copy(error))
                followed.exception()  # nobody may wait any more
            return
        self._behind_since = clock.monotonic() if self._heard else None
        if followed is not None:
            followed.set_result(None)

    async def _learn(self, transaction: Transaction) -> None:
        """Learn what has outpaced the transaction: changes in its projects, or a job elsewhere with
        an id of a new job."""
        for project in transaction.projects:
            await self._follow(project)
        for id in transaction.created:
            stored = None if self._registry.get(id) else await self._store.job(id)
            if stored is not None and self.lacks(stored):
                await self._follow(stored.head.project)

    async def _follow(self, project: str) -> None:
        while not await self._follow_page(project):
            """There is more."""

    async def _follow_page(self, project: str) -> bool:
        """Whether this was the last page."""
        if project not in self.epochs:
            self.epochs[project] = (await self._store.project(project)).epoch
        after, whole = self.seqs.get(project, 0), project not in self._skipped
        news = await read_news(self._store, project, after, with_entries=whole)
        committed = self._publisher.news(news)
        if news.whole:
            self._notify(committed)
        else:
            self._skip(project, committed)
        if news.last:
            self._skipped.discard(project)
        return news.last

    def _skip(self, project: str, committed: Sequence[Committed]) -> None:
        self._skipped.add(project)
        self._notify([it for it in committed if it.after is None])
        for skip in self.skipping:
            skip(project)

    # Outcomes

    def _notify(self, committed: Sequence[Committed]) -> None:
        for listener in self.listeners:
            try:
                listener(committed)
            except Exception:  # a bug; the commit stands, and the next one goes on
                log.exception("a listener failed")

    def fence(self, why: str) -> None:
        """Refuse every change from now on: the database has lost what clients have seen."""
        if self._fenced is None:
            log.error("%s", why)
        self._fenced = why
        self.failing = True

    def note_failure(self, error: Exception) -> None:
        if not isinstance(error, StorageUnavailable):
            log.error("a commit failed", exc_info=error)
        elif not self.failing:  # log it once, not for every request
            log.warning("%s", error)
        self.failing = True

    def _note_success(self) -> None:
        if self.failing:
            self.failing = False
            log.warning("The store takes writes again.")


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


def _probe(transaction: Transaction) -> None:
    transaction.probing = True
