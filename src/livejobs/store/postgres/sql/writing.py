"""The commit, and what the writer asks before it."""

from __future__ import annotations

from typing import Final

from livejobs.store.postgres.sql.keeping import AUDIT_NEW, AUDIT_TRIM
from livejobs.store.postgres.sql.parts import Part, only_if, statement

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

PROJECTS: Final = "SELECT pk, name, epoch, seq, floor FROM livejobs.projects ORDER BY pk"
PROJECT: Final = "SELECT pk, name, epoch, seq, floor FROM livejobs.projects WHERE name = $1"
PROJECT_NEW: Final = (
    "INSERT INTO livejobs.projects (name, epoch, seq, floor) VALUES ($1, $2, 0, 0)"
    " ON CONFLICT (name) DO NOTHING"
)
NEW_PKS: Final = "SELECT nextval('livejobs.pks') FROM generate_series(1, $1::integer)"
UNFINISHED_PKS: Final = "SELECT id, pk FROM livejobs.jobs WHERE status < 2"
PKS: Final = "SELECT id, pk FROM livejobs.jobs WHERE id = ANY($1::text[])"
GONE_COUNTS: Final = "SELECT project, count(*) FROM livejobs.gone GROUP BY project"
GONE_OLDEST: Final = (
    "SELECT seq FROM livejobs.gone WHERE project = $1 ORDER BY seq LIMIT 1 OFFSET $2"
)
# Whether one of these was used, for a job that still exists.
REPEATED_ANY: Final = (
    "SELECT EXISTS (SELECT 1 FROM livejobs.idempotency AS i JOIN livejobs.jobs AS j ON j.id = i.job"
    " JOIN unnest($1::text[], $2::text[]) AS it (credential, key) USING (credential, key)"
    " WHERE i.expires_at > $3)"
)
