"""The reads. Each is one statement, so it sees one state of the database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

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
from livejobs.store.base import Changes, EntryQuery, Gone, Idempotency, Page, Query
from livejobs.store.paging import merged, up_to, whole_changes
from livejobs.store.postgres.sql import finding
from livejobs.store.postgres.sql import reading as sql
from livejobs.store.postgres.text import kept, pattern
from livejobs.store.rows import ALL, EVERY, key, kind_of, n_of, named, projects_of

END: Final = 1 << 62  # more than every pk, n, seq and size
FEW: Final = 1_000  # reading this many jobs is faster than looking up a common word


async def job(db: Any, id: str) -> Stored | None:
    row = await db.fetchrow(sql.JOB, kept(id))
    return row and _stored(*row)


async def unfinished(db: Any) -> list[Stored]:
    return [_stored(*row) for row in await db.fetch(sql.UNFINISHED)]


async def expired(db: Any, now: int, limit: int) -> list[Stored]:
    return [_stored(*row) for row in await db.fetch(sql.EXPIRED, now, limit)]


async def page(
    db: Any,
    query: Query,
    projects: Mapping[str, int],
    limit: int,
    before: int | None,
    skip: int,
    most_bytes: int | None,
) -> Page:
    places = [END if before is None else before, limit + 1, skip]
    most = END if most_bytes is None else most_bytes
    where = _where(query, projects)
    if query.ids:
        ids = [kept(id) for id in query.ids]
        rows = await db.fetch(finding.LIST_BY_IDS, *where, *places, ids, most)
    elif await _by_text(db, query, where):
        rows = await db.fetch(finding.LIST_BY_TEXT, *where, *places, most)
    else:
        where[2] = where[2] or [EVERY]
        rows = await db.fetch(finding.LIST_BY_LABEL, *where, *places, most)
    whole = [row for row in rows[:limit] if row[2] is not None]
    shown = up_to(whole, lambda row: len(row[2]), most_bytes)
    more = len(rows) > len(shown)
    return Page(tuple(_stored(*row[1:]) for row in shown), shown[-1][0] if more else None)


async def latest(
    db: Any,
    project: int,
    statuses: Sequence[Status],
    before: int | None,
    limit: int,
    most_bytes: int | None,
    scanned: int,
) -> Page:
    wanted = [STATUSES.index(status) for status in statuses or STATUSES]
    places = [END if before is None else before, wanted, scanned, limit + 1]
    most = END if most_bytes is None else most_bytes
    found = await db.fetch(sql.LATEST, project, *places, most)
    rows = [row[1:] for row in found if row[1] is not None]
    whole = [row for row in rows[:limit] if row[1] is not None]
    shown = tuple(_stored(*row) for row in whole)
    return Page(shown, shown[-1].seq if len(rows) > len(shown) else found[0][0])


async def counts(db: Any, query: Query, projects: Mapping[str, int]) -> Mapping[Status, int]:
    query = replace(query, statuses=())
    where = _where(query, projects)
    if query.ids:
        rows = await db.fetch(finding.COUNT_BY_IDS, *where, [kept(id) for id in query.ids])
    elif await _by_text(db, query, where):
        rows = await db.fetch(finding.COUNT_BY_TEXT, *where)
    elif query.q is None and len(where[2]) < 2:
        sizes = await db.fetch(finding.SIZES, where[0], where[1], where[2] or [EVERY])
        rows = [row[1:] for row in sizes]
    else:
        rows = await db.fetch(finding.COUNT_BY_LABEL, *where)
    found = Counter({STATUSES[status]: n for status, n in rows})
    return {status: found[status] for status in STATUSES}


def _where(query: Query, projects: Mapping[str, int]) -> list[Any]:
    """The parameters that every list and count begins with."""
    statuses = query.statuses or STATUSES
    return [
        sorted(projects_of(query, projects)),
        [STATUSES.index(status) for status in statuses],
        [kept(label) for label in named(query)],
        None if query.q is None else pattern(query.q),
    ]


async def _by_text(db: Any, query: Query, where: Sequence[Any]) -> bool:
    """Whether to look up the text, rather than to read the jobs with the rarest label."""
    if query.q is None or not where[2]:
        return query.q is not None
    sizes: Counter[str] = Counter(dict.fromkeys(where[2], 0))
    for label, _, n in await db.fetch(finding.SIZES, *where[:3]):
        sizes[label] += n
    return min(sizes.values()) > FEW


async def history(
    db: Any,
    names: tuple[str, ...] | None,
    projects: Mapping[str, int],
    range: Range,
    since: int,
) -> History:
    among = sorted(projects_of(Query(names), projects))
    counted = [ALL] if names is None else among
    steps: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for at, what, n in await db.fetch(finding.HISTORY, counted, range.step, since, among):
        steps[at][what] = n
    now = steps.pop(-1, {})
    return History({status: now.get(at, 0) for at, status in enumerate(STATUSES)}, steps)


async def entries(db: Any, query: EntryQuery) -> list[Record]:
    text = sql.ENTRIES_TAIL if query.tail else sql.ENTRIES
    most = END if query.most_bytes is None else query.most_bytes
    rows = await db.fetch(
        text,
        kept(query.job),
        key(0, query.kind, 0),
        min(query.after, END),
        query.after_seq,
        query.level,
        query.limit,
        most,
    )
    records = whole_changes((_record(query.job, *row) for row in rows), query.most_bytes)
    return records[::-1] if query.tail else records


async def changes(db: Any, project: int, after: int, limit: int, most_bytes: int | None) -> Changes:
    most = END if most_bytes is None else most_bytes
    rows = await db.fetch(sql.CHANGES, project, after, limit + 1, most)
    jobs = [row for row in rows if row[1] is None]
    whole = [(seq, head) for seq, _, head in jobs if head is not None]
    some = up_to(whole, lambda row: len(row[1]), most_bytes)
    gone = [Gone(id, seq) for seq, id, _ in rows if id is not None]
    found = [_stored(*row) for row in some]
    return merged(found, gone, limit, more=len(some) < len(jobs))


async def feed_entries(
    db: Any,
    project: int,
    after: int,
    upto: int,
    limit: int,
    kinds: Sequence[EntryKind],
    most_bytes: int | None,
) -> list[Record]:
    most = END if most_bytes is None else most_bytes
    wanted = [KINDS.index(kind) for kind in kinds]
    rows = await db.fetch(sql.FEED, project, after, upto, wanted, limit - 1, most)
    return whole_changes((_record(*row) for row in rows), most_bytes)


async def repeated(db: Any, credential: str, key: str, now: int) -> Idempotency | None:
    row = await db.fetchrow(sql.REPEATED, kept(credential), kept(key), now)
    return row and Idempotency(credential, key, *row)


def _stored(seq: int, head: bytes) -> Stored:
    return Stored(decode_head(head), seq)


def _record(job: str, key: int, seq: int, level: int, value: bytes) -> Record:
    return Record(seq, Entry(kind_of(key), n_of(key), level, Raw(value)), job)
