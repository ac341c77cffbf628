"""Getting a database file ready: locked, known to be ours, sound, and of the right version."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from livejobs.core.errors import StorageUnavailable
from livejobs.store.base import StoreUnusable
from livejobs.store.sql import MIGRATIONS

APPLICATION_ID: Final = 0x4C4A4F42  # "LJOB": how the file says what it is

WRITER: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 67108864",
)
READER: Final = (
    "PRAGMA query_only = ON",
    "PRAGMA wal_autocheckpoint = 0",
)

# What the medium, not the caller or the code, says no with; and what to tell about it.
REFUSALS: Final = {
    sqlite3.SQLITE_FULL: "The disk is full. Nothing was kept; free some space and try again.",
    sqlite3.SQLITE_IOERR: "The disk gave an error. Nothing was kept.",
    sqlite3.SQLITE_READONLY: "The database may not be written to. Nothing was kept.",
    sqlite3.SQLITE_CANTOPEN: "The database file can't be opened.",
    sqlite3.SQLITE_PERM: "The database file may not be used.",
    sqlite3.SQLITE_BUSY: "Something else holds the database. Nothing was kept.",
    sqlite3.SQLITE_LOCKED: "Something else holds the database. Nothing was kept.",
    sqlite3.SQLITE_PROTOCOL: "Something else holds the database. Nothing was kept.",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged. Stop the server and restore a copy.",
    sqlite3.SQLITE_NOTADB: "The database file is damaged. Stop the server and restore a copy.",
}


@contextmanager
def refusals() -> Iterator[None]:
    """The medium's errors as ours. Others are mistakes in our statements, and stay as they are."""
    try:
        yield
    except sqlite3.Error as error:
        sentence = REFUSALS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if sentence is None:
            raise
        raise StorageUnavailable(sentence) from error


class Lock:
    """One server a database, for as long as this process lives or holds it. A file of its own:
    closing any descriptor of the database itself would drop SQLite's locks."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def take(self) -> None:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusable(f"Can't write in {self._path.parent}: {error.strerror}.") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise StoreUnusable(
                f"{self._path.parent} is in use by another livejobs server. "
                "Stop that one, or give this one another data directory."
            ) from error
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def prepare(path: Path, db: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Ready to write, or StoreUnusable and nothing changed."""
    try:
        _check(path, db, len(migrations))
        for pragma in WRITER:
            db.execute(pragma)
        _migrate(db, migrations)
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path} can't be used: {error}. Restore a copy of it.") from error


def _check(path: Path, db: sqlite3.Connection, newest: int) -> None:
    version = _pragma(db, "user_version")
    empty = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if empty and version == 0:
        return
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise StoreUnusable(f"{path} is not a livejobs database.")
    if version > newest:
        raise StoreUnusable(
            f"{path} was written by a newer livejobs (schema {version}, this one knows {newest}). "
            "Run that version or a later one."
        )
    wrong = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if wrong != "ok":
        raise StoreUnusable(f"{path} is damaged ({wrong}). Restore a copy of it.")


def _migrate(db: sqlite3.Connection, migrations: Sequence[str]) -> None:
    for version in range(_pragma(db, "user_version"), len(migrations)):
        script = Path(__file__).with_name(migrations[version]).read_text()
        try:
            db.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {version + 1};"
                f" PRAGMA application_id = {APPLICATION_ID}; COMMIT"
            )
        except BaseException:
            rollback(db)
            raise


def rollback(db: sqlite3.Connection) -> None:
    """Undo what is open; some errors have already done so."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value = db.execute(f"PRAGMA {name}").fetchone()[0]
    assert isinstance(value, int)
    return value
