"""Memory consolidation: one status, with counters and the ids of the changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

import msgspec

from livejobs.core.errors import LivejobsError
from livejobs.core.model import Head, Status
from livejobs.core.times import wire_time
from livejobs.faces.base import (
    Around,
    Face,
    ResultLine,
    Way,
    all_of,
    detail_of,
    failure,
    percent,
    whole,
)

Word = Literal["pending", "running", "completed", "failed", "cancelled"]
WORDS: Final[Mapping[Status, Word]] = {
    "queued": "pending",
    "running": "running",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


class ConsolidationStatus(TypedDict):
    job_id: str
    project_id: str
    status: Word
    progress: int
    started_at: str | None
    completed_at: str | None
    memories_merged: int
    memories_archived: int
    memories_promoted: int
    summaries_created: int
    consolidation_changes: Sequence[str | int]
    error_message: str | None


def shape(head: Head, around: Around) -> ConsolidationStatus:
    counted = head.counters
    return {
        "job_id": head.id,
        "project_id": head.project,
        "status": WORDS[head.status],
        "progress": percent(head),
        "started_at": wire_time(head.started_at),
        "completed_at": wire_time(head.completed_at),
        "memories_merged": whole(counted.get("memories_merged")),
        "memories_archived": whole(counted.get("memories_archived")),
        "memories_promoted": whole(counted.get("memories_promoted")),
        "summaries_created": whole(counted.get("summaries_created")),
        "consolidation_changes": around.results.each(change_id),
        "error_message": failure(head, cancelled=None),
    }


def change_id(line: ResultLine) -> str | int | None:
    """The id of the change in a result; None if it has none."""
    value = msgspec.json.decode(line.value)
    id = value.get("id") if isinstance(value, dict) else value
    if isinstance(id, str):
        return id
    return id if isinstance(value, dict) and type(id) is int else None


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    return {"detail": detail_of(error, {"job_not_found": "Job not found"})}


EXAMPLE: Final[ConsolidationStatus] = {
    "job_id": "3b1c0e1e-8f5e-4a39-9d0c-1f1d8a2b7c55",
    "project_id": "default",
    "status": "completed",
    "progress": 100,
    "started_at": "2025-01-08T10:00:00.000Z",
    "completed_at": "2025-01-08T10:04:12.500Z",
    "memories_merged": 12,
    "memories_archived": 4,
    "memories_promoted": 2,
    "summaries_created": 3,
    "consolidation_changes": ["chg-1", "chg-2"],
    "error_message": None,
}

FACE: Final = Face(
    name="consolidation",
    ways=(
        Way(
            "/api/v1/consolidation/status/{job_id}",
            "Get a consolidation job",
            shape,
            all_of("results"),
            returns=ConsolidationStatus,
            example=EXAMPLE,
        ),
    ),
    refusal=refusal,
    denies=True,
)
