"""Silence of a worker: it stalls a job, then loses it, and a clock that jumps is not silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from livejobs.config import Settings
from livejobs.core import reports as say
from livejobs.service import Job, LiveJobs
from livejobs.store.memory import MemoryStore

DAY = 86_400_000

Live: TypeAlias = Callable[..., LiveJobs]


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """Services over one data folder, each with the store it is given."""

    def make(store: MemoryStore | None = None) -> LiveJobs:
        return LiveJobs(Settings(data=tmp_path, lost_after=3600.0), store=store or MemoryStore())

    return make


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000_000
        self.seconds = 0.0

    def wait(self, seconds: float) -> None:
        self.wall += int(seconds * 1000)
        self.seconds += seconds

    def jump(self, ms: int) -> None:
        """As when somebody sets the system's clock."""
        self.wall += ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("livejobs.clock.now_ms", lambda: clock.wall)
    monkeypatch.setattr("livejobs.clock.monotonic", lambda: clock.seconds)
    return clock


async def running(jobs: LiveJobs) -> Job:
    job = await jobs.create()
    await job.start()
    return job


async def heartbeat_at(job: Job) -> Any:
    return (await job.state())["heartbeat_at"]


async def test_silence_makes_a_job_stall_and_then_be_lost(live: Live, clock: Clock) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock.wait(61)
        await jobs.sweeper.sweep()
        assert (await job.state())["stalled"] is True
        clock.wait(3540)
        await jobs.sweeper.sweep()
        assert (await job.state())["error"]["code"] == "lost"


async def test_an_answer_that_comes_with_a_sweep_does_not_lose_the_job(
    live: Live, clock: Clock
) -> None:
    """While the job waited, the clock for this stood still."""
    async with live() as jobs:
        job = await running(jobs)
        await job.report(say.Ask(prompt="Publish?"))
        clock.wait(3601)
        # The answer is first in the transaction in which the sweep ends its job.
        await asyncio.gather(jobs.answer(job.id, True), jobs.sweeper.sweep())
        assert (await job.state())["status"] == "running"
        clock.wait(3601)
        await jobs.sweeper.sweep()
        assert (await job.state())["error"]["code"] == "lost"


async def test_a_heartbeat_ends_the_silence(live: Live, clock: Clock) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock.wait(61)
        await job.report(say.Heartbeat())
        await jobs.sweeper.sweep()
        assert (await job.state())["stalled"] is False


@pytest.mark.parametrize("ms", [3 * DAY, -DAY // 24])
async def test_a_clock_that_jumps_is_not_silence(live: Live, clock: Clock, ms: int) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock.jump(ms)
        await jobs.sweeper.sweep()
        state = await job.state()
        assert (state["status"], state["stalled"]) == ("running", False)


async def test_silence_is_noticed_after_the_clock_was_set_back(live: Live, clock: Clock) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock.jump(-DAY)
        clock.wait(61)
        await jobs.sweeper.sweep()
        assert (await job.state())["stalled"] is True


async def test_an_upload_is_heard_after_the_clock_was_set_back(live: Live, clock: Clock) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock.jump(-DAY)

        async def slow() -> AsyncIterator[bytes]:
            clock.wait(61)
            yield b"a"
            await jobs.sweeper.sweep()
            assert (await job.state())["stalled"] is False

        await job.put_file("a", slow())


async def test_a_cancel_does_not_end_the_workers_silence(live: Live, clock: Clock) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock.wait(1)
        await job.report(say.Heartbeat())
        clock.wait(61)
        await jobs.cancel(job.id)
        await jobs.sweeper.sweep()
        state = await job.state()
        assert (state["stalled"], state["heartbeat_at"]) == (True, "2023-11-14T22:13:21.000Z")


async def test_the_last_heartbeat_is_stored_with_the_end(live: Live, clock: Clock) -> None:
    """A finished job never changes: what is on disk is what clients saw."""
    store = MemoryStore()
    async with live(store) as jobs:
        job = await running(jobs)
        clock.wait(1)
        await job.report(say.Heartbeat())
        last = await heartbeat_at(job)
        await jobs.cancel(job.id, force=True)
        shown = await job.state()
        stored = await store.job(job.id)
    assert shown["heartbeat_at"] == last == "2023-11-14T22:13:21.000Z"
    assert stored is not None
    assert stored.head.heartbeat_at == clock.wall


async def test_a_restart_is_not_a_heartbeat_but_restarts_the_silence(
    live: Live, clock: Clock
) -> None:
    store = MemoryStore()
    async with live(store) as jobs:
        job = await running(jobs)
        last = await heartbeat_at(job)
    clock.wait(3 * 24 * 3600)
    again = live(store)
    async with again:
        await again.sweeper.sweep()
        state = await again.job(job.id)
    assert (state["status"], state["stalled"], state["heartbeat_at"]) == ("running", False, last)
