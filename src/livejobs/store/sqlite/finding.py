"""Find and count the jobs that match a query. The SQL is chosen here, and never scans a table.

Without ids or text, the rarest label of the query is read, one stretch for each project and
status, merged newest first; each other label is one lookup a job. The table of counters says
which label is the rarest and which stretches are empty, so that empty ones are never read. Text
is looked up in its own index, which knows no labels; where ids or labels leave few jobs, those
jobs are read instead.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from livejobs.core.model import STATUSES, Status
from livejobs.store.base import Query
from livejobs.store.matching import contains
from livejobs.store.rows import EVERY, Stretch, named, projects_of
from livejobs.store.sqlite import sql

END: Final = 1 << 62  # after every pk
BRANCHES: Final = 400  # in one statement; SQLite allows 500
PHRASE: Final = 5  # letters; a longer text is looked up in pieces of three
FEW: Final = 1_000  # reading this many jobs is faster than looking up a common word

_json = msgspec.json.Encoder().encode
Params: TypeAlias = list[object]


class Sized(NamedTuple):
    """A stretch of labels and its length."""

    stretch: Stretch
    n: int


def find(
    db: sqlite3.Connection,
    query: Query,
    projects: Mapping[str, int],
    limit: int,
    before: int,
    skip: int = 0,
) -> list[int]:
    """The newest `limit` jobs older than `before`, without the newest `skip` of those."""
    few = _few(db, query, projects)
    if few is not None:
        return sorted((pk for pk, _ in few if pk < before), reverse=True)[skip : skip + limit]
    if query.q is not None:
        text, params = _text(query, projects, before)
        return [row[0] for row in db.execute(text + sql.FOUND_TEXT, [*params, limit, skip])]
    stretches = [one.stretch for one in _stretches(db, query, projects)]
    return _walk(db, stretches, _labels(query), limit, before, skip)


def count(db: sqlite3.Connection, query: Query, projects: Mapping[str, int]) -> Counter[Status]:
    """Count by status. The caller leaves out the query's own statuses."""
    few = _few(db, query, projects)
    if few is not None:
        return Counter(status for _, status in few)
    if query.q is not None:
        text, params = _text(query, projects, END)
        row = db.execute(sql.COUNTED.format(text), params).fetchone()
        return Counter(dict(zip(STATUSES, row, strict=True)))
    wanted = _labels(query)
    total: Counter[Status] = Counter()
    for stretch, n in _stretches(db, query, projects):
        total[STATUSES[stretch[2]]] += n if len(wanted) == 1 else _length(db, stretch, wanted)
    return total


def _few(
    db: sqlite3.Connection, query: Query, projects: Mapping[str, int]
) -> list[tuple[int, Status]] | None:
    """All matching jobs, if ids (or labels, in a query with text) leave only a few; else None."""
    if query.ids:
        text, params = _rest(sql.FIND_IDS, [_list(query.ids)], query, projects)
        pks = [row[0] for row in db.execute(text, params)]
    elif query.q is None or not named(query):
        return None
    else:
        sized = _stretches(db, query, projects)
        if sum(one.n for one in sized) > FEW:
            return None
        pks = _walk(db, [one.stretch for one in sized], _labels(query), FEW, END)
    text, params = (sql.STATUS, [_list(pks)])
    if query.q is not None:
        text, params = text + sql.HOLDS, [*params, query.q]
    return [(pk, STATUSES[status]) for pk, status in db.execute(text, params)]


def _walk(
    db: sqlite3.Connection,
    stretches: Sequence[Stretch],
    wanted: Sequence[str],
    limit: int,
    before: int,
    skip: int = 0,
) -> list[int]:
    """Read some stretches as one, newest first. SQLite merges the sorted branches while it reads
    them, and reads only what is taken."""
    found: list[int] = []
    if len(stretches) > BRANCHES:  # each statement sees a part, so none knows how many to skip
        limit, skip, rest = limit + skip, 0, skip
    else:
        rest = 0
    for start in range(0, len(stretches), BRANCHES):
        branches = [_branch(one, wanted, before) for one in stretches[start : start + BRANCHES]]
        text = " UNION ALL ".join(text for text, _ in branches) + sql.FOUND
        params = [param for _, params in branches for param in params]
        found += [row[0] for row in db.execute(text, [*params, limit, skip])]
    return sorted(found, reverse=True)[rest:limit]


def _length(db: sqlite3.Connection, stretch: Stretch, wanted: Sequence[str]) -> int:
    """How many jobs of a stretch have all the labels."""
    text, params = _branch(stretch, wanted, END)
    return int(db.execute(sql.HOW_MANY.format(text), params).fetchone()[0])


def _branch(stretch: Stretch, wanted: Iterable[str], before: int) -> tuple[str, Params]:
    others = [label for label in wanted if label != stretch[0]]
    return sql.FIND_LABEL + sql.HAS_LABEL * len(others), [*stretch, before, *others]


def _stretches(db: sqlite3.Connection, query: Query, projects: Mapping[str, int]) -> list[Sized]:
    """The stretches of the query's rarest label in its projects and statuses."""
    among = projects_of(query, projects)
    each = [list(_sized(db, label, query, among)) for label in _labels(query)]
    return min(each, key=lambda sized: sum(one.n for one in sized))


def _sized(db: sqlite3.Connection, label: str, query: Query, among: set[int]) -> Iterable[Sized]:
    for _, project, status, n in db.execute(sql.STRETCHES, (label,)):
        if project in among and (not query.statuses or STATUSES[status] in query.statuses):
            yield Sized((label, project, status), n)


def _text(query: Query, projects: Mapping[str, int], before: int) -> tuple[str, Params]:
    """Find jobs by a part of id or title. A long part is looked up by its pieces, and each match is
    then compared with the whole part. As a phrase, it would cost its length at every place where it
    could begin, which in a title of one repeated letter is every place."""
    q = query.q or ""
    if len(q) <= PHRASE:
        return _rest(sql.FIND_TEXT, [quoted(q), before], query, projects)
    return _rest(sql.FIND_TEXT + sql.HOLDS, [pieces(q), before, q], query, projects)


def _rest(
    text: str, params: Params, query: Query, projects: Mapping[str, int]
) -> tuple[str, Params]:
    """Add the conditions of the query other than ids and text."""
    if query.projects is not None:
        text += sql.HAS_PROJECT
        params.append(_list(projects_of(query, projects)))
    if query.statuses:
        text += sql.HAS_STATUS
        params.append(_list(STATUSES.index(status) for status in query.statuses))
    for label in named(query):
        text += sql.HAS_LABEL
        params.append(label)
    return text, params


def _labels(query: Query) -> list[str]:
    """The query's labels, or the label that every job has."""
    return named(query) or [EVERY]


def pieces(part: str) -> str:
    """The pieces of three letters, as the index has them, that every match of a part holds."""
    ends = {*range(3, len(part), 3), len(part)}
    return " AND ".join(dict.fromkeys(quoted(part[end - 3 : end]) for end in sorted(ends)))


class Named(msgspec.Struct):
    """The fields of a head that a text is searched in."""

    id: str
    title: str | None = None


_named_of = msgspec.json.Decoder(Named).decode


def holds(head: bytes, part: str) -> bool:
    """`contains`, for SQL."""
    return contains(_named_of(head), part)


def quoted(part: str) -> str:
    """Quote a text as one phrase of FTS5, where only the quote has a meaning. FTS5 ends a phrase at
    a NUL and then reports an error, so a NUL is replaced."""
    return '"' + part.replace('"', '""').replace("\0", "\ufffd") + '"'


def _list(values: Iterable[object]) -> str:
    """Any number of values as one parameter."""
    return _json(list(values)).decode()
