"""Keys and acts in SQLite. Each function is a transaction, or part of one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from livejobs.store import sql
from livejobs.store.base import Act, Key, Noted
from livejobs.store.writing import transaction, write_acts

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
