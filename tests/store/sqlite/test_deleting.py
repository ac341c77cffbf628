"""What stays of a deleted job, and how the file shrinks."""

# ruff: noqa: ASYNC240  (the loop of a test has nothing else to do)
from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import Raw

from livejobs.core.model import KINDS, Entry
from livejobs.store.base import EntryQuery, Query, Tidied
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import add, create, delete, entry, found, job, tidied
from tests.store.sqlite.looks import filled


async def test_nothing_of_a_deleted_job_stays_except_its_deletion(
    store: SqliteStore, path: Path
) -> None:
    head = job(type="t", tags=("x",), parent="p", title="title", expires_at=3)
    await create(store, head)
    await add(store, head, *(entry(n, kind) for kind in KINDS for n in (1, 2)))
    await delete(store, head)
    await tidied(store)
    with closing(sqlite3.connect(path)) as db:
        for table in ("jobs", "labels", "counters", "entries", "ended", "trims"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        assert db.execute("SELECT count(*) FROM gone").fetchone() == (1,)
        db.execute("INSERT INTO search (search) VALUES ('integrity-check')")


async def test_entries_of_a_deleted_job_are_removed_in_pieces_also_after_a_restart(
    store: SqliteStore, path: Path
) -> None:
    head = job()
    await create(store, head, job("b"))
    for start in range(0, 3000, 1000):
        await add(store, head, *(entry(start + n) for n in range(1, 1001)))
    await delete(store, head)
    assert await store.entries(EntryQuery("a", "logs")) == []
    assert await store.feed_entries("default", 0, 999, limit=9, kinds=KINDS) == []
    assert await store.tidy(rows=500, bytes=1 << 30) == Tidied(500, 4392, more=True)
    assert count_entries(path) == 2500
    await store.close()
    await store.open()
    assert await create(store, job("a"))
    assert await store.entries(EntryQuery("a", "logs")) == []
    await add(store, job("b"), entry(1))
    assert len(await tidied(store, rows=500)) == 6
    assert count_entries(path) == 1
    assert await found(store, Query(None)) == ["a", "b"]


def large(n: int) -> Entry:
    return Entry("logs", n, 1, Raw(b'"%s"' % (16_000 * b"x")))


async def test_the_file_shrinks_in_steps_and_keeps_some_room(
    store: SqliteStore, path: Path
) -> None:
    await create(store, job())
    for start in range(1, 1001, 250):
        await add(store, job(), *map(large, range(start, start + 250)))
    await store.close()
    await store.open()
    before = path.stat().st_size
    await delete(store, job())
    steps = await tidied(store, rows=400, bytes=1 << 20)
    returned = [step.returned for step in steps if step.returned]
    assert max(returned) == 1 << 20
    await store.close()
    assert path.stat().st_size <= before - sum(returned)
    assert 4 << 20 <= path.stat().st_size < 6 << 20
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_file_of_an_older_version_keeps_its_size(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    await filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("VACUUM")
    store = SqliteStore(path)
    await store.open()
    await create(store, job())
    await add(store, job(), *map(large, range(1, 501)))
    await delete(store, job())
    assert not any(step.returned for step in await tidied(store))
    await store.close()


def count_entries(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM entries").fetchone()[0])
