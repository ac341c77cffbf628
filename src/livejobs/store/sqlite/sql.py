"""Every statement of the SQLite store. The tables are in schema.sql, and the views through which
a commit writes its rows are in commit.sql."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# The first n files make version n of the schema. Add to this list; never change or remove a file.
_VERSIONS: Final = (
    "schema", "keys", "files", "identity", "history", "retention", "webhooks"
)  # fmt: skip
MIGRATIONS: Final = tuple(Path(__file__).with_name(f"{name}.sql") for name in _VERSIONS)
COMMIT: Final = Path(__file__).with_name("commit.sql")

PROJECTS: Final = (
    "SELECT pk, name, epoch, max("
    " coalesce((SELECT max(seq) FROM jobs WHERE project = pk_), 0),"
    " coalesce((SELECT max(seq) FROM gone WHERE project = pk_), 0)), floor"
    " FROM (SELECT pk, pk AS pk_, name, epoch, floor FROM projects)"
)
PROJECT_NEW: Final = "INSERT INTO projects (name, epoch, floor) VALUES (?, ?, 0) RETURNING pk"
LAST_PK: Final = (
    "SELECT max(coalesce((SELECT max(pk) FROM jobs), 0), coalesce((SELECT max(pk) FROM ended), 0))"
)
UNFINISHED_PKS: Final = "SELECT id, pk FROM jobs WHERE status < 2"
PKS: Final = "SELECT id, pk FROM jobs WHERE id IN (SELECT value FROM json_each(?))"

# Statements with many rows: {} is the list of rows, and the last ones may be all NULL.
TOLD: Final = "INSERT INTO told VALUES {}"
MOVED: Final = "INSERT INTO moved VALUES {}"
JOBS_NEW: Final = (
    "INSERT INTO jobs (pk, id, project, status, expires_at, seq, head)"
    " SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL"
    " ON CONFLICT (pk) DO UPDATE SET status = excluded.status, expires_at = excluded.expires_at,"
    " seq = excluded.seq, head = excluded.head"
)
SEARCH_NEW: Final = (
    "INSERT INTO search (rowid, id, title) SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL"
)

COUNTED_NEW: Final = (
    "INSERT INTO history (step, project, at, what, n)"
    " SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL"
    " ON CONFLICT DO UPDATE SET n = n + excluded.n"
)
COUNTED_GONE: Final = "DELETE FROM history WHERE step = ? AND project = ? AND at < ?"

SEARCH_GONE: Final = "INSERT INTO search (search, rowid, id, title) VALUES ('delete', ?, ?, ?)"
JOB_GONE: Final = "DELETE FROM jobs WHERE pk = ?"
ENDED_NEW: Final = "INSERT INTO ended VALUES (?)"
TRIMMED_NEW: Final = (
    "INSERT INTO trims (kind, last) SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL"
    " ON CONFLICT DO UPDATE SET last = excluded.last"
)
GONE_NEW: Final = "INSERT INTO gone (project, seq, id) VALUES (?, ?, ?)"
GONE_COUNTS: Final = "SELECT project, count(*) FROM gone GROUP BY project"
GONE_OLDEST: Final = "SELECT seq FROM gone WHERE project = ? ORDER BY seq LIMIT 1 OFFSET ?"
GONE_TRIM: Final = "DELETE FROM gone WHERE project = ? AND seq <= ?"
FLOOR: Final = "UPDATE projects SET floor = ? WHERE pk = ?"
KEYS: Final = "SELECT key FROM keys ORDER BY id"
TOUCHED: Final = "UPDATE projects SET floor = floor + ? WHERE pk = 1"
KEY_NEW: Final = "REPLACE INTO keys (id, key) VALUES (?, ?)"
KEY_USED: Final = "UPDATE keys SET key = ? WHERE id = ?"
KEY_GONE: Final = "DELETE FROM keys WHERE id = ?"
AUDIT_NEW: Final = "INSERT INTO acts (act, job) VALUES (?, ?)"
AUDIT_TRIM: Final = "DELETE FROM acts WHERE n <= (SELECT max(n) FROM acts) - ?"
AUDIT: Final = "SELECT n, act FROM acts WHERE n < ? ORDER BY n DESC LIMIT ?"
AUDIT_OF_JOB: Final = "SELECT n, act FROM acts WHERE job = ? AND n < ? ORDER BY n DESC LIMIT ?"

FILE_NEW: Final = "INSERT INTO files (key, project, size, ended, downloads) VALUES (?, ?, ?, 0, 0)"
FILE_ENDED: Final = "UPDATE files SET ended = 1 WHERE key = ?"
FILE_BYTES: Final = (
    "SELECT name, sum(size) FROM files JOIN projects ON pk = project WHERE ended = 0 GROUP BY pk"
)
FILES_ENDED: Final = "SELECT key FROM files WHERE ended = 1 LIMIT ?"
FILE_GONE: Final = "DELETE FROM files WHERE key = ?"
FILES_KNOWN: Final = "SELECT key FROM files WHERE key IN (SELECT value FROM json_each(?))"
DOWNLOADED: Final = "UPDATE files SET downloads = downloads + ?, last_at = ? WHERE key = ?"
DOWNLOADS: Final = (
    "SELECT key, downloads, last_at FROM files WHERE key IN (SELECT value FROM json_each(?))"
)

IDEMPOTENCY_NEW: Final = (
    "REPLACE INTO idempotency (credential, key, body, job, expires_at) VALUES (?, ?, ?, ?, ?)"
)
IDEMPOTENCY_TRIM: Final = "DELETE FROM idempotency WHERE expires_at <= ?"

JOB: Final = "SELECT seq, head FROM jobs WHERE id = ?"
JOBS: Final = "SELECT pk, seq, head FROM jobs WHERE pk IN (SELECT value FROM json_each(?))"
STATUS: Final = "SELECT pk, status FROM jobs AS found WHERE pk IN (SELECT value FROM json_each(?))"
HOLDS: Final = " AND holds(found.head, ?)"  # a function of ours: see finding.py
JOBS_NEWEST: Final = JOBS + " ORDER BY pk DESC"
UNFINISHED: Final = "SELECT seq, head FROM jobs WHERE status < 2 ORDER BY pk"
EXPIRED: Final = (
    "SELECT seq, head FROM jobs WHERE expires_at <= ? AND status >= 2 ORDER BY expires_at LIMIT ?"
)
PK: Final = "SELECT pk FROM jobs WHERE id = ?"
FIRST_KEY: Final = "SELECT min(key) FROM entries WHERE key BETWEEN ? AND ?"
LAST_KEY: Final = "SELECT max(key) FROM entries WHERE key BETWEEN ? AND ?"
SEQ_AT: Final = "SELECT seq FROM entries WHERE key = ?"
ENTRIES: Final = (
    "SELECT key, seq, level, value FROM entries"
    " WHERE key BETWEEN ? AND ? AND level >= ? ORDER BY key LIMIT ?"
)
ENTRIES_TAIL: Final = ENTRIES.replace("ORDER BY key", "ORDER BY key DESC")
JOBS_SINCE: Final = "SELECT seq, head FROM jobs WHERE project = ? AND seq > ? ORDER BY seq LIMIT ?"
JOBS_LATEST: Final = (
    "SELECT seq, CASE WHEN status IN (SELECT value FROM json_each(?)) THEN head END FROM jobs"
    " WHERE project = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
)
GONE_SINCE: Final = "SELECT id, seq FROM gone WHERE project = ? AND seq > ? ORDER BY seq LIMIT ?"
# Bits 30 and 31 of a key are the kind.
FEED_LAST: Final = (
    "SELECT entries.seq FROM entries CROSS JOIN jobs ON pk = key >> 32"
    " WHERE entries.project = ? AND entries.seq > ? AND entries.seq <= ?"
    " AND (key >> 30 & 3) IN (SELECT value FROM json_each(?))"
    " ORDER BY entries.seq LIMIT 1 OFFSET ?"
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

UNTIDY: Final = "SELECT EXISTS (SELECT 1 FROM trims) OR EXISTS (SELECT 1 FROM ended)"
TRIMS: Final = "SELECT last FROM trims LIMIT ?"
ENDED: Final = "SELECT pk FROM ended LIMIT ?"
ENTRY_SIZES: Final = (
    "SELECT key, length(value) FROM entries WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?"
)
ENTRY_BYTES: Final = (
    "SELECT coalesce(sum(length(value)), 0) FROM jobs CROSS JOIN entries"
    " ON key BETWEEN pk << 32 AND (pk + 1 << 32) - 1"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
LEFTOVERS: Final = (
    "SELECT count(*), coalesce(sum(length(value)), 0) FROM"
    " (SELECT last >> 30 << 30 AS first, last FROM trims"
    " UNION ALL SELECT pk << 32, (pk + 1 << 32) - 1 FROM ended) CROSS JOIN entries"
    " ON key BETWEEN first AND last"
)
ENTRIES_GONE: Final = "DELETE FROM entries WHERE key BETWEEN ? AND ?"
TRIMS_GONE: Final = "DELETE FROM trims WHERE last BETWEEN ? AND ?"
ENDED_GONE: Final = "DELETE FROM ended WHERE pk = ?"

HISTORY: Final = (
    "SELECT at, what, sum(n) FROM history WHERE step = ?"
    " AND project IN (SELECT value FROM json_each(?)) AND at >= ? GROUP BY at, what"
)

# The length of every stretch with a label. It shows a query's stretches and its rarest label.
STRETCHES: Final = "SELECT label, project, status, n FROM counters WHERE label = ?"
FIND_LABEL: Final = (
    "SELECT pk FROM labels AS found WHERE label = ? AND project = ? AND status = ? AND pk < ?"
)
HAS_LABEL: Final = (
    " AND EXISTS (SELECT 1 FROM labels WHERE label = ? AND project = found.project"
    " AND status = found.status AND pk = found.pk)"
)
FIND_TEXT: Final = (
    "SELECT search.rowid AS pk, status FROM search CROSS JOIN jobs AS found ON pk = search.rowid"
    " WHERE search MATCH ? AND search.rowid < ?"
)
FIND_IDS: Final = "SELECT pk FROM jobs AS found WHERE id IN (SELECT value FROM json_each(?))"
HAS_PROJECT: Final = " AND project IN (SELECT value FROM json_each(?))"
HAS_STATUS: Final = " AND status IN (SELECT value FROM json_each(?))"
FOUND_TEXT: Final = " ORDER BY search.rowid DESC LIMIT ? OFFSET ?"
FOUND: Final = " ORDER BY pk DESC LIMIT ? OFFSET ?"
HOW_MANY: Final = "SELECT count(*) FROM ({})"
COUNTED: Final = (
    "SELECT count(*) FILTER (WHERE status = 0), count(*) FILTER (WHERE status = 1),"
    " count(*) FILTER (WHERE status = 2), count(*) FILTER (WHERE status = 3),"
    " count(*) FILTER (WHERE status = 4) FROM ({})"
)
