"""Every statement the SQLite store makes. Its tables are in schema.sql."""

from __future__ import annotations

from typing import Final

# Version n of the schema is what the first n files make. Only ever add to this list.
MIGRATIONS: Final = ("schema.sql",)

PROJECTS: Final = "SELECT name, pk, epoch, seq, floor FROM projects"
PROJECT_NEW: Final = (
    "INSERT INTO projects (name, epoch, seq, floor) VALUES (?, ?, 0, 0) RETURNING pk"
)
PROJECT_SEQ: Final = "UPDATE projects SET seq = ? WHERE pk = ?"
LAST_PK: Final = "SELECT coalesce(max(pk), 0) FROM jobs"

JOB_NEW: Final = (
    "INSERT INTO jobs (project, status, expires_at, seq, head, pk, id) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
JOB_MOVE: Final = (
    "UPDATE jobs SET project = ?, status = ?, expires_at = ?, seq = ?, head = ? WHERE pk = ?"
)
JOB_GONE: Final = "DELETE FROM jobs WHERE pk = ?"
ENTRY_NEW: Final = "INSERT INTO entries (key, project, seq, level, value) VALUES (?, ?, ?, ?, ?)"
ENTRIES_GONE: Final = "DELETE FROM entries WHERE key BETWEEN ? AND ?"
LABEL_NEW: Final = "INSERT INTO labels (kind, value, project, status, pk) VALUES (?, ?, ?, ?, ?)"
LABEL_GONE: Final = (
    "DELETE FROM labels WHERE kind = ? AND value = ? AND project = ? AND status = ? AND pk = ?"
)
COUNT: Final = (
    "INSERT INTO counters (kind, value, project, status, n) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET n = n + excluded.n"
)
COUNT_GONE: Final = "DELETE FROM counters WHERE n = 0"
SEARCH_NEW: Final = "INSERT INTO search (rowid, id, title) VALUES (?, ?, ?)"
SEARCH_GONE: Final = "INSERT INTO search (search, rowid, id, title) VALUES ('delete', ?, ?, ?)"
GONE_NEW: Final = "INSERT INTO gone (project, seq, id) VALUES (?, ?, ?)"
GONE_FLOOR: Final = "SELECT seq FROM gone WHERE project = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"
GONE_TRIM: Final = "DELETE FROM gone WHERE project = ? AND seq <= ?"
FLOOR: Final = "UPDATE projects SET floor = ? WHERE pk = ?"
IDEMPOTENCY_NEW: Final = (
    "REPLACE INTO idempotency (credential, key, body, job, expires_at) VALUES (?, ?, ?, ?, ?)"
)
IDEMPOTENCY_TRIM: Final = "DELETE FROM idempotency WHERE expires_at <= ?"
# Changes nothing but writes a page, to know whether the disk takes one. (An UPDATE that leaves a
# row as it is would write none.)
WRITE_NOTHING: Final = f"PRAGMA user_version = {len(MIGRATIONS)}"

PKS: Final = "SELECT id, pk FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
JOB: Final = "SELECT seq, head FROM jobs WHERE id = ?"
JOBS: Final = "SELECT pk, seq, head FROM jobs WHERE pk IN (SELECT value FROM json_each(?))"
UNFINISHED: Final = "SELECT seq, head FROM jobs WHERE status < 2 ORDER BY pk"
UNFINISHED_PKS: Final = "SELECT id, pk FROM jobs WHERE status < 2"
EXPIRED: Final = (
    "SELECT seq, head FROM jobs WHERE expires_at <= ? AND status >= 2 ORDER BY expires_at LIMIT ?"
)
PK: Final = "SELECT pk FROM jobs WHERE id = ?"
LAST_KEY: Final = "SELECT max(key) FROM entries WHERE key BETWEEN ? AND ?"
SEQ_AT: Final = "SELECT seq FROM entries WHERE key = ?"
ENTRIES: Final = (
    "SELECT key, seq, level, value FROM entries"
    " WHERE key BETWEEN ? AND ? AND level >= ? ORDER BY key LIMIT ?"
)
ENTRIES_TAIL: Final = ENTRIES.replace("ORDER BY key", "ORDER BY key DESC")
JOBS_SINCE: Final = "SELECT seq, head FROM jobs WHERE project = ? AND seq > ? ORDER BY seq LIMIT ?"
GONE_SINCE: Final = "SELECT id, seq FROM gone WHERE project = ? AND seq > ? ORDER BY seq LIMIT ?"
# Bit 30 and 31 of the key are the kind; each parameter pair is one wanted kind.
FEED_LAST: Final = (
    "SELECT seq FROM entries WHERE project = ? AND seq > ? AND seq <= ?"
    " AND (key >> 30 & 3) IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT 1 OFFSET ?"
)
FEED: Final = (
    "SELECT id, key, entries.seq, level, value FROM entries CROSS JOIN jobs ON pk = key >> 32"
    " WHERE entries.project = ? AND entries.seq > ? AND entries.seq <= ?"
    " AND (key >> 30 & 3) IN (SELECT value FROM json_each(?)) ORDER BY entries.seq, key"
)
REPEATED: Final = (
    "SELECT credential, key, body, job, expires_at FROM idempotency"
    " WHERE credential = ? AND key = ? AND expires_at > ?"
)

# The size of every stretch with a label. All of a query's stretches, and which of its labels
# is the rarest, follow from it.
STRETCHES: Final = "SELECT project, status, n FROM counters WHERE kind = ? AND value = ?"
FIND_LABEL: Final = (
    "SELECT pk FROM labels AS found"
    " WHERE kind = ? AND value = ? AND project = ? AND status = ? AND pk < ?"
)
HAS_LABEL: Final = (
    " AND EXISTS (SELECT 1 FROM labels WHERE kind = ? AND value = ? AND project = found.project"
    " AND status = found.status AND pk = found.pk)"
)
FIND_TEXT: Final = (
    "SELECT search.rowid AS pk, status FROM search CROSS JOIN jobs AS found ON pk = search.rowid"
    " WHERE search MATCH ? AND search.rowid < ?"
)
FIND_IDS: Final = (
    "SELECT pk, status FROM jobs AS found WHERE id IN (SELECT value FROM json_each(?)) AND pk < ?"
)
HAS_TEXT: Final = " AND pk IN (SELECT rowid FROM search WHERE search MATCH ?)"
HAS_PROJECT: Final = " AND project IN (SELECT value FROM json_each(?))"
HAS_STATUS: Final = " AND status IN (SELECT value FROM json_each(?))"
FOUND_TEXT: Final = " ORDER BY search.rowid DESC LIMIT ?"
FOUND: Final = " ORDER BY pk DESC LIMIT ?"
HOW_MANY: Final = "SELECT count(*) FROM ({})"
COUNTED: Final = "SELECT status, count(*) FROM ({}) GROUP BY status"
