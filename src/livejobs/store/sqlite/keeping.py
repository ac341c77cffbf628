"""Keys, acts and files in SQLite. Each function is a transaction, or part of one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from livejobs.store.base import Act, Key, Noted, Tally
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.writing import transaction, write_acts

_encode = msgspec.json.Encoder().encode
_key: Final = msgspec.json.Decoder(Key).decode
_act: Final = msgspec.json.Decoder(Act).decode


def keys(db: sqlite3.Connection) -> list[Key]:
    return [_key(row[0]) for row in db.execute(sql.KEYS)]


def save_key(db: sqlite3.Connection, key: Key, act: Act | None) -> None:
    with transaction(db):
        db.execute(sql.KEY_NEW, (key.id, _encode(key)))
        write_acts(db, [act] if act else [])


def drop_key(db: sqlite3.Connection, id: str, act: Act | None) -> None:
    with transaction(db):
        db.execute(sql.KEY_GONE, (id,))
        write_acts(db, [act] if act else [])


def note(db: sqlite3.Connection, acts: Sequence[Act]) -> None:
    with transaction(db):
        write_acts(db, acts)


def read_acts(db: sqlite3.Connection, limit: int, before: int | None) -> list[Noted]:
    rows = db.execute(sql.ACTS, (before if before is not None else 1 << 62, limit))
    return [Noted(n, _act(act)) for n, act in rows]


def file_bytes(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute(sql.FILE_BYTES))


def ended_files(db: sqlite3.Connection, limit: int) -> list[str]:
    return [key for (key,) in db.execute(sql.FILES_ENDED, (limit,))]


def forget_files(db: sqlite3.Connection, keys: Sequence[str]) -> None:
    with transaction(db):
        db.executemany(sql.FILE_GONE, [(key,) for key in keys])


def known_files(db: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    return {key for (key,) in db.execute(sql.FILES_KNOWN, (_encode(keys).decode(),))}


def downloaded(db: sqlite3.Connection, tallies: Mapping[str, Tally], acts: Sequence[Act]) -> None:
    rows = [(tally.count, tally.last_at, key) for key, tally in tallies.items()]
    with transaction(db):
        db.executemany(sql.DOWNLOADED, rows)
        write_acts(db, acts)


def downloads(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Tally]:
    rows = db.execute(sql.DOWNLOADS, (_encode(keys).decode(),))
    return {key: Tally(count, last_at) for key, count, last_at in rows}
