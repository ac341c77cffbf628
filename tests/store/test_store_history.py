"""The contract of every store: counts over time."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from livejobs.core.history import CREATED, RANGES, run_class
from livejobs.core.model import Head
from livejobs.store.base import Change, Store
from tests.store.contract import create, entry, job

HOUR = RANGES["hour"]


def started(head: Head, at: int) -> Head:
    return replace(head, status="running", started_at=at, updated_at=at)


def succeeded(head: Head, at: int) -> Head:
    return replace(head, status="succeeded", completed_at=at, updated_at=at)


async def test_every_move_of_a_job_is_counted_in_its_step(store: Store) -> None:
    first = job(updated_at=5)
    second = started(first, HOUR.step + 5)
    third = succeeded(second, 2 * HOUR.step)
    await store.commit([Change(None, first), Change(first, second)])
    await store.commit([Change(second, second, (entry(1),))])
    await store.commit([Change(second, third)])
    found = await store.history(None, HOUR, 0)
    assert found.now["succeeded"] == 1
    assert {at: dict(+Counter(step)) for at, step in found.steps.items()} == {
        0: {CREATED: 1, 0: 1},
        HOUR.step: {1: 1},
        2 * HOUR.step: {2: 1, run_class(HOUR.step - 5): 1},
    }
    assert [found.steps[n * HOUR.step].get(n - 1, 0) for n in (1, 2)] == [-1, -1]


async def test_steps_of_projects_are_added(store: Store) -> None:
    await store.project("other")
    await create(store, job("a"), job("b", "other"), job("c", "other"))
    for projects, n in ((None, 3), (("other",), 2), (("none",), 0), ((), 0)):
        found = await store.history(projects, HOUR, 0)
        assert sum(step[CREATED] for step in found.steps.values()) == n == found.now["queued"]


async def test_steps_before_the_range_are_left_out_and_forgotten(store: Store) -> None:
    ats = [n * HOUR.step for n in (0, 1, HOUR.points, 2 * HOUR.points - 1)]
    for n, at in enumerate(ats):
        await create(store, job(f"j{n}", updated_at=at))
    assert [*(await store.history(None, HOUR, ats[3])).steps] == ats[3:]
    assert [*(await store.history(None, HOUR, 0)).steps] == ats[2:]
    assert len((await store.history(None, RANGES["week"], 0)).steps) == 2
