"""Lists of jobs, counts, and the history."""

from __future__ import annotations

from typing import Final

from livejobs.store.postgres.sql.reading import HEAD_IN_ROOM

# Lists and counts. The rarest label is read, one stretch for each project and status, newest first.
_HAS_LABELS: Final = (
    " AND (cardinality($3::text[]) {nothing_to_check} OR (SELECT count(*) FROM livejobs.labels AS o"
    " WHERE o.project = {job}.project AND o.label = ANY($3::text[]) AND o.status = {job}.status"
    " AND o.pk = {job}.pk) = cardinality($3::text[]))"
)
_HOLDS: Final = (
    " AND ({q}::text IS NULL OR EXISTS (SELECT 1 FROM livejobs.search AS s"
    " WHERE s.project = {job}.project AND s.pk = {job}.pk AND s.text LIKE {q}))"
)
# $1 projects, $2 statuses, $3 labels, $4 q
_WALK: Final = (
    "WITH rarest AS MATERIALIZED (SELECT w.label FROM unnest($3::text[]) AS w (label)"
    " LEFT JOIN livejobs.counters AS c ON c.project = ANY($1::integer[]) AND c.label = w.label"
    " AND c.status = ANY($2::smallint[])"
    " GROUP BY w.label ORDER BY coalesce(sum(c.n), 0) LIMIT 1),"
    " stretches AS MATERIALIZED (SELECT c.project, c.label, c.status FROM rarest"
    " JOIN livejobs.counters AS c ON c.project = ANY($1) AND c.label = rarest.label"
    " AND c.status = ANY($2) WHERE c.n > 0) "
)
_IN_STRETCH: Final = (
    "SELECT l.project, l.pk, l.status FROM livejobs.labels AS l WHERE l.project = s.project"
    " AND l.label = s.label AND l.status = s.status"
    + _HAS_LABELS.format(job="l", nothing_to_check="= 1")
    + _HOLDS.format(job="l", q="$4")
)
_BY_LABEL: Final = (
    "SELECT l.* FROM stretches AS s CROSS JOIN LATERAL ("
    + _IN_STRETCH
    + " AND l.pk < $5 ORDER BY l.pk DESC LIMIT $6::bigint + $7::bigint) AS l"
)
_BY_IDS: Final = (
    "SELECT j.project, j.pk, j.status FROM livejobs.jobs AS j WHERE j.id = ANY($8::text[])"
    " AND j.project = ANY($1::integer[]) AND j.status = ANY($2::smallint[])"
    + _HAS_LABELS.format(job="j", nothing_to_check="= 0")
    + _HOLDS.format(job="j", q="$4")
    + " AND j.pk < $5"
)
_BY_TEXT: Final = (
    "SELECT j.project, j.pk, j.status FROM livejobs.search AS s JOIN livejobs.jobs AS j"
    " USING (project, pk) WHERE s.text LIKE $4::text AND s.project = ANY($1::integer[])"
    " AND j.status = ANY($2::smallint[])"
    + _HAS_LABELS.format(job="j", nothing_to_check="= 0")
    + " AND s.pk < $5"
)
_SHOWN: Final = (
    "SELECT f.pk, h.seq, "
    + HEAD_IN_ROOM.format(order="f.pk DESC", most="${most}::bigint")
    + " FROM ({found} ORDER BY pk DESC LIMIT $6::bigint OFFSET $7::bigint) AS f"
    " JOIN livejobs.heads AS h USING (project, pk) ORDER BY f.pk DESC"
)
_COUNTED: Final = "SELECT status, count(*) FROM ({found}) AS f GROUP BY status"
LIST_BY_LABEL: Final = _WALK + _SHOWN.format(found=_BY_LABEL, most=8)
LIST_BY_IDS: Final = _SHOWN.format(found=_BY_IDS, most=9)
LIST_BY_TEXT: Final = _SHOWN.format(found=_BY_TEXT, most=8)
COUNT_BY_LABEL: Final = _WALK + _COUNTED.format(
    found=f"SELECT l.* FROM stretches AS s CROSS JOIN LATERAL ({_IN_STRETCH}) AS l"
)
COUNT_BY_IDS: Final = _COUNTED.format(
    found=_BY_IDS.replace("$8", "$5").removesuffix(" AND j.pk < $5")
)
COUNT_BY_TEXT: Final = _COUNTED.format(found=_BY_TEXT.removesuffix(" AND s.pk < $5"))
SIZES: Final = (
    "SELECT label, status, sum(n)::bigint FROM livejobs.counters WHERE project = ANY($1::integer[])"
    " AND status = ANY($2::smallint[]) AND label = ANY($3::text[]) GROUP BY label, status"
)

# The steps, and as step -1 how many jobs there are now. Both are of the same moment.
HISTORY: Final = (
    "SELECT at, what, sum(n)::bigint FROM livejobs.history"
    " WHERE project = ANY($1::integer[]) AND step = $2 AND at >= $3 GROUP BY at, what"
    " UNION ALL SELECT -1, status, sum(n)::bigint FROM livejobs.counters"
    " WHERE project = ANY($4::integer[]) AND label = '' GROUP BY status"
)
