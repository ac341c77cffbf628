"""Keys, files and the audit trail in SQLite. Each function is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from livejobs.store.audit import AuditEntry, AuditRecord
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.writing import transaction, write_audit

_encode = msgspec.json.Encoder().encode
_key: Final = msgspec.json.Decoder(Key).decode
_record: Final = msgspec.json.Decoder(AuditRecord).decode


def keys(db: sqlite3.Connection) -> list[Key]:
    return [_key(row[0]) for row in db.execute(sql.KEYS)]


def save_key(db: sqlite3.Connection, key: Key, record: AuditRecord | None) -> None:
    with transaction(db):
        db.execute(sql.KEY_NEW, (key.id, _encode(key)))
        write_audit(db, [record] if record else [])


def drop_key(db: sqlite3.Connection, id: str, record: AuditRecord | None) -> None:
    with transaction(db):
        db.execute(sql.KEY_GONE, (id,))
        write_audit(db, [record] if record else [])


def note_use(db: sqlite3.Connection, key: Key) -> None:
    with transaction(db):
        db.execute(sql.KEY_USED, (_encode(key), key.id))


def add_audit(db: sqlite3.Connection, records: Sequence[AuditRecord]) -> None:
    with transaction(db):
        write_audit(db, records)


def read_audit(
    db: sqlite3.Connection, limit: int, before: int | None, job: str | None
) -> list[AuditEntry]:
    page = (before if before is not None else 1 << 62, limit)
    rows = (
        db.execute(sql.AUDIT, page) if job is None else db.execute(sql.AUDIT_OF_JOB, (job, *page))
    )
    return [AuditEntry(n, _record(record)) for n, record in rows]


def file_bytes(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute(sql.FILE_BYTES))


def ended_files(db: sqlite3.Connection, limit: int) -> list[str]:
    return [key for (key,) in db.execute(sql.FILES_ENDED, (limit,))]


def forget_files(db: sqlite3.Connection, keys: Sequence[str]) -> None:
    with transaction(db):
        db.executemany(sql.FILE_GONE, [(key,) for key in keys])


def known_files(db: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    return {key for (key,) in db.execute(sql.FILES_KNOWN, (_encode(keys).decode(),))}


def downloaded(
    db: sqlite3.Connection, tallies: Mapping[str, Tally], records: Sequence[AuditRecord]
) -> None:
    rows = [(tally.count, tally.last_at, key) for key, tally in tallies.items()]
    with transaction(db):
        db.executemany(sql.DOWNLOADED, rows)
        write_audit(db, records)


def downloads(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Tally]:
    rows = db.execute(sql.DOWNLOADS, (_encode(keys).decode(),))
    return {key: Tally(count, last_at) for key, count, last_at in rows}
