"""The plans of SQLite: nothing scans a table or sorts what it found."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from livejobs.core.model import KINDS, STATUSES
from livejobs.store.base import Change, EntryQuery, Idempotency, Query
from livejobs.store.sqlite import finding
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import FILTERS, create, entry, job, two
from tests.store.sqlite.looks import statements


@pytest.fixture
async def busy(store: SqliteStore) -> SqliteStore:
    await store.project("other")
    await create(
        store,
        *(
            job(
                f"{project}-{status}",
                project,
                "x",
                status=status,
                type="x",
                parent="x",
                tags=("x",),
            )
            for project in two
            for status in STATUSES
        ),
    )
    return store


@pytest.mark.parametrize("query", FILTERS, ids=str)
async def test_a_list_and_its_counts_are_served_by_indexes(busy: SqliteStore, query: Query) -> None:
    await assert_planned(busy, busy.list(query, limit=3))
    await assert_planned(busy, busy.list(query, limit=3, before=5, skip=2))
    await assert_planned(busy, busy.counts(query))


async def test_every_other_read_is_served_by_an_index(busy: SqliteStore) -> None:
    for read in (
        busy.job("a"),
        busy.unfinished(),
        busy.expired(5, limit=3),
        busy.entries(EntryQuery("default-queued", "logs", after_seq=3, level=2)),
        busy.entries(EntryQuery("default-queued", "logs", tail=True)),
        busy.changes("default", 3, limit=3),
        busy.feed_entries("default", 0, 9, limit=3, kinds=KINDS),
        busy.repeated("a", "b", 3),
        busy.audit(limit=3, job="a"),
    ):
        await assert_planned(busy, read)


async def test_every_write_is_served_by_an_index(busy: SqliteStore) -> None:
    old = job("default-queued", "default", "x", status="queued", type="x", parent="x", tags=("x",))
    made = Idempotency("a", "b", b"", "new", 5)
    await assert_planned(busy, busy.commit([Change(None, job("new"), (entry(1),), made)]))
    await assert_planned(busy, busy.commit([Change(old, None), Change(job("new"), job("new"))]))
    await assert_planned(busy, busy.commit([Change(job("new"), job("new", status="failed"))]))


# Steps that EXPLAIN calls a scan though they read no more than needed: the values of a parameter,
# the rows of VALUES, the text index by its words, and a partial index of exactly the rows.
FINE = (
    "json_each VIRTUAL TABLE",
    "CONSTANT ROW",
    "ROW VALUES CLAUSE",  # the same since SQLite 3.53
    "(subquery",
    "search VIRTUAL TABLE INDEX",
)
PARTIAL = "SCAN jobs USING INDEX jobs_unfinished"


async def assert_planned(store: SqliteStore, doing: Any) -> None:
    texts = await statements(store, doing)
    assert texts
    for text in texts:
        for step in await store._write.run(plan, text):
            assert "TEMP B-TREE" not in step, text
            scans = "SCAN" in step and not any(fine in step for fine in FINE)
            assert not scans or step == PARTIAL, f"{step}\n{text}"


def plan(db: sqlite3.Connection, text: str) -> list[str]:
    verb = text.lstrip("- ").split()[0]
    if verb not in {"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE"} or "NEW." in text:
        return []
    db.create_function("holds", 2, finding.holds)  # a function of the readers
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text.lstrip('- ')}")]
