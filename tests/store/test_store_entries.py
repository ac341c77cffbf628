"""The contract of every store: entries of a job and of a feed."""

from __future__ import annotations

import pytest
from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.model import KINDS, Entry
from livejobs.store.base import Change, EntryQuery, Store
from tests.store.contract import EVERYTHING, add, create, entry, job, numbers


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
