"""Webhooks and their deliveries, but for those that a commit writes."""

from __future__ import annotations

from typing import Final

from livejobs.store.postgres.sql.parts import Part

HOOKS: Final = "SELECT hook FROM livejobs.hooks WHERE job IS NULL ORDER BY pk"
HOOKS_OF_JOB: Final = "SELECT hook FROM livejobs.hooks WHERE job = $1 AND NOT gone ORDER BY pk"
HOOK: Final = "SELECT hook FROM livejobs.hooks WHERE id = $1"
HOOK_SAVED: Final = Part(
    "saved",
    "INSERT INTO livejobs.hooks (id, job, gone, hook) SELECT id, job, false, hook"
    " FROM {} AS it (id, job, hook) ON CONFLICT (id) DO UPDATE SET hook = excluded.hook",
    ("text", "text", "bytea"),
)
CALLS_ENDED: Final = Part(
    "calls_ended",
    "UPDATE livejobs.deliveries AS d SET state = 2, ended_at = it.at, error = it.why,"
    " next_at = NULL FROM {} AS it (hook, at, why) WHERE d.hook = it.hook AND d.state = 0",
    ("text", "bigint", "text"),
)
HOOK_GONE: Final = Part(
    "hook_gone", "DELETE FROM livejobs.hooks WHERE id IN (SELECT * FROM {} AS it)", ("text",)
)
CALLS_GONE: Final = Part(
    "calls_gone",
    "DELETE FROM livejobs.deliveries WHERE hook IN (SELECT * FROM {} AS it)",
    ("text",),
)
WAITING: Final = (
    "SELECT w.* FROM livejobs.projects AS p"
    " LEFT JOIN unnest($1::text[], $2::bigint[]) AS k (name, n) ON k.name = p.name"
    " CROSS JOIN LATERAL (SELECT d.n, d.hook, p.name, d.job, d.event, d.receiver, d.at,"
    " d.attempts, d.next_at FROM livejobs.deliveries AS d WHERE d.state = 0 AND d.project = p.pk"
    " AND d.n > coalesce(k.n, 0) ORDER BY d.n LIMIT $3) AS w ORDER BY w.n LIMIT $3"
)
_FIELDS: Final = (
    "d.n, d.hook, p.name, d.job, d.event, d.seq, d.at, d.state, d.replay, d.attempts,"
    " d.next_at, d.ended_at, d.code, d.ms, d.error, d.ref"
)
PAYLOAD: Final = (
    f"SELECT {_FIELDS}, d.head, h.hook, (SELECT o.ref FROM livejobs.deliveries AS o"
    " WHERE o.hook = d.hook AND o.job = d.job AND o.ref IS NOT NULL ORDER BY o.n DESC LIMIT 1)"
    " FROM livejobs.deliveries AS d JOIN livejobs.projects AS p ON p.pk = d.project"
    " JOIN livejobs.hooks AS h ON h.id = d.hook WHERE d.n = $1 AND d.state = 0"
)
# $1 n, $2 seq, $3 state, $4 at, $5 attempts, $6 next_at, $7 code, $8 ms, $9 error, $10 ref.
# One that was delivered waits on if it has become a newer progress meanwhile.
SETTLED: Final = (
    "UPDATE livejobs.deliveries AS d SET"
    " state = CASE WHEN newer THEN 0 ELSE it.state END,"
    " attempts = CASE WHEN newer THEN 0 ELSE it.attempts END,"
    " next_at = CASE WHEN newer THEN it.at ELSE it.next_at END,"
    " ended_at = CASE WHEN newer OR it.state = 0 THEN NULL ELSE it.at END,"
    " code = CASE WHEN newer THEN d.code ELSE it.code END,"
    " ms = CASE WHEN newer THEN d.ms ELSE it.ms END,"
    " error = CASE WHEN newer THEN NULL ELSE it.error END,"
    " ref = coalesce(it.ref, d.ref)"
    " FROM (SELECT o.n, k.seq, k.state, k.at, k.attempts, k.next_at, k.code, k.ms, k.error, k.ref,"
    " k.state = 1 AND o.seq <> k.seq AS newer"
    " FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[], $5::integer[],"
    " $6::bigint[], $7::integer[], $8::bigint[], $9::text[], $10::text[])"
    " AS k (n, seq, state, at, attempts, next_at, code, ms, error, ref)"
    " JOIN livejobs.deliveries AS o ON o.n = k.n WHERE o.state = 0 ORDER BY o.n FOR UPDATE OF o"
    ") AS it WHERE d.n = it.n AND d.state = 0 RETURNING d.n, d.state"
)
DELIVERIES: Final = (
    f"SELECT {_FIELDS} FROM livejobs.deliveries AS d"
    " JOIN livejobs.projects AS p ON p.pk = d.project"
    " WHERE d.hook = $1 AND d.n < $2 ORDER BY d.n DESC LIMIT $3"
)
# The project is locked, as by a commit: so numbers appear in order within it.
REPLAY_LOCK: Final = Part(
    "locked",
    "SELECT p.pk, d.n, it.now FROM {} AS it (hook, n, now) JOIN livejobs.deliveries AS d"
    " ON d.hook = it.hook AND d.n = it.n AND d.state <> 0"
    " JOIN livejobs.projects AS p ON p.pk = d.project FOR UPDATE OF p",
    ("text", "bigint", "bigint"),
)
REPLAY: Final = Part(
    "replayed",
    "INSERT INTO livejobs.deliveries (hook, project, job, event, receiver, seq, at, replay, state,"
    " attempts, next_at, head) SELECT d.hook, d.project, d.job, d.event, d.receiver, d.seq, d.at,"
    " true, 0, 0, locked.now, d.head FROM locked JOIN livejobs.deliveries AS d USING (n)"
    " RETURNING n",
    (),
)
OLD_GONE: Final = (
    "DELETE FROM livejobs.deliveries WHERE n IN"
    " (SELECT n FROM livejobs.deliveries WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)"
)
ALL_GONE: Final = (
    "DELETE FROM livejobs.deliveries WHERE n IN (SELECT n FROM livejobs.deliveries"
    " WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT $1 OFFSET $2)"
)
MANY_GONE: Final = (
    "WITH many AS (SELECT hook FROM livejobs.deliveries WHERE ended_at IS NOT NULL"
    " GROUP BY hook HAVING count(*) > $1),"
    " last AS (SELECT hook, (SELECT n FROM livejobs.deliveries AS d WHERE d.hook = many.hook"
    " AND d.state <> 0 ORDER BY n DESC LIMIT 1 OFFSET $1) AS n FROM many)"
    " DELETE FROM livejobs.deliveries AS d USING last WHERE d.n IN (SELECT o.n"
    " FROM livejobs.deliveries AS o JOIN last ON last.hook = o.hook AND o.n <= last.n"
    " WHERE o.state <> 0 ORDER BY o.n LIMIT $2)"
)
HOOKS_DONE: Final = (
    "DELETE FROM livejobs.hooks WHERE id IN (SELECT id FROM livejobs.hooks AS h WHERE gone"
    " AND NOT EXISTS (SELECT 1 FROM livejobs.deliveries AS d WHERE d.hook = h.id AND d.state = 0)"
    " LIMIT $1) RETURNING id"
)
CALLS_DONE: Final = "DELETE FROM livejobs.deliveries WHERE hook = ANY($1::text[])"
