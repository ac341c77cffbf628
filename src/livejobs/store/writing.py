"""What the writer's connection does, each a function from BEGIN to COMMIT."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from livejobs.core.model import Head
from livejobs.store import sql
from livejobs.store.base import Change, Project
from livejobs.store.batch import Batch, Life, deltas
from livejobs.store.opening import rollback

_json = msgspec.json.Encoder().encode


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        rollback(db)
        raise


class Writer:
    """What a commit must know beside the changes, so that it need not ask for it. It is moved
    on only by what is on disk."""

    def __init__(self, db: sqlite3.Connection, gone_kept: int) -> None:
        self._gone_kept = gone_kept
        self.db = db
        rows = db.execute(sql.PROJECTS).fetchall()
        self.projects = {name: Project(name, *rest) for name, _, *rest in rows}
        self.project_pks = {name: pk for name, pk, *_ in rows}
        self._next_pk: int = db.execute(sql.LAST_PK).fetchone()[0] + 1
        self._pks: dict[str, int] = dict(db.execute(sql.UNFINISHED_PKS))

    def project(self, name: str) -> Project:
        if name not in self.projects:
            project = Project(name, secrets.token_hex(4), 0)
            row = self.db.execute(sql.PROJECT_NEW, (name, project.epoch)).fetchone()
            self.project_pks = {**self.project_pks, name: row[0]}  # readers hold the old one
            self.projects = {**self.projects, name: project}
        return self.projects[name]

    def commit(self, changes: Sequence[Change]) -> list[int]:
        seqs = {change.job.project: self.projects[change.job.project].seq for change in changes}
        batch = Batch(seqs, self.project_pks, self._next_pk)
        batch.add(changes, self._known(changes))
        with transaction(self.db):
            floors = self._write(batch)
        self._moved_on(batch, floors)
        return batch.given

    def _known(self, changes: Sequence[Change]) -> dict[str, int]:
        """Where the jobs are. Unfinished ones are known, others are looked up."""
        ids = [c.job.id for c in changes if c.before is not None and c.job.id not in self._pks]
        if not ids:
            return self._pks
        return self._pks | dict(self.db.execute(sql.PKS, (_json(ids).decode(),)).fetchall())

    def _write(self, batch: Batch) -> dict[int, int]:
        many = self.db.executemany
        self._delete(batch)
        new = [life for life in batch.lives if life.before is None]
        old = [life for life in batch.lives if life.before is not None]
        many(sql.JOB_NEW, [(*life.row(h), h.id) for life in new if (h := life.after)])
        many(sql.JOB_MOVE, [life.row(h) for life in old if (h := life.after)])
        many(sql.ENTRY_NEW, batch.entries())
        left, entered = batch.moves()
        many(sql.LABEL_GONE, [(*stretch, pk) for stretch, pk in left])
        many(sql.LABEL_NEW, [(*stretch, pk) for stretch, pk in entered])
        many(sql.COUNT, [(*stretch, n) for stretch, n in deltas(left, entered).items()])
        if left:
            self.db.execute(sql.COUNT_GONE)
        many(sql.SEARCH_NEW, _texts(batch.lives, new=True))
        many(sql.IDEMPOTENCY_NEW, map(msgspec.structs.astuple, batch.idempotency))
        if batch.idempotency:
            self.db.execute(sql.IDEMPOTENCY_TRIM, (batch.now,))
        pks = self.project_pks
        many(sql.PROJECT_SEQ, [(seq, pks[name]) for name, seq in batch.seqs.items()])
        many(sql.GONE_NEW, batch.gone)
        if not batch.lives:
            self.db.execute(sql.WRITE_NOTHING)
        return self._trim(batch)

    def _delete(self, batch: Batch) -> None:
        many = self.db.executemany
        gone = [life for life in batch.lives if life.before is not None and life.after is None]
        many(sql.JOB_GONE, [(life.pk,) for life in gone])
        many(sql.ENTRIES_GONE, [(life.pk << 32, (life.pk + 1 << 32) - 1) for life in gone])
        many(sql.SEARCH_GONE, _texts(batch.lives, new=False))

    def _trim(self, batch: Batch) -> dict[int, int]:
        """Forget the oldest deletions of projects that had some; their floors."""
        floors = {}
        for project in {project for project, _, _ in batch.gone}:
            row = self.db.execute(sql.GONE_FLOOR, (project, self._gone_kept)).fetchone()
            if row is not None:
                self.db.execute(sql.GONE_TRIM, (project, row[0]))
                self.db.execute(sql.FLOOR, (row[0], project))
                floors[project] = row[0]
        return floors

    def _moved_on(self, batch: Batch, floors: dict[int, int]) -> None:
        self._next_pk = batch.next_pk
        for name, seq in batch.seqs.items():
            project = self.projects[name]
            floor = floors.get(self.project_pks[name], project.floor)
            self.projects[name] = replace(project, seq=seq, floor=floor)
        for life in batch.lives:
            if life.after is not None and not life.after.finished:
                self._pks[life.after.id] = life.pk
            elif (head := life.after or life.before) is not None:
                self._pks.pop(head.id, None)


def _texts(lives: Sequence[Life], *, new: bool) -> list[tuple[int, str, str]]:
    """What is searched, where it has changed: as it was, or as it is."""
    rows = []
    for life in lives:
        before, after = _text(life.before), _text(life.after)
        text = after if new else before
        if before != after and text is not None:
            rows.append((life.pk, *text))
    return rows


def _text(head: Head | None) -> tuple[str, str] | None:
    return (head.id, head.title or "") if head else None
