"""The one file of an SQLite database: copy it beside a running server, and give it new epochs."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from livejobs.copies.errors import NoDatabase
from livejobs.private import FILE
from livejobs.store.base import StoreUnusable
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.opening import make_or_check, migrate, to_read, unusable


def require(path: Path) -> None:
    if not path.exists():
        raise NoDatabase(f"There is no database {path}. Give the folder of the server as --data.")


def copy_database(source: Path, copy: Path) -> None:
    """Copy one state of the database, whatever a server commits meanwhile, and migrate the copy to
    the newest schema. The copy is a single file on disk."""
    require(source)
    make_or_check(source, sql.MIGRATIONS)
    copy.unlink(missing_ok=True)
    copy.touch(FILE)
    url = f"{source.absolute().as_uri()}?mode=ro"
    with unusable(source), closing(sqlite3.connect(url, uri=True)) as db:
        to_read(db)
        with closing(sqlite3.connect(copy, isolation_level=None)) as target:
            db.backup(target)  # in one step, so of one state; a reader does not stop the writer
            target.execute("PRAGMA journal_mode = DELETE")
            _check(target, source)
            migrate(target, sql.MIGRATIONS)
    sync_file(copy)


def _check(db: sqlite3.Connection, source: Path) -> None:
    """Nobody should learn on the day of the restore that the database was damaged."""
    wrong = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if wrong != "ok":
        what = wrong.splitlines()[-1]
        raise StoreUnusable(
            f"{source} is damaged ({what}), so no backup was made. Earlier backups are as they "
            "were. Run `livejobs doctor`."
        )


def make_newest(path: Path) -> None:
    """Migrate a copy that an earlier version wrote. Raise StoreUnusable if a later one did."""
    make_or_check(path, sql.MIGRATIONS)
    with unusable(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, sql.MIGRATIONS)


def give_epochs(path: Path) -> None:
    """New epochs, so that clients with cursors of the old server begin again."""
    with unusable(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        for (pk,) in db.execute("SELECT pk FROM projects").fetchall():
            new = secrets.token_hex(4)
            db.execute("UPDATE projects SET epoch = ? WHERE pk = ?", (new, pk))
        db.execute("COMMIT")
    sync_file(path)


def sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
