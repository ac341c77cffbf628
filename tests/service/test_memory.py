"""Memory is in front of the truth, which is on disk."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, create_app
from livejobs.core import reports as say
from livejobs.core.errors import Conflict, NotFound, StorageUnavailable
from livejobs.core.model import Record
from livejobs.jobs.state import FINISHED_KEPT
from livejobs.store.base import Change, EntryQuery
from livejobs.store.memory import MemoryStore
from livejobs.store.sqlite.store import SqliteStore
from tests.service.over import logs, over


class Slow(MemoryStore):
    """Writes at once, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        seqs = await super().commit(changes, on)
        self.written.set()
        await self.answers.wait()
        return seqs


async def test_who_reads_a_job_while_it_is_being_made_gets_the_same_one(tmp_path: Path) -> None:
    store = Slow()
    async with over(store, tmp_path) as live:
        store.written.clear()
        store.answers.clear()
        making = asyncio.create_task(live.create(id="j"))
        await store.written.wait()
        finding = asyncio.create_task(live.find("j"))
        putting = asyncio.create_task(live.creating.put("j", say.NewJob()))
        for _ in range(10):
            await asyncio.sleep(0)  # both have read it
        store.answers.set()
        job, found, (there, new) = await making, await finding, await putting
        await job.log("to all of them")
        assert (found, there, new) == (live.registry.get("j"), found, False)
        assert found.head.logs_total == 1


async def test_a_viewer_of_a_job_is_told_of_its_deletion(tmp_path: Path) -> None:
    store = Slow()
    async with over(store, tmp_path) as live:
        app = await asyncio.to_thread(create_app, live)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await (await live.create(id="j")).report(say.Log(message="m"), say.Succeed())
            store.written.clear()
            store.answers.clear()
            deleting = asyncio.create_task(live.delete("j"))
            await store.written.wait()
            path = "/v1/jobs/j/events?view=delta&logs=1"
            watching = asyncio.create_task(client.get(path))
            for _ in range(20):
                await asyncio.sleep(0)  # it has read what is there
            store.answers.set()
            await deleting
            events = re.findall(r"^event: (\w+)", (await watching).text, re.MULTILINE)
    assert events == ["snapshot", "gone", "end"]


class Gated(MemoryStore):
    """Entries are read when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.reading = asyncio.Event()
        self.free = asyncio.Event()

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        found = await super().entries(query)
        self.reads += 1
        self.reading.set()
        await self.free.wait()
        return found


async def test_results_that_come_while_results_are_read_are_each_shown_once(
    tmp_path: Path,
) -> None:
    store = Gated()
    async with over(store, tmp_path) as live:
        await (await live.create(id="j")).result(1)
    async with over(store, tmp_path) as live:
        reading = [asyncio.create_task(live.job("j")) for _ in range(3)]
        await store.reading.wait()
        await live.report("j", {"type": "result", "value": 2}, {"type": "error", "message": "m"})
        store.free.set()
        for job in await asyncio.gather(*reading):
            assert [result["value"] for result in job["results"]] == [1, 2]
            assert (job["results_total"], len(job["errors"])) == (2, 1)
        assert store.reads == 1


async def test_a_job_deleted_while_its_results_are_read_is_not_shown_without_them(
    tmp_path: Path,
) -> None:
    store = Gated()
    async with over(store, tmp_path) as live:
        await (await live.create(id="j")).report(say.Result(value=1), say.Succeed())
    async with over(store, tmp_path) as live:
        reading = asyncio.create_task(live.job("j"))
        await store.reading.wait()
        await live.delete("j")
        store.free.set()
        with pytest.raises(NotFound):
            await reading


async def test_a_result_that_is_on_disk_and_not_yet_told_is_shown_once_told(
    tmp_path: Path,
) -> None:
    store = Slow()
    async with over(store, tmp_path) as live:
        await (await live.create(id="j")).result(1)
    async with over(store, tmp_path) as live:
        store.written.clear()
        store.answers.clear()
        saying = asyncio.create_task(live.report("j", {"type": "result", "value": 2}))
        await store.written.wait()
        before = await live.job("j")
        store.answers.set()
        await saying
        after = await live.job("j")
    values = [[result["value"] for result in job["results"]] for job in (before, after)]
    assert values == [[1], [1, 2]]
    assert (before["results_total"], after["results_total"]) == (1, 2)


async def test_only_the_last_thousand_results_are_shown_with_the_job(live: LiveJobs) -> None:
    job = await live.create(id="j")
    for start in (0, 1000):
        await job.report(*[say.Result(value=start + n) for n in range(1000)])
    await job.result("last")
    state = await job.state()
    shown = [result["n"] for result in state["results"]]
    assert (shown, state["results_total"]) == ([*range(1002, 2002)], 2001)


async def test_finished_jobs_in_memory_are_bounded_and_read_again_when_asked_for(
    tmp_path: Path,
) -> None:
    async with over(MemoryStore(), tmp_path) as live:
        first = await live.create(id="first")
        await first.report(say.Result(value=1), say.Succeed())
        held = await live.find("first")
        with held.held():
            for n in range(FINISHED_KEPT + 1):
                await (await live.create(id=f"j{n}")).succeed()
            assert live.registry.get("first") is held
        for n in range(FINISHED_KEPT + 1):
            await live.find(f"j{n}")
        assert live.statistics()["jobs_finished_in_memory"] == FINISHED_KEPT
        assert live.registry.get("first") is None
        assert (await live.job("first"))["results"][0]["value"] == 1


async def test_viewers_of_a_job_keep_no_more_of_it_in_memory_than_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livejobs.jobs.state.ENTRY_BYTES_KEPT", 30_000)
    async with over(MemoryStore(), tmp_path) as live:
        small, large = await live.create(id="small"), await live.create(id="large")
        for job, size in ((small, 10), (large, 20_000)):
            await job.result("x" * size)
        slots = [await live.find(job.id) for job in (small, large)]
        for slot in slots:
            await live.whole(slot)
        with slots[1].held():  # as by one who watches
            live.registry.trim()
        assert slots[0].whole is not None  # the one that is too large makes room first
        assert slots[1].whole is None
        assert slots[1].tail is not None
        assert len((await live.whole(slots[1])).results) == 1


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "livejobs.db"
    ids = ["finished", "running", "queued-1", "queued-2", "child"]
    async with over(SqliteStore(path), tmp_path) as live:
        for id in ids[:4]:
            job = await live.create(id=id, title=id, steps=["s"], meta={"k": [1, None]})
            if not id.startswith("queued"):
                await job.report(*logs("x"), say.Result(value=1), say.Progress(current=2, total=4))
        await live.create(id="child", parent="running")
        await live.report("finished", {"type": "succeed", "result": 7})
        await live.report("queued-1", {"type": "retry"})  # to the end of the queue
        before = [await live.job(id) for id in ids]
    async with over(SqliteStore(path), tmp_path) as live:
        assert [await live.job(id) for id in ids] == before
        assert live.statistics()["jobs_unfinished"] == 4
        with pytest.raises(Conflict):
            await live.report("finished", {"type": "start"})
        receipt = await live.report("running", *logs("goes on"))
        assert (await live.job("running"))["cursor"] == receipt.cursor
        assert (await live.job("running"))["logs_total"] == 2


async def test_an_id_is_taken_also_by_a_job_that_is_on_disk_alone(tmp_path: Path) -> None:
    path = tmp_path / "livejobs.db"
    async with over(SqliteStore(path), tmp_path) as live:
        await (await live.create(id="j")).succeed()
    async with over(SqliteStore(path), tmp_path) as live:
        with pytest.raises(Conflict):
            await live.create(id="j")
        assert (await live.job("j"))["status"] == "succeeded"


async def test_after_stopping_nothing_is_taken(tmp_path: Path) -> None:
    async with over(SqliteStore(tmp_path / "livejobs.db"), tmp_path) as live:
        job = await live.create()
    with pytest.raises(StorageUnavailable):
        await job.log("too late")
    await live.stop()  # again
