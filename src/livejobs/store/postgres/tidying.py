"""Remove entries that no job needs any more: a little at a time. PostgreSQL's own autovacuum makes
their space free again.

Each statement stands alone. After a crash the next piece goes on, since a job or a range is
forgotten only when its entries are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from livejobs.store.base import Space, Tidied
from livejobs.store.postgres.sql import tidying as sql
from livejobs.store.postgres.text import kept
from livejobs.store.rows import first_key, keys

PLACES: Final = 200  # jobs, or kinds of entries of jobs, in one piece of tidying


async def tidy(db: Any, rows: int, bytes: int) -> Tidied:
    removal = Removal(db, rows, bytes)
    more = await removal.run()
    return Tidied(removal.entries, removal.bytes, more=more)


async def entry_bytes(db: Any, ids: Sequence[str]) -> int:
    """The bytes of all entries of these jobs."""
    return int(await db.fetchval(sql.ENTRY_BYTES, [kept(id) for id in ids]))


async def space(db: Any) -> Space:
    return Space(*await db.fetchrow(sql.LEFTOVERS))


class Removal:
    """Removes entries until there are none, or the bounds are reached."""

    def __init__(self, db: Any, most: int, most_bytes: int) -> None:
        self.entries = 0
        self.bytes = 0
        self._db = db
        self._most = most
        self._most_bytes = most_bytes

    async def run(self) -> bool:
        """Whether there is more. What is left of a range is found again the next time."""
        trims = await self._db.fetch(sql.TRIMS, PLACES)
        for project, last in trims:
            if not await self._remove(project, first_key(last), last):
                return True
            # If a commit has set a higher one meanwhile, that one stays.
            await self._db.execute(sql.TRIMS_GONE, project, last, last)
        ended = await self._db.fetch(sql.ENDED, PLACES)
        for project, pk in ended:
            if not await self._remove(project, *keys(pk)):
                return True
            await self._db.execute(sql.TRIMS_GONE, project, *keys(pk))
            await self._db.execute(sql.ENDED_GONE, project, pk)
        return PLACES in (len(trims), len(ended))

    async def _remove(self, project: int, first: int, last: int) -> bool:
        """Whether all entries of the range are gone."""
        room = self._most - self.entries
        rows = await self._db.fetch(sql.ENTRY_SIZES, project, first, last, room + 1)
        upto = first - 1
        for key, size in rows[:room]:
            if self.bytes >= self._most_bytes:
                break
            upto = key
            self.entries += 1
            self.bytes += size
        if upto >= first:
            await self._db.execute(sql.ENTRIES_GONE, project, first, upto)
        return not rows or upto == rows[-1][0]
