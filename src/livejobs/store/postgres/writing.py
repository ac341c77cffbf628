"""What a commit writes, and what the writer keeps in memory for it."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from livejobs.core.errors import StorageUnavailable
from livejobs.core.history import RANGES
from livejobs.store.base import AUDIT_KEPT, AuditRecord, Change, Project
from livejobs.store.postgres import sql
from livejobs.store.postgres.text import kept, searched
from livejobs.store.rows import Row, Rows, keys

SWEPT: Final = 5_000  # entries of deleted jobs removed after one commit
FENCED: Final = (
    "The database is not as this server left it: another server has written to it, or a failover "
    "has lost commits. Restart this server."
)

Place: TypeAlias = tuple[int, int]  # step, project
Found: TypeAlias = Mapping[str, Sequence[Row]]  # rows by the name of their part

_json = msgspec.json.Encoder().encode


class Commit:
    """One commit: its rows, and the statement that writes them."""

    def __init__(self, rows: Rows, seqs: Sequence[Row], floors: Mapping[int, int]) -> None:
        self.rows, self.floors = rows, floors
        self.text = sql.TOLD
        self._parts: tuple[sql.Part, ...] = sql.TOLD_PARTS
        self._found = {"given": seqs, **_told(rows)}

    def add(self, records: Sequence[AuditRecord], outdated: Mapping[Place, int]) -> None:
        """Also write what most commits do not write."""
        self.text, self._parts = sql.COMMIT, sql.COMMIT_PARTS
        rows = self.rows
        self._found |= {**_jobs(rows), **_labels(rows), **_counted(rows, outdated), **_files(rows)}
        self._found |= {**_gone(rows, self.floors), **_repeatable(rows), **audited(records)}

    @property
    def params(self) -> list[Any]:
        return columns(self._parts, self._found)


class Writer:
    """What a commit needs to know besides the changes. It changes only after a commit."""

    def __init__(self, gone_kept: int) -> None:
        self._gone_kept = gone_kept
        self.projects: dict[str, Project] = {}
        self.project_pks: Mapping[str, int] = {}
        self.ended: list[tuple[int, int]] = []  # projects and keys of deleted jobs with entries
        self.doubted: Commit | None = None  # it may have been kept
        self._counted: dict[Place, int] = {}  # the last step written

    async def load(self, db: Any) -> None:
        self.doubted = None
        rows = await db.fetch(sql.PROJECTS)
        self.projects = {row[1]: Project(*row[1:]) for row in rows}
        self.project_pks = {row[1]: row[0] for row in rows}
        self._next_pk: int = (await db.fetchval(sql.LAST_PK) or 0) + 1
        self._pks: dict[str, int] = dict(await db.fetch(sql.UNFINISHED_PKS))
        self._gone = Counter(dict(await db.fetch(sql.GONE_COUNTS)))
        self.ended = [(project, pk) for project, pk in await db.fetch(sql.ENDED)]

    async def project(self, db: Any, name: str) -> Project:
        if name not in self.projects:
            project = Project(name, secrets.token_hex(4), 0)
            pk = await db.fetchval(sql.PROJECT_NEW, name, project.epoch)
            self.project_pks = {**self.project_pks, name: pk}
            self.projects[name] = project
        return self.projects[name]

    async def commit(self, db: Any, changes: Sequence[Change]) -> Commit:
        """Prepare a commit. This reads what is not in memory."""
        before = {change.job.project: self.projects[change.job.project] for change in changes}
        rows = Rows({it.name: it.seq for it in before.values()}, self.project_pks, self._next_pk)
        rows.add(changes, await self._known(db, changes))
        floors = await self._floors(db, rows)
        commit = Commit(rows, self._seqs(rows, floors), floors)
        records = [change.audit for change in changes if change.audit is not None]
        if records or not rows.only_told:
            commit.add(records, self._outdated(rows))
        return commit

    def _seqs(self, rows: Rows, floors: Mapping[int, int]) -> list[Row]:
        found: list[Row] = []
        for name, seq in rows.seqs.items():
            pk, project = self.project_pks[name], self.projects[name]
            found.append((pk, project.seq, seq, floors.get(pk, project.floor)))
        return found

    async def _known(self, db: Any, changes: Sequence[Change]) -> Mapping[str, int]:
        """The keys of the jobs. Those of unfinished jobs are in memory; others are looked up."""
        ids = [c.job.id for c in changes if c.before is not None and c.job.id not in self._pks]
        return {**self._pks, **dict(await db.fetch(sql.PKS, ids))} if ids else self._pks

    async def _floors(self, db: Any, rows: Rows) -> dict[int, int]:
        """For each project with more deletions than are kept: the seq of the last one to forget."""
        floors = {}
        for project, new in Counter(project for project, _, _ in rows.gone).items():
            old = self._gone[project]
            over = old + new - self._gone_kept
            if over > old:
                seqs = [seq for other, seq, _ in rows.gone if other == project]
                floors[project] = seqs[over - old - 1]
            elif over > 0:
                floors[project] = await db.fetchval(sql.GONE_OLDEST, project, over - 1)
        return floors

    def _outdated(self, rows: Rows) -> dict[Place, int]:
        """Where a step begins: the oldest step to keep."""
        begun = rows.newest_steps().items() - self._counted.items()
        since = {range.step: range.since for range in RANGES.values()}
        return {(step, project): since[step](at) for (step, project), at in begun}

    async def check(self, db: Any) -> None:
        """Raise unless the database is as we left it, with or without the commit in doubt."""
        await self.was_kept(db, self.doubted)

    async def was_kept(self, db: Any, commit: Commit | None) -> bool:
        found = {name: seq for _, name, _, seq, _ in await db.fetch(sql.PROJECTS)}
        known = {name: project.seq for name, project in self.projects.items()}
        if commit is not None and found == known | commit.rows.seqs:
            return True
        # A project may have been created without our knowing; it has no change yet.
        if {name: seq for name, seq in found.items() if name in known or seq} != known:
            raise StorageUnavailable(FENCED)
        return False

    def keep(self, commit: Commit) -> list[int]:
        """The commit is in the database."""
        rows = commit.rows
        self.doubted = None
        self._next_pk = rows.next_pk
        self._counted |= rows.newest_steps()
        for pk, _, _ in rows.gone:
            self._gone[pk] = min(self._gone[pk] + 1, self._gone_kept)
        for name, seq in rows.seqs.items():
            project = self.projects[name]
            floor = commit.floors.get(self.project_pks[name], project.floor)
            self.projects[name] = replace(project, seq=seq, floor=floor)
        for life in rows.lives:
            if life.after is not None and not life.after.finished:
                self._pks[life.after.id] = life.pk
            elif (head := life.after or life.before) is not None:
                self._pks.pop(head.id, None)
        self.ended += [(life.project, life.pk) for life in rows.lives if life.pk in rows.ended]
        return rows.given

    async def sweep(self, db: Any) -> None:
        """Remove some entries of deleted jobs."""
        room = SWEPT
        while self.ended and room > 0:
            project, pk = self.ended[0]
            done = await db.execute(sql.ENTRIES_GONE, project, *keys(pk), room)
            room -= int(done.rpartition(" ")[2])
            if room > 0:
                await db.execute(sql.ENDED_GONE, project, pk)
                self.ended.pop(0)


def columns(parts: Sequence[sql.Part], found: Found) -> list[Any]:
    """The parameters of a statement: one list for each column."""
    params: list[Any] = []
    for part in parts:
        rows = found.get(part.name)
        params += zip(*rows, strict=True) if rows else [()] * len(part.types)
    return params


def audited(records: Sequence[AuditRecord]) -> Found:
    rows = [(_json(it), None if it.job is None else kept(it.job)) for it in records]
    return {"audited": rows, "unaudited": [(AUDIT_KEPT,)]}


def _told(rows: Rows) -> Found:
    heads: list[Row] = [
        (project, pk, seq, head) for level, pk, project, seq, head in rows.told if level is None
    ]
    heads += [(project, pk, seq, head) for pk, _, project, _, _, seq, head in rows.jobs]
    entries = [
        (project, key, seq, level, value)
        for level, key, project, seq, value in rows.told
        if level is not None
    ]
    return {"heads": heads, "entries": entries}


def _jobs(rows: Rows) -> Found:
    project_of = {life.pk: life.project for life in rows.lives}
    ended = [(project_of[pk], pk) for pk in rows.ended]
    jobs = [
        (project, pk, id, status, expires_at)
        for pk, id, project, status, expires_at, _, _ in rows.jobs
    ]
    texts = [(project_of[it[0]], it[0], searched(it[1], it[2])) for it in rows.searched]
    gone = dict.fromkeys(("dead", "headless", "unsearched", "ended"), ended)
    return {**gone, "jobs": jobs, "searched": texts}


def _labels(rows: Rows) -> Found:
    left: list[Row] = []
    entered: list[Row] = []
    sums: list[Row] = []
    for label, project, status, pk, n in rows.moved:
        if pk is None:
            sums.append((project, kept(label), status, n))
        else:
            (entered if n > 0 else left).append((project, kept(label), status, pk))
    return {"left_labels": left, "entered_labels": entered, "sums": sums}


def _counted(rows: Rows, outdated: Mapping[Place, int]) -> Found:
    counted = [
        (project, step, at, what, n)
        for (step, project, at, what), n in rows.counted.items()
        if n and at >= outdated.get((step, project), at)
    ]
    gone = [(project, step, since) for (step, project), since in outdated.items()]
    return {"counted": counted, "outdated": gone}


def _files(rows: Rows) -> Found:
    """A statement can't write a row twice, so a file that comes and goes in it is written once."""
    ended = {key for (key,) in rows.files_ended}
    new = {key for key, _, _ in rows.files}
    files = [(project, key, size, key in ended) for key, project, size in rows.files]
    return {"files": files, "ended_files": [(key,) for key in ended - new]}


def _gone(rows: Rows, floors: Mapping[int, int]) -> Found:
    gone = [row for row in rows.gone if row[1] > floors.get(row[0], 0)]
    return {"gone": gone, "trimmed": list(floors.items())}


def _repeatable(rows: Rows) -> Found:
    last = {(kept(it.credential), kept(it.key)): it for it in rows.idempotency}
    made = [(*place, it.body, it.job, it.expires_at) for place, it in last.items()]
    return {"repeatable": made, "unrepeatable": [(rows.now,)] if made else []}
