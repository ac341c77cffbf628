"""What only the SQLite store promises: about its file, its query plans and its faults."""

# ruff: noqa: ASYNC221, ASYNC240  (the loop of a test has nothing else to do)

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.json import encode
from msgspec.structs import replace

from livejobs.core.history import RANGES
from livejobs.core.hooks import Call, Hook
from livejobs.core.model import KINDS, STATUSES, Entry, Status
from livejobs.store.base import (
    AuditRecord,
    Change,
    EntryQuery,
    Idempotency,
    Project,
    Query,
    StoreUnusable,
    Tidied,
)
from livejobs.store.sqlite import finding, sql
from livejobs.store.sqlite.opening import migrate
from livejobs.store.sqlite.store import Connection, SqliteStore
from tests.store.contract import add, create, delete, entry, found, job, numbers, tidied
from tests.support.server import LONG_ENOUGH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    await store.project("default")
    yield store
    await store.close()


async def refused(path: Path, **how: Any) -> str:
    """Why the store can't be opened."""
    store = SqliteStore(path, **how)
    with pytest.raises(StoreUnusable) as caught:
        await store.open()
    return str(caught.value)


async def filled(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.project("default")
    await create(store, *(job(f"j{n}", title="x" * 500) for n in range(100)))
    await store.close()


# The file


async def test_what_was_committed_is_there_when_opened_again(path: Path) -> None:
    store = SqliteStore(path, gone_kept=1)
    await store.open()
    project = await store.project("default")
    await create(store, job("a"), job("b"), job("c", status="failed"), job("d"))
    await add(store, job("a"), entry(1))
    await delete(store, job("b"), job("d"))
    await store.close()
    again = SqliteStore(path, gone_kept=1)
    await again.open()
    assert await again.projects() == (Project("default", project.epoch, seq=7, floor=6),)
    assert await found(again, Query(None)) == ["c", "a"]
    assert numbers(await again.entries(EntryQuery("a", "logs"))) == [1]
    assert await add(again, job("a"), entry(2)) == 8
    assert await create(again, job("e")) == [9]
    assert await found(again, Query(None)) == ["e", "c", "a"]
    await again.close()


async def test_the_log_is_gone_after_a_clean_close(path: Path) -> None:
    await filled(path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["jobs.db", "jobs.db.lock"]


CRASH = """
import asyncio, os, sys
from pathlib import Path
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import add, create, entry, job

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    await store.project("default")
    await create(store, job("a"))
    for n in range(1, 8):
        await add(store, job("a"), entry(n))
    os._exit(9)

asyncio.run(main())
"""


async def test_what_was_committed_is_there_after_a_crash(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False, timeout=60)
    assert done.returncode == 9
    store = SqliteStore(path)
    await store.open()
    assert numbers(await store.entries(EntryQuery("a", "logs"))) == [1, 2, 3, 4, 5, 6, 7]
    assert (await store.project("default")).seq == 8
    await store.close()


async def test_a_second_server_on_the_same_data_is_refused(store: SqliteStore, path: Path) -> None:
    assert "in use by another livejobs server" in await refused(path)
    await create(store, job())
    await store.close()
    other = SqliteStore(path)
    await other.open()
    assert await found(other, Query(None)) == ["a"]
    await other.close()


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await filled(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    assert "newer livejobs (schema 99" in await refused(path)
    assert path.read_bytes() == before


async def test_someone_elses_database_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE songs (name)")
    before = path.read_bytes()
    assert "not a livejobs database" in await refused(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 10_000])
async def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    await refused(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["half of it", "no end", "a page", "every page"])
async def test_a_damaged_database_is_refused_and_left_as_it_is(path: Path, damage: str) -> None:
    await filled(path)
    whole = path.read_bytes()
    page = len(whole) // 2 // 4096 * 4096
    path.write_bytes(
        {
            "half of it": whole[:page],
            "no end": whole[:-100],
            "a page": whole[:page] + b"\x5a" * 4096 + whole[page + 4096 :],
            "every page": whole[:4096] + b"\0" * (len(whole) - 4096),
        }[damage]
    )
    before = path.read_bytes()
    await refused(path)
    assert path.read_bytes() == before


async def test_a_log_without_its_database_is_refused(path: Path) -> None:
    path.with_name("jobs.db-wal").write_bytes(b"log")
    assert "gone, though its log is there" in await refused(path)
    assert not path.exists()


async def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file or directory" in await refused(tmp_path / "none" / "jobs.db")


async def test_a_refused_store_can_be_opened_later(path: Path) -> None:
    path.write_bytes(b"hello")
    store = SqliteStore(path)
    with pytest.raises(StoreUnusable):
        await store.open()
    path.unlink()
    await store.open()
    await store.close()


# Migrations


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


# Connections


async def test_the_loop_does_not_wait_for_a_writer_that_is_busy(store: SqliteStore) -> None:
    """The loop waits a moment for a write to begin. It must not wait for a disk that hangs."""
    free = threading.Event()
    busy = store._write.begin(lambda _: free.wait(LONG_ENOUGH))
    written = asyncio.create_task(create(store, job("a")))
    await asyncio.sleep(0)  # the commit is queued now
    free.set()
    assert await busy
    await written
    assert await store.job("a") is not None


async def test_only_one_connection_can_write(store: SqliteStore) -> None:
    readers = [one for one in connections(store) if one is not store._write]
    assert len(readers) == 3
    for reader in readers:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reader.execute("DELETE FROM jobs")


async def test_every_commit_is_synced(store: SqliteStore) -> None:
    for pragma, expected in (("synchronous", 2), ("journal_mode", "wal"), ("mmap_size", 0)):
        [(value,)] = await store._write.run(
            lambda db, name: list(db.execute(name)), f"PRAGMA {pragma}"
        )
        assert value == expected


async def test_a_batch_of_reports_is_one_statement(store: SqliteStore) -> None:
    heads = [job(f"j{n}") for n in range(40)]
    await create(store, *heads)
    texts = await statements(store, store.commit([Change(h, h, (entry(1),)) for h in heads]))
    assert len(texts) == 1


async def test_a_cancelled_commit_counts_if_it_was_written(store: SqliteStore) -> None:
    task = asyncio.ensure_future(create(store, job("a")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await create(store, job("b")) == [2]
    assert await found(store, Query(None)) == ["b", "a"]


async def test_an_empty_commit_checks_the_medium_by_writing(store: SqliteStore, path: Path) -> None:
    await store.project("default")
    log = path.with_name(path.name + "-wal")
    before = log.stat().st_size
    assert await store.commit([]) == []
    assert log.stat().st_size > before


async def test_a_refused_commit_keeps_nothing(store: SqliteStore) -> None:
    await create(store, job("a"))
    with pytest.raises(sqlite3.IntegrityError):
        await create(store, job("b"), job("a"))
    assert await found(store, Query(None)) == ["a"]
    assert await create(store, job("b"), job("c")) == [2, 3]
    assert (await store.counts(Query(None)))["queued"] == 3


# Deleting


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


# Plans: nothing scans a table or sorts what it found

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


async def statements(store: SqliteStore, doing: Any) -> list[str]:
    """The statements that SQLite runs meanwhile, with their parameters."""
    texts: list[str] = []
    for one in connections(store):
        await one.set_trace_callback(texts.append)
    await doing
    for one in connections(store):
        await one.set_trace_callback(lambda _: None)
    fts = ("search_", "data_version")  # statements of FTS5 on its own tables
    return [text for text in dict.fromkeys(texts) if not any(word in text for word in fts)]


def connections(store: SqliteStore) -> Sequence[Connection]:
    return store._connections


# Bad disks


@pytest.fixture
def small_disk(tmp_path: Path) -> list[str]:
    """A prefix that runs a command in its own mount namespace, with a small tmpfs here."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("NOT TESTED: a full disk needs root and unshare")
    mount = f'mount -t tmpfs -o size=2m none "{tmp_path}" && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, "sh"]


@pytest.mark.parametrize("filling", ["reports", "creates"])
def test_a_full_disk_refuses_commits_until_there_is_room_again(
    small_disk: list[str], tmp_path: Path, filling: str
) -> None:
    drill(tmp_path, "full", filling, prefix=small_disk)


@pytest.mark.parametrize("filling", ["reports", "creates"])
def test_a_failing_disk_refuses_commits_until_it_is_mended(tmp_path: Path, filling: str) -> None:
    drill(tmp_path, "failing", filling)


def drill(directory: Path, *how: str, prefix: Sequence[str] = ()) -> None:
    command = [*prefix, sys.executable, "-m", "tests.support.bad_disk", str(directory), *how]
    done = subprocess.run(command, check=False, timeout=120, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
