"""What becomes of jobs as time passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from livejobs import LiveJobs
from livejobs.core import reports as say
from livejobs.core.errors import Conflict, NotFound
from livejobs.store.memory import MemoryStore
from tests.service.over import over


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
