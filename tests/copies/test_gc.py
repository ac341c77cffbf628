"""`livejobs gc`: what it shows, what it removes, and when it refuses."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.model import Entry, File, Head, Kept
from livejobs.store.base import Change, Query, Store
from livejobs.store.postgres.store import PostgresStore
from livejobs.store.sqlite.store import SqliteStore
from tests.support.command import livejobs
from tests.support.postgres import Postgres
from tests.support.server import BIN, LONG_ENOUGH, Server, clean_environment

LINE = Raw(b'{"message":"%s"}' % (b"x" * 1000))
KEY = "0123456789abcdef0123456789abcdef"
STRAY = "f123456789abcdef0123456789abcdef"


def gc(*args: str) -> tuple[int, dict[str, list[str]], str]:
    """The exit code, the rows by their names, and stderr."""
    done = livejobs("gc", *args)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return done.returncode, {name: row for name, *row in rows}, done.stderr


def job(id: str, **fields: object) -> Head:
    return replace(Head(id, "default", "o", 1, 1, 1), **fields)


async def fill(store: Store) -> None:
    """Two jobs: one that has expired, with lines and a file, and one that stays, with cut lines."""
    await store.open()
    await store.project("default")
    file = File("a", 4, "text/plain", key=KEY)
    old = job("old", status="failed", expires_at=5, logs_total=2, files=(file,))
    stays = job("stays", logs_total=3, kept={"logs": Kept(2)})
    lines = tuple(Entry("logs", n, 1, LINE) for n in (1, 2, 3))
    await store.commit([Change(None, old, lines[:2]), Change(None, stays, lines)])
    await store.close()


async def left(store: Store) -> Sequence[str]:
    await store.open()
    page = await store.list(Query(None), limit=9)
    await store.close()
    return [stored.head.id for stored in page.jobs]


def lay(folder: Path, key: str) -> Path:
    path = folder / "files" / key[-2:] / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"data")
    return path


FOUND = {
    "expired jobs": ["1", "0"],
    "their logs, results and errors": ["2", str(2 * len(bytes(LINE)))],
    "their files": ["1", "4"],
    "entries cut off, or of removed jobs": ["2", str(2 * len(bytes(LINE)))],
    "files that no job has": ["1", "4"],
}
NOTHING = {name: ["0", "0"] for name in FOUND}


def test_a_dry_run_shows_what_the_next_run_removes(tmp_path: Path) -> None:
    database = tmp_path / "livejobs.db"
    asyncio.run(fill(SqliteStore(database)))
    files = [lay(tmp_path, key) for key in (KEY, STRAY)]
    for args in (("--dry-run",), ()):
        code, rows, errors = gc("--data", str(tmp_path), *args)
        assert (code, rows.pop("free in the database file")[0]) == (0, ""), errors
        assert rows == FOUND
        word = "Would remove" if args else "Removed"
        assert f"{word} 1 job, and 6 entries and files (4.1 kB)." in errors
        assert [path.exists() for path in files] == [bool(args)] * 2
    code, rows, errors = gc("--data", str(tmp_path))
    assert code == 0, errors
    assert {name: rows[name] for name in FOUND} == NOTHING
    assert asyncio.run(left(SqliteStore(database))) == ["stays"]


def test_a_running_server_is_left_alone_and_may_be_looked_at(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        code, rows, _ = gc("--data", str(server.data), "--dry-run")
        assert (code, {name: rows[name] for name in FOUND}) == (0, NOTHING)
        for args in ((), ("--vacuum",)):
            code, _, errors = gc("--data", str(server.data), *args)
            assert code == 1
            assert "in use by another livejobs server" in errors
            assert "A running server removes all of this by itself" in errors


def test_where_there_is_no_database_nothing_is_created(tmp_path: Path) -> None:
    code, _, errors = gc("--data", str(tmp_path / "none"))
    assert (code, "There is no database" in errors) == (2, True)
    assert list(tmp_path.iterdir()) == []
    code, _, errors = gc("--database", "postgresql://127.0.0.1:9/none", "--vacuum")
    assert (code, "PostgreSQL frees space by itself" in errors) == (2, True)


def test_the_file_of_an_older_version_shrinks_with_vacuum_and_by_itself_from_then_on(
    tmp_path: Path,
) -> None:
    database = tmp_path / "livejobs.db"

    async def crowd() -> None:
        store = SqliteStore(database)
        await store.open()
        await store.project("default")
        lines = tuple(Entry("logs", n, 1, LINE) for n in range(1, 10_001))
        await store.commit([Change(None, job("old", status="failed", expires_at=5), lines)])
        await store.close()

    asyncio.run(crowd())
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("VACUUM")
    before = database.stat().st_size
    _, _, errors = gc("--data", str(tmp_path))
    assert "shrinks only with --vacuum" in errors
    assert database.stat().st_size >= before
    code, _, errors = gc("--data", str(tmp_path), "--vacuum")
    assert (code, "--vacuum" in errors) == (0, False), errors
    assert database.stat().st_size < before / 10
    asyncio.run(crowd())
    gc("--data", str(tmp_path))
    assert database.stat().st_size < before * 0.6


def test_a_postgresql_database_is_cleared_beside_its_nodes(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.database("gc")
    asyncio.run(fill(PostgresStore(url)))
    args = ("--database", url, "--data", str(tmp_path))
    code, rows, errors = gc(*args, "--dry-run")
    assert code == 0, errors
    assert rows == FOUND | {"files that no job has": ["0", "0"]}
    code, _, errors = gc(*args)
    assert code == 0, errors
    assert gc(*args, "--dry-run")[1] == NOTHING
    assert asyncio.run(left(PostgresStore(url))) == ["stays"]


def test_a_terminal_gets_a_table_of_eighty_columns(tmp_path: Path) -> None:
    asyncio.run(fill(SqliteStore(tmp_path / "livejobs.db")))
    command = f"stty cols 80; {BIN / 'livejobs'} gc --dry-run --data {tmp_path}"
    shown = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True, text=True, check=True, timeout=LONG_ENOUGH,
        env=clean_environment() | {"TERM": "xterm"},
    )  # fmt: skip
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["WHAT", "COUNT", "SIZE"] for line in lines)
    assert os.linesep.join(lines).count("kB") >= 2
