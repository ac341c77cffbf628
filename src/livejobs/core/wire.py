"""The job as JSON: the names and shapes that clients see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Raw

from livejobs.core.cursor import Cursor
from livejobs.core.model import (
    KINDS,
    Children,
    EntryKind,
    Failure,
    File,
    Head,
    Progress,
    Question,
    Step,
)
from livejobs.core.progress import as_percent, percent, step_fraction
from livejobs.core.times import rfc3339, wire_time

# A job is shown with its last results and errors, within both of these bounds for each. The store
# keeps all of them, and clients read the rest in pages.
LAST: Final = 1000
LAST_BYTES: Final = 512 * 1024

encode: Final = msgspec.json.Encoder().encode


class Queue(msgspec.Struct, frozen=True):
    """The place of a queued job among the queued jobs of its project and type."""

    position: int
    length: int
    eta_seconds: float | None


def fields(
    head: Head,
    cursor: Cursor,
    *,
    base: str = "",
    queue: Queue | None = None,
    heartbeat_at: int | None = None,
) -> dict[str, Any]:
    """Every top-level field except `results` and `errors`. `base` is the path where the app is
    mounted; `heartbeat_at` is the last heartbeat since the head changed."""
    cut = {"trimmed": trimmed(head)} if head.kept else {}  # only a server with caps has it
    return {
        "id": head.id,
        "project": head.project,
        "type": head.type,
        "title": head.title,
        "owner": head.owner,
        "status": head.status,
        "stalled": head.stalled,
        "cancel_requested": head.cancel_requested,
        "attempt": head.attempt,
        "progress": _progress(head),
        "steps": [_step(step) for step in head.steps],
        "counters": head.counters,
        "meta": head.meta,
        "tags": head.tags,
        "parent": head.parent,
        "children": _children(head.children),
        "results_total": head.results_total,
        "errors_total": head.errors_total,
        "logs_total": head.logs_total,
        "error": _error(head.error),
        "result": head.result,
        "worker": head.worker,
        "waiting": _waiting(head.waiting),
        "files": [file(head.id, f, base) for f in head.files],
        "queue": queue,
        "created_at": rfc3339(head.created_at),
        "started_at": wire_time(head.started_at),
        "updated_at": rfc3339(head.updated_at),
        "completed_at": wire_time(head.completed_at),
        "heartbeat_at": wire_time(max_time(head.heartbeat_at, heartbeat_at)),
        "expires_at": wire_time(head.expires_at),
        "timing": timing(head),
        "cursor": str(cursor),
        "links": _links(head.id, base),
        **cut,
    }


def with_entries(
    job: dict[str, Any], results: Sequence[Raw], errors: Sequence[Raw]
) -> dict[str, Any]:
    """Add the last results and errors to the fields."""
    return {**job, "results": results, "errors": errors}


def file(job: str, it: File, base: str) -> dict[str, Any]:
    return {
        "name": it.name,
        "size": it.size,
        "media_type": it.media_type,
        "sha256": it.sha256,
        "url": f"{base}/v1/jobs/{job}/files/{quote(it.name, safe='')}",
    }


def max_time(a: int | None, b: int | None) -> int | None:
    return max(a, b) if a is not None and b is not None else a if b is None else b


def _progress(head: Head) -> dict[str, Any]:
    progress: Progress = head.progress
    return {
        "percent": percent(head),
        "current": progress.current,
        "total": progress.total,
        "unit": progress.unit,
        "message": progress.message,
        "rate": progress.rate,
        "eta_seconds": progress.eta,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "title": step.title,
        "status": step.status,
        "weight": step.weight,
        "current": step.current,
        "total": step.total,
        "percent": as_percent(step_fraction(step)),
        "started_at": wire_time(step.started_at),
        "completed_at": wire_time(step.completed_at),
    }


def trimmed(head: Head) -> dict[EntryKind, int] | None:
    """How many of the oldest entries were removed, by kind; None: none."""
    removed = {kind: head.removed(kind) for kind in KINDS} if head.kept else {}
    return removed if any(removed.values()) else None


def _children(children: Children) -> dict[str, int]:
    return {
        "total": children.total,
        "queued": children.queued,
        "running": children.running,
        "succeeded": children.succeeded,
        "failed": children.failed,
        "cancelled": children.cancelled,
    }


def _error(error: Failure | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"message": error.message, "code": error.code, "detail": error.detail}


def _waiting(question: Question | None) -> dict[str, Any] | None:
    if question is None:
        return None
    return {
        "n": question.n,
        "prompt": question.prompt,
        "schema": question.schema,
        "at": rfc3339(question.at),
    }


def timing(head: Head) -> dict[str, float | None]:
    """Each time is set when its phase has ended, and is never negative if the clock is set back."""
    ended = head.completed_at
    return {
        "queue_seconds": _seconds(head.queued_at, head.started_at or ended),
        "run_seconds": _seconds(head.started_at, ended),
        "total_seconds": _seconds(head.created_at, ended),
    }


def _seconds(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else max(0, end - start) / 1000


def _links(id: str, base: str) -> dict[str, str]:
    own = f"{base}/v1/jobs/{id}"
    return {
        "self": own,
        "events": f"{own}/events",
        "logs": f"{own}/logs",
        "page": f"{base}/jobs/{id}",
    }
