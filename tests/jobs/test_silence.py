"""When a worker was last heard, and what its silence comes to, whatever the clock does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The clock of the wall, in milliseconds, for the test to set."""
    now = [1_700_000_000_000]
    monkeypatch.setattr("livejobs.clock.now_ms", lambda: now[0])
    return now


async def running(jobs: LiveJobs) -> Job:
    job = await jobs.create()
    await job.start()
    return job


async def heard_at(job: Job) -> Any:
    return (await job.state())["heartbeat_at"]


@contextmanager
def seconds_of_silence(jobs: LiveJobs, seconds: float) -> Iterator[None]:
    """As if nothing had been heard of any job for so long."""
    slots = jobs.registry.unfinished()
    for slot in slots:
        slot.silent_since -= seconds
    yield
    for slot in slots:
        slot.silent_since += seconds


async def test_silence_makes_a_job_stall_and_then_be_lost(live: Live) -> None:
    async with live() as jobs:
        job = await running(jobs)
        with seconds_of_silence(jobs, 61):
            await jobs.sweeper.sweep()
        assert (await job.state())["stalled"] is True
        with seconds_of_silence(jobs, 3601):
            await jobs.sweeper.sweep()
        assert (await job.state())["error"]["code"] == "lost"


async def test_a_heartbeat_ends_the_silence(live: Live) -> None:
    async with live() as jobs:
        job = await running(jobs)
        with seconds_of_silence(jobs, 61):
            await job.report(say.Heartbeat())
            await jobs.sweeper.sweep()
        assert (await job.state())["stalled"] is False


@pytest.mark.parametrize("jump", [3 * DAY, -DAY // 24])
async def test_a_clock_that_jumps_is_not_silence(live: Live, clock: list[int], jump: int) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock[0] += jump
        await jobs.sweeper.sweep()
        state = await job.state()
        assert (state["status"], state["stalled"]) == ("running", False)


async def test_silence_is_noticed_after_the_clock_was_set_back(
    live: Live, clock: list[int]
) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock[0] -= DAY
        with seconds_of_silence(jobs, 61):
            await jobs.sweeper.sweep()
        assert (await job.state())["stalled"] is True


async def test_being_cancelled_is_not_the_workers_word(live: Live, clock: list[int]) -> None:
    async with live() as jobs:
        job = await running(jobs)
        clock[0] += 1000
        await job.report(say.Heartbeat())
        clock[0] += 1000
        with seconds_of_silence(jobs, 61):
            await jobs.cancel(job.id)
            await jobs.sweeper.sweep()
        state = await job.state()
        assert (state["stalled"], state["heartbeat_at"]) == (True, "2023-11-14T22:13:21.000Z")


async def test_the_last_heartbeat_is_kept_with_the_end(live: Live, clock: list[int]) -> None:
    """A finished job never changes: what is on disk is what was shown."""
    store = MemoryStore()
    async with live(store) as jobs:
        job = await running(jobs)
        clock[0] += 1000
        await job.report(say.Heartbeat())
        heard = await heard_at(job)
        await jobs.cancel(job.id, force=True)
        shown = await job.state()
        stored = await store.job(job.id)
    assert shown["heartbeat_at"] == heard == "2023-11-14T22:13:21.000Z"
    assert stored is not None
    assert stored.head.heartbeat_at == clock[0]


async def test_a_start_is_not_a_heartbeat_but_begins_the_silence_anew(
    live: Live, clock: list[int]
) -> None:
    store = MemoryStore()
    async with live(store) as jobs:
        job = await running(jobs)
        heard = await heard_at(job)
    clock[0] += 3 * DAY
    again = live(store)
    async with again:
        await again.sweeper.sweep()
        state = await again.job(job.id)
    assert (state["status"], state["stalled"], state["heartbeat_at"]) == ("running", False, heard)
