"""Speech synthesis: the status of a task, with its finished and its failed segments.

Its clients poll every two seconds and expect no more than a lookup, so all of it is in memory: the
answer as bytes until the job changes, and each segment, once read, until nobody asks any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NotRequired, TypedDict

from msgspec import Raw

from livejobs.core.errors import LivejobsError
from livejobs.core.model import Head, Status
from livejobs.core.reducer import ErrorLine
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

Word = Literal["PENDING", "PROCESSING", "COMPLETED", "FAILED"]
WORDS: Final[Mapping[Status, Word]] = {
    "queued": "PENDING",
    "running": "PROCESSING",
    "succeeded": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "FAILED",
}


class TaskProgress(TypedDict):
    current: int
    total: int
    percentage: int
    current_segment_id: NotRequired[Any]


class SegmentError(TypedDict):
    segment_id: Any
    error: str


class TaskStatus(TypedDict):
    task_id: str
    status: Word
    progress: TaskProgress
    completed_segments: Sequence[Any]
    errors: Sequence[SegmentError]


def shape(head: Head, around: Around) -> TaskStatus:
    return {
        "task_id": head.id,
        "status": WORDS[head.status],
        "progress": progress(head),
        "completed_segments": around.results.each(segment),
        "errors": errors(head, around),
    }


def progress(head: Head) -> TaskProgress:
    progress: TaskProgress = {
        "current": whole(head.progress.current),
        "total": whole(head.progress.total),
        "percentage": percent(head),
    }
    segment_id = head.meta.get("current_segment_id")
    if segment_id is not None:
        progress["current_segment_id"] = segment_id
    return progress


def errors(head: Head, around: Around) -> Sequence[SegmentError]:
    """The errors of the segments, then the error that ended the task, which has no segment."""
    segments = around.errors.each(segment_error)
    why = failure(head)
    return segments if why is None else [*segments, {"segment_id": None, "error": why}]


def segment(line: ResultLine) -> Raw:
    return line.value  # no copy: a view of the entry, which is kept anyway


def segment_error(line: ErrorLine) -> SegmentError:
    return {"segment_id": line.item, "error": line.message}


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    return {"error": detail_of(error, {"job_not_found": "Task not found"})}


EXAMPLE: Final[TaskStatus] = {
    "task_id": "story-7-audio",
    "status": "PROCESSING",
    "progress": {"current": 2, "total": 5, "percentage": 40, "current_segment_id": 3},
    "completed_segments": [
        {"segment_id": 1, "audio_url": "/media/1.wav", "duration": 4.2},
        {"segment_id": 2, "audio_url": "/media/2.wav", "duration": 3.1},
    ],
    "errors": [],
}

STATUS: Final = Way(
    "/api/tasks/{task_id}/status/",
    "Get a speech task",
    shape,
    all_of("results", "errors"),
    returns=TaskStatus,
    example=EXAMPLE,
)

FACE: Final = Face(
    name="tasks",
    ways=(STATUS, STATUS._replace(path="/api/tasks/{task_id}/status")),
    refusal=refusal,
    public=lambda settings: settings.tasks_public,
)
