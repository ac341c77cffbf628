"""A job's life, as code in the same process sees it."""

from __future__ import annotations

import asyncio

import pytest

from livejobs import LiveJobs
from livejobs.core import reports as say
from livejobs.core.errors import Conflict, Invalid, LivejobsError, NotFound


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
