"""The contract of every store: entries are removed in pieces."""

from __future__ import annotations

import pytest

from livejobs.core.model import KINDS
from livejobs.store.base import Change, EntryQuery, Store, Tidied
from livejobs.store.memory import MemoryStore
from tests.store.contract import add, create, cut, delete, entry, job, numbers, tidied


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
