"""Getting a database file ready: locked, known to be ours, sound, and of the right version."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from livejobs.core.errors import StorageUnavailable
from livejobs.private import FILE, close_to_others
from livejobs.store.base import StoreUnusable
from livejobs.store.sqlite.finding import holds

APPLICATION_ID: Final = 0x4C4A4F42  # "LJOB": how the file says what it is

# Bytes: a larger database is not read through, as a start shall not grow with history.
CHECKED: Final = 16 << 20

WRITER: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 16777216",
)
READER: Final = (
    "PRAGMA query_only = ON",
    "PRAGMA wal_autocheckpoint = 0",
)

# What the medium, not the caller or the code, says no with; and what to tell about it.
_HELD: Final = "Something else holds the database. Try again."
_DAMAGED: Final = "The database file is damaged. Stop the server and restore a copy."
REFUSALS: Final = {
    sqlite3.SQLITE_FULL: "The disk is full, and nothing was kept. Free some space and try again.",
    sqlite3.SQLITE_IOERR: "The disk gave an error. Look at the system's log.",
    sqlite3.SQLITE_READONLY: "The database may not be written to.",
    sqlite3.SQLITE_CANTOPEN: "The database file can't be opened.",
    sqlite3.SQLITE_PERM: "The database file may not be used.",
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_PROTOCOL: _HELD,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
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
        self._path = _beside(path, ".lock")
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


def make_or_check(path: Path, migrations: Sequence[Path]) -> None:
    """A database that can be trusted, or StoreUnusable and nothing is touched."""
    with unusable(path):
        if path.exists():
            if not path.stat().st_size:  # SQLite would remove the log of an empty file
                raise StoreUnusable(f"{path} is empty: its jobs are lost. Restore a copy of it.")
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
                _check(db, path, len(migrations))
            for suffix in ("", "-wal", "-shm"):
                close_to_others(_beside(path, suffix), FILE)
        elif _beside(path, "-wal").exists():
            raise StoreUnusable(f"{path} is gone, though its log is there. Restore a copy of it.")
        else:
            _make(path, migrations)


def _make(path: Path, migrations: Sequence[Path]) -> None:
    """It appears whole or not at all, so that an empty file is never one that we left: it has
    lost its jobs, and is not to be taken for a new one."""
    new = _beside(path, ".new")
    new.unlink(missing_ok=True)
    new.touch(FILE, exist_ok=False)  # SQLite gives its log the same mode
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        migrate(db, migrations)
    new.rename(path)


def _check(db: sqlite3.Connection, path: Path, newest: int) -> None:
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise StoreUnusable(f"{path} is not a livejobs database.")
    version = _pragma(db, "user_version")
    if version > newest:
        raise StoreUnusable(
            f"{path} was written by a newer livejobs (schema {version}, this one knows {newest}). "
            "Run that version or a later one."
        )
    size = path.stat().st_size
    if size % _pragma(db, "page_size"):
        raise StoreUnusable(f"{path} is cut short. Restore a copy of it.")
    if size > CHECKED:
        return
    wrong = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if wrong != "ok":
        what = wrong.splitlines()[-1]  # a heading may stand above it
        raise StoreUnusable(f"{path} is damaged ({what}). Restore a copy of it.")


@contextmanager
def unusable(path: Path) -> Iterator[None]:
    """While opening, whatever the medium says is about the store."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnusable(f"{path} can't be used: {error}.") from error
    except StorageUnavailable as error:
        raise StoreUnusable(f"{path} can't be used. {error.detail}") from error


def migrate(db: sqlite3.Connection, migrations: Sequence[Path]) -> None:
    """From its version to the newest, each step in a transaction of its own."""
    for version in range(_pragma(db, "user_version"), len(migrations)):
        try:
            db.executescript(
                f"BEGIN IMMEDIATE; {migrations[version].read_text()};"
                f" PRAGMA user_version = {version + 1};"
                f" PRAGMA application_id = {APPLICATION_ID}; COMMIT"
            )
        except BaseException:
            rollback(db)
            raise


def to_write(db: sqlite3.Connection, migrations: Sequence[Path]) -> None:
    for pragma in WRITER:
        db.execute(pragma)
    migrate(db, migrations)


def to_read(db: sqlite3.Connection) -> None:
    for pragma in READER:
        db.execute(pragma)
    db.create_function("holds", 2, holds, deterministic=True)


def rollback(db: sqlite3.Connection) -> None:
    """Undo what is open; some errors have already done so."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
