"""Open a database file: lock it, check that it is ours, sound and of a known version."""

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

APPLICATION_ID: Final = 0x4C4A4F42  # "LJOB" marks the file as ours

# Bytes. A larger database is not checked page by page, or each start would take longer.
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

# Errors of the medium, not of the caller or the code, and the sentence for each.
_HELD: Final = "Another process holds the database. Try again."
_DAMAGED: Final = "The database file is damaged. Stop the server and restore a backup."
REFUSALS: Final = {
    sqlite3.SQLITE_FULL: "The disk is full, and nothing was kept. Free some space and try again.",
    sqlite3.SQLITE_IOERR: "The disk reported an error. See the system's log.",
    sqlite3.SQLITE_READONLY: "The database is read-only. Make its file and folder writable.",
    sqlite3.SQLITE_CANTOPEN: "The database file can't be opened.",
    sqlite3.SQLITE_PERM: "The server has no permission to use the database file.",
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_PROTOCOL: _HELD,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}

DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def way_back(path: Path) -> str:
    """From a damaged database."""
    return (
        f"Move {path.name}* out of {path.parent}, and run: livejobs restore BACKUP --data "
        f"{path.parent}"
    )


@contextmanager
def refusals() -> Iterator[None]:
    """Raise the medium's errors as StorageUnavailable. Others are mistakes in our statements."""
    try:
        yield
    except sqlite3.Error as error:
        sentence = REFUSALS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if sentence is None:
            raise
        raise StorageUnavailable(sentence) from error


class Lock:
    """Lets one server at a time use a database. The lock is a separate file, since closing any
    descriptor of the database itself would drop SQLite's locks."""

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
    """Create the database, or check the one that is there. Raise StoreUnusable, and change nothing,
    if it can't be trusted."""
    with unusable(path):
        if path.exists():
            if not path.stat().st_size:  # SQLite would remove the log of an empty file
                raise StoreUnusable(f"{path} is empty: its jobs are lost. {way_back(path)}")
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
                _check(db, path, len(migrations))
            for suffix in ("", "-wal", "-shm"):
                close_to_others(_beside(path, suffix), FILE)
        elif _beside(path, "-wal").exists():
            raise StoreUnusable(f"{path} is gone, though its log is there. {way_back(path)}")
        else:
            _make(path, migrations)


def _make(path: Path, migrations: Sequence[Path]) -> None:
    """Create the database whole or not at all. So an empty file is a database that lost its jobs,
    and not one that we began to create."""
    new = _beside(path, ".new")
    new.unlink(missing_ok=True)
    new.touch(FILE, exist_ok=False)  # SQLite gives its log the same mode
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before there are tables
        migrate(db, migrations)
    new.rename(path)


def _check(db: sqlite3.Connection, path: Path, newest: int) -> None:
    if pragma(db, "application_id") != APPLICATION_ID:
        raise StoreUnusable(f"{path} is not a livejobs database.")
    version = pragma(db, "user_version")
    if version > newest:
        raise StoreUnusable(
            f"{path} was written by a newer livejobs (schema {version}, this one knows {newest}). "
            "Run that version or a later one."
        )
    size = path.stat().st_size
    if size % pragma(db, "page_size"):
        raise StoreUnusable(f"{path} is cut short. {way_back(path)}")
    if size > CHECKED:
        return
    wrong = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if wrong != "ok":
        what = wrong.splitlines()[-1]  # there may be a heading above it
        raise StoreUnusable(f"{path} is damaged ({what}). {way_back(path)}")


@contextmanager
def unusable(path: Path) -> Iterator[None]:
    """While opening, raise every error of the medium as StoreUnusable."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
        back = f" {way_back(path)}" if damaged else ""
        raise StoreUnusable(f"{path} can't be used: {error}.{back}") from error
    except StorageUnavailable as error:
        raise StoreUnusable(f"{path} can't be used. {error.detail}") from error


def migrate(db: sqlite3.Connection, migrations: Sequence[Path]) -> None:
    """Migrate to the newest version, each step in its own transaction."""
    for version in range(pragma(db, "user_version"), len(migrations)):
        try:
            db.executescript(
                f"BEGIN IMMEDIATE; {migrations[version].read_text()};"
                f" PRAGMA user_version = {version + 1};"
                f" PRAGMA application_id = {APPLICATION_ID}; COMMIT"
            )
        except BaseException:  # whatever it was, none of it may stay
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
    """End an open transaction; some errors have already ended it."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
