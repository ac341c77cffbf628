"""Every statement about webhooks of the SQLite store. The tables are in webhooks.sql."""

from __future__ import annotations

from typing import Final

HOOK_NEW: Final = "INSERT INTO hooks (id, job, gone, hook) VALUES (?, ?, 0, ?)"
HOOK_SAVED: Final = HOOK_NEW + " ON CONFLICT (id) DO UPDATE SET hook = excluded.hook"
HOOK_OF_GONE: Final = "UPDATE hooks SET gone = 1 WHERE id = ?"
HOOK_GONE: Final = "DELETE FROM hooks WHERE id = ?"
HOOKS: Final = "SELECT hook FROM hooks WHERE job IS NULL ORDER BY pk"
HOOKS_OF_JOB: Final = "SELECT hook FROM hooks WHERE job = ? AND gone = 0 ORDER BY pk"
HOOK: Final = "SELECT hook FROM hooks WHERE id = ?"
HOOKS_DONE: Final = (
    "SELECT id FROM hooks WHERE gone = 1 AND NOT EXISTS"
    " (SELECT 1 FROM deliveries WHERE hook = hooks.id AND state = 0) LIMIT ?"
)

# Only the last delivery of a job to a webhook: an older one would come before what happened since.
RENEWED: Final = (
    "UPDATE deliveries SET seq = ?, at = ?, head = ?"
    " WHERE n = (SELECT max(n) FROM deliveries WHERE hook = ? AND job = ?)"
    " AND event = 'progress' AND state = 0 AND replay = 0"
)
CALL_NEW: Final = (
    "INSERT INTO deliveries"
    " (hook, project, job, event, receiver, seq, at, replay, state, attempts, next_at, head)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?)"
)
REPLAY: Final = (
    "INSERT INTO deliveries"
    " (hook, project, job, event, receiver, seq, at, replay, state, attempts, next_at, head)"
    " SELECT hook, project, job, event, receiver, seq, at, 1, 0, 0, ?, head"
    " FROM deliveries WHERE hook = ? AND n = ? AND state <> 0"
)
CALLS_ENDED: Final = (
    "UPDATE deliveries SET state = 2, ended_at = ?, error = ?, next_at = NULL"
    " WHERE hook = ? AND state = 0"
)
CALLS_GONE: Final = "DELETE FROM deliveries WHERE hook = ?"
ANY_WAITS: Final = "SELECT 1 FROM deliveries WHERE state = 0 LIMIT 1"
WAITING: Final = (
    "SELECT n, hook, job, event, receiver, at, attempts, next_at FROM deliveries"
    " WHERE state = 0 AND project = ? AND n > ? ORDER BY n LIMIT ?"
)
_FIELDS: Final = (
    "d.n, d.hook, d.project, d.job, d.event, d.seq, d.at, d.state, d.replay, d.attempts,"
    " d.next_at, d.ended_at, d.code, d.ms, d.error, d.ref"
)
PAYLOAD: Final = (
    f"SELECT {_FIELDS}, d.head, hooks.hook FROM deliveries AS d JOIN hooks ON hooks.id = d.hook"
    " WHERE d.n = ? AND d.state = 0"
)
LAST_REF: Final = (
    "SELECT ref FROM deliveries WHERE hook = ? AND job = ? AND ref IS NOT NULL"
    " ORDER BY n DESC LIMIT 1"
)
_OUTCOME: Final = (
    "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, ended_at = ?, code = ?, ms = ?,"
    " error = ?, ref = coalesce(?, ref) WHERE n = ? AND state = 0"
)
TRIED: Final = _OUTCOME
DONE: Final = _OUTCOME + " AND seq = ?"
NEWER: Final = (
    "UPDATE deliveries SET attempts = 0, next_at = ?, error = NULL, ref = coalesce(?, ref)"
    " WHERE n = ? AND state = 0"
)
WAITS: Final = "SELECT 1 FROM deliveries WHERE n = ? AND state = 0"
DELIVERIES: Final = (
    f"SELECT {_FIELDS} FROM deliveries AS d WHERE d.hook = ? AND d.n < ? ORDER BY d.n DESC LIMIT ?"
)
OLD_GONE: Final = (
    "DELETE FROM deliveries WHERE n IN"
    " (SELECT n FROM deliveries WHERE ended_at < ? ORDER BY ended_at LIMIT ?)"
)
ALL_GONE: Final = (
    "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries WHERE ended_at IS NOT NULL"
    " ORDER BY ended_at DESC LIMIT ? OFFSET ?)"
)
MANY: Final = (
    "SELECT hook FROM deliveries WHERE ended_at IS NOT NULL GROUP BY hook HAVING count(*) > ?"
)
MANY_GONE: Final = (
    "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries WHERE hook = ? AND state <> 0"
    " AND n <= (SELECT n FROM deliveries WHERE hook = ? AND state <> 0"
    " ORDER BY n DESC LIMIT 1 OFFSET ?) ORDER BY n LIMIT ?)"
)
