"""Memory and store agree, whatever runs concurrently and whenever the disk refuses."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs import LiveJobs, Settings
from livejobs.core.errors import LivejobsError, StorageUnavailable
from livejobs.core.model import KINDS, STATUSES, Record, Stored
from livejobs.core.reports import NewJob
from livejobs.store.base import Change, EntryQuery
from livejobs.store.memory import MemoryStore
from tests.support.examples import examples
from tests.support.strategies import wire_reports

IDS = ["a", "b", "c"]
PARENTS = ["a"]  # stay, so that their children can be counted
ids = st.sampled_from(IDS)
reports = st.lists(wire_reports, min_size=1, max_size=3)
calls = st.one_of(
    st.tuples(st.just("create"), ids, st.none() | st.sampled_from(PARENTS)),
    st.tuples(st.just("put"), ids),
    st.tuples(st.just("report"), ids, reports),
    st.tuples(st.just("lines"), ids, reports),
    st.tuples(st.just("cancel"), ids, st.booleans()),
    st.tuples(st.just("delete"), st.sampled_from([id for id in IDS if id not in PARENTS])),
    st.tuples(st.just("read"), ids),
)
# Concurrent calls, each some turns of the loop after the last, and whether the disk refuses.
late = st.tuples(st.integers(0, 9), calls)
rounds = st.lists(st.tuples(st.booleans(), st.lists(late, min_size=1, max_size=8)), max_size=5)
Round: TypeAlias = tuple[bool, list[Any]]


class Flaky(MemoryStore):
    """A store that is slow and sometimes refuses."""

    refuses = False

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        await asyncio.sleep(0)
        if self.refuses:
            raise StorageUnavailable("full")
        seqs = await super().commit(changes, on)
        for _ in range(3):
            await asyncio.sleep(0)
        return seqs

    async def job(self, id: str) -> Stored | None:
        stored = await super().job(id)
        await asyncio.sleep(0)
        return stored

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        records = await super().entries(query)
        await asyncio.sleep(0)
        return records


class Callers:
    """The callers, and the result that each may expect."""

    def __init__(self, live: LiveJobs) -> None:
        self.live = live

    async def do(self, turns: int, call: tuple[Any, ...]) -> None:
        verb, *args = call
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            await getattr(self, verb)(*args)
        except LivejobsError as error:
            if error.status not in (404, 409, 422, 503):
                raise

    async def create(self, id: str, parent: str | None) -> None:
        await self.live.create(id=id, parent=parent)

    async def put(self, id: str) -> None:
        slot, _ = await self.live.creating.put(id, NewJob())
        assert slot.gone or self.live.registry.get(id) is slot

    async def report(self, id: str, reports: list[Any]) -> None:
        receipt = await self.live.report(id, *reports)
        assert receipt.accepted <= len(reports)

    async def lines(self, id: str, reports: list[Any]) -> None:
        batch = await self.live.reporting.apply_lines(
            await self.live.find(id), self.live.reporting.check(reports)
        )
        assert (batch.kept == len(reports)) == (batch.refused is None)

    async def cancel(self, id: str, force: bool) -> None:
        await self.live.cancel(id, force=force)

    async def delete(self, id: str) -> None:
        await self.live.delete(id)

    async def read(self, id: str) -> None:
        job = await self.live.job(id)
        assert len(job["results"]) == job["results_total"]


async def check(live: LiveJobs) -> None:
    """Compare memory with the store, while nothing runs."""
    stored = {it.head.id: it for it in await live.store.unfinished()}
    slots = {slot.head.id: slot for slot in live.registry.unfinished()}
    assert {id: (slot.head, slot.seq) for id, slot in slots.items()} == {
        id: (it.head, it.seq) for id, it in stored.items()
    }
    queued = [slot for slot in slots.values() if slot.head.status == "queued"]
    assert {id for id, slot in slots.items() if slot.lane} == {slot.head.id for slot in queued}
    places = [slot.lane.place(slot.ticket, 0).position for slot in queued if slot.lane]
    assert sorted(places) == [*range(1, len(queued) + 1)]
    assert live.lanes.queued == len(queued)
    assert not any(slot.holders or slot.arriving for slot in live.registry.all())


async def check_entries(live: LiveJobs, id: str) -> None:
    job = await live.job(id)
    for kind in KINDS:
        records = await live.entries(EntryQuery(id, kind, limit=1000))
        numbers = [record.entry.n for record in records]
        assert numbers == [*range(1, job[f"{kind}_total"] + 1)]
    numbers = [result["n"] for result in job["results"]]
    assert numbers == [*range(1, job["results_total"] + 1)]


async def check_children(live: LiveJobs, jobs: dict[str, Any]) -> None:
    """Children are counted as they are, unless one of them was removed, or the parent ended."""
    for id, job in jobs.items():
        there = Counter(child["status"] for child in jobs.values() if child["parent"] == id)
        if job["completed_at"] is None:
            counted: dict[str, int] = job["children"]
            assert all(counted[status] >= there[status] for status in STATUSES)
            assert (counted["queued"], counted["running"]) == (there["queued"], there["running"])


async def check_jobs(live: LiveJobs) -> dict[str, Any]:
    """Every job, once its parts have been found to fit. Left out is what a restart may change: a
    heartbeat is in memory only, and of those who joined a queue in the same millisecond either
    may be first."""
    jobs = {id: await live.job(id) for id in IDS if await live.store.job(id)}
    for id in jobs:
        await check_entries(live, id)
    await check_children(live, jobs)
    return {id: {**job, "queue": None, "heartbeat_at": None} for id, job in jobs.items()}


async def play(lives: list[list[Round]], folder: Path) -> None:
    store, own = Flaky(), Settings(data=folder)
    before: dict[str, Any] = {}
    for rounds in lives:
        async with LiveJobs(own, store=store) as live:
            callers = Callers(live)
            for refuses, at_once in rounds:
                store.refuses = refuses
                await asyncio.gather(*[callers.do(*call) for call in at_once])
                store.refuses = False
                await live.committer.published()
                await check(live)
            before = await check_jobs(live)
        async with LiveJobs(own, store=store) as live:
            assert await check_jobs(live) == before


@given(st.lists(rounds, max_size=3))
@settings(max_examples=examples(25))
def test_memory_and_store_agree_whatever_runs_concurrently(lives: list[list[Round]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(lives, Path(folder)))
