"""Every statement of the PostgreSQL store. The tables are in schema.sql.

A statement that writes many rows is made of parts. Each part is one WITH query whose rows, `{}` in
its text, come as one array for each column. All parts of a statement see the database as it was
before the statement, so no two of them may write the same row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

# The first n files make version n of the schema. Add to this list; never change or remove a file.
_VERSIONS: Final = ("schema", "retention", "webhooks")
MIGRATIONS: Final = tuple(Path(__file__).with_name(f"{name}.sql") for name in _VERSIONS)


class Part(NamedTuple):
    name: str
    text: str
    types: tuple[str, ...]  # of the columns of its rows


def statement(parts: Sequence[Part], last: str) -> str:
    number = count(1)
    withs = []
    for part in parts:
        columns = ", ".join(f"${next(number)}::{type}[]" for type in part.types)
        withs.append(f"{part.name} AS ({part.text.format(f'unnest({columns})')})")
    return f"WITH {', '.join(withs)} {last}"


def only_if(condition: str, parts: Sequence[Part]) -> list[Part]:
    """The same parts, without rows unless the condition holds. It is evaluated before the parts
    touch anything."""
    rows = f"(SELECT * FROM {{}} AS it WHERE {condition})"
    return [Part(it.name, it.text.replace("{}", rows), it.types) for it in parts]


# The commit. It writes nothing unless all projects were at the seqs that we know. The projects are
# locked first and in order, so nodes that commit to the same projects wait for each other, and
# do not deadlock.
LOCKED: Final = Part(
    "locked",
    "SELECT pk, seq FROM livejobs.projects WHERE pk = ANY($1::integer[]) ORDER BY pk FOR UPDATE",
    (),
)
SEQS: Final = Part(
    "given",
    "UPDATE livejobs.projects AS p SET seq = it.seq, floor = greatest(p.floor, it.floor)"
    " FROM {} AS it (pk, known, seq, floor) WHERE p.pk = it.pk"
    " AND (SELECT count(*) FROM locked JOIN unnest($1::integer[], $2::bigint[]) AS k (pk, seq)"
    " USING (pk, seq)) = cardinality($1::integer[]) RETURNING p.name, p.seq",
    ("integer", "bigint", "bigint", "bigint"),
)
GIVEN: Final = "(SELECT count(*) FROM given) > 0"
# The node's own row: its old connections can't write any more.
DONE: Final = Part(
    "done",
    "UPDATE livejobs.nodes AS n SET done = it.done FROM {} AS it (id, term, done)"
    " WHERE n.id = it.id AND n.term = it.term RETURNING n.id",
    ("text", "bigint", "bigint"),
)
HEARD: Final = Part(
    "heard",
    "SELECT pg_notify('livejobs', it.node || ' ' || given.seq || ' ' || given.name)"
    " FROM {} AS it (node) CROSS JOIN given",
    ("text",),
)
HEADS: Final = Part(
    "heads",
    "INSERT INTO livejobs.heads (project, pk, seq, head) SELECT * FROM {} AS it"
    " ON CONFLICT (project, pk) DO UPDATE SET seq = excluded.seq, head = excluded.head",
    ("integer", "bigint", "bigint", "bytea"),
)
ENTRIES_NEW: Final = Part(
    "entries",
    "INSERT INTO livejobs.entries (project, key, seq, level, value) SELECT * FROM {} AS it",
    ("integer", "bigint", "bigint", "smallint", "bytea"),
)
JOBS_GONE: Final = Part(
    "dead",
    "DELETE FROM livejobs.jobs AS j USING {} AS it (project, pk)"
    " WHERE j.project = it.project AND j.pk = it.pk RETURNING j.pk",
    ("integer", "bigint"),
)
HEADS_GONE: Final = Part(
    "headless",
    "DELETE FROM livejobs.heads AS h USING {} AS it (project, pk)"
    " WHERE h.project = it.project AND h.pk = it.pk",
    ("integer", "bigint"),
)
SEARCH_GONE: Final = Part(
    "unsearched",
    "DELETE FROM livejobs.search AS s USING {} AS it (project, pk)"
    " WHERE s.project = it.project AND s.pk = it.pk",
    ("integer", "bigint"),
)
ENDED_NEW: Final = Part(
    "ended",
    "INSERT INTO livejobs.ended (project, pk) SELECT * FROM {} AS it",
    ("integer", "bigint"),
)
# Counting `dead` makes the deletes come first: a job may be deleted and its id used again.
JOBS_NEW: Final = Part(
    "jobs",
    "INSERT INTO livejobs.jobs (project, pk, id, status, expires_at)"
    " SELECT * FROM {} AS it WHERE (SELECT count(*) FROM dead) >= 0"
    " ON CONFLICT (project, pk) DO UPDATE"
    " SET status = excluded.status, expires_at = excluded.expires_at",
    ("integer", "bigint", "text", "smallint", "bigint"),
)
SEARCH_NEW: Final = Part(
    "searched",
    "INSERT INTO livejobs.search (project, pk, text) SELECT * FROM {} AS it"
    " ON CONFLICT (project, pk) DO UPDATE SET text = excluded.text",
    ("integer", "bigint", "text"),
)
LABELS_GONE: Final = Part(
    "left_labels",
    "DELETE FROM livejobs.labels AS l USING {} AS it (project, label, status, pk)"
    " WHERE l.project = it.project AND l.label = it.label AND l.status = it.status"
    " AND l.pk = it.pk",
    ("integer", "text", "smallint", "bigint"),
)
LABELS_NEW: Final = Part(
    "entered_labels",
    "INSERT INTO livejobs.labels (project, label, status, pk) SELECT * FROM {} AS it",
    ("integer", "text", "smallint", "bigint"),
)
SUMS: Final = Part(
    "sums",
    "INSERT INTO livejobs.counters AS c (project, label, status, n) SELECT * FROM {} AS it"
    " ON CONFLICT (project, label, status) DO UPDATE SET n = c.n + excluded.n"
    " RETURNING project, label, status",
    ("integer", "text", "smallint", "bigint"),
)
EMPTY_GONE: Final = Part(
    "emptied",
    "DELETE FROM livejobs.counters AS c WHERE n = 0 AND project IN (SELECT project FROM sums)"
    " AND NOT EXISTS (SELECT 1 FROM sums"
    " WHERE sums.project = c.project AND sums.label = c.label AND sums.status = c.status)",
    (),
)
TRIMMED: Final = Part(
    "cut",
    "INSERT INTO livejobs.trims (project, kind, last) SELECT * FROM {} AS it"
    " ON CONFLICT (project, kind) DO UPDATE SET last = excluded.last",
    ("integer", "bigint", "bigint"),
)
GONE_NEW: Final = Part(
    "gone",
    "INSERT INTO livejobs.gone (project, seq, id) SELECT * FROM {} AS it",
    ("integer", "bigint", "text"),
)
GONE_TRIM: Final = Part(
    "trimmed",
    "DELETE FROM livejobs.gone AS g USING {} AS it (project, floor)"
    " WHERE g.project = it.project AND g.seq <= it.floor",
    ("integer", "bigint"),
)
COUNTED_NEW: Final = Part(
    "counted",
    "INSERT INTO livejobs.history AS h (project, step, at, what, n) SELECT * FROM {} AS it"
    " ON CONFLICT (project, step, at, what) DO UPDATE SET n = h.n + excluded.n",
    ("integer", "integer", "bigint", "integer", "bigint"),
)
COUNTED_GONE: Final = Part(
    "outdated",
    "DELETE FROM livejobs.history AS h USING {} AS it (project, step, since)"
    " WHERE h.project = it.project AND h.step = it.step AND h.at < it.since",
    ("integer", "integer", "bigint"),
)
FILES_NEW: Final = Part(
    "files",
    "INSERT INTO livejobs.files (project, key, size, ended) SELECT * FROM {} AS it",
    ("integer", "text", "bigint", "boolean"),
)
FILES_END: Final = Part(
    "ended_files",
    "UPDATE livejobs.files SET ended = true WHERE key IN (SELECT * FROM {} AS it)",
    ("text",),
)
REPEATABLE: Final = Part(
    "repeatable",
    "INSERT INTO livejobs.idempotency (credential, key, body, job, expires_at)"
    " SELECT * FROM {} AS it ON CONFLICT (credential, key) DO UPDATE"
    " SET body = excluded.body, job = excluded.job, expires_at = excluded.expires_at"
    " RETURNING credential, key",
    ("text", "text", "bytea", "text", "bigint"),
)
REPEATABLE_TRIM: Final = Part(
    "unrepeatable",
    "DELETE FROM livejobs.idempotency AS i"
    " WHERE expires_at <= (SELECT max(now) FROM {} AS it (now))"
    " AND NOT EXISTS (SELECT 1 FROM repeatable AS r"
    " WHERE r.credential = i.credential AND r.key = i.key)",
    ("bigint",),
)
AUDIT_NEW: Final = Part(
    "audited",
    "INSERT INTO livejobs.acts (act, job) SELECT * FROM {} AS it RETURNING n",
    ("bytea", "text"),
)
AUDIT_TRIM: Final = Part(
    "unaudited",
    "DELETE FROM livejobs.acts"
    " WHERE n <= (SELECT max(n) FROM audited) - (SELECT max(n) FROM {} AS it (n))",
    ("bigint",),
)
HOOKS_NEW: Final = Part(
    "hooked",
    "INSERT INTO livejobs.hooks (id, job, gone, hook) SELECT * FROM {} AS it",
    ("text", "text", "boolean", "bytea"),
)
HOOKS_OF_GONE: Final = Part(
    "unhooked",
    "UPDATE livejobs.hooks SET gone = true WHERE id IN (SELECT * FROM {} AS it)",
    ("text",),
)
# Only the last delivery of a job to a webhook: an older one would come before what happened since.
CALLS_RENEWED: Final = Part(
    "renewed",
    "UPDATE livejobs.deliveries AS d SET seq = it.seq, at = it.at, head = it.head"
    " FROM {} AS it (hook, job, seq, at, head) WHERE d.event = 'progress' AND d.state = 0"
    " AND NOT d.replay AND d.n = (SELECT max(o.n) FROM livejobs.deliveries AS o"
    " WHERE o.hook = it.hook AND o.job = it.job) RETURNING d.hook, d.job",
    ("text", "text", "bigint", "bigint", "bytea"),
)
CALLS_NEW: Final = Part(
    "called",
    "INSERT INTO livejobs.deliveries (hook, project, job, event, receiver, seq, at, replay, state,"
    " attempts, next_at, head) SELECT it.hook, it.project, it.job, it.event, it.receiver, it.seq,"
    " it.at, false, 0, 0, it.at, it.head"
    " FROM {} AS it (hook, project, job, event, seq, at, receiver, head, renews, place)"
    " WHERE NOT (it.renews AND EXISTS (SELECT 1 FROM renewed AS r"
    " WHERE r.hook = it.hook AND r.job = it.job)) ORDER BY it.place",
    ("text", "integer", "text", "text", "bigint", "bigint", "text", "bytea", "boolean", "bigint"),
)

# 0: a project had another seq. If only the node's own row did not match, this is an error, which
# rolls back the rest.
_CHECK: Final = (
    "SELECT CASE WHEN (SELECT count(*) FROM given) = 0 THEN 0"
    " ELSE 1 / (SELECT count(*) FROM done) END, (SELECT count(*) FROM heard)"
)
# The usual commit: entries and heads of jobs that are found where they were.
TOLD_PARTS: Final = (LOCKED, SEQS, *only_if(GIVEN, (DONE, HEARD, HEADS, ENTRIES_NEW)))
TOLD: Final = statement(TOLD_PARTS, _CHECK)
COMMIT_PARTS: Final = (
    *TOLD_PARTS,
    *only_if(GIVEN, (JOBS_GONE, HEADS_GONE, SEARCH_GONE, ENDED_NEW, JOBS_NEW, SEARCH_NEW)),
    *only_if(GIVEN, (LABELS_GONE, LABELS_NEW, SUMS, EMPTY_GONE, GONE_NEW, GONE_TRIM, TRIMMED)),
    *only_if(GIVEN, (COUNTED_NEW, COUNTED_GONE, FILES_NEW, FILES_END)),
    *only_if(GIVEN, (REPEATABLE, REPEATABLE_TRIM, AUDIT_NEW, AUDIT_TRIM)),
    *only_if(GIVEN, (HOOKS_NEW, HOOKS_OF_GONE, CALLS_RENEWED, CALLS_NEW)),
)
COMMIT: Final = statement(COMMIT_PARTS, _CHECK)
TOUCHED: Final = (
    "UPDATE livejobs.projects SET seq = seq WHERE pk = (SELECT min(pk) FROM livejobs.projects)"
)

PROJECTS: Final = "SELECT pk, name, epoch, seq, floor FROM livejobs.projects ORDER BY pk"
PROJECT: Final = "SELECT pk, name, epoch, seq, floor FROM livejobs.projects WHERE name = $1"
PROJECT_NEW: Final = (
    "INSERT INTO livejobs.projects (name, epoch, seq, floor) VALUES ($1, $2, 0, 0)"
    " ON CONFLICT (name) DO NOTHING"
)
LOCK_PROJECTS: Final = (
    "SELECT pk FROM livejobs.projects WHERE name = ANY($1::text[]) ORDER BY pk FOR UPDATE"
)
NEW_PKS: Final = "SELECT nextval('livejobs.pks') FROM generate_series(1, $1::integer)"
UNFINISHED_PKS: Final = "SELECT id, pk FROM livejobs.jobs WHERE status < 2"
PKS: Final = "SELECT id, pk FROM livejobs.jobs WHERE id = ANY($1::text[])"
GONE_COUNTS: Final = "SELECT project, count(*) FROM livejobs.gone GROUP BY project"
GONE_OLDEST: Final = (
    "SELECT seq FROM livejobs.gone WHERE project = $1 ORDER BY seq LIMIT 1 OFFSET $2"
)
TRIMS: Final = "SELECT project, last FROM livejobs.trims LIMIT $1"
ENDED: Final = "SELECT project, pk FROM livejobs.ended LIMIT $1"
ENTRY_SIZES: Final = (
    "SELECT key, octet_length(value) FROM livejobs.entries"
    " WHERE project = $1 AND key BETWEEN $2 AND $3 ORDER BY key LIMIT $4"
)
ENTRIES_GONE: Final = "DELETE FROM livejobs.entries WHERE project = $1 AND key BETWEEN $2 AND $3"
ENTRY_BYTES: Final = (
    "SELECT coalesce(sum(octet_length(value)), 0)::bigint FROM livejobs.jobs AS j"
    " JOIN livejobs.entries AS e ON e.project = j.project"
    " AND e.key BETWEEN j.pk << 32 AND (j.pk + 1 << 32) - 1 WHERE j.id = ANY($1::text[])"
)
LEFTOVERS: Final = (
    "SELECT count(*), coalesce(sum(octet_length(value)), 0)::bigint FROM"
    " (SELECT project, last >> 30 << 30 AS first, last FROM livejobs.trims"
    " UNION ALL SELECT project, pk << 32, (pk + 1 << 32) - 1 FROM livejobs.ended) AS it"
    " JOIN livejobs.entries AS e ON e.project = it.project AND e.key BETWEEN first AND last"
)
TRIMS_GONE: Final = "DELETE FROM livejobs.trims WHERE project = $1 AND last BETWEEN $2 AND $3"
ENDED_GONE: Final = "DELETE FROM livejobs.ended WHERE project = $1 AND pk = $2"

# Servers

NODE_NEW: Final = (
    "INSERT INTO livejobs.nodes AS n (id, term, done, seen) VALUES ($1, 1, 0, now())"
    " ON CONFLICT (id) DO UPDATE SET term = n.term + 1, seen = now() RETURNING term, done"
)
NODE_GONE: Final = "DELETE FROM livejobs.nodes WHERE id = $1"
_OTHERS: Final = (
    "SELECT count(*) FROM livejobs.nodes WHERE id <> $1 AND seen > now() - interval '10 s'"
)
OTHERS: Final = _OTHERS
# How long ago one of them was seen. One that was not seen for longer has probably died.
_LATE: Final = (
    "SELECT coalesce(extract(epoch FROM now() - min(seen)), 0)::float FROM livejobs.nodes"
    " WHERE id <> $1 AND seen > now() - interval '5 s'"
)
# The lead is taken from a node that was not seen for some seconds: it has died, or it hangs.
_LED: Final = (
    "INSERT INTO livejobs.facts AS f (name, value) VALUES ('leader', $1)"
    " ON CONFLICT (name) DO UPDATE SET value = $1 WHERE f.value <> $1 AND NOT EXISTS"
    " (SELECT 1 FROM livejobs.nodes WHERE id = f.value AND seen > now() - interval '5 s')"
    " RETURNING name"
)
# A node that was not seen for a week will not ask for the fate of a commit.
PULSE: Final = (
    f"WITH led AS ({_LED}), seen AS (UPDATE livejobs.nodes SET seen = now() WHERE id = $1),"
    " gone AS (DELETE FROM livejobs.nodes WHERE seen < now() - interval '7 days' AND id <> $1)"
    f" SELECT ({_OTHERS}), (SELECT value FROM livejobs.facts WHERE name = 'keys'),"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
    f" ({_LATE}), EXISTS (SELECT 1 FROM led)"
    " OR EXISTS (SELECT 1 FROM livejobs.facts WHERE name = 'leader' AND value = $1)"
)
FACT: Final = "SELECT value FROM livejobs.facts WHERE name = $1"
FACT_NEW: Final = (
    "INSERT INTO livejobs.facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
)
FACT_SET: Final = (
    "INSERT INTO livejobs.facts (name, value) VALUES ($1, $2)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
BEATS_NEW: Final = (
    "INSERT INTO livejobs.beats (job, node, at, written)"
    " SELECT it.job, $1, it.at, clock_timestamp()"
    " FROM unnest($2::text[], $3::bigint[]) AS it (job, at) ORDER BY it.job"
    " ON CONFLICT (job) DO UPDATE"
    " SET node = excluded.node, at = excluded.at, written = excluded.written"
)
# Those of others. What was written just before the last look may not have been visible then.
BEATS: Final = (
    "SELECT job, at, written::text FROM livejobs.beats"
    " WHERE node <> $1 AND written > now() - interval '5 s'"
)
BEATS_GONE: Final = "DELETE FROM livejobs.beats WHERE written < now() - interval '1 day'"

# Keys, files, the audit trail

KEYS: Final = "SELECT key FROM livejobs.keys ORDER BY id"
KEY_NEW: Final = Part(
    "kept",
    "INSERT INTO livejobs.keys (id, key) SELECT * FROM {} AS it"
    " ON CONFLICT (id) DO UPDATE SET key = excluded.key",
    ("text", "bytea"),
)
KEY_USED: Final = "UPDATE livejobs.keys SET key = $2 WHERE id = $1"
KEYS_MOVED: Final = Part(
    "moved",
    "INSERT INTO livejobs.facts AS f (name, value) VALUES ('keys', '1')"
    " ON CONFLICT (name) DO UPDATE SET value = f.value::bigint + 1",
    (),
)
KEY_GONE: Final = Part(
    "dropped", "DELETE FROM livejobs.keys WHERE id IN (SELECT * FROM {} AS it)", ("text",)
)
DOWNLOADED: Final = Part(
    "downloaded",
    "UPDATE livejobs.files AS f SET downloads = downloads + it.n,"
    " last_at = greatest(f.last_at, it.at) FROM {} AS it (key, n, at) WHERE f.key = it.key",
    ("text", "bigint", "bigint"),
)
FILE_BYTES: Final = (
    "SELECT name, sum(size)::bigint FROM livejobs.files JOIN livejobs.projects ON pk = project"
    " WHERE NOT ended GROUP BY pk"
)
FILES_ENDED: Final = "SELECT key FROM livejobs.files WHERE ended ORDER BY key LIMIT $1"
FILES_GONE: Final = "DELETE FROM livejobs.files WHERE key = ANY($1::text[])"
FILES_KNOWN: Final = "SELECT key FROM livejobs.files WHERE key = ANY($1::text[])"
DOWNLOADS: Final = "SELECT key, downloads, last_at FROM livejobs.files WHERE key = ANY($1::text[])"
AUDIT: Final = "SELECT n, act FROM livejobs.acts WHERE n < $1 ORDER BY n DESC LIMIT $2"
AUDIT_OF_JOB: Final = (
    "SELECT n, act FROM livejobs.acts WHERE n < $1 AND job = $3 ORDER BY n DESC LIMIT $2"
)

# Jobs

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
# Whether one of these was used, for a job that still exists.
REPEATED_ANY: Final = (
    "SELECT EXISTS (SELECT 1 FROM livejobs.idempotency AS i JOIN livejobs.jobs AS j ON j.id = i.job"
    " JOIN unnest($1::text[], $2::text[]) AS it (credential, key) USING (credential, key)"
    " WHERE i.expires_at > $3)"
)

# What is left out for the size of what comes before it, is NULL.
_HEAD: Final = (
    "CASE WHEN sum(octet_length(head)) OVER (ORDER BY {order}) - octet_length(head) < {most}"
    " THEN head END"
)
CHANGES: Final = (
    "(SELECT h.seq, NULL AS id, "
    + _HEAD.format(order="h.seq", most="$4::bigint")
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
    + _HEAD.format(order="f.seq DESC", most="$6::bigint")
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
    + _HEAD.format(order="f.pk DESC", most="${most}::bigint")
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
