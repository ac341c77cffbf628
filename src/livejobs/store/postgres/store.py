"""The store in a PostgreSQL database, which several nodes may share.

Each node has one connection that writes (see link.py), one that listens (see ear.py), and a few
that read. A commit is one statement.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import asyncpg
from asyncpg.exceptions import DeadlockDetectedError, DivisionByZeroError, UniqueViolationError

from livejobs import clock
from livejobs.core.errors import StorageUnavailable
from livejobs.core.history import History, Range
from livejobs.core.model import EntryKind, Record, Status, Stored
from livejobs.store.base import (
    GONE_KEPT,
    SCANNED,
    Beat,
    Change,
    Changes,
    EntryQuery,
    Idempotency,
    Outpaced,
    Page,
    Project,
    Pulse,
    Query,
    Tidied,
)
from livejobs.store.postgres import hooking, keeping, reading, tidying
from livejobs.store.postgres.ear import Ear
from livejobs.store.postgres.link import Link
from livejobs.store.postgres.opening import (
    AWAY,
    CUT,
    LOST,
    MIGRATIONS,
    READER,
    connect_to,
    refusals,
    refused,
    unusable,
)
from livejobs.store.postgres.sql import nodes as sql
from livejobs.store.postgres.text import kept
from livejobs.store.postgres.writing import Commit, Writer

P = ParamSpec("P")
T = TypeVar("T")

READERS: Final = 4
ANSWER: Final = 10.0  # seconds; a read that takes longer is refused
DOUBT: Final = (
    "The connection to the database was lost. It is not known yet whether this was kept. Try again."
)


class Reading(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    async def close(self, *, timeout: float | None = None) -> None:
        """A database that does not answer would not answer a goodbye either."""
        self.terminate()


class PostgresStore(hooking.PostgresHooks, keeping.PostgresKeeping):
    shared = True

    def __init__(
        self,
        url: str,
        *,
        gone_kept: int = GONE_KEPT,
        migrations: Sequence[Path] = MIGRATIONS,
    ) -> None:
        self._url = url
        self._migrations = migrations
        self._node = secrets.token_hex(8)
        self._writer = Writer(gone_kept)
        self._link = Link(url, self._node)
        self._ear = Ear(url, self._node)
        self._readers: Any = None
        self._held: tuple[Any, Any] | None = None  # the connection and its task, within `alone`
        self._others = 0  # nodes, as of the last pulse
        self._beats: dict[str, str] = {}  # those read last, and when they were written

    async def open(self) -> None:
        with unusable(self._url):
            try:
                connection = await self._link.open(self._migrations)
                await self._ear.open()
                await self._writer.load(connection)
                self._others = await connection.fetchval(sql.OTHERS, self._node)
                self._readers = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=READERS,
                    connect=connect_to,
                    connection_class=Reading,
                    command_timeout=ANSWER,
                    server_settings=READER,
                    reset=_nothing_to_reset,
                )
            except BaseException:  # also when cancelled: nobody else would close it
                await self.close()
                raise

    async def close(self) -> None:
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.terminate()  # every read is one statement, and nobody waits for one any more
        await self._ear.close()
        await self._link.close()

    async def project(self, name: str) -> Project:
        project = await self._read(self._writer.read_project, name)
        if project is None:
            project = await self._write(self._writer.create_project, name)
        return project

    async def projects(self) -> Sequence[Project]:
        return await self._read(self._writer.read_projects)

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        if not changes:
            await self._write(_touch)
            return []
        commit = await self._write(self._writer.commit, changes, on)
        if self._held_by_us() is not None:
            return await self._commit_alone(commit)
        given = await self._commit(commit)
        if given is None:  # the connection was replaced, and the statement had not been done
            given = await self._commit(commit)
        if given is None:
            raise StorageUnavailable(DOUBT)
        return given

    async def _commit(self, commit: Commit) -> list[int] | None:
        """None: the connection was lost, and nothing was kept."""
        try:
            with refused():
                async with self._link.use() as db:
                    await self._run(db, commit)
        except LOST:
            try:
                return await self._settle(commit)
            except StorageUnavailable:
                raise StorageUnavailable(DOUBT) from None
        return self._writer.keep(commit)

    async def _commit_alone(self, commit: Commit) -> list[int]:
        db = self._held_by_us()
        with refused():
            try:
                await self._run(db, commit)
                await db.execute("COMMIT")
            except LOST:
                self._link.drop()
                raise StorageUnavailable(DOUBT) from None
        return self._writer.keep(commit)

    async def _run(self, db: Any, commit: Commit) -> None:
        params = commit.sign(self._node, self._link.term, heard=self._others > 0)
        try:
            given = await db.fetchval(commit.text, *params)
        except DeadlockDetectedError:
            raise Outpaced from None
        except UniqueViolationError as error:
            if error.constraint_name == "jobs_id_key":
                raise Outpaced from None
            raise
        except DivisionByZeroError:  # our row is gone: the next connection writes it again
            self._link.drop()
            raise StorageUnavailable(AWAY) from None
        if not given:
            raise Outpaced

    async def _settle(self, commit: Commit) -> list[int] | None:
        """The seqs, if the commit was kept. The connection is another one, which knows."""
        with refusals():
            async with self._link.use():
                kept = self._link.done == commit.number
        return self._writer.keep(commit) if kept else None

    @asynccontextmanager
    async def alone(self, projects: Iterable[str]) -> AsyncIterator[None]:
        with refusals():
            async with self._link.use() as db:
                names = list(projects)
                await db.execute("BEGIN")
                try:
                    if names:
                        await db.fetch(sql.LOCK_PROJECTS, names)
                    self._held = db, asyncio.current_task()
                    yield
                except BaseException:  # also when cancelled
                    # The time may be over already, whatever error came of it. A ROLLBACK would
                    # then wait for an answer without an end.
                    self._link.drop()
                    raise
                finally:
                    self._held = None
                    if not db.is_closed() and db.is_in_transaction():
                        await db.execute("ROLLBACK")

    def _held_by_us(self) -> Any:
        """The connection, within `alone`. Other tasks wait until it is free."""
        db, task = self._held or (None, None)
        return db if task is asyncio.current_task() else None

    def listen(self, heard: Callable[[str, int], None]) -> None:
        self._ear.heard = heard

    async def pulse(self, beats: Sequence[Beat]) -> Pulse:
        return await self._write(self._pulse, beats)  # it must not wait for reads of clients

    async def _pulse(self, db: Any, beats: Sequence[Beat]) -> Pulse:
        if beats and self._others:  # before this node is seen: see Pulse.late
            columns = [kept(it.job) for it in beats], [it.at for it in beats]
            await db.execute(sql.BEATS_NEW, self._node, *columns)
        before = clock.now_ms()
        row = await db.fetchrow(sql.PULSE, self._node)
        self._others, keys, now, late, leads = row
        skew = (before + clock.now_ms()) // 2 - now
        if leads:
            await db.execute(sql.BEATS_GONE)
        heard = await self._read_beats(db) if self._others else []
        projects = await self._writer.read_projects(db)
        return Pulse(projects, heard, int(keys or 0), self._others, leads, skew, late)

    async def _read_beats(self, db: Any) -> list[Beat]:
        rows = await db.fetch(sql.BEATS, self._node)
        known, self._beats = self._beats, {job: written for job, _, written in rows}
        return [Beat(job, at) for job, at, written in rows if known.get(job) != written]

    async def others(self) -> int:
        return await self._read(_value, sql.OTHERS, self._node)

    async def meta(self, name: str) -> str | None:
        return await self._read(_value, sql.FACT, name)

    async def set_meta(self, name: str, value: str, *, only_new: bool = False) -> str:
        await self._write(_execute, sql.FACT_NEW if only_new else sql.FACT_SET, name, value)
        return await self._write(_value, sql.FACT, name)

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
        changes = await self._read(reading.changes, pk, after, limit, most_bytes)
        self._writer.forget(it.id for it in changes.gone)
        self._writer.forget(it.head.id for it in changes.jobs if it.head.finished)
        return changes

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
        return await self._write(tidying.tidy, rows, bytes)

    async def _write(
        self, fn: Callable[Concatenate[Any, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with refusals():
            if (held := self._held_by_us()) is not None:
                return await fn(held, *args, **kwargs)
            async with self._link.use() as db:
                return await fn(db, *args, **kwargs)

    async def _read(
        self, fn: Callable[Concatenate[Any, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read again on another connection, if this one was cut while nobody used it."""
        if (held := self._held_by_us()) is not None:
            with refusals():
                return await fn(held, *args, **kwargs)
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
            try:
                return await fn(db, *args, **kwargs)
            except LOST:
                db.terminate()  # to give it back would wait for an answer
                if self._readers is not None:
                    await self._readers.expire_connections()  # the others may be lost as well
                raise


async def _touch(db: Any) -> None:
    await db.execute(sql.TOUCHED)


async def _execute(db: Any, text: str, *args: object) -> None:
    await db.execute(text, *args)


async def _value(db: Any, text: str, *args: object) -> Any:
    return await db.fetchval(text, *args)


async def _nothing_to_reset(_: Any) -> None:
    """Readers change nothing in their session."""
