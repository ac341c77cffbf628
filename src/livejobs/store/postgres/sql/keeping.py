"""Keys, files and the audit trail."""

from __future__ import annotations

from typing import Final

from livejobs.store.postgres.sql.parts import Part

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
