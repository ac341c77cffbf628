"""What a commit writes, and what the writer keeps in memory for it."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from livejobs.core.history import RANGES
from livejobs.store.audit import AUDIT_KEPT, AuditRecord
from livejobs.store.base import Change, Outpaced, Project
from livejobs.store.postgres.sql import writing as sql
from livejobs.store.postgres.sql.parts import Part
from livejobs.store.postgres.text import kept, searched
from livejobs.store.rows import Row, Rows

Place: TypeAlias = tuple[int, int]  # step, project
Found: TypeAlias = Mapping[str, Sequence[Row]]  # rows by the name of their part

_json = msgspec.json.Encoder().encode


class Commit:
    """One commit: its rows, and the statement that writes them."""

    def __init__(
        self, number: int, rows: Rows, seqs: Sequence[Row], floors: Mapping[int, int]
    ) -> None:
        self.number, self.rows, self.floors = number, rows, floors
        self.text = sql.TOLD
        self._parts: tuple[Part, ...] = sql.TOLD_PARTS
        self._found = {"given": seqs, **_told(rows)}

    def sign(self, node: str, term: int, *, heard: bool) -> list[Any]:
        """The parameters, for the connection of this term. `heard`: there are other nodes."""
        found = {**self._found, "done": [(node, term, self.number)]}
        return columns(self._parts, found | ({"heard": [(node,)]} if heard else {}))

    def add(self, records: Sequence[AuditRecord], outdated: Mapping[Place, int]) -> None:
        """Also write what most commits do not write."""
        self.text, self._parts = sql.COMMIT, sql.COMMIT_PARTS
        rows = self.rows
        self._found |= {**_jobs(rows), **_labels(rows), **_counted(rows, outdated), **_files(rows)}
        self._found |= {**_gone(rows, self.floors), **_repeatable(rows), **audited(records)}
        self._found |= _called(rows)


class Writer:
    """What a commit needs to know besides the changes. It changes only after a commit."""

    def __init__(self, gone_kept: int) -> None:
        self._gone_kept = gone_kept
        self.projects: dict[str, Project] = {}
        self.project_pks: Mapping[str, int] = {}
        self._number = 0  # of the last commit
        self._counted: dict[Place, int] = {}  # the last step written

    async def load(self, db: Any) -> None:
        await self.read_projects(db)
        self._pks: dict[str, int] = dict(await db.fetch(sql.UNFINISHED_PKS))
        self._gone = Counter(dict(await db.fetch(sql.GONE_COUNTS)))

    async def read_projects(self, db: Any) -> Sequence[Project]:
        rows = await db.fetch(sql.PROJECTS)
        found = tuple(Project(*row[1:]) for row in rows)
        self.projects = {project.name: project for project in found}
        self.project_pks = {row[1]: row[0] for row in rows}
        return found

    async def read_project(self, db: Any, name: str) -> Project | None:
        row = await db.fetchrow(sql.PROJECT, name)
        if row is None:
            return None
        self.project_pks = {**self.project_pks, name: row[0]}
        self.projects[name] = Project(*row[1:])
        return self.projects[name]

    async def create_project(self, db: Any, name: str) -> Project:
        await db.execute(sql.PROJECT_NEW, name, secrets.token_hex(4))
        project = await self.read_project(db, name)
        assert project is not None, "projects are never deleted"
        return project

    async def commit(
        self, db: Any, changes: Sequence[Change], on: Mapping[str, int] | None
    ) -> Commit:
        """Prepare a commit. This reads what is not in memory."""
        if on is not None:
            await _check_repeated(db, changes)
        names = dict.fromkeys(change.job.project for change in changes)
        known = {name: self.projects[name].seq for name in names} if on is None else on
        new = sum(change.before is None for change in changes)
        pks = [pk for (pk,) in await db.fetch(sql.NEW_PKS, new)] if new else []
        rows = Rows({name: known[name] for name in names}, self.project_pks, iter(pks))
        rows.add(changes, await self._known(db, changes))
        floors = await self._floors(db, rows)
        self._number += 1
        commit = Commit(self._number, rows, self._seqs(rows, known, floors), floors)
        records = [change.audit for change in changes if change.audit is not None]
        if records or not rows.only_told:
            commit.add(records, self._outdated(rows))
        return commit

    def _seqs(self, rows: Rows, known: Mapping[str, int], floors: Mapping[int, int]) -> list[Row]:
        pks = self.project_pks
        return [
            (pks[name], known[name], seq, floors.get(pks[name], 0))
            for name, seq in rows.seqs.items()
        ]

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

    def forget(self, ids: Iterable[str]) -> None:
        """Other nodes may have deleted these jobs, and created others with the same ids."""
        for id in ids:
            self._pks.pop(id, None)

    def keep(self, commit: Commit) -> list[int]:
        """The commit is in the database."""
        rows = commit.rows
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
        return rows.given


async def _check_repeated(db: Any, changes: Sequence[Change]) -> None:
    """Another node may have taken the same request since it was looked for. If it does so after
    this look, the project has another seq."""
    made = [change.idempotency for change in changes if change.idempotency is not None]
    if made:
        now = max(it.job.updated_at for it in changes)
        keys = [kept(it.credential) for it in made], [kept(it.key) for it in made]
        if await db.fetchval(sql.REPEATED_ANY, *keys, now):
            raise Outpaced


def columns(parts: Sequence[Part], found: Found) -> list[Any]:
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
        (project, key, seq, level, bytes(value))
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
    # Servers write the same rows for all projects together: in one order, so they can't deadlock.
    return {"counted": sorted(counted), "outdated": sorted(gone)}


def _files(rows: Rows) -> Found:
    """A statement can't write a row twice, so a file that comes and goes in it is written once."""
    ended = {key for (key,) in rows.files_ended}
    new = {key for key, _, _ in rows.files}
    files = [(project, key, size, key in ended) for key, project, size in rows.files]
    return {"files": files, "ended_files": [(key,) for key in ended - new]}


def _gone(rows: Rows, floors: Mapping[int, int]) -> Found:
    gone = [row for row in rows.gone if row[1] > floors.get(row[0], 0)]
    cut = [(*kind, last) for kind, last in rows.trimmed.items()]
    return {"gone": gone, "trimmed": list(floors.items()), "cut": cut}


def _repeatable(rows: Rows) -> Found:
    last = {(kept(it.credential), kept(it.key)): it for it in rows.idempotency}
    made = [(*place, it.body, it.job, it.expires_at) for place, it in last.items()]
    return {"repeatable": made, "unrepeatable": [(rows.now,)] if made else []}


def _called(rows: Rows) -> Found:
    """A webhook that comes and goes in one statement is written once, as one that has gone."""
    gone = rows.hooks_gone
    hooks = [(it.id, it.job, it.id in gone, _json(it)) for it in rows.hooks]
    calls = rows.calls
    return {
        "hooked": hooks,
        "unhooked": [(id,) for id in gone - {it.id for it in rows.hooks}],
        "renewed": [(it.hook, it.job, it.seq, it.at, it.head) for it in calls if it.renews],
        "called": [(*it, place) for place, it in enumerate(calls)],
    }
