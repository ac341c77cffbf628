"""What a copy reads from: a store, or one state of a database that a server may use meanwhile.

A snapshot changes nothing, and does not see commits that come later. PostgreSQL and SQLite both
keep the old rows while a transaction reads them, so a snapshot must not stay open for long: it is
closed before the bytes of files are copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from livejobs.core.hooks import Hook
from livejobs.core.model import Record, Status
from livejobs.store.audit import AuditEntry
from livejobs.store.base import EntryQuery, Page, Project, Query, Space, StoreUnusable
from livejobs.store.files import Tally
from livejobs.store.keys import Key


class Readable(Protocol):
    """What a copy reads. Every Store has these verbs, as its page describes them."""

    async def projects(self) -> Sequence[Project]: ...

    async def list(
        self,
        query: Query,
        *,
        limit: int,
        before: int | None = None,
        most_bytes: int | None = None,
    ) -> Page: ...

    async def counts(self, query: Query) -> Mapping[Status, int]: ...

    async def entries(self, query: EntryQuery) -> Sequence[Record]: ...

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]: ...

    async def keys(self) -> Sequence[Key]: ...

    async def hooks(self) -> Sequence[Hook]: ...

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditEntry]: ...


class Snapshot(Readable, Protocol):
    async def known_files(self, keys: Sequence[str]) -> set[str]: ...

    async def entry_bytes(self, ids: Sequence[str]) -> int:
        """The bytes of all entries of these jobs."""

    async def space(self) -> Space:
        """The room that the database takes."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


def check_version(version: int, newest: int) -> None:
    """A snapshot can't migrate a database that a server may use."""
    if version != newest:
        remedy = "Start and stop `livejobs serve` of this version once, for a migration."
        raise StoreUnusable(
            f"The database has schema {version}, and this livejobs knows {newest}. "
            f"{remedy if version < newest else 'Run the version that wrote it.'}"
        )
