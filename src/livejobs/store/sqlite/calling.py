"""What a commit writes for webhooks: those that come and go with its jobs, and the deliveries of
its changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from livejobs.core.hooks import Hook
from livejobs.store.rows import CallRow
from livejobs.store.sqlite import hooks_sql as sql

_encode = msgspec.json.Encoder().encode


def new_hooks(db: sqlite3.Connection, hooks: Iterable[Hook], gone: Iterable[str]) -> None:
    for it in hooks:
        db.execute(sql.HOOK_NEW, (it.id, it.job, _encode(it)))
    for id in gone:
        db.execute(sql.HOOK_OF_GONE, (id,))


def queue(db: sqlite3.Connection, calls: Iterable[CallRow]) -> None:
    for it in calls:
        if it.renews:
            newer = (it.seq, it.at, it.head, it.hook, it.job)
            if db.execute(sql.RENEWED, newer).rowcount:
                continue
        row = (it.hook, it.project, it.job, it.event, it.receiver, it.seq, it.at, it.at, it.head)
        db.execute(sql.CALL_NEW, row)
