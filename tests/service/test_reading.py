"""Lists and logs are read, and waits end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livejobs import LiveJobs
from livejobs.core.errors import LivejobsError
from livejobs.jobs.state import Slot
from livejobs.store.base import Query
from tests.service.over import logs, said

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
