"""A snapshot of an SQLite database: one transaction on one connection, which only reads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from livejobs.copies.errors import NoDatabase
from livejobs.copies.snapshots.readable import check_version
from livejobs.core.hooks import Hook
from livejobs.core.model import Record, Status
from livejobs.store.audit import AuditEntry
from livejobs.store.base import EntryQuery, Page, Project, Query, Space
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from livejobs.store.sqlite import hooking, keeping, reading, sql, tidying
from livejobs.store.sqlite.opening import make_or_check, to_read, unusable
from livejobs.store.sqlite.store import Connection

BEGIN: Final = frozenset({"BEGIN", "COMMIT"})


class OneTransaction(sqlite3.Connection):
    """The reads of the store each begin a transaction. Here all of them are in the first one."""

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql in BEGIN and self.in_transaction:
            return self.cursor()
        return super().execute(sql, *args)


class SqliteSnapshot:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._projects: Sequence[Project] = ()
        self._pks: Mapping[str, int] = {}

    async def __aenter__(self) -> Self:
        with unusable(self._path):
            await asyncio.to_thread(self._check)
            url = f"{self._path.absolute().as_uri()}?mode=ro"
            connector = partial(
                sqlite3.connect, url, uri=True, isolation_level=None, factory=OneTransaction
            )
            self._db = Connection(connector, iter_chunk_size=64)
            await self._db
            try:
                await self._db.run(self._begin)
            except BaseException:  # also when cancelled: nobody else would close it
                await self._db.close()
                raise
        return self

    def _check(self) -> None:
        if not self._path.exists():
            raise NoDatabase(
                f"There is no database {self._path}. Give the folder of the server as --data."
            )
        make_or_check(self._path, sql.MIGRATIONS)

    def _begin(self, db: sqlite3.Connection) -> None:
        to_read(db)
        db.execute("BEGIN")
        check_version(db.execute("PRAGMA user_version").fetchone()[0], len(sql.MIGRATIONS))
        rows = db.execute(sql.PROJECTS).fetchall()
        self._projects = [Project(*row[1:]) for row in rows]
        self._pks = {row[1]: row[0] for row in rows}

    async def __aexit__(self, *exc: object) -> None:
        await self._db.close()

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
        return await self._db.run(reading.page, query, self._pks, limit, before, 0, most_bytes)

    async def counts(self, query: Query) -> Mapping[Status, int]:
        return await self._db.run(reading.counts, query, self._pks)

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        return await self._db.run(reading.entries, query)

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]:
        return await self._db.run(keeping.downloads, keys)

    async def known_files(self, keys: Sequence[str]) -> set[str]:
        return await self._db.run(keeping.known_files, keys)

    async def entry_bytes(self, ids: Sequence[str]) -> int:
        return await self._db.run(tidying.entry_bytes, ids)

    async def space(self) -> Space:
        return await self._db.run(tidying.space)

    async def keys(self) -> Sequence[Key]:
        return await self._db.run(keeping.keys)

    async def hooks(self) -> Sequence[Hook]:
        return await self._db.run(hooking.hooks, None)

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditEntry]:
        return await self._db.run(keeping.read_audit, limit, before, None)
