"""The reads. Each function runs on a reader's connection and sees one state of the database."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.history import History, Range
from livejobs.core.model import (
    KINDS,
    STATUSES,
    Entry,
    EntryKind,
    Record,
    Status,
    Stored,
    decode_head,
)
from livejobs.store.base import (
    Changes,
    EntryQuery,
    Gone,
    Idempotency,
    Page,
    Query,
)
from livejobs.store.paging import merged, newest, up_to, whole_changes
from livejobs.store.rows import ALL, LAST, key, kind_of, n_of, projects_of
from livejobs.store.sqlite import sql
from livejobs.store.sqlite.finding import END, count, find

_json = msgspec.json.Encoder().encode


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Let several statements see the same commit."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


def job(db: sqlite3.Connection, id: str) -> Stored | None:
    row = db.execute(sql.JOB, (id,)).fetchone()
    return row and _stored(*row)


def unfinished(db: sqlite3.Connection) -> list[Stored]:
    return [_stored(*row) for row in db.execute(sql.UNFINISHED)]


def expired(db: sqlite3.Connection, now: int, limit: int) -> list[Stored]:
    return [_stored(*row) for row in db.execute(sql.EXPIRED, (now, limit))]


def page(
    db: sqlite3.Connection,
    query: Query,
    projects: Mapping[str, int],
    limit: int,
    before: int | None,
    skip: int,
    most_bytes: int | None,
) -> Page:
    with snapshot(db):
        pks = find(db, query, projects, limit + 1, END if before is None else before, skip)
        with closing(db.execute(sql.JOBS_NEWEST, (_json(pks[:limit]).decode(),))) as rows:
            shown = up_to(rows, _size, most_bytes)
    more = len(pks) > len(shown)
    return Page(tuple(_stored(*row[1:]) for row in shown), pks[len(shown) - 1] if more else None)


def latest(
    db: sqlite3.Connection,
    project: int,
    statuses: Sequence[Status],
    before: int | None,
    limit: int,
    most_bytes: int | None,
    scanned: int,
) -> Page:
    wanted = _json([STATUSES.index(status) for status in statuses or STATUSES]).decode()
    place = (wanted, project, END if before is None else before, scanned)
    with closing(db.execute(sql.JOBS_LATEST, place)) as rows:
        pairs = ((seq, None if head is None else (seq, head)) for seq, head in rows)
        return newest(pairs, lambda row: (_stored(*row), len(row[1])), limit, most_bytes, scanned)


def counts(
    db: sqlite3.Connection, query: Query, projects: Mapping[str, int]
) -> Mapping[Status, int]:
    with snapshot(db):
        found = count(db, replace(query, statuses=()), projects)
    return {status: found[status] for status in STATUSES}


def history(
    db: sqlite3.Connection,
    names: tuple[str, ...] | None,
    projects: Mapping[str, int],
    range: Range,
    since: int,
) -> History:
    query = Query(names)
    steps: defaultdict[int, dict[int, int]] = defaultdict(dict)
    with snapshot(db):
        among = _json([ALL] if names is None else sorted(projects_of(query, projects))).decode()
        for at, what, n in db.execute(sql.HISTORY, (range.step, among, since)):
            steps[at][what] = n
        found = count(db, query, projects)
    return History({status: found[status] for status in STATUSES}, steps)


def entries(db: sqlite3.Connection, query: EntryQuery) -> list[Record]:
    with snapshot(db):
        row = db.execute(sql.PK, (query.job,)).fetchone()
        if row is None:
            return []
        first, last = key(row[0], query.kind, 0), key(row[0], query.kind, LAST)
        after = query.after
        if query.after_seq:
            after = max(after, _last_upto(db, first, last, query.after_seq))
        text = sql.ENTRIES_TAIL if query.tail else sql.ENTRIES
        params = (first + after + 1, last, query.level, query.limit)
        with closing(db.execute(text, params)) as rows:
            records = whole_changes((_record(query.job, *row) for row in rows), query.most_bytes)
    return records[::-1] if query.tail else records


def _last_upto(db: sqlite3.Connection, first: int, last: int, after_seq: int) -> int:
    """The n of a job's last entry with a seq up to `after_seq`. seq grows with n, and n has no
    gaps, so a binary search needs no index."""
    (end,) = db.execute(sql.LAST_KEY, (first, last)).fetchone()
    if end is None:
        return 0
    (begin,) = db.execute(sql.FIRST_KEY, (first, last)).fetchone()  # those before it were removed

    def seq(key: int) -> int:
        return int(db.execute(sql.SEQ_AT, (key,)).fetchone()[0])

    return int(begin - first - 1 + bisect_right(range(begin, end + 1), after_seq, key=seq))


def changes(
    db: sqlite3.Connection, project: int, after: int, limit: int, most_bytes: int | None
) -> Changes:
    with snapshot(db):
        with closing(db.execute(sql.JOBS_SINCE, (project, after, limit + 1))) as rows:
            jobs = up_to(rows, _size, most_bytes)
            more = rows.fetchone() is not None
        gone = db.execute(sql.GONE_SINCE, (project, after, limit + 1)).fetchall()
    found = [_stored(*row) for row in jobs]
    return merged(found, [Gone(*row) for row in gone], limit, more=more)


def feed_entries(
    db: sqlite3.Connection,
    project: int,
    after: int,
    upto: int,
    limit: int,
    kinds: Sequence[EntryKind],
    most_bytes: int | None,
) -> list[Record]:
    wanted = _json([KINDS.index(kind) for kind in kinds]).decode()
    with snapshot(db):
        row = db.execute(sql.FEED_LAST, (project, after, upto, wanted, limit - 1)).fetchone()
        last = row[0] if row else upto
        with closing(db.execute(sql.FEED, (project, after, last, wanted))) as rows:
            return whole_changes((_record(*row) for row in rows), most_bytes)


def repeated(db: sqlite3.Connection, credential: str, key: str, now: int) -> Idempotency | None:
    row = db.execute(sql.REPEATED, (credential, key, now)).fetchone()
    return row and Idempotency(*row)


def _size(row: tuple[Any, ...]) -> int:
    """The size of a job's head, which is the last column."""
    return len(row[-1])


def _stored(seq: int, head: bytes) -> Stored:
    return Stored(decode_head(head), seq)


def _record(job: str, key: int, seq: int, level: int, value: bytes) -> Record:
    return Record(seq, Entry(kind_of(key), n_of(key), level, Raw(value)), job)
