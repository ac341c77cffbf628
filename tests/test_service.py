"""The product's verbs, called in-process, over both stores."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs import Job, LiveJobs, Settings, create_app
from livejobs.core import reports as say
from livejobs.core.errors import (
    Conflict,
    HeadTooLarge,
    IdempotencyMismatch,
    Invalid,
    LivejobsError,
    NotFound,
    StorageUnavailable,
    TooMany,
)
from livejobs.core.model import Record
from livejobs.jobs.state import FINISHED_KEPT, Slot
from livejobs.store.base import Change, EntryQuery, Query, Store
from livejobs.store.memory import MemoryStore
from livejobs.store.sqlite.store import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda path: SqliteStore(path / "livejobs.db"),
}


@pytest.fixture(params=STORES)
async def live(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LiveJobs]:
    async with LiveJobs(Settings(data=tmp_path), store=STORES[request.param](tmp_path)) as live:
        yield live


def over(store: Store, tmp_path: Path, **settings: Any) -> LiveJobs:
    return LiveJobs(Settings(data=tmp_path, **settings), store=store)


def logs(*messages: str) -> list[dict[str, Any]]:
    return [{"type": "log", "message": message} for message in messages]


async def said(pages: AsyncIterator[Sequence[Record]]) -> list[int]:
    return [record.entry.n async for records in pages for record in records]


# A job's life


async def test_a_program_asks_and_is_answered(live: LiveJobs) -> None:
    job = await live.create(id="j")

    slot = await live.find("j")

    async def waits() -> int:
        while slot.head.waiting is None:
            await slot.changed()
        return slot.head.waiting.n

    async def answer() -> None:
        n = await waits()
        with pytest.raises(Invalid, match="does not fit"):
            await live.answer("j", "yes")
        await live.answer("j", True, n=n)

    value, _ = await asyncio.gather(job.ask("Publish?", {"type": "boolean"}), answer())
    assert value is True
    assert await job.ask("Publish?", timeout=0.01) is None
    assert (await job.state())["waiting"] is None
    with pytest.raises(Conflict):
        await live.answer("j", True)
    asking = asyncio.ensure_future(job.ask("Publish?"))
    await waits()
    await live.cancel("j", force=True)
    assert await asking is None


async def test_a_job_is_created_told_and_read(live: LiveJobs) -> None:
    job = await live.create(id="j", title="Teaser", total=10, meta={"k": 1}, tags=["nightly"])
    assert job.status == "queued"
    await job.start(host="h")
    await job.progress(current=4, message="Pass 2")
    await job.step("encode", current=1, total=2)
    await job.log("hello", level="warning")
    await job.result({"id": 1})
    await job.error("bad", item="seg-3")
    await job.count(merged=3)
    receipt = await job.succeed({"ok": True})
    assert (receipt.status, receipt.accepted, receipt.cancel_requested) == ("succeeded", 1, False)
    state = await job.state()
    assert state == await live.job("j")
    assert state["cursor"] == receipt.cursor
    assert (state["results"][0]["value"], state["errors"][0]["item"]) == ({"id": 1}, "seg-3")
    assert (state["result"], state["counters"], state["worker"]) == (
        {"ok": True},
        {"merged": 3},
        {"host": "h"},
    )
    assert state["owner"] == "anonymous"


async def test_a_job_is_sent_back_and_ends_as_it_was_asked_to(live: LiveJobs) -> None:
    job = await live.create(id="j", meta={"a": 1, "b": 2})
    await job.meta(a=None, c=[3])
    await job.retry("flaky")
    state = await job.state()
    assert (state["status"], state["attempt"], state["error"]["message"]) == ("queued", 2, "flaky")
    assert state["meta"] == {"b": 2, "c": [3]}
    await job.heartbeat()
    assert job.status == "running"
    await live.cancel("j")
    assert (await job.cancelled()).status == "cancelled"


async def test_reports_are_all_kept_or_none(live: LiveJobs) -> None:
    job = await live.create()
    before = await job.state()
    with pytest.raises(LivejobsError) as caught:
        await job.report({"type": "log", "message": "x"}, {"type": "succeed"}, {"type": "start"})
    assert caught.value.code == "job_finished"
    with pytest.raises(Invalid):
        await job.report({"type": "log", "message": "x"}, {"type": "zap"})
    assert await job.state() == before


async def test_what_is_no_unicode_is_refused_in_process_too(live: LiveJobs) -> None:
    job = await live.create()
    with pytest.raises(Invalid):
        await job.log("/tmp/\udcff")  # a file name that is not UTF-8
    with pytest.raises(Invalid):
        await live.create(title="/tmp/\udcff")


@pytest.mark.parametrize("n", [None, 7])
async def test_a_heartbeat_moves_its_time_and_not_the_cursor(live: LiveJobs, n: int | None) -> None:
    job = await live.create()
    await job.start()
    before = await job.state()
    for _ in range(2):
        await asyncio.sleep(0.002)  # the clock has milliseconds
        receipt = await job.report(say.Heartbeat(producer=None if n is None else "w", n=n))
        assert (receipt.cursor, receipt.accepted) == (before["cursor"], 1)
    after = await job.state()
    assert after.pop("heartbeat_at") > before.pop("heartbeat_at")
    assert after == before


async def test_a_heartbeat_that_was_seen_before_is_skipped(live: LiveJobs) -> None:
    job = await live.create()
    await job.report(say.Start(producer="w", n=3))
    receipt = await job.report(say.Heartbeat(producer="w", n=3), say.Heartbeat(producer="w", n=4))
    assert receipt.accepted == 1


async def test_a_job_that_is_gone_takes_nothing(live: LiveJobs) -> None:
    job = await live.create(id="j")
    with pytest.raises(Conflict) as caught:
        await live.delete("j")
    assert caught.value.code == "job_not_finished"
    await job.succeed()
    await live.delete("j")
    with pytest.raises(NotFound):
        await job.log("too late")
    with pytest.raises(NotFound):
        await live.job("j")
    again = await live.create(id="j")
    assert (await again.state())["logs_total"] == 0


async def test_a_cancel_ends_a_queued_job_and_asks_a_running_one(live: LiveJobs) -> None:
    queued, running, stubborn = [await live.create(id=id) for id in "abc"]
    await running.start()
    await stubborn.start()
    for id in "ab":
        await live.cancel(id)
    await live.cancel("c", force=True)
    assert [job.status for job in (queued, running, stubborn)] == [
        "cancelled",
        "running",
        "cancelled",
    ]
    receipt = await running.log("hears of it")
    assert receipt.cancel_requested
    assert running.cancel_requested


# Ids, parents, keys, quotas


async def test_an_id_is_unique_in_the_server_whatever_the_project(live: LiveJobs) -> None:
    job = await live.create(id="j")
    for project in ("default", "other"):
        with pytest.raises(Conflict) as caught:
            await live.create(id="j", project=project)
        assert caught.value.code == "job_exists"
    await job.succeed()
    with pytest.raises(Conflict):
        await live.create(id="j")


async def test_of_those_who_put_the_same_job_at_once_one_makes_it(live: LiveJobs) -> None:
    made = await asyncio.gather(*[live.creating.put("j", say.NewJob()) for _ in range(20)])
    assert sum(new for _, new in made) == 1
    assert len({id(slot) for slot, _ in made}) == 1


@pytest.mark.parametrize("id", ["a b", "a\n", "", "a" * 129, "ä", "-a"])
async def test_an_id_that_is_put_is_held_to_the_same_rules(live: LiveJobs, id: str) -> None:
    with pytest.raises(Invalid) as caught:
        await live.creating.put(id, say.NewJob())
    assert caught.value.errors[0].pointer == "/id"


async def test_a_parent_is_a_job_of_the_same_project(live: LiveJobs) -> None:
    await live.create(id="p")
    for parent, project in (("none", "default"), ("p", "other")):
        with pytest.raises(Invalid) as caught:
            await live.create(parent=parent, project=project)
        assert caught.value.errors[0].pointer == "/parent"


async def test_a_parent_counts_its_children_as_they_move(live: LiveJobs) -> None:
    await live.create(id="p")
    children = [await live.create(parent="p") for _ in range(3)]
    cursor = (await live.job("p"))["cursor"]
    await children[0].succeed()
    await children[1].start()
    parent = await live.job("p")
    assert parent["children"] == {
        "total": 3, "queued": 1, "running": 1, "succeeded": 1, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    assert parent["cursor"] != cursor


async def test_an_idempotency_key_makes_one_job_however_often_it_is_said(live: LiveJobs) -> None:
    def create() -> Any:
        return live.creating.once(say.NewJob(title="x"), key="k")

    made = [*await asyncio.gather(*[create() for _ in range(20)]), await create()]
    assert sum(new for _, new in made) == 1
    assert len({slot.head.id for slot, _ in made}) == 1
    with pytest.raises(IdempotencyMismatch):
        await live.creating.once(say.NewJob(), key="k")


async def test_a_create_that_failed_does_not_use_up_its_key(live: LiveJobs) -> None:
    with pytest.raises(Invalid):
        await live.creating.once(say.NewJob(parent="later"), key="k")
    await live.create(id="later")
    _, new = await live.creating.once(say.NewJob(parent="later"), key="k")
    assert new


async def test_a_full_queue_refuses_another_job(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_queued=2) as live:
        tried = await asyncio.gather(*[live.create() for _ in range(5)], return_exceptions=True)
        jobs = [one for one in tried if isinstance(one, Job)]
        refusals = [one for one in tried if isinstance(one, TooMany)]
        assert (len(jobs), len(refusals), refusals[0].code) == (2, 3, "queue_full")
        await jobs[0].start()
        await live.create()


async def tried(live: LiveJobs, many: int, **fields: Any) -> tuple[list[Job], list[TooMany]]:
    """Creates that all come at once: those that went through, those refused."""
    tries = [live.create(**fields) for _ in range(many)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    jobs = [one for one in answers if isinstance(one, Job)]
    refused = [one for one in answers if isinstance(one, TooMany)]
    assert len(jobs) + len(refused) == many
    assert {one.code for one in refused} <= {"too_many_unfinished"}
    return jobs, refused


async def test_a_project_has_only_so_many_unfinished_jobs_and_another_is_not_slowed(
    tmp_path: Path,
) -> None:
    async with over(MemoryStore(), tmp_path, max_unfinished=3) as live:
        jobs, _ = await tried(live, 8)
        assert len(jobs) == 3
        others, _ = await tried(live, 8, project="other")
        assert len(others) == 3


async def test_room_for_another_comes_with_an_end_and_with_nothing_else(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_unfinished=2) as live:
        (first, second), _ = await tried(live, 2)
        for step in (first.start, first.retry, first.start, second.start):
            await step()
            assert not (await tried(live, 2))[0]
        with pytest.raises(Conflict):
            await live.delete(first.id)
        await asyncio.gather(first.succeed(), first.log("too late"), return_exceptions=True)
        assert len((await tried(live, 3))[0]) == 1
        await live.delete(first.id)  # it counted no more
        assert not (await tried(live, 2))[0]
        await live.cancel(second.id, force=True)
        assert len((await tried(live, 3))[0]) == 1


async def test_an_end_in_the_same_group_makes_room_and_a_refused_create_takes_none(
    tmp_path: Path,
) -> None:
    async with over(MemoryStore(), tmp_path, max_unfinished=1) as live:
        first = await live.create(id="a")
        ended, second, taken = await asyncio.gather(
            first.succeed(), live.create(id="b"), live.create(id="b"), return_exceptions=True
        )
        assert not isinstance(ended, BaseException)
        assert isinstance(second, Job)
        assert isinstance(taken, Conflict)
        await second.fail("x")
        assert len((await tried(live, 2))[0]) == 1


async def test_unfinished_jobs_of_an_earlier_run_count(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, max_unfinished=2)
    async with LiveJobs(settings) as live:
        (first, second), _ = await tried(live, 2)
        await first.start()
        await second.succeed()
        assert len((await tried(live, 1))[0]) == 1
    async with LiveJobs(settings) as live:
        assert not (await tried(live, 2))[0]
        await live.report(first.id, {"type": "succeed"})
        assert len((await tried(live, 2))[0]) == 1


# What a head may hold


async def test_a_head_has_a_bound_and_a_report_past_it_changes_nothing(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=2000) as live:
        with pytest.raises(HeadTooLarge) as caught:
            await live.create(title="t" * 100, meta={"x": "y" * 2000}, tags=["a"])
        assert caught.value.errors[0].pointer == "/meta"
        job = await live.create()
        before = await job.state()
        with pytest.raises(HeadTooLarge) as caught:
            await job.report(
                {"type": "log", "message": "m"}, {"type": "meta", "set": {"x": "y" * 2000}}
            )
        assert caught.value.errors[0].pointer == "/1/set"
        assert await job.state() == before


@pytest.mark.parametrize(
    ("sizes", "pointer"),
    [
        ((100, 3000, 100), "/1/set"),  # the others have room without it
        ((1700, 1600, 1700), "/1/set"),  # there is room for one of them
        ((3000,), "/set"),
    ],
)
async def test_the_field_is_named_that_a_head_has_no_room_for(
    tmp_path: Path, sizes: tuple[int, ...], pointer: str
) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=3000) as live:
        job = await live.create()
        reports = [say.Meta(set={f"k{n}": "y" * size}) for n, size in enumerate(sizes)]
        with pytest.raises(HeadTooLarge) as caught:
            await job.report(*reports)
        assert caught.value.errors[0].pointer == pointer


async def test_a_value_that_was_replaced_is_not_blamed_for_a_full_head(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=3000) as live:
        job = await live.create()
        await job.meta(a="y" * 1800)
        with pytest.raises(HeadTooLarge) as caught:
            await job.report(
                say.Meta(set={"a": "z" * 1800}),
                say.Meta(set={"b": "y" * 1000}),
                say.Fail(message="m", detail="d"),
            )
        assert caught.value.errors[0].pointer == "/1/set"


@pytest.mark.parametrize("lines", [False, True])
async def test_a_head_does_not_grow_by_names_of_producers_either(
    tmp_path: Path, lines: bool
) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=2000) as live:
        job = await live.create(id="j")
        slot = await live.find("j")
        with pytest.raises(HeadTooLarge):  # noqa: PT012  which of them it is does not matter
            for n in range(100):
                report = say.Log(message="m", producer=f"{n:0128}", n=1)
                if lines:
                    batch = await live.reporting.apply_lines(slot, [report])
                    if batch.refused is not None:
                        raise batch.refused
                else:
                    await job.report(report)


async def test_a_job_whose_head_is_full_can_still_speak_and_end(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, max_head_bytes=4000) as live:
        job = await live.create(id="j")
        await job.start()
        fits = 4000
        while fits:  # as large as it is let
            try:
                await job.report(say.Meta(set={"x": "y" * fits}))
                break
            except HeadTooLarge:
                fits -= 1
        assert fits > 2000
        for n in range(20):
            await job.log(f"line {n}")
        await live.cancel("j")
        assert (await job.fail("no room for more")).status == "failed"


# Memory is not the truth, it is in front of it


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


# Lists


async def test_a_list_has_what_is_asked_for_and_counts_all(live: LiveJobs) -> None:
    for n in range(5):
        job = await live.create(id=f"j{n}", type="even" if n % 2 == 0 else "odd")
        if n < 3:
            await job.succeed()
    first = await live.list(Query(None, statuses=("succeeded",)), limit=2)
    rest = await live.list(Query(None, statuses=("succeeded",)), limit=2, after=first.next)
    ids = [[slot.head.id for slot in page.slots] for page in (first, rest)]
    assert (ids, rest.next) == ([["j2", "j1"], ["j0"]], None)
    assert first.counts["succeeded"] == 3
    assert first.counts["queued"] == 2


@pytest.mark.parametrize("token", ["", "x", "x.1", ".1", "1.x", "x.-1", "x.1.1", "\u0661"])
async def test_a_page_token_that_is_not_ours_is_refused(live: LiveJobs, token: str) -> None:
    await live.create()
    with pytest.raises(LivejobsError) as caught:
        await live.list(Query(None), after=token)
    assert (caught.value.status, caught.value.code) == (400, "bad_cursor")
    assert caught.value.errors[0].pointer == "/after"


# Logs, and waiting


async def test_logs_are_followed_until_the_job_ends_and_none_is_missed(live: LiveJobs) -> None:
    job = await live.create(id="j")
    slot = await live.find("j")
    following = asyncio.create_task(said(live.logs(slot, follow=True)))
    for n in range(20):
        await job.log(f"line {n}")
    await job.report(*logs("with the end"), {"type": "succeed"})
    assert await following == [*range(1, 22)]


async def test_a_tail_is_followed_from_where_it_ends(live: LiveJobs) -> None:
    job = await live.create(id="j")
    await job.report(*logs(*"abcde"))
    slot = await live.find("j")
    assert await said(live.logs(slot, tail=2)) == [4, 5]
    following = asyncio.create_task(said(live.logs(slot, tail=2, follow=True)))
    await job.report(*logs("f"), {"type": "succeed"})
    assert (await following)[-1] == 6


async def test_logs_of_many_pages_come_in_order(live: LiveJobs) -> None:
    job = await live.create(id="j")
    for _ in range(3):
        await job.report(*logs(*["x"] * 900))
    slot = await live.find("j")
    assert await said(live.logs(slot)) == [*range(1, 2701)]
    assert await said(live.logs(slot, after=100, limit=1500)) == [*range(101, 1601)]


async def test_a_reader_of_logs_leaves_nothing_behind(live: LiveJobs) -> None:
    job = await live.create(id="j")
    await job.report(*logs("x"), {"type": "succeed"})
    slot = await live.find("j")
    for _ in range(5):
        await said(live.logs(slot, follow=True))
    assert (len(slot._waiting), slot.holders) == (0, 0)


async def waiting(live: LiveJobs, slot: Slot, **until: Any) -> asyncio.Task[bool]:
    task = asyncio.create_task(live.wait(slot, seconds=30, **until))
    await asyncio.sleep(0)  # it has run up to its wait
    assert not task.done()
    return task


async def test_a_wait_ends_with_the_next_change(live: LiveJobs) -> None:
    job = await live.create(id="j")
    slot = await live.find("j")
    change = await waiting(live, slot, since=slot.seq)
    await job.log("x")
    assert await change
    assert await live.wait(slot, since=0, seconds=30)


async def test_a_wait_for_the_end_is_not_ended_by_less(live: LiveJobs) -> None:
    job = await live.create(id="j")
    slot = await live.find("j")
    end = await waiting(live, slot, since=None, finished=True)
    await job.log("x")
    await asyncio.sleep(0)
    assert not end.done()
    await job.fail("x")
    assert await end


async def test_a_wait_has_its_time(live: LiveJobs) -> None:
    slot = await live.find((await live.create()).id)
    assert not await live.wait(slot, since=slot.seq, seconds=0.01)
    assert (len(slot._waiting), slot.holders) == (0, 0)


async def test_every_wait_ends_when_the_server_stops(live: LiveJobs) -> None:
    slot = await live.find((await live.create()).id)
    change = await waiting(live, slot, since=slot.seq)
    following = asyncio.create_task(said(live.logs(slot, follow=True)))
    await asyncio.sleep(0)
    await live.drain()
    assert await change
    assert await following == []


# Time passes


async def test_a_silent_job_stalls_and_a_report_wakes_it(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, lost_after=1000) as live:
        job = await live.create(heartbeat_timeout=0.001)
        await job.start()
        slot = await live.find(job.id)
        while not slot.head.stalled:
            await live.wait(slot, since=slot.seq, seconds=30)
        assert job.status == "running"
        seq = slot.seq
        await job.report(say.Heartbeat())
        assert (slot.head.stalled, slot.seq) == (False, seq + 1)


async def test_a_lost_job_has_failed(tmp_path: Path) -> None:
    async with over(MemoryStore(), tmp_path, lost_after=0.001) as live:
        job, queued = await live.create(), await live.create()
        await job.start()
        assert await live.wait(await live.find(job.id), since=None, seconds=30, finished=True)
        state = await job.state()
        assert (state["status"], state["error"]["code"]) == ("failed", "lost")
        assert queued.status == "queued"
        with pytest.raises(Conflict):
            await job.log("I am here!")


async def test_a_finished_job_goes_when_its_time_is_up(live: LiveJobs) -> None:
    job = await live.create(id="j", ttl_seconds=0.001)
    await live.create(id="stays", ttl_seconds=0.001)
    slot = await live.find("j")  # it may be gone as soon as it has ended
    await job.succeed()
    while not slot.gone:
        await slot.changed()
    with pytest.raises(NotFound):
        await live.find("j")
    await live.find("stays")
