"""Which jobs can be created: ids, parents, idempotency keys, quotas."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from livejobs import Job, LiveJobs, Settings
from livejobs.core import reports as say
from livejobs.core.errors import Conflict, IdempotencyMismatch, Invalid, TooMany
from livejobs.store.memory import MemoryStore
from tests.service.over import over


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
