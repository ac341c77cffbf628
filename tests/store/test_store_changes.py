"""The contract of every store: what changed after a seq, and what was deleted."""

from __future__ import annotations

import pytest

from livejobs.core.model import Head, Status, encode_head
from livejobs.store.base import Change, Page, Store
from tests.store.contract import EVERYTHING, KEPT, add, create, delete, ids, job


async def test_changes_after_a_seq_come_in_order_of_seq(store: Store) -> None:
    heads = [job(id) for id in "abc"]
    await create(store, *heads)
    await add(store, heads[0])
    await delete(store, heads[1])
    changes = await store.changes("default", 2, limit=9)
    assert [(stored.head.id, stored.seq) for stored in changes.jobs] == [("c", 3), ("a", 4)]
    assert [(gone.id, gone.seq) for gone in changes.gone] == [("b", 5)]
    assert changes.complete


async def test_the_latest_jobs_are_those_that_changed_last(store: Store) -> None:
    await store.project("other")
    heads = [job(id) for id in "abcd"]
    await create(store, *heads, job("x", project="other"))
    await add(store, heads[1])
    await delete(store, heads[2])
    first = await store.latest("default", limit=2)
    assert (ids(first), first.next) == (["b", "d"], 4)
    rest = await store.latest("default", limit=2, before=first.next)
    assert (ids(rest), rest.next) == (["a"], None)
    assert await store.latest("none", limit=2) == Page((), None)


async def test_the_latest_jobs_of_some_statuses_are_looked_for_among_so_many(store: Store) -> None:
    ended = {0: "failed", 4: "succeeded", 5: "failed"}
    await create(store, *(job(str(n), status=ended.get(n, "queued")) for n in range(6)))

    async def looked(statuses: tuple[Status, ...], scanned: int) -> list[list[str]]:
        pages: list[list[str]] = []
        before = None
        while not pages or before is not None:
            assert len(pages) < 9
            page = await store.latest(
                "default", statuses=statuses, limit=2, before=before, scanned=scanned
            )
            pages.append(ids(page))
            before = page.next
        return pages

    assert await looked(("failed",), 100) == [["5", "0"]]
    assert await looked(("failed",), 4) == [["5"], ["0"]]
    assert await looked(("failed",), 3) == [["5"], ["0"], []]
    assert await looked(("failed", "succeeded"), 100) == [["5", "4"], ["0"]]
    assert await looked(("cancelled",), 4) == [[], []]
    assert await looked((), 100) == [["5", "4"], ["3", "2"], ["1", "0"]]


async def test_changes_are_cut_at_the_limit_in_order_of_seq(store: Store) -> None:
    heads = [job(id) for id in "abcd"]
    await create(store, *heads)
    await delete(store, heads[0])
    await add(store, heads[1])
    first = await store.changes("default", 0, limit=3)
    assert [stored.seq for stored in first.jobs] == [3, 4]
    assert [gone.seq for gone in first.gone] == [5]
    assert not first.complete
    rest = await store.changes("default", 5, limit=3)
    assert ([stored.seq for stored in rest.jobs], rest.complete) == ([6], True)


@pytest.mark.parametrize(
    ("most_bytes", "shown"), [(None, 4), (1, 1), (3000, 2), (6000, 3), (6001, 4), (99_999, 4)]
)
async def test_lists_and_changes_stop_at_a_size_and_go_on(
    store: Store, most_bytes: int | None, shown: int
) -> None:
    def large(id: str) -> Head:
        return job(id, title="x" * (2000 - len(encode_head(job(id, title="x"))) + 1))

    heads = [large(id) for id in "abcd"]
    assert {len(encode_head(head)) for head in heads} == {2000}
    await create(store, *heads)
    await store.commit([Change(heads[3], None)])
    await create(store, heads[3])
    listed: list[str] = []
    before = None
    while not listed or before is not None:
        page = await store.list(EVERYTHING, limit=9, before=before, most_bytes=most_bytes)
        assert listed or len(page.jobs) == shown
        listed += [one.head.id for one in page.jobs]
        before = page.next
    assert listed == ["d", "c", "b", "a"]
    latest = await store.latest("default", limit=9, most_bytes=most_bytes)
    assert ids(latest) == listed[:shown]
    assert latest.next == (None if shown == 4 else latest.jobs[-1].seq)
    told: list[tuple[int, str]] = []
    after = 0
    while after < 6:
        changes = await store.changes("default", after, limit=9, most_bytes=most_bytes)
        assert told or len(changes.jobs) == shown
        told += [(one.seq, one.head.id) for one in changes.jobs]
        told += [(one.seq, f"-{one.id}") for one in changes.gone]
        after = 6 if changes.complete else max(seq for seq, _ in told)
    assert sorted(told) == [(1, "a"), (2, "b"), (3, "c"), (5, "-d"), (6, "d")]


async def test_a_project_forgets_its_oldest_deletions_and_keeps_their_floor(store: Store) -> None:
    heads = [job(id) for id in "abcde"]
    await create(store, *heads)
    await delete(store, *heads[:KEPT])
    assert (await store.project("default")).floor == 0
    await delete(store, *heads[KEPT:])
    changes = await store.changes("default", 0, limit=9)
    assert [gone.seq for gone in changes.gone] == [8, 9, 10]
    assert (await store.project("default")).floor == 7


async def test_projects_do_not_see_each_other(store: Store) -> None:
    await store.project("other")
    await create(store, job("a"), job("b", project="other"))
    changes = await store.changes("other", 0, limit=9)
    assert [stored.head.id for stored in changes.jobs] == ["b"]
