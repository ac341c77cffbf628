"""The stores that keep one contract, and what its tests write and read. The laws are in
store/base.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.model import Entry, EntryKind, Head, Kept, Record, Status
from livejobs.store.base import Change, Idempotency, Page, Query, Store, Tidied
from livejobs.store.memory import MemoryStore
from livejobs.store.sqlite.store import SqliteStore

KEPT = 3  # deletions remembered, in these tests
STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(gone_kept=KEPT),
    "sqlite": lambda path: SqliteStore(path / "jobs.db", gone_kept=KEPT),
}
EVERYTHING = Query(None)
# Every kind of filter, alone and with others.
two = ("default", "other")
some: tuple[Status, ...] = ("queued", "failed")
FILTERS = [
    Query(None),
    Query(("default",)),
    Query(two),
    Query(None, statuses=some),
    Query(two, statuses=some),
    *(
        replace(query, projects=projects, statuses=statuses)
        for query in (
            Query(None, type="x"),
            Query(None, tag="x"),
            Query(None, parent="x"),
            Query(None, owner="x"),
            Query(None, flag="stalled"),
            Query(None, q="xxx"),
        )
        for projects in (None, ("default",), two)
        for statuses in ((), some)
    ),
    Query(two, statuses=some, type="x", tag="x", parent="x", owner="x"),
    Query(two, statuses=some, type="x", tag="x", q="xxx"),
    Query(None, ids=("a", "b")),
    Query(two, statuses=some, ids=("a", "b"), tag="x", q="xxx"),
]


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


async def tidied(store: Store, rows: int = 1000, bytes: int = 1 << 20) -> list[Tidied]:
    """What each piece of tidying did, until there was nothing more to do."""
    done: list[Tidied] = []
    while not done or done[-1].more:
        done.append(await store.tidy(rows=rows, bytes=bytes))
        assert len(done) < 100, "it does not come to an end"
    return done


def cut(head: Head, total: int, removed: int) -> Head:
    return replace(head, logs_total=total, kept={"logs": Kept(removed)})


def made(key: str = "k", expires_at: int = 10, job: str = "a") -> Idempotency:
    return Idempotency("key:ci", key, b"digest", job, expires_at)
