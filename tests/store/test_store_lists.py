"""The contract of every store: lists of jobs, and their counts."""

from __future__ import annotations

from msgspec.structs import replace

from livejobs.core.model import STATUSES
from livejobs.store.base import Change, Query, Store
from tests.store.contract import EVERYTHING, create, found, ids, job


async def test_lists_are_newest_first_and_paged(store: Store) -> None:
    await create(store, *(job(id) for id in "edcba"))
    first = await store.list(EVERYTHING, limit=2)
    second = await store.list(EVERYTHING, limit=2, before=first.next)
    third = await store.list(EVERYTHING, limit=2, before=second.next)
    assert [ids(page) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert third.next is None


async def test_a_page_that_is_just_full_is_the_last(store: Store) -> None:
    await create(store, job("a"), job("b"))
    assert (await store.list(EVERYTHING, limit=2)).next is None


async def test_a_change_does_not_move_a_job_in_its_list(store: Store) -> None:
    await create(store, job("old"), job("new"))
    await store.commit([Change(job("old"), job("old", status="running"))])
    assert await found(store, EVERYTHING) == ["new", "old"]


FILTERED = [
    job("1", type="render", tags=("x", "y"), title="First Über cut", owner="key:a"),
    job("2", type="render", status="running", tags=("x",), parent="1", title='say "hi" 100%_*'),
    job("3", status="failed", project="other", owner="key:a", title="naïve"),
    job("render-4", status="succeeded", project="third", type="render", parent="1"),
]
LISTS = [
    (Query(None), ["render-4", "3", "2", "1"]),
    (Query(()), []),
    (Query(("default",)), ["2", "1"]),
    (Query(("default", "other")), ["3", "2", "1"]),
    (Query(("nowhere",)), []),
    (Query(None, statuses=("running", "failed")), ["3", "2"]),
    (Query(("default", "third"), statuses=("queued", "succeeded")), ["render-4", "1"]),
    (Query(None, type="render"), ["render-4", "2", "1"]),
    (Query(None, type="nothing"), []),
    (Query(("default",), type="render", statuses=("queued",)), ["1"]),
    (Query(None, tag="x"), ["2", "1"]),
    (Query(None, tag="x", statuses=("running",)), ["2"]),
    (Query(None, owner="key:a"), ["3", "1"]),
    (Query(("other",), owner="key:a"), ["3"]),
    (Query(None, parent="1"), ["render-4", "2"]),
    (Query(None, parent="1", type="render", statuses=("running",)), ["2"]),
    (Query(None, type="render", owner="key:a", tag="y"), ["1"]),
    (Query(None, q="ÜBER"), ["1"]),
    (Query(None, q="render"), ["render-4"]),
    (Query(None, q='"hi"'), ["2"]),
    (Query(None, q="0%_*"), ["2"]),
    (Query(None, q="cut OR say"), []),
    (Query(None, q="cut\0"), []),
    (Query(None, q="naive"), []),
    (Query(None, q="first über c"), ["1"]),
    (Query(None, q="first c über"), []),
    (Query(None, q="FIRST CUT"), []),
    (Query(None, q='say "hi" 100%_*'), ["2"]),
    (Query(None, q="cut\0 and more"), []),
    (Query(None, q="render-4", type="render"), ["render-4"]),
    (Query(None, q="render-5", type="render"), []),
    (Query(("third",), q="render", type="render", statuses=("succeeded",)), ["render-4"]),
    (Query(("default",), q="render"), []),
    (Query(None, ids=("1", "3", "none")), ["3", "1"]),
    (Query(("other",), ids=("1", "3")), ["3"]),
    (Query(None, ids=("1", "2"), q="first"), ["1"]),
    (Query(None, ids=("1", "2"), tag="y", statuses=("queued",)), ["1"]),
]


async def test_a_list_holds_what_matches_and_counts_agree(store: Store) -> None:
    for name in ("other", "third"):
        await store.project(name)
    await create(store, *FILTERED)
    for query, expected in LISTS:
        assert await found(store, query) == expected, query
        counts = await store.counts(query)
        assert list(counts) == list(STATUSES), query
        listed = sum(counts[status] for status in query.statuses or STATUSES)
        assert listed == len(expected), query


async def test_counts_do_not_look_at_the_querys_statuses(store: Store) -> None:
    await create(store, job("a"), job("b", status="failed"), job("c", status="failed"))
    counts = await store.counts(Query(None, statuses=("queued",)))
    assert counts == {"queued": 1, "running": 0, "succeeded": 0, "failed": 2, "cancelled": 0}


async def test_counts_and_lists_follow_what_changes(store: Store) -> None:
    before = job(tags=("x", "y"), title="the old name")
    await create(store, before)
    after = replace(before, tags=("y", "z"), status="running", title="the new name")
    await store.commit([Change(before, after)])
    assert await found(store, Query(None, tag="x")) == []
    assert await found(store, Query(None, tag="z", statuses=("running",))) == ["a"]
    assert await found(store, Query(None, q="old")) == []
    assert await found(store, Query(None, q="new")) == ["a"]
    assert (await store.counts(Query(None, tag="x")))["queued"] == 0
    assert (await store.counts(Query(None, tag="y")))["running"] == 1


async def test_a_repeated_tag_counts_once(store: Store) -> None:
    await create(store, job(tags=("x", "x")))
    assert await found(store, Query(None, tag="x")) == ["a"]
    assert (await store.counts(Query(None, tag="x")))["queued"] == 1


async def test_a_server_of_many_projects_lists_them_all(store: Store) -> None:
    names = [f"p{n}" for n in range(300)]
    for name in names:
        await store.project(name)
    await create(store, *(job(name, project=name, type="t") for name in names))
    await create(store, *(job(f"{name}-done", project=name, status="failed") for name in names))
    assert len(await found(store, EVERYTHING)) == 100
    assert (await found(store, Query(None, type="t")))[:2] == ["p299", "p298"]
    assert (await found(store, Query(tuple(names), statuses=("failed",))))[0] == "p299-done"
    assert sum((await store.counts(EVERYTHING)).values()) == 600
