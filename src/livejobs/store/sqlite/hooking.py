"""Webhooks and their deliveries in SQLite. Each function is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from livejobs.core.hooks import Hook
from livejobs.store.audit import AuditRecord
from livejobs.store.hooks import (
    RECORDS_KEPT,
    RECORDS_OF_HOOK,
    STATES,
    SWEPT,
    Delivery,
    Outcome,
    Payload,
    Waiting,
)
from livejobs.store.sqlite import hooks_sql as sql
from livejobs.store.sqlite.writing import transaction, write_audit

END: Final = 1 << 62  # after every n
_encode = msgspec.json.Encoder().encode
_hook: Final = msgspec.json.Decoder(Hook).decode


def hooks(db: sqlite3.Connection, job: str | None) -> list[Hook]:
    rows = db.execute(sql.HOOKS) if job is None else db.execute(sql.HOOKS_OF_JOB, (job,))
    return [_hook(row[0]) for row in rows]


def hook(db: sqlite3.Connection, id: str) -> Hook | None:
    row = db.execute(sql.HOOK, (id,)).fetchone()
    return _hook(row[0]) if row else None


def save_hook(db: sqlite3.Connection, hook: Hook, record: AuditRecord | None) -> None:
    with transaction(db):
        db.execute(sql.HOOK_SAVED, (hook.id, hook.job, _encode(hook)))
        if hook.ended is not None:
            db.execute(sql.CALLS_ENDED, (hook.ended_at, hook.ended, hook.id))
        write_audit(db, [record] if record else [])


def drop_hook(db: sqlite3.Connection, id: str, record: AuditRecord | None) -> None:
    with transaction(db):
        db.execute(sql.HOOK_GONE, (id,))
        db.execute(sql.CALLS_GONE, (id,))
        write_audit(db, [record] if record else [])


def waiting(
    db: sqlite3.Connection, projects: Mapping[str, int], after: Mapping[str, int], limit: int
) -> list[Waiting]:
    """Each project has its own place, so the projects are read one by one, and then joined."""
    found: list[Waiting] = []
    if db.execute(sql.ANY_WAITS).fetchone() is None:  # the usual case, however many projects
        return found
    for name, pk in projects.items():
        rows = db.execute(sql.WAITING, (pk, after.get(name, 0), limit))
        found += [Waiting(n, hook, name, *rest) for n, hook, *rest in rows]
    return sorted(found, key=lambda it: it.n)[:limit]


def payload(db: sqlite3.Connection, names: Mapping[int, str], n: int) -> Payload | None:
    row = db.execute(sql.PAYLOAD, (n,)).fetchone()
    if row is None:
        return None
    *fields, head, hook = row
    delivery = _delivery(fields, names)
    [ref] = db.execute(sql.LAST_REF, (delivery.hook, delivery.job)).fetchone() or [None]
    return Payload(delivery, head, _hook(hook), ref)


def settle(db: sqlite3.Connection, outcomes: Sequence[Outcome]) -> set[int]:
    waiting: set[int] = set()
    with transaction(db):
        for it in outcomes:
            ended_at = None if it.state == "waiting" else it.at
            fields = (STATES.index(it.state), it.attempts, it.next_at, ended_at)
            what = (*fields, it.code, it.ms, it.error, it.ref, it.n)
            if it.state == "delivered" and not db.execute(sql.DONE, (*what, it.seq)).rowcount:
                db.execute(sql.NEWER, (it.at, it.ref, it.n))
            elif it.state != "delivered":
                db.execute(sql.TRIED, what)
            if db.execute(sql.WAITS, (it.n,)).fetchone():
                waiting.add(it.n)
    return waiting


def deliveries(
    db: sqlite3.Connection, names: Mapping[int, str], hook: str, limit: int, before: int | None
) -> list[Delivery]:
    page = (hook, END if before is None else before, limit)
    return [_delivery(row, names) for row in db.execute(sql.DELIVERIES, page)]


def replay(db: sqlite3.Connection, hook: str, n: int, now: int, record: AuditRecord | None) -> bool:
    with transaction(db):
        done = db.execute(sql.REPLAY, (now, hook, n)).rowcount > 0
        write_audit(db, [record] if record and done else [])
    return done


def sweep(db: sqlite3.Connection, before: int) -> None:
    with transaction(db):
        db.execute(sql.OLD_GONE, (before, SWEPT))
        db.execute(sql.ALL_GONE, (SWEPT, RECORDS_KEPT))
        for (hook,) in db.execute(sql.MANY, (RECORDS_OF_HOOK,)).fetchall():
            db.execute(sql.MANY_GONE, (hook, hook, RECORDS_OF_HOOK, SWEPT))
        for (hook,) in db.execute(sql.HOOKS_DONE, (SWEPT,)).fetchall():
            db.execute(sql.HOOK_GONE, (hook,))
            db.execute(sql.CALLS_GONE, (hook,))


def _delivery(row: Sequence[Any], names: Mapping[int, str]) -> Delivery:
    n, hook, project, job, event, seq, at, state, replay, *rest = row
    place = (n, hook, names[project], job, event, seq, at)
    return Delivery(*place, STATES[state], bool(replay), *rest)
