"""The contract of every store: projects, seqs and heads."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from livejobs.core.model import KINDS
from livejobs.store.base import Change, EntryQuery, Query, Store
from tests.store.contract import EVERYTHING, add, create, delete, entry, found, job

# Projects and seqs


async def test_a_project_keeps_its_epoch(store: Store) -> None:
    first = await store.project("other")
    assert await store.project("other") == first
    assert first.epoch != (await store.project("default")).epoch
    assert first.epoch.isalnum()


async def test_all_projects_are_listed(store: Store) -> None:
    await store.project("other")
    assert {project.name for project in await store.projects()} == {"default", "other"}


async def test_each_change_gets_the_next_seq_of_its_project(store: Store) -> None:
    await store.project("other")
    heads = job("a"), job("b", project="other"), job("c")
    assert await create(store, *heads) == [1, 1, 2]
    assert await add(store, heads[0]) == 3
    assert (await store.project("default")).seq == 3
    assert (await store.project("other")).seq == 1


async def test_a_seq_is_not_given_again_after_its_job_is_deleted(store: Store) -> None:
    await create(store, job())
    assert await delete(store, job()) == [2]
    assert await create(store, job()) == [3]


async def test_an_empty_commit_changes_nothing(store: Store) -> None:
    assert await store.commit([]) == []
    assert (await store.project("default")).seq == 0


# Heads


async def test_a_job_is_read_back_whole(store: Store) -> None:
    head = job(title="Tëaser 🎬", type="render", tags=("x",), meta={"a": [1, None]}, logs_total=3)
    await create(store, head)
    stored = await store.job("a")
    assert stored is not None
    assert (stored.head, stored.seq) == (head, 1)


async def test_a_job_that_never_existed_is_none(store: Store) -> None:
    assert await store.job("nothing") is None


async def test_of_many_changes_in_one_commit_the_last_head_is_kept(store: Store) -> None:
    first, second = job(), job(status="running")
    assert await store.commit([Change(None, first), Change(first, second)]) == [1, 2]
    stored = await store.job("a")
    assert stored is not None
    assert (stored.head.status, stored.seq) == ("running", 2)


async def test_unfinished_jobs_come_oldest_first(store: Store) -> None:
    done = job("b", status="succeeded")
    await create(store, job("z"), done, job("a", status="running"))
    assert [stored.head.id for stored in await store.unfinished()] == ["z", "a"]


async def test_a_finished_job_can_change_and_be_deleted(store: Store) -> None:
    done = job(status="succeeded")
    await create(store, done)
    changed = replace(done, expires_at=5)
    await store.commit([Change(done, changed)])
    assert await found(store, EVERYTHING) == ["a"]
    await delete(store, changed)
    assert await found(store, EVERYTHING) == []


async def test_a_deleted_job_is_found_nowhere(store: Store) -> None:
    head = job(title="long title", tags=("t",), type="x", parent="p", status="failed")
    await create(store, head)
    await add(store, head, entry(1))
    await delete(store, head)
    assert await store.job("a") is None
    assert await store.entries(EntryQuery("a", "logs")) == []
    assert await store.feed_entries("default", 0, 99, limit=9, kinds=KINDS) == []
    for query in (EVERYTHING, Query(None, tag="t"), Query(None, q="long"), Query(None, ids=("a",))):
        assert await found(store, query) == []
        assert not any((await store.counts(query)).values())


async def test_an_id_can_be_used_again_and_starts_afresh(store: Store) -> None:
    old, new = job(title="first one"), job(title="second one")
    await create(store, old)
    await add(store, old, entry(1))
    await store.commit([Change(old, None), Change(None, new, (entry(1),))])
    assert await found(store, Query(None, q="first")) == []
    assert await found(store, Query(None, q="second")) == ["a"]
    assert [record.seq for record in await store.entries(EntryQuery("a", "logs"))] == [4]


async def test_a_job_made_and_deleted_in_one_commit_leaves_only_its_deletion(store: Store) -> None:
    assert await store.commit([Change(None, job(), (entry(1),)), Change(job(), None)]) == [1, 2]
    assert await found(store, EVERYTHING) == []
    assert [gone.seq for gone in (await store.changes("default", 0, limit=9)).gone] == [2]
    assert (await store.project("default")).seq == 2


async def test_a_read_sees_every_commit_before_it_even_from_many_tasks(store: Store) -> None:
    for n in range(20):
        await create(store, job(f"j{n}"))
        reads = await asyncio.gather(*(store.job(f"j{n}") for _ in range(8)))
        assert all(stored is not None for stored in reads)


async def test_closing_twice_is_fine(store: Store) -> None:
    await store.close()
    await store.close()
