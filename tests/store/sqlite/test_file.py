"""When the SQLite store opens its file, and what it refuses to open."""

# ruff: noqa: ASYNC221, ASYNC240  (the loop of a test has nothing else to do)
from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from livejobs.store.base import EntryQuery, Project, Query, StoreUnusable
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import add, create, delete, entry, found, job, numbers
from tests.store.sqlite.looks import filled, refused


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
