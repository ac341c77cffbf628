"""The store in a PostgreSQL database.

One connection writes and holds the database's lock (see link.py), so one server uses a database. A
few others only read. A commit is one statement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import asyncpg
from asyncpg.exceptions import DivisionByZeroError

from livejobs.core.errors import StorageUnavailable
from livejobs.core.history import History, Range
from livejobs.core.model import EntryKind, Record, Status, Stored
from livejobs.store.alone import Alone
from livejobs.store.base import (
    GONE_KEPT,
    AuditEntry,
    AuditRecord,
    Change,
    Changes,
    EntryQuery,
    Idempotency,
    InDoubt,
    Key,
    Page,
    Project,
    Query,
    Tally,
)
from livejobs.store.postgres import keeping, reading, sql
from livejobs.store.postgres.link import Link
from livejobs.store.postgres.opening import (
    CONNECT_TIMEOUT,
    CUT,
    LOST,
    READER,
    refusals,
    refused,
    unusable,
)
from livejobs.store.postgres.writing import FENCED, Commit, Writer

P = ParamSpec("P")
T = TypeVar("T")

READERS: Final = 4
ANSWER: Final = 10.0  # seconds; a read that takes longer is refused
DOUBT: Final = (
    "The connection to the database was lost. It is not known yet whether this was kept. Try again."
)


class PostgresStore(Alone):
    def __init__(
        self,
        url: str,
        *,
        gone_kept: int = GONE_KEPT,
        migrations: Sequence[Path] = sql.MIGRATIONS,
    ) -> None:
        super().__init__()
        self._url = url
        self._migrations = migrations
        self._writer = Writer(gone_kept)
        self._link = Link(url, self._writer.check)
        self._readers: Any = None

    async def open(self) -> None:
        with unusable(self._url):
            try:
                connection = await self._link.open(self._migrations)
                await self._writer.load(connection)
                self._readers = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=READERS,
                    timeout=CONNECT_TIMEOUT,
                    command_timeout=ANSWER,
                    server_settings=READER,
                    reset=_nothing_to_reset,
                )
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.terminate()  # every read is one statement, and nobody waits for one any more
        await self._link.close()

    async def project(self, name: str) -> Project:
        if name in self._writer.projects:
            return self._writer.projects[name]
        return await self._write(self._writer.project, name)

    async def projects(self) -> Sequence[Project]:
        return tuple(self._writer.projects.values())

    async def commit(self, changes: Sequence[Change]) -> list[int]:
        if not changes:
            await self._write(_touch)
            return []
        commit = await self._write(self._writer.commit, changes)
        given = await self._commit(commit)
        if given is None:  # the connection was replaced, and the statement had not been done
            given = await self._commit(commit)
        if given is None:
            raise StorageUnavailable(DOUBT)
        if self._writer.ended:
            await self._sweep()
        return given

    async def _commit(self, commit: Commit) -> list[int] | None:
        """None: the connection was lost, and nothing was kept."""
        try:
            with refused():
                async with self._link.use() as db:
                    await db.fetchval(commit.text, *commit.params)
        except DivisionByZeroError:
            raise StorageUnavailable(FENCED) from None
        except LOST:
            self._writer.doubted = commit
        else:
            return self._writer.keep(commit)
        try:
            return await self._settle(commit)
        except StorageUnavailable:
            raise InDoubt(DOUBT, partial(self._settle, commit)) from None

    async def _settle(self, commit: Commit) -> list[int] | None:
        if await self._write(self._writer.was_kept, commit):
            return self._writer.keep(commit)
        self._writer.doubted = None
        return None

    async def _sweep(self) -> None:
        """The commit stands, so an error here must not be its caller's."""
        with suppress(StorageUnavailable):
            await self._write(self._writer.sweep)

    async def job(self, id: str) -> Stored | None:
        return await self._read(reading.job, id)

    async def unfinished(self) -> Sequence[Stored]:
        return await self._read(reading.unfinished)

    async def list(
        self,
        query: Query,
        *,
        limit: int,
        before: int | None = None,
        skip: int = 0,
        most_bytes: int | None = None,
    ) -> Page:
        pks = self._writer.project_pks
        return await self._read(reading.page, query, pks, limit, before, skip, most_bytes)

    async def counts(self, query: Query) -> Mapping[Status, int]:
        return await self._read(reading.counts, query, self._writer.project_pks)

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        return await self._read(reading.entries, query)

    async def changes(
        self, project: str, after: int, *, limit: int, most_bytes: int | None = None
    ) -> Changes:
        pk = self._writer.project_pks.get(project, 0)
        return await self._read(reading.changes, pk, after, limit, most_bytes)

    async def feed_entries(
        self,
        project: str,
        after: int,
        upto: int,
        *,
        limit: int,
        kinds: Sequence[EntryKind],
        most_bytes: int | None = None,
    ) -> Sequence[Record]:
        pk = self._writer.project_pks.get(project, 0)
        return await self._read(reading.feed_entries, pk, after, upto, limit, kinds, most_bytes)

    async def repeated(self, credential: str, key: str, now: int) -> Idempotency | None:
        return await self._read(reading.repeated, credential, key, now)

    async def history(self, projects: tuple[str, ...] | None, range: Range, since: int) -> History:
        return await self._read(reading.history, projects, self._writer.project_pks, range, since)

    async def expired(self, now: int, *, limit: int) -> Sequence[Stored]:
        return await self._read(reading.expired, now, limit)

    async def keys(self) -> Sequence[Key]:
        return await self._read(keeping.keys)

    async def save_key(self, key: Key, record: AuditRecord | None = None) -> None:
        await self._write(keeping.save_key, key, record)

    async def drop_key(self, id: str, record: AuditRecord | None = None) -> None:
        await self._write(keeping.drop_key, id, record)

    async def file_bytes(self) -> Mapping[str, int]:
        return await self._read(keeping.file_bytes)

    async def ended_files(self, *, limit: int) -> Sequence[str]:
        return await self._read(keeping.ended_files, limit)

    async def forget_files(self, keys: Sequence[str]) -> None:
        await self._write(keeping.forget_files, keys)

    async def known_files(self, keys: Sequence[str]) -> set[str]:
        return await self._read(keeping.known_files, keys)

    async def downloaded(
        self, tallies: Mapping[str, Tally], records: Sequence[AuditRecord]
    ) -> None:
        await self._write(keeping.downloaded, tallies, records)

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]:
        return await self._read(keeping.downloads, keys)

    async def audit(
        self, *, limit: int, before: int | None = None, job: str | None = None
    ) -> Sequence[AuditEntry]:
        return await self._read(keeping.read_audit, limit, before, job)

    async def add_audit(self, records: Sequence[AuditRecord]) -> None:
        await self._write(keeping.add_audit, records)

    async def _write(
        self, fn: Callable[Concatenate[Any, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with refusals():
            async with self._link.use() as db:
                return await fn(db, *args, **kwargs)

    async def _read(
        self, fn: Callable[Concatenate[Any, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read again on another connection, if this one was cut while nobody used it."""
        with refusals():
            for _ in range(READERS):
                with suppress(*CUT):
                    return await self._read_once(fn, *args, **kwargs)
            return await self._read_once(fn, *args, **kwargs)

    async def _read_once(
        self, fn: Callable[Concatenate[Any, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._readers is None:
            raise StorageUnavailable("The store is closed.")
        async with self._readers.acquire(timeout=ANSWER) as db:
            return await fn(db, *args, **kwargs)


async def _touch(db: Any) -> None:
    await db.execute(sql.TOUCHED)


async def _nothing_to_reset(_: Any) -> None:
    """Readers change nothing in their session."""
