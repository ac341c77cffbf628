"""The SQLite database: whether it is sound, of which version, and how long its log is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from livejobs.doctor.finding import Finding, apart, failure, ok, warning
from livejobs.store.base import StoreUnusable
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.opening import make_or_check, to_read, unusable, way_back

OLDEST: Final = (3, 37, 0)  # STRICT tables
LONG: Final = 256 << 20  # bytes of a log; the writer keeps it far shorter


def look(path: Path) -> Iterator[Finding]:
    yield _library()
    if not path.exists() and not path.with_name(f"{path.name}-wal").exists():
        yield ok("database", f"{path} is not there yet. The first start creates it.")
        return
    try:
        make_or_check(path, sql.MIGRATIONS)  # it creates nothing, since the file is there
        yield _sound(path)
    except StoreUnusable as error:
        yield failure("database", *apart(str(error)))
        return
    yield _log(path)


def _library() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return failure(
            "sqlite", f"SQLite {version}", f"Use a Python with SQLite {oldest} or later."
        )
    return ok("sqlite", f"SQLite {version}")


def _sound(path: Path) -> Finding:
    """Every page is read, which a start does only with a small database."""
    url = f"{path.absolute().as_uri()}?mode=ro"
    with unusable(path), closing(sqlite3.connect(url, uri=True)) as db:
        to_read(db)
        wrong = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
    if wrong != "ok":
        return failure("database", f"{path} is damaged: {wrong.splitlines()[-1]}.", way_back(path))
    size = path.stat().st_size / 1e6
    newest = len(sql.MIGRATIONS)
    later = "" if version == newest else f" The next start migrates it to {newest}."
    return ok("database", f"{path} is sound: {size:,.1f} MB, schema {version}.{later}")


def _log(path: Path) -> Finding:
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    found = f"{size / 1e6:,.1f} MB of commits are not in the database file yet."
    if not size:
        return ok("log", "All commits are in the database file.")
    if size > LONG:
        return warning(
            "log", found, "End programs that keep the database open, then restart the server."
        )
    return ok("log", found)
