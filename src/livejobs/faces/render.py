"""Video rendering: a job's status, with its log when it has failed, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NotRequired, TypedDict

from starlette.responses import Response

from livejobs.core.errors import Conflict, LivejobsError
from livejobs.core.model import EntryKind, Head, Status
from livejobs.core.times import rfc3339
from livejobs.faces.base import (
    NOT_SENT,
    Around,
    Call,
    Face,
    Way,
    detail_of,
    failure,
    first_file,
    no_file,
    percent,
    text,
)
from livejobs.web.files.calls import deliver, main_file

Word = Literal["queued", "processing", "completed", "failed", "cancelled"]
WORDS: Final[Mapping[Status, Word]] = {
    "queued": "queued",
    "running": "processing",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


class JobStatusResponse(TypedDict):
    id: str
    status: Word
    progress: int
    projectPath: str
    outputPath: str
    createdAt: str
    updatedAt: str
    completedAt: NotRequired[str]
    logs: NotRequired[str]
    error: NotRequired[str]
    downloadUrl: NotRequired[str]


def shape(head: Head, around: Around) -> JobStatusResponse:
    """A field that does not apply is absent, as in the types of its clients."""
    seen: JobStatusResponse = {
        "id": head.id,
        "status": WORDS[head.status],
        "progress": percent(head),
        "projectPath": text(head.meta, "projectPath"),
        "outputPath": text(head.meta, "outputPath") or first_file(head),
        "createdAt": rfc3339(head.created_at),
        "updatedAt": rfc3339(head.updated_at),
    }
    if head.completed_at is not None:
        seen["completedAt"] = rfc3339(head.completed_at)
    if head.status == "failed":
        seen["logs"] = "\n".join(line.message for line in around.logs)
        seen["error"] = failure(head) or ""
    if head.status == "succeeded" and head.files:
        seen["downloadUrl"] = f"{around.base}/api/jobs/{head.id}/download"
    return seen


def logs_once_failed(head: Head) -> Sequence[EntryKind]:
    return ("logs",) if head.status == "failed" else ()


WORDING: Final = {"job_not_found": "Job not found", "no_file": "File not found"}


async def download(call: Call) -> Response:
    slot = await call.job(call.request.path_params["id"])
    if slot.head.status != "succeeded":
        raise Conflict("Job is not completed", code="job_not_succeeded")
    file = main_file(slot.head)
    if file is None:
        raise no_file()
    return await deliver(call.request, slot, file)


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    return {"error": detail_of(error, WORDING)}


EXAMPLE: Final[JobStatusResponse] = {
    "id": "0199c1a2-7b1e-7c3d-9a55-2f6e8d4b1c90",
    "status": "completed",
    "progress": 100,
    "projectPath": "/projects/teaser",
    "outputPath": "/renders/output.mp4",
    "createdAt": "2026-01-02T03:04:05.678Z",
    "updatedAt": "2026-01-02T03:05:00.000Z",
    "completedAt": "2026-01-02T03:05:00.000Z",
    "downloadUrl": "/api/jobs/0199c1a2-7b1e-7c3d-9a55-2f6e8d4b1c90/download",
}

FACE: Final = Face(
    name="render",
    ways=(
        Way(
            "/api/jobs/{id}",
            "Get a render job",
            shape,
            logs_once_failed,
            returns=JobStatusResponse,
            example=EXAMPLE,
        ),
        Way(
            "/api/jobs/{id}/download",
            "Download the file of a render job",
            handler=download,
            refuses=(Conflict("Job is not completed", code="job_not_succeeded"), *NOT_SENT),
        ),
    ),
    refusal=refusal,
    denies=True,
)
