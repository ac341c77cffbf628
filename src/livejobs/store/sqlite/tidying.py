"""Remove what no job needs any more, and give free space back to the disk: a little at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from livejobs.store.base import Space, Tidied
from livejobs.store.rows import first_key, keys
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.opening import pragma
from livejobs.store.sqlite.writing import transaction

INCREMENTAL: Final = 2  # how SQLite names the mode in which a file can shrink
SPARE: Final = 4 << 20  # bytes of a file that stay free for new jobs; of a large file, an eighth
PLACES: Final = 1_000  # jobs, or kinds of entries of jobs, in one piece of tidying

_json = msgspec.json.Encoder().encode


def tidy(db: sqlite3.Connection, rows: int, bytes: int) -> Tidied:
    if not db.execute(sql.UNTIDY).fetchone()[0]:
        return _give_back(db, bytes)
    with transaction(db):
        removal = Removal(db, rows, bytes)
        removal.run()
    return Tidied(removal.entries, removal.bytes, more=True)


class Removal:
    """Removes entries until there are none, or the bounds are reached."""

    def __init__(self, db: sqlite3.Connection, most: int, most_bytes: int) -> None:
        self.entries = 0
        self.bytes = 0
        self._db = db
        self._most = most
        self._most_bytes = most_bytes

    def run(self) -> None:
        """What is left of a range is found again the next time."""
        for (last,) in self._db.execute(sql.TRIMS, (PLACES,)).fetchall():
            if not self._remove(first_key(last), last):
                return
            self._db.execute(sql.TRIMS_GONE, (last, last))
        for (pk,) in self._db.execute(sql.ENDED, (PLACES,)).fetchall():
            if not self._remove(*keys(pk)):
                return
            # The key of the job may be given again now.
            self._db.execute(sql.TRIMS_GONE, keys(pk))
            self._db.execute(sql.ENDED_GONE, (pk,))

    def _remove(self, first: int, last: int) -> bool:
        """Whether all entries of the range are gone."""
        room = self._most - self.entries
        rows = self._db.execute(sql.ENTRY_SIZES, (first, last, room + 1)).fetchall()
        upto = first - 1
        for key, size in rows[:room]:
            if self.bytes >= self._most_bytes:
                break
            upto = key
            self.entries += 1
            self.bytes += size
        if upto >= first:
            self._db.execute(sql.ENTRIES_GONE, (first, upto))
        return not rows or upto == rows[-1][0]


def entry_bytes(db: sqlite3.Connection, ids: Sequence[str]) -> int:
    """The bytes of all entries of these jobs."""
    return int(db.execute(sql.ENTRY_BYTES, (_json(ids).decode(),)).fetchone()[0])


def space(db: sqlite3.Connection) -> Space:
    page = pragma(db, "page_size")
    size, free = (page * pragma(db, name) for name in ("page_count", "freelist_count"))
    shrinks = pragma(db, "auto_vacuum") == INCREMENTAL
    count, bytes = db.execute(sql.LEFTOVERS).fetchone()
    return Space(count, bytes, size, free, shrinks)


def _give_back(db: sqlite3.Connection, bytes: int) -> Tidied:
    """Shorten the file, if much of it is free. A file of an older version can't be shortened."""
    size, over = pragma(db, "page_size"), _over(db)
    pages = min(over, max(1, bytes // size))
    if over <= 0 or pragma(db, "auto_vacuum") != INCREMENTAL:
        return Tidied()
    # Not `execute`, which stops at the first row: there is one for each page, without a column.
    db.executescript(f"PRAGMA incremental_vacuum({pages})")
    return Tidied(returned=pages * size, more=over > pages)


def _over(db: sqlite3.Connection) -> int:
    """How many free pages there are beside those that stay for new jobs."""
    spare = max(SPARE // pragma(db, "page_size"), pragma(db, "page_count") // 8)
    return pragma(db, "freelist_count") - spare
