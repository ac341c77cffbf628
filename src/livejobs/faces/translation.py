"""Document translation: a job's status, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict

from starlette.responses import Response

from livejobs.core.errors import LivejobsError
from livejobs.core.model import Head, Status
from livejobs.faces.base import (
    NOT_SENT,
    Around,
    Call,
    Face,
    Way,
    detail_of,
    failure,
    first_file,
    header_text,
    no_file,
    percent,
    seconds_time,
    text,
)
from livejobs.web.files.calls import deliver, main_file

DAY: Final = 24 * 3600.0
Word = Literal["started", "processing", "completed", "failed"]
WORDS: Final[Mapping[Status, Word]] = {
    "queued": "started",
    "running": "processing",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "failed",
}


class TranslationStatus(TypedDict):
    status: Word
    progress: int
    file_path: str
    source_language: str
    target_language: str
    created_at: str
    output_file: str | None
    error: str | None
    processing_type: str
    format_preservation: bool


def shape(head: Head, around: Around) -> TranslationStatus:
    return {
        "status": WORDS[head.status],
        "progress": percent(head),
        "file_path": text(head.meta, "file_path"),
        "source_language": text(head.meta, "source_language"),
        "target_language": text(head.meta, "target_language"),
        "created_at": seconds_time(head.created_at),
        "output_file": output_file(head),
        "error": failure(head),
        "processing_type": text(head.meta, "processing_type"),
        "format_preservation": head.meta.get("format_preservation") is True,
    }


def output_file(head: Head) -> str | None:
    if head.status != "succeeded":
        return None
    return text(head.meta, "output_file") or first_file(head) or None


class NotCompleted(LivejobsError):
    status, title, default_code = 400, "Bad request", "job_not_succeeded"


async def download(call: Call) -> Response:
    slot = await call.job(call.request.path_params["job_id"])
    head = slot.head
    if head.status != "succeeded":
        raise NotCompleted("Translation not completed")
    file = main_file(head)
    if file is None:
        raise no_file()
    return await deliver(
        call.request, slot, file, headers=headers_of(head), media_type="application/octet-stream"
    )


def headers_of(head: Head) -> dict[str, str]:
    kept = head.meta.get("format_preservation") is True
    return {
        "x-processing-type": header_text(text(head.meta, "processing_type")),
        "x-format-preserved": "true" if kept else "false",
    }


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    words = {"job_not_found": "Job not found", "no_file": "Output file not found"}
    return {"detail": detail_of(error, words)}


EXAMPLE: Final[TranslationStatus] = {
    "status": "processing",
    "progress": 45,
    "file_path": "/tmp/uploads/document.pdf",  # noqa: S108 - as the source has it
    "source_language": "en",
    "target_language": "de",
    "created_at": "2023-11-20T15:30:45Z",
    "output_file": None,
    "error": None,
    "processing_type": "advanced",
    "format_preservation": True,
}

FACE: Final = Face(
    name="translation",
    ways=(
        Way(
            "/api/v1/status/{job_id}",
            "Get a translation job",
            shape,
            returns=TranslationStatus,
            example=EXAMPLE,
        ),
        Way(
            "/api/v1/download/{job_id}",
            "Download the file of a translation job",
            handler=download,
            refuses=(NotCompleted("Translation not completed"), *NOT_SENT),
        ),
    ),
    refusal=refusal,
    retention={"translation": DAY},
)
