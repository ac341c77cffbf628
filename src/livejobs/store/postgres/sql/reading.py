"""Jobs, changes and entries."""

from __future__ import annotations

from typing import Final

STORED: Final = (
    "SELECT h.seq, h.head FROM livejobs.jobs AS j JOIN livejobs.heads AS h USING (project, pk)"
)
JOB: Final = STORED + " WHERE j.id = $1"
UNFINISHED: Final = STORED + " WHERE j.status < 2 ORDER BY j.pk"
EXPIRED: Final = (
    STORED + " WHERE j.expires_at <= $1 AND j.status >= 2 ORDER BY j.expires_at LIMIT $2"
)
REPEATED: Final = (
    "SELECT body, job, expires_at FROM livejobs.idempotency"
    " WHERE credential = $1 AND key = $2 AND expires_at > $3"
)
# What is left out for the size of what comes before it, is NULL.
HEAD_IN_ROOM: Final = (
    "CASE WHEN sum(octet_length(head)) OVER (ORDER BY {order}) - octet_length(head) < {most}"
    " THEN head END"
)
CHANGES: Final = (
    "(SELECT h.seq, NULL AS id, "
    + HEAD_IN_ROOM.format(order="h.seq", most="$4::bigint")
    + " FROM (SELECT seq, head FROM livejobs.heads WHERE project = $1 AND seq > $2"
    " ORDER BY seq LIMIT $3) AS h)"
    " UNION ALL (SELECT seq, id, NULL FROM livejobs.gone WHERE project = $1 AND seq > $2"
    " ORDER BY seq LIMIT $3) ORDER BY seq"
)
# The newest changes among those of the statuses, and where the search for them has ended: null if
# there are no more jobs.
LATEST: Final = (
    "WITH seen AS MATERIALIZED (SELECT h.pk, h.seq, j.status = ANY($3::smallint[]) AS wanted"
    " FROM livejobs.heads AS h JOIN livejobs.jobs AS j USING (project, pk)"
    " WHERE h.project = $1 AND h.seq < $2 ORDER BY h.seq DESC LIMIT $4),"
    " found AS (SELECT pk, seq FROM seen WHERE wanted ORDER BY seq DESC LIMIT $5)"
    " SELECT (SELECT CASE WHEN count(*) = $4 THEN min(seq) END FROM seen), f.seq, "
    + HEAD_IN_ROOM.format(order="f.seq DESC", most="$6::bigint")
    + " FROM (SELECT 1) AS one LEFT JOIN (found AS f JOIN livejobs.heads AS h"
    " ON h.project = $1 AND h.pk = f.pk) ON true ORDER BY f.seq DESC"
)

# Entries. A page ends with the change that makes it reach $n bytes.
_PAGE: Final = (
    "SELECT {columns} FROM (SELECT *, coalesce(sum(octet_length(value))"
    " OVER (ORDER BY seq {order} GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before"
    " FROM ({{found}}) AS found) AS page WHERE before < {most} ORDER BY key {order}"
)
# The first key after a seq, by halving: seq grows with n, and n has no gaps. The oldest may have
# been removed.
_PLACE: Final = (
    "WITH RECURSIVE job AS (SELECT project, pk << 32 | $2::bigint AS first"
    " FROM livejobs.jobs WHERE id = $1),"
    " place (project, first, low, high) AS ("
    "SELECT project, first, CASE WHEN $4::bigint > 0 THEN coalesce((SELECT min(key)"
    " FROM livejobs.entries AS e WHERE e.project = job.project"
    " AND e.key BETWEEN first AND first + {last}), first + 1) ELSE first + 1 END,"
    " CASE WHEN $4 > 0 THEN coalesce((SELECT max(key)"
    " FROM livejobs.entries AS e WHERE e.project = job.project"
    " AND e.key BETWEEN first AND first + {last}), first) + 1 ELSE first + 1 END FROM job"
    " UNION ALL SELECT project, first, CASE WHEN known THEN middle + 1 ELSE low END,"
    " CASE WHEN known THEN high ELSE middle END FROM (SELECT p.*, low + (high - low) / 2 AS middle,"
    " (SELECT seq <= $4 FROM livejobs.entries AS e WHERE e.project = p.project"
    " AND e.key = low + (high - low) / 2) AS known FROM place AS p WHERE low < high) AS half) "
)
_ENTRIES: Final = (
    "SELECT e.key, e.seq, e.level, e.value FROM place, LATERAL (SELECT * FROM livejobs.entries AS e"
    " WHERE e.project = place.project AND e.key >= greatest(low, first + 1 + $3::bigint)"
    " AND e.key <= first + {last} AND e.level >= $5::integer ORDER BY e.key {order} LIMIT $6) AS e"
    " WHERE low >= high"
)


def _entries(order: str) -> str:
    last = (1 << 30) - 1
    found = _ENTRIES.format(last=last, order=order)
    page = _PAGE.format(columns="key, seq, level, value", order=order, most="$7::bigint")
    return _PLACE.format(last=last) + page.format(found=found)


ENTRIES: Final = _entries("ASC")
ENTRIES_TAIL: Final = _entries("DESC")

# Bits 30 and 31 of a key are the kind. Without CASE, PostgreSQL expects that hardly any entry is of
# these kinds, and sorts all of them rather than to read the first in order.
_OF_FEED: Final = (
    " FROM livejobs.entries AS e"
    " JOIN livejobs.jobs AS j ON j.project = e.project AND j.pk = key >> 32"
    " WHERE e.project = $1 AND e.seq > $2 AND e.seq <= {upto}"
    " AND CASE WHEN (key >> 30 & 3) = ANY($4::bigint[]) THEN true END"
)
FEED: Final = (
    "WITH last AS (SELECT e.seq"
    + _OF_FEED.format(upto="$3")
    + " ORDER BY e.seq LIMIT 1 OFFSET $5) SELECT id, key, seq, level, value FROM ("
    "SELECT *, coalesce(sum(octet_length(value))"
    " OVER (ORDER BY seq GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before"
    " FROM (SELECT j.id, e.key, e.seq, e.level, e.value"
    + _OF_FEED.format(upto="coalesce((SELECT seq FROM last), $3)")
    + ") AS found) AS page WHERE before < $6::bigint ORDER BY seq, key"
)
