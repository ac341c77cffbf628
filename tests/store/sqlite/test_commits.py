"""A commit of the SQLite store: its connection, its sync, and a bad disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from livejobs.store.base import Change, Query
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import create, entry, found, job
from tests.store.sqlite.looks import connections, statements
from tests.support.server import LONG_ENOUGH

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
