"""A snapshot of a PostgreSQL database: one transaction, which may read a replica too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from livejobs.copies.errors import NoDatabase
from livejobs.copies.snapshots.readable import check_version
from livejobs.core.hooks import Hook
from livejobs.core.model import Record, Status
from livejobs.store.audit import AuditEntry
from livejobs.store.base import EntryQuery, Page, Project, Query, Space
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from livejobs.store.postgres import hooking, keeping, opening, reading, tidying
from livejobs.store.postgres.opening import (
    READER,
    address,
    connect,
    refusals,
    unusable,
)
from livejobs.store.postgres.sql.writing import PROJECTS

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresSnapshot:
    def __init__(self, url: str) -> None:
        self._url = url
        self._projects: Sequence[Project] = ()
        self._pks: Mapping[str, int] = {}

    async def __aenter__(self) -> Self:
        with unusable(self._url):
            self._db: Any = await connect(self._url, READER)
            try:
                await self._begin()
            except BaseException:  # also when cancelled: nobody else would close it
                self._db.terminate()
                raise
        return self

    async def _begin(self) -> None:
        await self._db.execute(BEGIN)
        if not await self._db.fetchval("SELECT to_regclass('livejobs.meta')"):
            where = address(self._url)
            raise NoDatabase(f"{where} has no jobs of livejobs. Give the server's database.")
        version = await self._db.fetchval("SELECT version FROM livejobs.meta")
        check_version(version, len(opening.MIGRATIONS))
        rows = await self._db.fetch(PROJECTS)
        self._projects = [Project(*row[1:]) for row in rows]
        self._pks = {row[1]: row[0] for row in rows}

    async def __aexit__(self, *exc: object) -> None:
        self._db.terminate()

    async def projects(self) -> Sequence[Project]:
        return self._projects

    async def list(
        self,
        query: Query,
        *,
        limit: int,
        before: int | None = None,
        most_bytes: int | None = None,
    ) -> Page:
        with refusals():
            return await reading.page(self._db, query, self._pks, limit, before, 0, most_bytes)

    async def counts(self, query: Query) -> Mapping[Status, int]:
        with refusals():
            return await reading.counts(self._db, query, self._pks)

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        with refusals():
            return await reading.entries(self._db, query)

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]:
        with refusals():
            return await keeping.downloads(self._db, keys)

    async def known_files(self, keys: Sequence[str]) -> set[str]:
        with refusals():
            return await keeping.known_files(self._db, keys)

    async def entry_bytes(self, ids: Sequence[str]) -> int:
        with refusals():
            return await tidying.entry_bytes(self._db, ids)

    async def space(self) -> Space:
        with refusals():
            return await tidying.space(self._db)

    async def keys(self) -> Sequence[Key]:
        with refusals():
            return await keeping.keys(self._db)

    async def hooks(self) -> Sequence[Hook]:
        with refusals():
            return await hooking.hooks(self._db, None)

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditEntry]:
        with refusals():
            return await keeping.read_audit(self._db, limit, before, None)
