"""Lists of jobs, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from livejobs.core.errors import BadCursor, FieldError
from livejobs.core.model import Status
from livejobs.jobs.committer import Committer
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.store.base import PAGE_BYTES, Query, Store


class Listing(Struct, frozen=True):
    slots: tuple[Slot, ...]
    next: str | None
    counts: Mapping[Status, int]


class Lister:
    def __init__(self, store: Store, reader: Reader, committer: Committer) -> None:
        self._store = store
        self._reader = reader
        self._committer = committer

    async def list(self, query: Query, *, limit: int, after: str | None, skip: int = 0) -> Listing:
        before = None if after is None else self._position(after)
        page = await self._store.list(
            query, limit=limit, before=before, skip=skip, most_bytes=PAGE_BYTES
        )
        counts = await self._store.counts(query)
        slots = tuple(self._reader.slot(stored) for stored in page.jobs)
        return Listing(slots, self._token(page.next), counts)

    # A page token names its database, so that a token of another database is refused and does not
    # give a page that only seems right.

    def _token(self, position: int | None) -> str | None:
        return None if position is None else f"{self._database()}.{position}"

    def _position(self, token: str) -> int:
        database, _, position = token.rpartition(".")
        if not position.isascii() or not position.isdigit() or len(position) > 18:
            raise _bad_token("'after' is not a page token. Use 'next' of the page before.")
        if database != self._database():
            raise _bad_token("This page token is of another database. Start from the first page.")
        return int(position)

    def _database(self) -> str:
        # The epoch of the oldest project, which stays; there is one where there is a page.
        return next(iter(self._committer.epochs.values()), "-")


def _bad_token(detail: str) -> BadCursor:
    return BadCursor(detail, errors=[FieldError("/after", detail)])
