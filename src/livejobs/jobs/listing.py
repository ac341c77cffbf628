"""Lists of jobs, a page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TypeAlias

from msgspec import Struct

from livejobs.core.errors import BadCursor, FieldError
from livejobs.core.model import FINISHED, Status
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry, Slot
from livejobs.store.base import PAGE_BYTES, Query, Store
from livejobs.store.matching import fits


class Listing(Struct, frozen=True):
    slots: tuple[Slot, ...]
    next: str | None
    counts: Mapping[Status, int]


class Lister:
    def __init__(
        self, store: Store, registry: Registry, reader: Reader, committer: Committer
    ) -> None:
        self._store = store
        self._registry = registry
        self._reader = reader
        self._committer = committer

    async def list(self, query: Query, *, limit: int, after: str | None, skip: int = 0) -> Listing:
        database = self._database()
        before = None if after is None else _position(after, database)
        page = await self._store.list(
            query, limit=limit, before=before, skip=skip, most_bytes=PAGE_BYTES
        )
        counts = await self._store.counts(query)
        slots = tuple(self._reader.slot(stored) for stored in page.jobs)
        return Listing(slots, _token(page.next, database), counts)

    async def latest(self, query: Query, *, limit: int, after: str | None) -> Listing:
        """The newest change first. A page has no job twice; a job that changes while a client
        reads page by page moves before the first page."""
        (project,) = query.projects or ()
        # Not the name that lists have: a place in one order is none in the other.
        database = f"latest-{self._committer.epochs.get(project, '-')}"
        before = None if after is None else _position(after, database)
        if query.ids:
            slots, last = await self._latest_of_ids(query, limit, before)
        elif query.flag or (query.statuses and not FINISHED.intersection(query.statuses)):
            slots, last = self._latest_unfinished(query, limit, before)
        else:
            slots, last = await self._latest_of_all(query, project, limit, before)
        counts = await self._store.counts(query)
        return Listing(slots, _token(last, database), counts)

    async def _latest_of_ids(self, query: Query, limit: int, before: int | None) -> Found:
        page = await self._store.list(query, limit=len(query.ids))
        return _newest([self._reader.slot(stored) for stored in page.jobs], limit, before)

    def _latest_unfinished(self, query: Query, limit: int, before: int | None) -> Found:
        """From memory, which has all of them. In the store, they may lie behind any number of
        finished jobs."""
        slots = [slot for slot in self._registry.unfinished() if fits(slot.head, query)]
        return _newest(slots, limit, before)

    async def _latest_of_all(
        self, query: Query, project: str, limit: int, before: int | None
    ) -> Found:
        page = await self._store.latest(
            project, statuses=query.statuses, limit=limit, before=before, most_bytes=PAGE_BYTES
        )
        slots = tuple(self._reader.slot(stored) for stored in page.jobs if fits(stored.head, query))
        return slots, page.next

    def _database(self) -> str:
        # The epoch of the oldest project, which stays; there is one where there is a page.
        return next(iter(self._committer.epochs.values()), "-")


Found: TypeAlias = tuple[tuple[Slot, ...], int | None]  # a page, and where the next one begins


def _newest(slots: Iterable[Slot], limit: int, before: int | None) -> Found:
    older = (slot for slot in slots if before is None or slot.seq < before)
    first = heapq.nlargest(limit + 1, older, key=attrgetter("seq"))
    more = first[limit - 1].seq if len(first) > limit else None
    return tuple(first[:limit]), more


# A page token names its database, so that a token of another database is refused and does not
# give a page that only seems right.


def _token(position: int | None, database: str) -> str | None:
    return None if position is None else f"{database}.{position}"


def _position(token: str, database: str) -> int:
    named, _, position = token.rpartition(".")
    if not position.isascii() or not position.isdigit() or len(position) > 18:
        raise _bad_token("'after' is not a page token. Use 'next' of the page before.")
    if named != database:
        raise _bad_token("This page token is of another database. Start from the first page.")
    return int(position)


def _bad_token(detail: str) -> BadCursor:
    return BadCursor(detail, errors=[FieldError("/after", detail)])
