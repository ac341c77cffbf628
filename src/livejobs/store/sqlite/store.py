"""The store in one SQLite file.

One connection writes and checkpoints; a few others only read. SQLite before 3.51.3 can damage
the log when two connections write and checkpoint at the same moment, so there must never be a
second writer; a lock beside the file keeps a second server out. Each call to a connection runs
one function on its thread: one trip there and back, and no await inside a transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import aiosqlite

from livejobs.core.history import History, Range
from livejobs.core.hooks import Hook
from livejobs.core.model import EntryKind, Record, Status, Stored
from livejobs.store.audit import AuditEntry, AuditRecord
from livejobs.store.base import (
    GONE_KEPT,
    SCANNED,
    Change,
    Changes,
    EntryQuery,
    Idempotency,
    Outpaced,
    Page,
    Project,
    Query,
    Tidied,
)
from livejobs.store.files import Tally
from livejobs.store.hooks import Delivery, Outcome, Payload, Waiting
from livejobs.store.keys import Key
from livejobs.store.single import SingleStore
from livejobs.store.sqlite import hooking, keeping, reading, sql, tidying
from livejobs.store.sqlite.handing import Handed
from livejobs.store.sqlite.opening import Lock, make_or_check, refusals, to_read, to_write, unusable
from livejobs.store.sqlite.writing import Writer

P = ParamSpec("P")
T = TypeVar("T")

READERS: Final = 3
STATEMENTS: Final = 512  # prepared statements that a connection keeps
MOMENT: Final = 0.002  # seconds; the event loop blocks at most this long for a commit (handing.py)
SMALL: Final = 64  # changes and entries of a commit whose end it blocks for
MOST: Final = 300  # changes of a commit whose begin it blocks for; more begin too late
SKIPPED: Final = 10  # commits whose end it does not block for, after one that took longer


class Connection(aiosqlite.Connection):
    """A connection that runs whole functions on its thread."""

    async def run(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with refusals():
            return await self.begin(fn, *args, **kwargs)

    def begin(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Like `run`, but the function is queued before anything is awaited."""
        if not self._running:
            raise ValueError("the connection is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, partial(fn, self._conn, *args, **kwargs)))
        return future

    def hand(self, fn: Callable[[], None]) -> None:
        """Queue a function that keeps its result and its exception itself."""
        if not self._running:
            raise ValueError("the connection is closed")
        self._tx.put_nowait((None, fn))


class SqliteStore(SingleStore):
    def __init__(
        self,
        path: Path,
        *,
        gone_kept: int = GONE_KEPT,
        migrations: Sequence[Path] = sql.MIGRATIONS,
    ) -> None:
        super().__init__()
        self._path = path
        self._gone_kept = gone_kept
        self._migrations = migrations
        self._lock = Lock(path)
        self._connections: list[Connection] = []
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        self._write: Connection
        self._writer: Writer
        self._skipping = 0  # commits, since the disk is slow

    async def open(self) -> None:
        self._lock.take()
        try:
            with unusable(self._path):
                await self._open()
        except BaseException:  # also when cancelled: nobody else would close it
            await self.close()
            raise

    async def _open(self) -> None:
        await asyncio.to_thread(make_or_check, self._path, self._migrations)
        self._write = await self._connect()
        await self._write.run(to_write, self._migrations)
        self._writer = await self._write.run(Writer, self._gone_kept)
        for _ in range(READERS):
            reader = await self._connect()
            await reader.run(to_read)
            self._idle.put_nowait(reader)

    async def _connect(self) -> Connection:
        connector = partial(
            sqlite3.connect, self._path, isolation_level=None, cached_statements=STATEMENTS
        )
        connection = Connection(connector, iter_chunk_size=64)
        await connection
        self._connections.append(connection)
        return connection

    async def close(self) -> None:
        """Readers first: the last connection to close checkpoints, and only the writer may."""
        while self._connections:
            await self._connections.pop().close()
        self._idle = asyncio.LifoQueue()
        self._lock.release()

    async def project(self, name: str) -> Project:
        if name in self._writer.projects:
            return self._writer.projects[name]
        return await self._write.run(lambda _: self._writer.project(name))

    async def projects(self) -> Sequence[Project]:
        return tuple(self._writer.projects.values())

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        if any(self._writer.projects[name].seq != seq for name, seq in (on or {}).items()):
            raise Outpaced
        small = len(changes) + sum(len(change.entries) for change in changes) <= SMALL
        self._skipping -= self._skipping > 0
        to_end = small and not self._skipping
        handed = Handed(partial(self._writer.commit, changes), to_end=to_end)
        self._write.hand(handed.run)
        if len(changes) <= MOST:
            handed.block(MOMENT)
        if to_end and not handed.ended:
            self._skipping = SKIPPED
        with refusals():
            return await handed.outcome()

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

    async def latest(
        self,
        project: str,
        *,
        statuses: Sequence[Status] = (),
        limit: int,
        before: int | None = None,
        most_bytes: int | None = None,
        scanned: int = SCANNED,
    ) -> Page:
        pk = self._writer.project_pks.get(project, 0)
        return await self._read(reading.latest, pk, statuses, before, limit, most_bytes, scanned)

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

    async def tidy(self, *, rows: int, bytes: int) -> Tidied:
        return await self._write.run(tidying.tidy, rows, bytes)

    async def keys(self) -> Sequence[Key]:
        return await self._read(keeping.keys)

    async def save_key(self, key: Key, record: AuditRecord | None = None) -> None:
        await self._write.run(keeping.save_key, key, record)

    async def drop_key(self, id: str, record: AuditRecord | None = None) -> None:
        await self._write.run(keeping.drop_key, id, record)

    async def note_use(self, key: Key) -> None:
        await self._write.run(keeping.note_use, key)

    async def file_bytes(self) -> Mapping[str, int]:
        return await self._read(keeping.file_bytes)

    async def ended_files(self, *, limit: int) -> Sequence[str]:
        return await self._read(keeping.ended_files, limit)

    async def forget_files(self, keys: Sequence[str]) -> None:
        await self._write.run(keeping.forget_files, keys)

    async def known_files(self, keys: Sequence[str]) -> set[str]:
        return await self._read(keeping.known_files, keys)

    async def downloaded(
        self, tallies: Mapping[str, Tally], records: Sequence[AuditRecord]
    ) -> None:
        await self._write.run(keeping.downloaded, tallies, records)

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]:
        return await self._read(keeping.downloads, keys)

    async def audit(
        self, *, limit: int, before: int | None = None, job: str | None = None
    ) -> Sequence[AuditEntry]:
        return await self._read(keeping.read_audit, limit, before, job)

    async def add_audit(self, records: Sequence[AuditRecord]) -> None:
        await self._write.run(keeping.add_audit, records)

    async def hooks(self, job: str | None = None) -> Sequence[Hook]:
        return await self._read(hooking.hooks, job)

    async def hook(self, id: str) -> Hook | None:
        return await self._read(hooking.hook, id)

    async def save_hook(self, hook: Hook, record: AuditRecord | None = None) -> None:
        await self._write.run(hooking.save_hook, hook, record)

    async def drop_hook(self, id: str, record: AuditRecord | None = None) -> None:
        await self._write.run(hooking.drop_hook, id, record)

    async def waiting(self, after: Mapping[str, int], *, limit: int) -> Sequence[Waiting]:
        return await self._read(hooking.waiting, self._writer.project_pks, after, limit)

    async def payload(self, n: int) -> Payload | None:
        return await self._read(hooking.payload, self._names(), n)

    async def settle(self, outcomes: Sequence[Outcome]) -> set[int]:
        return await self._write.run(hooking.settle, outcomes)

    async def deliveries(
        self, hook: str, *, limit: int, before: int | None = None
    ) -> Sequence[Delivery]:
        return await self._read(hooking.deliveries, self._names(), hook, limit, before)

    async def replay(self, hook: str, n: int, now: int, record: AuditRecord | None = None) -> bool:
        return await self._write.run(hooking.replay, hook, n, now, record)

    async def sweep_hooks(self, before: int) -> None:
        await self._write.run(hooking.sweep, before)

    def _names(self) -> dict[int, str]:
        return {pk: name for name, pk in self._writer.project_pks.items()}

    async def _read(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Use the reader that was used last: its pages are in its cache."""
        reader = await self._idle.get()
        try:
            return await reader.run(fn, *args, **kwargs)
        finally:
            self._idle.put_nowait(reader)
