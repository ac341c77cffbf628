"""The writes. Each is one function, in one transaction on the writer's connection."""

from __future__ import annotations

import secrets
import sqlite3
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain, count
from typing import Final

import msgspec
from msgspec.structs import astuple, replace

from livejobs.core.history import RANGES
from livejobs.store.audit import AUDIT_KEPT, AuditRecord
from livejobs.store.base import Change, Project
from livejobs.store.rows import Row, Rows
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.calling import new_hooks, queue
from livejobs.store.sqlite.opening import rollback

MOST: Final = 512  # rows in one statement

_json = msgspec.json.Encoder().encode


class Writer:
    """What a commit needs to know besides the changes, kept in memory so that no commit must read
    it. It changes only after a commit is on disk."""

    def __init__(self, db: sqlite3.Connection, gone_kept: int) -> None:
        db.executescript(sql.COMMIT.read_text())
        self._db = db
        self._gone_kept = gone_kept
        rows = db.execute(sql.PROJECTS).fetchall()
        self.projects = {row[1]: Project(*row[1:]) for row in rows}
        self.project_pks: Mapping[str, int] = {row[1]: row[0] for row in rows}
        self._next_pk: int = db.execute(sql.LAST_PK).fetchone()[0] + 1
        self._pks: dict[str, int] = dict(db.execute(sql.UNFINISHED_PKS))
        self._gone = Counter(dict(db.execute(sql.GONE_COUNTS)))
        self._counted: dict[tuple[int, int], int] = {}  # the last step written, by step and project

    def project(self, name: str) -> Project:
        if name not in self.projects:
            project = Project(name, secrets.token_hex(4), 0)
            (pk,) = self._db.execute(sql.PROJECT_NEW, (name, project.epoch)).fetchone()
            self.project_pks = {**self.project_pks, name: pk}  # readers have the old mapping
            self.projects[name] = project
        return self.projects[name]

    def commit(self, changes: Sequence[Change], begun: Callable[[], object]) -> list[int]:
        """Return the seq of each change. `begun` is called just before the first statement."""
        if not changes:
            begun()
            self._touch()
            return []
        names = {change.job.project for change in changes}
        seqs = {name: self.projects[name].seq for name in names}
        rows = Rows(seqs, self.project_pks, count(self._next_pk))
        rows.add(changes, self._known(changes))
        floors = self._floors(rows)
        records = [change.audit for change in changes if change.audit is not None]
        begun()
        if rows.only_told and not records and len(rows.told) <= MOST:
            fill(self._db, sql.TOLD, rows.told)  # one statement is a transaction
        else:
            with transaction(self._db):
                self._write(rows, floors)
                write_audit(self._db, records)
        self._moved_on(rows, floors)
        return rows.given

    def _touch(self) -> None:
        """Write a page without changing it, in two steps: SQLite would skip a write that changes
        nothing."""
        with transaction(self._db):
            for by in (1, -1):
                self._db.execute(sql.TOUCHED, (by,))

    def _known(self, changes: Sequence[Change]) -> Mapping[str, int]:
        """The keys of the jobs. Those of unfinished jobs are in memory; others are looked up."""
        befores = [it.before for it in changes if it.before is not None]
        ids = [head.id for head in befores if head.id not in self._pks]
        if not ids:
            return self._pks
        found: dict[str, int] = dict(self._db.execute(sql.PKS, (_json(ids).decode(),)))
        return ChainMap(found, self._pks)

    def _write(self, rows: Rows, floors: Mapping[int, int]) -> None:
        many = self._db.executemany
        if rows.ended:
            many(sql.JOB_GONE, [(pk,) for pk in rows.ended])
            many(sql.ENDED_NEW, [(pk,) for pk in rows.ended])
        many(sql.SEARCH_GONE, rows.unsearched)
        fill(self._db, sql.JOBS_NEW, rows.jobs)
        fill(self._db, sql.SEARCH_NEW, rows.searched)
        fill(self._db, sql.MOVED, rows.moved)
        fill(self._db, sql.TOLD, rows.told)
        fill(self._db, sql.TRIMMED_NEW, [(kind, last) for (_, kind), last in rows.trimmed.items()])
        if rows.gone:
            many(sql.GONE_NEW, rows.gone)
            many(sql.GONE_TRIM, floors.items())
            many(sql.FLOOR, [(floor, pk) for pk, floor in floors.items()])
        fill(self._db, sql.COUNTED_NEW, [(*place, n) for place, n in rows.counted.items() if n])
        many(sql.COUNTED_GONE, self._outdated(rows))
        many(sql.FILE_NEW, rows.files)
        many(sql.FILE_ENDED, rows.files_ended)
        if rows.idempotency:
            many(sql.IDEMPOTENCY_NEW, map(astuple, rows.idempotency))
            self._db.execute(sql.IDEMPOTENCY_TRIM, (rows.now,))
        new_hooks(self._db, rows.hooks, rows.hooks_gone)
        queue(self._db, rows.calls)

    def _outdated(self, rows: Rows) -> list[tuple[int, int, int]]:
        """What to remove of the history: once for each step that begins."""
        begun = rows.newest_steps().items() - self._counted.items()
        since = {range.step: range.since for range in RANGES.values()}
        return [(step, project, since[step](at)) for (step, project), at in begun]

    def _floors(self, rows: Rows) -> dict[int, int]:
        """For each project with more deletions than are kept: the seq of the last one to forget."""
        floors = {}
        for project, new in Counter(project for project, _, _ in rows.gone).items():
            old = self._gone[project]
            over = old + new - self._gone_kept
            if over > old:
                seqs = [seq for other, seq, _ in rows.gone if other == project]
                floors[project] = seqs[over - old - 1]
            elif over > 0:
                oldest = self._db.execute(sql.GONE_OLDEST, (project, over - 1))
                (floors[project],) = oldest.fetchone()
        return floors

    def _moved_on(self, rows: Rows, floors: Mapping[int, int]) -> None:
        self._next_pk += rows.created
        self._counted |= rows.newest_steps()
        for pk, _, _ in rows.gone:
            self._gone[pk] = min(self._gone[pk] + 1, self._gone_kept)
        for name, seq in rows.seqs.items():
            project = self.projects[name]
            floor = floors.get(self.project_pks[name], project.floor)
            self.projects[name] = replace(project, seq=seq, floor=floor)
        for life in rows.moving:
            if life.after is not None and not life.after.finished:
                self._pks[life.after.id] = life.pk
            elif (head := life.after or life.before) is not None:
                self._pks.pop(head.id, None)


def write_audit(db: sqlite3.Connection, records: Sequence[AuditRecord]) -> None:
    if records:
        db.executemany(sql.AUDIT_NEW, [(_json(it), it.job) for it in records])
        db.execute(sql.AUDIT_TRIM, (AUDIT_KEPT,))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:  # whatever it was, none of it may stay
        rollback(db)
        raise


def fill(db: sqlite3.Connection, text: str, rows: Sequence[Row]) -> None:
    """Write many rows with few statements. Statements have few sizes, so that each is prepared
    once; the rest of a statement is filled with NULL rows, which it skips."""
    for start in range(0, len(rows), MOST):
        part = rows[start : start + MOST]
        width, size = len(part[0]), _size(len(part))
        params = list(chain.from_iterable(part))
        params += [None] * (width * (size - len(part)))
        # executemany with one row: execute would release the GIL once more, to read lastrowid.
        db.executemany(_filled(text, width, size), [params])


def _size(n: int) -> int:
    """At most an eighth more than n: 1 to 16, 18, 20 … 32, 36, 40 … 64, 72 …"""
    step = max(0, n.bit_length() - 4)
    return -(-n >> step) << step


@cache
def _filled(text: str, width: int, size: int) -> str:
    row = f"({', '.join('?' * width)})"
    return text.format(", ".join([row] * size))
