"""The contract of every store. The laws are in store/base.py; each test states one of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.history import CREATED, RANGES, run_class
from livejobs.core.model import (
    KINDS,
    STATUSES,
    Entry,
    EntryKind,
    File,
    Head,
    Kept,
    Record,
    Status,
    encode_head,
)
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, EntryQuery, Idempotency, Page, Query, Store, Tidied
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from livejobs.store.memory import MemoryStore
from livejobs.store.sqlite.store import SqliteStore

KEPT = 3  # deletions remembered, in these tests
STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(gone_kept=KEPT),
    "sqlite": lambda path: SqliteStore(path / "jobs.db", gone_kept=KEPT),
}
EVERYTHING = Query(None)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = STORES[request.param](tmp_path)
    await store.open()
    await store.project("default")
    yield store
    await store.close()


def job(id: str = "a", project: str = "default", owner: str = "key:ci", **fields: Any) -> Head:
    fields = {"created_at": 1, "updated_at": 1, "queued_at": 1} | fields
    return Head(id=id, project=project, owner=owner, **fields)


def entry(n: int, kind: EntryKind = "logs", level: int = 1) -> Entry:
    return Entry(kind, n, level, Raw(b'{"n":%d}' % n))


async def create(store: Store, *heads: Head) -> list[int]:
    return await store.commit([Change(None, head) for head in heads])


async def add(store: Store, head: Head, *entries: Entry) -> int:
    [seq] = await store.commit([Change(head, head, entries)])
    return seq


async def delete(store: Store, *heads: Head) -> list[int]:
    return await store.commit([Change(head, None) for head in heads])


def ids(page: Page) -> list[str]:
    return [stored.head.id for stored in page.jobs]


async def found(store: Store, query: Query) -> list[str]:
    return ids(await store.list(query, limit=100))


def numbers(records: Sequence[Record]) -> list[int]:
    return [record.entry.n for record in records]


# Counts over time


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


# Lists and counts


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


# Entries


async def test_entries_are_read_in_order_after_n(store: Store) -> None:
    await create(store, job())
    await add(store, job(), entry(1), entry(2), entry(1, "results"))
    await add(store, job(), entry(3))
    assert numbers(await store.entries(EntryQuery("a", "logs"))) == [1, 2, 3]
    assert numbers(await store.entries(EntryQuery("a", "logs", after=1, limit=1))) == [2]
    assert await store.entries(EntryQuery("a", "logs", after=2**53)) == []
    assert numbers(await store.entries(EntryQuery("a", "results"))) == [1]
    assert await store.entries(EntryQuery("a", "errors")) == []
    assert await store.entries(EntryQuery("nothing", "logs")) == []


@pytest.mark.parametrize("size", [2, 15, 17, 33, 511, 512, 513, 1500])
async def test_a_commit_of_any_size_is_kept_whole(store: Store, size: int) -> None:
    heads = [job(f"j{n}") for n in range(size)]
    assert await create(store, *heads) == list(range(1, size + 1))
    changes = [Change(head, replace(head, logs_total=1), (entry(1),)) for head in heads]
    assert await store.commit(changes) == list(range(size + 1, 2 * size + 1))
    page = await store.list(EVERYTHING, limit=size)
    assert [(one.head.logs_total, one.seq) for one in page.jobs] == [
        (1, seq) for seq in range(2 * size, size, -1)
    ]
    records = await store.feed_entries("default", 0, 2 * size, limit=size, kinds=KINDS)
    assert [record.job for record in records] == [head.id for head in heads]


async def test_an_entry_is_read_back_whole(store: Store) -> None:
    await create(store, job())
    value = '{"message":"ünï\\u0000"}'.encode()
    await add(store, job(), Entry("errors", 1, 3, Raw(value)))
    [record] = await store.entries(EntryQuery("a", "errors"))
    assert (record.seq, record.job, bytes(record.entry.value)) == (2, "a", value)
    assert (record.entry.kind, record.entry.n, record.entry.level) == ("errors", 1, 3)


@pytest.mark.parametrize(
    ("after_seq", "expected"),
    [(0, [1, 2, 3, 4]), (1, [1, 2, 3, 4]), (2, [3, 4]), (3, [4]), (4, []), (9, [])],
)
async def test_entries_resume_after_a_seq(
    store: Store, after_seq: int, expected: list[int]
) -> None:
    await create(store, job())
    await add(store, job(), entry(1), entry(2))
    await add(store, job(), entry(3))
    await add(store, job(), entry(4))
    assert numbers(await store.entries(EntryQuery("a", "logs", after_seq=after_seq))) == expected


@pytest.mark.parametrize(
    ("most_bytes", "expected"), [(None, 5), (1, 2), (2000, 2), (2001, 3), (3001, 5), (9999, 5)]
)
async def test_entries_stop_at_a_size_with_the_end_of_a_change(
    store: Store, most_bytes: int | None, expected: int
) -> None:
    def large(n: int) -> Entry:
        return Entry("logs", n, 1, Raw(b'"%s"' % (998 * b"x")))

    await create(store, job())
    await add(store, job(), large(1), large(2))
    await add(store, job(), large(3))
    await add(store, job(), large(4), large(5))
    first = list(range(1, expected + 1))
    assert numbers(await store.entries(EntryQuery("a", "logs", most_bytes=most_bytes))) == first
    last = {1: [4, 5], 2000: [4, 5], 2001: [3, 4, 5]}.get(most_bytes or 0, [1, 2, 3, 4, 5])
    tail = EntryQuery("a", "logs", most_bytes=most_bytes, tail=True)
    assert numbers(await store.entries(tail)) == last
    feed = await store.feed_entries("default", 0, 9, limit=9, kinds=KINDS, most_bytes=most_bytes)
    assert numbers(feed) == first


async def test_entries_are_filtered_by_the_least_level(store: Store) -> None:
    await create(store, job())
    await add(store, job(), *(entry(n, level=(n - 1) % 4) for n in range(1, 9)))
    assert numbers(await store.entries(EntryQuery("a", "logs", level=2))) == [3, 4, 7, 8]
    assert numbers(await store.entries(EntryQuery("a", "logs", level=3, limit=1))) == [4]
    assert numbers(await store.entries(EntryQuery("a", "logs", level=2, limit=1, tail=True))) == [8]


async def test_a_tail_is_the_last_ones_in_ascending_order(store: Store) -> None:
    await create(store, job())
    await add(store, job(), *map(entry, range(1, 6)))
    assert numbers(await store.entries(EntryQuery("a", "logs", tail=True, limit=2))) == [4, 5]
    assert numbers(await store.entries(EntryQuery("a", "logs", 3, limit=9, tail=True))) == [4, 5]


# Removing entries


async def tidied(store: Store, rows: int = 1000, bytes: int = 1 << 20) -> list[Tidied]:
    """What each piece of tidying did, until there was nothing more to do."""
    done: list[Tidied] = []
    while not done or done[-1].more:
        done.append(await store.tidy(rows=rows, bytes=bytes))
        assert len(done) < 100, "it does not come to an end"
    return done


def cut(head: Head, total: int, removed: int) -> Head:
    return replace(head, logs_total=total, kept={"logs": Kept(removed)})


@pytest.mark.parametrize("rows", [1, 2, 1000])
async def test_the_oldest_entries_are_removed_up_to_the_heads_mark(store: Store, rows: int) -> None:
    await create(store, job(), job("b"))
    head = cut(job(), 6, 4)
    await add(store, job(), entry(1), entry(2))
    await add(store, job(), entry(3), entry(1, "results"))
    await add(store, job("b"), entry(1))
    await store.commit([Change(job(), head, tuple(map(entry, (4, 5, 6))))])
    await tidied(store, rows)
    assert numbers(await store.entries(EntryQuery("a", "logs"))) == [5, 6]
    assert numbers(await store.entries(EntryQuery("a", "logs", after=2, limit=1))) == [5]
    assert numbers(await store.entries(EntryQuery("a", "logs", tail=True, limit=9))) == [5, 6]
    for seq in range(8):
        resumed = await store.entries(EntryQuery("a", "logs", after_seq=seq))
        assert numbers(resumed) == ([5, 6] if seq < 6 else [])
    assert numbers(await store.entries(EntryQuery("a", "results"))) == [1]
    assert numbers(await store.entries(EntryQuery("b", "logs"))) == [1]
    feed = await store.feed_entries("default", 0, 9, limit=9, kinds=["logs"])
    assert [(record.job, record.entry.n) for record in feed] == [("b", 1), ("a", 5), ("a", 6)]


async def test_a_mark_moves_on_and_resuming_stays_right(store: Store) -> None:
    await create(store, job())
    head = job()
    for n in range(1, 21):
        after = cut(head, n, max(0, n - 3))
        await store.commit([Change(head, after, (entry(n),))])
        head = after
        if n % 4 == 0:
            await tidied(store)
    await tidied(store)
    for seq, expected in ((0, [18, 19, 20]), (18, [18, 19, 20]), (19, [19, 20]), (21, [])):
        resumed = await store.entries(EntryQuery("a", "logs", after_seq=seq))
        assert numbers(resumed) == expected, seq
    await store.close()
    await store.open()
    assert numbers(await store.entries(EntryQuery("a", "logs"))) == [18, 19, 20]


async def test_a_job_can_be_cut_and_deleted_in_one_commit_and_begin_again(store: Store) -> None:
    await create(store, job())
    await add(store, job(), entry(1), entry(2))
    head = cut(job(), 3, 2)
    await store.commit([Change(job(), head, (entry(3),)), Change(head, None), Change(None, job())])
    await add(store, job(), entry(1))
    await tidied(store, rows=1)
    assert numbers(await store.entries(EntryQuery("a", "logs"))) == [1]


async def test_a_piece_of_tidying_is_bounded_in_rows_and_bytes(store: Store) -> None:
    if isinstance(store, MemoryStore):  # its commits leave nothing to tidy
        await create(store, job())
        await add(store, job(), entry(1))
        await delete(store, job())
        assert await tidied(store) == [Tidied()]
        return
    await create(store, job(), job("b"), job("c"))
    for head in (job(), job("b")):
        await add(store, head, *(entry(n, kind) for kind in KINDS for n in (1, 2, 3)))
    await delete(store, job(), job("b"), job("c"))
    steps = await tidied(store, rows=4)
    assert max(step.entries for step in steps) == 4
    assert sum(step.entries for step in steps) == 18
    assert sum(step.bytes for step in steps) == 18 * len(b'{"n":1}')
    await create(store, job())
    await add(store, job(), *map(entry, range(1, 10)))
    await delete(store, job())
    steps = await tidied(store, bytes=15)
    assert [step.entries for step in steps if step.entries] == [3, 3, 3]
    assert await tidied(store) == [Tidied()]


async def test_a_feeds_entries_come_in_order_of_seq(store: Store) -> None:
    await store.project("other")
    await create(store, job("a"), job("b"), job("c", project="other"))
    await add(store, job("b"), entry(1), entry(1, "results"))
    await add(store, job("a"), entry(1), entry(2))
    await add(store, job("c", project="other"), entry(1))
    records = await store.feed_entries("default", 0, 99, limit=9, kinds=KINDS)
    assert [(record.seq, record.job) for record in records] == [
        (3, "b"),
        (3, "b"),
        (4, "a"),
        (4, "a"),
    ]
    results = await store.feed_entries("default", 0, 99, limit=9, kinds=("results", "errors"))
    assert [record.entry.kind for record in results] == ["results"]


async def test_a_feeds_entries_are_bounded_by_seqs_and_never_split_one(store: Store) -> None:
    await create(store, job())
    for n in (1, 3, 5):
        await add(store, job(), entry(n), entry(n + 1))

    async def feed(after: int, upto: int, limit: int) -> list[int]:
        return numbers(
            await store.feed_entries("default", after, upto, limit=limit, kinds=("logs",))
        )

    assert await feed(0, 99, 1) == [1, 2]
    assert await feed(0, 99, 3) == [1, 2, 3, 4]
    assert await feed(2, 99, 9) == [3, 4, 5, 6]
    assert await feed(2, 3, 9) == [3, 4]
    assert await feed(4, 99, 9) == []


# Changes and deletions


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


# Repeated calls and expiry


def made(key: str = "k", expires_at: int = 10, job: str = "a") -> Idempotency:
    return Idempotency("key:ci", key, b"digest", job, expires_at)


async def test_a_repeated_call_is_known_until_it_expires(store: Store) -> None:
    await store.commit([Change(None, job(), idempotency=made())])
    assert await store.repeated("key:ci", "k", 9) == made()
    assert await store.repeated("key:ci", "k", 10) is None
    assert await store.repeated("key:other", "k", 9) is None
    assert await store.repeated("key:ci", "other", 9) is None


async def test_an_expired_key_can_be_used_again(store: Store) -> None:
    await store.commit([Change(None, job(), idempotency=made())])
    again = made(expires_at=30, job="b")
    await store.commit([Change(None, job("b", updated_at=20), idempotency=again)])
    assert await store.repeated("key:ci", "k", 20) == again


async def test_finished_jobs_expire_and_others_do_not(store: Store) -> None:
    await create(
        store,
        job("later", status="failed", expires_at=9),
        job("running", status="running", expires_at=1),
        job("kept", status="succeeded"),
        job("second", status="succeeded", expires_at=5),
        job("first", status="cancelled", expires_at=4),
    )
    assert [stored.head.id for stored in await store.expired(5, limit=9)] == ["first", "second"]
    assert [stored.head.id for stored in await store.expired(5, limit=1)] == ["first"]
    assert await store.expired(3, limit=9) == []


async def test_a_read_sees_every_commit_before_it_even_from_many_tasks(store: Store) -> None:
    for n in range(20):
        await create(store, job(f"j{n}"))
        reads = await asyncio.gather(*(store.job(f"j{n}") for _ in range(8)))
        assert all(stored is not None for stored in reads)


async def test_closing_twice_is_fine(store: Store) -> None:
    await store.close()
    await store.close()


# Files


def with_files(head: Head, *files: tuple[str, int]) -> Head:
    return replace(head, files=tuple(File(key, size, "text/plain", key=key) for key, size in files))


async def test_files_are_known_from_their_commit_until_they_are_forgotten(store: Store) -> None:
    empty = job()
    one = with_files(empty, ("k1", 10))
    two = with_files(empty, ("k1", 10), ("k2", 5))
    await create(store, empty)
    await store.commit([Change(empty, one), Change(one, two)])
    assert await store.known_files(["k1", "k2", "k3"]) == {"k1", "k2"}
    assert await store.ended_files(limit=9) == []
    await store.commit([Change(two, one)])
    assert await store.ended_files(limit=9) == ["k2"]
    assert await store.known_files(["k2"]) == {"k2"}
    await store.forget_files(["k2"])
    assert (await store.ended_files(limit=9), await store.known_files(["k2"])) == ([], set())
    await delete(store, one)
    assert await store.ended_files(limit=9) == ["k1"]


async def test_a_file_added_and_removed_in_one_commit_has_ended(store: Store) -> None:
    empty = job()
    first, second = with_files(empty, ("k1", 10)), with_files(empty, ("k2", 5))
    await create(store, empty)
    await store.commit([Change(empty, first), Change(first, second), Change(second, second)])
    assert await store.ended_files(limit=9) == ["k1"]
    await delete(store, second)
    assert sorted(await store.ended_files(limit=9)) == ["k1", "k2"]
    assert len(await store.ended_files(limit=1)) == 1


async def test_bytes_of_files_are_summed_by_project(store: Store) -> None:
    await store.project("other")
    mine, theirs = job("a"), job("b", "other")
    await create(store, mine, theirs)
    elsewhere = File("x", 99, "text/plain", key="k4", url="https://example.org/x")
    both = replace(with_files(mine, ("k1", 10), ("k2", 5)), files=(
        *with_files(mine, ("k1", 10), ("k2", 5)).files, elsewhere))  # fmt: skip
    await store.commit([Change(mine, both), Change(theirs, with_files(theirs, ("k3", 7)))])
    assert dict(await store.file_bytes()) == {"default": 15, "other": 7}
    await store.commit([Change(both, with_files(mine, ("k2", 5)))])
    assert dict(await store.file_bytes()) == {"default": 5, "other": 7}


async def test_downloads_add_up_and_their_audit_records_are_written(store: Store) -> None:
    head = with_files(job(), ("k1", 10), ("k2", 5))
    await create(store, head)
    record = AuditRecord(1, "key:ci", "download", "default", "a", {"file": "k1"})
    await store.downloaded({"k1": Tally(2, 70), "gone": Tally(1, 70)}, [record])
    await store.downloaded({"k1": Tally(3, 80)}, [])
    assert await store.downloads(["k1", "k2", "gone"]) == {"k1": Tally(5, 80), "k2": Tally()}
    assert [noted.record for noted in await store.audit(limit=9)] == [record]


def key(id: str, **fields: Any) -> Key:
    return Key(id, f"name-{id}", b"digest", ("view",), None, created_at=1, **fields)


async def test_a_key_is_kept_in_place_of_the_key_with_its_id(store: Store) -> None:
    await store.save_key(key("b"))
    await store.save_key(key("a"))
    await store.save_key(key("b", last_used_at=7))
    assert await store.keys() == [key("a"), key("b", last_used_at=7)]


async def test_a_dropped_key_is_gone_and_an_unknown_one_is_no_error(store: Store) -> None:
    await store.save_key(key("a"))
    await store.drop_key("a")
    await store.drop_key("never")
    assert await store.keys() == []


async def test_audit_entries_are_numbered_and_paged_newest_first(store: Store) -> None:
    records = [AuditRecord(at, "operator", "key.create", detail={"at": at}) for at in range(4)]
    head = job()
    await store.save_key(key("a"), records[0])
    await store.commit([Change(None, head), Change(head, None, audit=records[1])])
    await store.downloaded({}, [records[2]])
    await store.drop_key("a", records[3])
    entries = await store.audit(limit=9)
    assert [(entry.n, entry.record) for entry in entries] == [
        (n, records[n - 1]) for n in (4, 3, 2, 1)
    ]
    assert [entry.n for entry in await store.audit(limit=2, before=4)] == [3, 2]
