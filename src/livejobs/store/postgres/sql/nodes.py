"""What nodes on one database know of each other: pulses, the lead, facts, heartbeats."""

from __future__ import annotations

from typing import Final

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
LOCK_PROJECTS: Final = (
    "SELECT pk FROM livejobs.projects WHERE name = ANY($1::text[]) ORDER BY pk FOR UPDATE"
)
TOUCHED: Final = (
    "UPDATE livejobs.projects SET seq = seq WHERE pk = (SELECT min(pk) FROM livejobs.projects)"
)
