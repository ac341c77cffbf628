"""Lists by last change, over both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from livejobs import LiveJobs, Settings
from livejobs.core.errors import BadCursor
from livejobs.store.base import Query
from tests.service.over import STORES


@pytest.fixture(params=STORES)
async def live(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LiveJobs]:
    """Seven jobs. Those with an odd number have succeeded, in order; then j0 starts and j2 asks."""
    async with LiveJobs(Settings(data=tmp_path), store=STORES[request.param](tmp_path)) as live:
        jobs = [await live.create(id=f"j{n}", type=("a", "b")[n > 3]) for n in range(7)]
        await live.create(id="x", project="other")
        for job in jobs[1::2]:
            await job.succeed()
        await jobs[0].start()
        await jobs[2].report({"type": "ask", "prompt": "Continue?"})
        yield live


async def read(live: LiveJobs, limit: int, **filters: Any) -> list[str]:
    """All pages, as one word each."""
    query = Query(("default",), **filters)
    pages: list[str] = []
    after: str | None = None
    while not pages or after is not None:
        found = await live.latest(query, limit=limit, after=after)
        pages.append("".join(slot.head.id for slot in found.slots).replace("j", ""))
        after = found.next
    return pages


async def test_what_changed_last_comes_first(live: LiveJobs) -> None:
    assert await read(live, 100) == ["2053164"]
    assert await read(live, 3) == ["205", "316", "4"]
    assert await read(live, 7) == ["2053164"]


@pytest.mark.parametrize(
    ("filters", "pages"),
    [
        ({"statuses": ("queued", "running")}, ["20", "64"]),
        ({"statuses": ("succeeded",)}, ["53", "1"]),
        ({"statuses": ("succeeded", "running")}, ["20", "53", "1"]),
        ({"statuses": ("failed",)}, [""]),
        ({"flag": "waiting"}, ["2"]),
        ({"ids": ("j1", "j2", "j4", "x", "none")}, ["21", "4"]),
        ({"ids": ("j1", "j2"), "statuses": ("succeeded",)}, ["1"]),
        # Of the other filters, a page has fewer jobs than it may.
        ({"type": "b"}, ["", "5", "6", "4"]),
        ({"type": "b", "statuses": ("queued",)}, ["64"]),
    ],
    ids=str,
)
async def test_filters_and_pages_agree(
    live: LiveJobs, filters: dict[str, Any], pages: list[str]
) -> None:
    assert await read(live, 2, **filters) == pages


async def test_counts_are_of_all_pages(live: LiveJobs) -> None:
    found = await live.latest(Query(("default",)), limit=1)
    assert {status: n for status, n in found.counts.items() if n} == {
        "queued": 2, "running": 2, "succeeded": 3,
    }  # fmt: skip


async def test_a_job_that_changes_between_two_pages_comes_once(live: LiveJobs) -> None:
    query = Query(("default",))
    first = await live.latest(query, limit=3)
    await live.cancel("j4")
    await live.report("j2", {"type": "log", "message": "."})
    rest = await live.latest(query, limit=9, after=first.next)
    assert [slot.head.id for slot in rest.slots] == ["j3", "j1", "j6"]


async def test_a_project_without_jobs_has_none(live: LiveJobs) -> None:
    found = await live.latest(Query(("none",)), limit=9)
    assert (found.slots, found.next) == ((), None)


async def test_a_place_in_another_order_or_project_is_refused(live: LiveJobs) -> None:
    query = Query(("default",))
    by_creation = (await live.list(query, limit=1)).next
    by_change = (await live.latest(query, limit=1)).next
    with pytest.raises(BadCursor):
        await live.latest(query, limit=1, after=by_creation)
    with pytest.raises(BadCursor):
        await live.list(query, limit=1, after=by_change)
    with pytest.raises(BadCursor):
        await live.latest(Query(("other",)), limit=1, after=by_change)
