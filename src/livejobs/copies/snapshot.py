"""One state of a database, read beside a running server, and without a change to it.

A commit that comes later is not seen. PostgreSQL and SQLite both keep the old rows while a
transaction reads them, so the snapshot must not stay open for long: it is closed before the bytes
of files are copied.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, Self

from livejobs.config import SettingError
from livejobs.copies.errors import NoDatabase
from livejobs.core.model import Record, Status
from livejobs.store.base import (
    AuditEntry,
    EntryQuery,
    Key,
    Page,
    Project,
    Query,
    StoreUnusable,
    Tally,
)
from livejobs.store.sqlite import keeping, reading, sql
from livejobs.store.sqlite.opening import make_or_check, to_read, unusable
from livejobs.store.sqlite.store import Connection

BEGIN: Final = frozenset({"BEGIN", "COMMIT"})


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

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditEntry]: ...


class Snapshot(Readable, Protocol):
    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


def snapshot_of(data: Path, database: str | None) -> Snapshot:
    """A snapshot of the PostgreSQL database at this URL; without one, of that in the data folder.
    To enter it raises NoDatabase if there is none."""
    if database is None:
        return SqliteSnapshot(data / "livejobs.db")
    try:
        from livejobs.copies.postgres import PostgresSnapshot  # noqa: PLC0415 - an extra
    except ImportError as error:
        wrong = 'needs the package asyncpg. Install it with: pip install "livejobs[postgres]"'
        raise SettingError("database", "database", wrong) from error
    return PostgresSnapshot(database)


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
            except BaseException:
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

    async def keys(self) -> Sequence[Key]:
        return await self._db.run(keeping.keys)

    async def audit(self, *, limit: int, before: int | None = None) -> Sequence[AuditEntry]:
        return await self._db.run(keeping.read_audit, limit, before, None)


def check_version(version: int, newest: int) -> None:
    """A snapshot can't migrate a database that a server may use."""
    if version != newest:
        remedy = "Start and stop `livejobs serve` of this version once, for a migration."
        raise StoreUnusable(
            f"The database has schema {version}, and this livejobs knows {newest}. "
            f"{remedy if version < newest else 'Run the version that wrote it.'}"
        )
