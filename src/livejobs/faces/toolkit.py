"""A media toolkit: one status call for all its endpoints, by POST, answered in an envelope."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final, Literal, TypedDict

import msgspec
from msgspec import Struct
from starlette.responses import Response

from livejobs import clock
from livejobs.core import wire
from livejobs.core.errors import BadJson, BodyTooLarge, LivejobsError, UnsupportedMediaType
from livejobs.core.model import Head, Status
from livejobs.faces.base import Call, Face, Way, failure, integer, text
from livejobs.web import http

PATH: Final = "/v1/toolkit/job/status"
# Its clients wait for "done", however a job ends; the inner code says how.
WORDS: Final[Mapping[Status, Literal["queued", "running", "done"]]] = {
    "queued": "queued",
    "running": "running",
    "succeeded": "done",
    "failed": "done",
    "cancelled": "done",
}


class Asked(Struct):
    job_id: str


class Outcome(TypedDict):
    """The final answer of the endpoint that took the job."""

    endpoint: str
    code: int
    id: str | None
    job_id: str
    response: Any
    message: str
    pid: int
    queue_id: int
    run_time: float
    queue_time: float
    total_time: float
    queue_length: int
    build_number: str


class JobFile(TypedDict):
    job_status: Literal["queued", "running", "done"]
    job_id: str
    queue_id: int
    process_id: int
    response: Outcome | None


class Envelope(TypedDict):
    endpoint: str
    code: int
    id: str | None
    job_id: str
    response: JobFile
    message: str
    pid: int
    queue_id: int
    run_time: float
    queue_time: float
    total_time: float
    queue_length: int
    build_number: str


def shape(head: Head, build: str) -> JobFile:
    worker = head.worker or {}
    return {
        "job_status": WORDS[head.status],
        "job_id": head.id,
        "queue_id": integer(worker, "queue_id"),
        "process_id": integer(worker, "pid"),
        "response": outcome(head, worker, build) if head.finished else None,
    }


def outcome(head: Head, worker: Mapping[str, Any], build: str) -> Outcome:
    why, timing = failure(head), wire.timing(head)
    good = head.status == "succeeded"
    return {
        "endpoint": text(head.meta, "endpoint"),
        "code": 200 if good else 500,
        "id": text(head.meta, "id") or None,
        "job_id": head.id,
        "response": head.result,
        "message": "success" if good else why or "",
        "pid": integer(worker, "pid"),
        "queue_id": integer(worker, "queue_id"),
        "run_time": timing["run_seconds"] or 0.0,
        "queue_time": timing["queue_seconds"] or 0.0,
        "total_time": timing["total_seconds"] or 0.0,
        "queue_length": integer(worker, "queue_length"),
        "build_number": build,
    }


def envelope(job: JobFile, *, seconds: float, queue_length: int, build: str) -> Envelope:
    """The job, with the facts of this call, which never waits in a queue."""
    took = round(seconds, 3)
    return {
        "endpoint": PATH,
        "code": 200,
        "id": None,
        "job_id": job["job_id"],
        "response": job,
        "message": "success",
        "pid": job["process_id"],
        "queue_id": job["queue_id"],
        "run_time": took,
        "queue_time": 0.0,
        "total_time": took,
        "queue_length": queue_length,
        "build_number": build,
    }


async def status(call: Call) -> Response:
    began = clock.monotonic()
    asked = await _asked(call)
    try:
        slot = await call.job(asked.job_id)
    except LivejobsError as error:
        error.extra["job_id"] = asked.job_id  # it is not in the address
        raise
    answer = envelope(
        shape(slot.head, BUILD),
        seconds=clock.monotonic() - began,
        queue_length=call.live.queue_length(slot),
        build=BUILD,
    )
    return call.json(answer)


async def _asked(call: Call) -> Asked:
    try:
        http.check_json(call.request.scope)
        body = await http.read_body(call.request.scope, call.request.receive, call.live.bounds.body)
        return msgspec.json.decode(body, type=Asked)
    except (
        msgspec.MsgspecError, UnsupportedMediaType, UnicodeDecodeError, RecursionError,
    ) as error:  # fmt: skip
        raise BadJson(f"Invalid payload: {error}") from None


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    if error.status == 404:
        return {"error": "Job not found", "job_id": error.extra.get("job_id", "")}
    if error.status >= 500:
        detail = f"Failed to retrieve job status: {error.detail}"
        return {"error": detail, "code": error.status}
    return {"message": error.detail}


BUILD: Final = version("livejobs")
ID: Final = "e6d7f3c0-9c9f-4b8a-b7c3-f0e3c9f6b9d7"
EXAMPLE: Final[Envelope] = {
    "endpoint": PATH,
    "code": 200,
    "id": None,
    "job_id": ID,
    "response": {
        "job_status": "done",
        "job_id": ID,
        "queue_id": 140368864456064,
        "process_id": 123456,
        "response": {
            "endpoint": "/v1/media/transcribe",
            "code": 200,
            "id": "transcribe_job_123",
            "job_id": ID,
            "response": "Transcription completed successfully.",
            "message": "success",
            "pid": 123456,
            "queue_id": 140368864456064,
            "run_time": 5.234,
            "queue_time": 1.123,
            "total_time": 6.357,
            "queue_length": 0,
            "build_number": "1.0.0",
        },
    },
    "message": "success",
    "pid": 123456,
    "queue_id": 140368864456064,
    "run_time": 0.001,
    "queue_time": 0.0,
    "total_time": 0.001,
    "queue_length": 0,
    "build_number": "1.0.0",
}

FACE: Final = Face(
    name="toolkit",
    ways=(
        Way(
            PATH,
            "Get a toolkit job",
            handler=status,
            method="POST",
            returns=Envelope,
            example=EXAMPLE,
            takes=Asked,
            takes_example={"job_id": ID},
            refuses=(
                BadJson("Invalid payload: …"),
                BodyTooLarge("A body takes at most 1048576 bytes."),
            ),
        ),
    ),
    refusal=refusal,
)
