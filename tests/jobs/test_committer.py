"""The only writer: operations in groups, nothing shown before it is written, nothing to undo."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.errors import Invalid, LivejobsError, NotFound, StorageUnavailable
from livejobs.core.model import Head
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.outcomes import Outcome
from livejobs.jobs.commit.publishing import Committed
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import Change
from livejobs.store.memory import MemoryStore


class Disk(MemoryStore):
    """A store that can be held up and can refuse, and counts its transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()
        self.writing = asyncio.Event()
        self.refuses: Exception | None = None
        self.batches: list[Sequence[Change]] = []

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        self.writing.set()
        await self.free.wait()
        if self.refuses is not None:
            raise self.refuses
        self.batches.append(changes)
        return await super().commit(changes, on)


class Workshop:
    """A committer at work, and the operations that tests submit."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.registry = Registry()
        self.lanes = Lanes()
        self.committer = Committer(self.disk, self.registry, self.lanes)
        self.published: list[Committed] = []
        self.committer.listeners.append(self.published.extend)

    async def create(self, id: str, **fields: Any) -> Slot:
        slot: Slot = (await self.submit(creating(id, **fields))).value
        return slot

    async def report(self, slot: Slot, *reports: say.AnyReport) -> Outcome[Head]:
        return await self.submit(reporting(slot, *reports))

    async def submit(self, operation: Callable[[Transaction], Any]) -> Outcome[Any]:
        return await self.committer.submit(operation)

    async def together(self, *operations: Callable[[Transaction], Any]) -> list[Any]:
        """Submit all in one group; return their outcomes or exceptions."""
        self.disk.free.clear()
        self.disk.writing.clear()
        first = asyncio.create_task(self.create("holds-up-the-disk"))
        await self.disk.writing.wait()
        submitted = [asyncio.create_task(self.submit(operation)) for operation in operations]
        await asyncio.sleep(0)  # each task runs to its wait
        self.disk.free.set()
        await first
        outcomes: list[Any] = await asyncio.gather(*submitted, return_exceptions=True)
        return outcomes


def creating(id: str, **fields: Any) -> Callable[[Transaction], Slot]:
    head = reducer.create(say.NewJob(**fields), id=id, project="default", owner="me", now=0)

    def operation(transaction: Transaction) -> Slot:
        assert transaction.slot(id) is None
        return transaction.create(head, "")

    return operation


def reporting(slot: Slot, *reports: say.AnyReport) -> Callable[[Transaction], Head]:
    def operation(transaction: Transaction) -> Head:
        head = transaction.head(slot)
        if head is None:
            raise NotFound.job(slot.head.id)
        folded = reducer.fold(head, reports, transaction.now)
        transaction.change(slot, folded.head, folded.entries)
        return folded.head

    return operation


def cancelling(slot: Slot) -> Callable[[Transaction], None]:
    return lambda transaction: transaction.change(slot, reducer.cancel(slot.head, transaction.now))


def deleting(slot: Slot) -> Callable[[Transaction], None]:
    return lambda transaction: transaction.delete(slot)


def place(slot: Slot) -> tuple[int, int, float | None] | None:
    if slot.lane is None:
        return None
    queue = slot.lane.place(slot.ticket, 0)
    return queue.position, queue.length, queue.eta_seconds


def seqs(outcome: Outcome[Any]) -> dict[Slot, int]:
    return {change.slot: change.seq for change in outcome.changes}


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with at_work() as shop:
        yield shop


@asynccontextmanager
async def at_work(disk: Disk | None = None) -> AsyncIterator[Workshop]:
    shop = Workshop(disk or Disk())
    shop.committer.epochs["default"] = (await shop.disk.project("default")).epoch
    running = asyncio.create_task(shop.committer.run())
    yield shop
    shop.disk.free.set()
    shop.committer.close()
    await running


async def test_an_operation_returns_the_seqs_of_its_own_changes(shop: Workshop) -> None:
    slot = await shop.create("a")
    other, outcome = await shop.together(creating("b"), reporting(slot, say.Start()))
    assert (slot.seq, seqs(outcome)) == (4, {slot: 4})
    assert (outcome.seq(slot), outcome.seq(other.value)) == (4, 3)
    assert seqs(other) == {other.value: 3}
    assert outcome.value is slot.head


async def test_operations_that_wait_together_are_written_together(shop: Workshop) -> None:
    slot = await shop.create("a")
    await shop.together(*[reporting(slot, say.Log(message=str(n))) for n in range(50)])
    assert [len(batch) for batch in shop.disk.batches] == [1, 1, 50]
    assert slot.head.logs_total == 50


async def test_an_operation_sees_the_changes_of_earlier_ones(shop: Workshop) -> None:
    slot = await shop.create("a")
    _, late = await shop.together(
        reporting(slot, say.Succeed()), reporting(slot, say.Log(message="too late"))
    )
    assert isinstance(late, reducer.Finished)
    assert (slot.head.status, slot.head.logs_total) == ("succeeded", 0)


async def test_nothing_is_shown_before_it_is_written(shop: Workshop) -> None:
    slot = await shop.create("a")
    shop.published.clear()
    shop.disk.free.clear()
    shop.disk.writing.clear()
    waiting = asyncio.create_task(shop.report(slot, say.Start()))
    await shop.disk.writing.wait()
    assert (slot.head.status, slot.seq, shop.published, waiting.done()) == ("queued", 1, [], False)
    shop.disk.free.set()
    await waiting
    assert (slot.head.status, slot.seq, len(shop.published)) == ("running", 2, 1)


async def test_when_the_store_refuses_every_caller_gets_the_error_and_nothing_changes(
    shop: Workshop,
) -> None:
    slot = await shop.create("a")
    before, shop.disk.refuses = slot.head, StorageUnavailable("full")
    shop.published.clear()
    answers = await asyncio.gather(
        shop.create("b"),
        shop.report(slot, say.Start()),
        shop.report(slot, say.Succeed()),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [StorageUnavailable] * 3
    assert len({id(answer) for answer in answers}) == 3
    assert (slot.head, slot.seq, shop.registry.get("b"), shop.published) == (before, 1, None, [])
    assert shop.committer.failing
    assert shop.lanes.queued == 1


async def test_commits_succeed_again_as_soon_as_the_store_accepts_them(shop: Workshop) -> None:
    slot = await shop.create("a")
    shop.disk.refuses = StorageUnavailable("full")
    with pytest.raises(StorageUnavailable):
        await shop.report(slot, say.Start())
    shop.disk.refuses = None
    await shop.report(slot, say.Succeed())
    assert (slot.head.status, slot.seq, shop.committer.failing) == ("succeeded", 2, False)


async def test_any_error_of_the_store_reaches_every_caller(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.disk.refuses = RuntimeError("a bug")
    answers = await asyncio.gather(shop.create("a"), shop.create("b"), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["a bug", "a bug"]
    assert "a commit failed" in caplog.text


async def test_a_refused_operation_changes_nothing_and_the_rest_of_its_group_is_kept(
    shop: Workshop,
) -> None:
    parent = await shop.create("parent")

    def half(transaction: Transaction) -> None:
        creating("lost", parent="parent")(transaction)
        reporting(parent, say.Log(message="lost"))(transaction)
        raise Invalid("no")

    await shop.together(
        reporting(parent, say.Log(message="before")),
        half,
        reporting(parent, say.Log(message="after")),
        creating("lost"),
    )
    assert parent.head.logs_total == 2
    assert parent.head.children.total == 0
    kept = shop.registry.get("lost")
    assert kept is not None
    assert kept.head.parent is None
    assert shop.lanes.queued == 2  # the one that holds up the disk, and "lost"


async def test_a_refused_operation_gives_back_its_place_in_the_queue(shop: Workshop) -> None:
    def half(transaction: Transaction) -> None:
        creating("lost")(transaction)
        raise Invalid("no")

    answers = await shop.together(half, lambda transaction: transaction.queued)
    assert answers[1].value == 1  # the one that holds up the disk


async def test_a_bug_in_an_operation_reaches_only_its_caller(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(transaction: Transaction) -> None:
        raise ZeroDivisionError

    answers = await shop.together(bug, creating("a"))
    assert isinstance(answers[0], ZeroDivisionError)
    assert shop.registry.get("a") is answers[1].value
    assert "an operation failed" in caplog.text


async def test_an_operation_that_changes_nothing_writes_nothing(shop: Workshop) -> None:
    await shop.create("a")
    outcome = await shop.submit(lambda transaction: "looked")
    assert (outcome.value, seqs(outcome), len(shop.disk.batches)) == ("looked", {}, 1)


async def test_a_change_stands_when_its_caller_has_gone(shop: Workshop) -> None:
    slot = await shop.create("a")
    shop.disk.free.clear()
    shop.disk.writing.clear()
    caller = asyncio.create_task(shop.report(slot, say.Start()))
    await shop.disk.writing.wait()
    caller.cancel()
    shop.disk.free.set()
    await shop.report(slot, say.Log(message="after it"))
    assert (slot.head.status, slot.seq) == ("running", 3)


async def test_a_change_of_a_childs_status_changes_its_parent(shop: Workshop) -> None:
    parent = await shop.create("parent")
    await shop.report(parent, say.Start())
    child = await shop.create("child", parent="parent")
    outcome = await shop.report(child, say.Start(), say.Succeed())
    assert seqs(outcome) == {child: 5, parent: 6}
    assert [outcome.seq(slot) for slot in (child, parent)] == [5, 6]
    assert (parent.head.children.succeeded, parent.head.children.total) == (1, 1)
    assert [change.slot for change in shop.published[-2:]] == [child, parent]


async def test_a_slot_of_a_deleted_job_is_not_found_though_a_new_job_has_its_id(
    shop: Workshop,
) -> None:
    old = await shop.create("a")
    await shop.report(old, say.Succeed())
    _, made, late = await shop.together(
        deleting(old), creating("a"), reporting(old, say.Log(message="for the old one"))
    )
    assert isinstance(late, NotFound)
    new: Slot = made.value
    assert shop.registry.get("a") is new
    assert (new.head.status, new.head.logs_total, old.gone) == ("queued", 0, True)


async def test_a_listener_that_fails_stops_neither_the_others_nor_the_committer(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(changes: Sequence[Committed]) -> None:
        raise RuntimeError("a bug in a listener")

    shop.committer.listeners.insert(0, broken)
    slot = await shop.create("a")
    await shop.report(slot, say.Start())
    assert [change.seq for change in shop.published] == [1, 2]
    assert "a bug in a listener" in caplog.text


async def test_closing_writes_accepted_operations_and_refuses_new_ones() -> None:
    async with at_work() as shop:
        slot = await shop.create("a")
        shop.disk.free.clear()
        accepted = [asyncio.create_task(shop.report(slot, say.Start())) for _ in range(3)]
        await asyncio.sleep(0)
        shop.committer.close()
        with pytest.raises(StorageUnavailable):
            await shop.report(slot, say.Start())
        shop.disk.free.set()
        await asyncio.gather(*accepted)
    assert slot.seq == 4


async def test_a_queued_job_has_its_place_and_a_started_one_has_none(shop: Workshop) -> None:
    slot = await shop.create("a")
    assert place(slot) == (1, 1, None)
    await shop.report(slot, say.Start())
    assert (place(slot), shop.lanes.queued) == (None, 0)


async def test_the_pace_of_a_queue_counts_starts_and_not_cancels(shop: Workshop) -> None:
    cancelled = [await shop.create(f"c{n}") for n in range(4)]
    started = [await shop.create(f"s{n}") for n in range(4)]
    last = await shop.create("last")
    for slot in cancelled:
        await shop.submit(cancelling(slot))
    assert place(last) == (5, 5, None)
    for slot in started:
        await shop.report(slot, say.Start())
    queue = place(last)
    assert queue is not None
    assert queue[2] is not None


async def test_a_retried_job_goes_to_the_end_of_its_queue(shop: Workshop) -> None:
    first, second = await shop.create("1"), await shop.create("2")
    await shop.report(first, say.Start(), say.Retry())  # within one commit
    assert (place(first), place(second)) == ((2, 2, None), (1, 2, None))
    assert shop.lanes.queued == 2


async def test_a_refusal_is_logged_without_a_traceback(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.disk.refuses = StorageUnavailable("The disk is full.")
    with pytest.raises(LivejobsError):
        await shop.create("a")
    [record] = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
