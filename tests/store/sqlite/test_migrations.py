"""A database of an older schema becomes one of today, or stays as it was."""

# ruff: noqa: ASYNC240  (the loop of a test has nothing else to do)
from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from livejobs.core.history import RANGES
from livejobs.core.hooks import Call, Hook
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, Query
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.opening import migrate
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import create, found, job
from tests.store.sqlite.looks import filled, refused


def migration(directory: Path, text: str) -> tuple[Path, ...]:
    script = directory / "next.sql"
    script.write_text(text)
    return (*sql.MIGRATIONS, script)


async def test_an_older_schema_is_migrated_and_keeps_its_jobs(path: Path, tmp_path: Path) -> None:
    await filled(path)
    script = migration(tmp_path, "CREATE TABLE more (x); INSERT INTO more VALUES (7);")
    for _ in range(2):  # the second time changes nothing
        store = SqliteStore(path, migrations=script)
        await store.open()
        assert len(await found(store, Query(None))) == 100
        await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT x FROM more").fetchall() == [(7,)]
        assert db.execute("PRAGMA user_version").fetchone() == (len(script),)


def version_4(path: Path) -> None:
    """A database of version 4 with two running jobs; one is stalled."""
    with closing(sqlite3.connect(path)) as db:
        migrate(db, sql.MIGRATIONS[:4])
        for n in range(2):
            head = job(f"j{n}", status="running", stalled=n == 1)
            db.execute("INSERT INTO jobs VALUES (?, ?, 1, 1, NULL, ?, ?)",
                       (n, head.id, n, encode(head)))  # fmt: skip
            db.execute("INSERT INTO labels VALUES ('', 1, 1, ?)", (n,))
            act = encode(AuditRecord(1, "me", "cancel", "default", head.id))
            db.execute("INSERT INTO acts (act) VALUES (?)", (act,))
        db.execute("INSERT INTO counters VALUES ('', 1, 1, 2)")
        db.execute("INSERT INTO projects VALUES (1, 'default', 'abc', 0)")
        db.execute("INSERT INTO acts (act) VALUES (?)", (encode(AuditRecord(1, "me", "x")),))
        db.commit()


async def test_version_4_is_migrated_with_its_flags_and_acts(path: Path) -> None:
    await asyncio.to_thread(version_4, path)
    store = SqliteStore(path)
    await store.open()
    stalled = Query(None, flag="stalled")
    assert await found(store, stalled) == ["j1"]
    assert [it.record.job for it in await store.audit(limit=9, job="j1")] == ["j1"]
    assert len(await store.audit(limit=9)) == 3
    before = (await store.job("j1") or pytest.fail("it was there")).head
    await store.commit([Change(before, replace(before, stalled=False))])
    assert (await found(store, stalled), (await store.counts(stalled))["running"]) == ([], 0)
    assert (await store.history(None, RANGES["hour"], 0)).now["running"] == 2
    await store.close()


async def test_version_5_gets_webhooks(path: Path) -> None:
    old = SqliteStore(path, migrations=sql.MIGRATIONS[:5])
    await old.open()
    await old.project("default")
    await create(old, job("before"))
    await old.close()
    store = SqliteStore(path)
    await store.open()
    await store.save_hook(Hook("h", "default", "https://a.example/", (), "standard", 1, "me"))
    calls = (Call("h", "created", "https://a.example:443"),)
    await store.commit([Change(None, job("a"), calls=calls)])
    assert await found(store, Query(None)) == ["a", "before"]
    assert [it.event for it in await store.waiting({}, limit=9)] == ["created"]
    await store.close()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    path: Path, tmp_path: Path
) -> None:
    await filled(path)
    script = migration(tmp_path, "CREATE TABLE more (x); INSERT INTO nowhere VALUES (7);")
    assert "no such table: nowhere" in await refused(path, migrations=script)
    store = SqliteStore(path)
    await store.open()
    assert len(await found(store, Query(None))) == 100
    await store.close()


async def test_a_new_database_appears_whole_or_not_at_all(path: Path, tmp_path: Path) -> None:
    await refused(path, migrations=migration(tmp_path, "nonsense"))
    assert not path.exists()
