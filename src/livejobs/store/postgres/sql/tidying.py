"""Entries that are to be removed, and how much room they take."""

from __future__ import annotations

from typing import Final

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
