"""A job as the objects of A2A 1.0, for its face and for webhooks of the format `a2a`.

The names are those of the protocol's JSON. A field that does not apply is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict
from zlib import crc32

from livejobs.core import wire
from livejobs.core.model import File, Head, Status
from livejobs.core.progress import counted, percent
from livejobs.core.times import rfc3339

State: TypeAlias = Literal[
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
]
STATES: Final[Mapping[Status, State]] = {
    "queued": "TASK_STATE_SUBMITTED",
    "running": "TASK_STATE_WORKING",  # unless it waits for an answer
    "succeeded": "TASK_STATE_COMPLETED",
    "failed": "TASK_STATE_FAILED",
    "cancelled": "TASK_STATE_CANCELED",
}
MEDIA_TYPE: Final = "application/a2a+json"


class Part(TypedDict, total=False):
    """One of text, data and url."""

    text: str
    data: Any
    url: str
    filename: str
    mediaType: str


class Message(TypedDict):
    messageId: str
    contextId: str
    taskId: str
    role: Literal["ROLE_AGENT"]
    parts: list[Part]


class A2ATaskStatus(TypedDict):
    state: State
    timestamp: str
    message: NotRequired[Message]


class Artifact(TypedDict):
    artifactId: str
    name: str
    parts: list[Part]


class Task(TypedDict):
    id: str
    contextId: str
    status: A2ATaskStatus
    artifacts: NotRequired[Sequence[Artifact]]
    metadata: dict[str, Any]


class StatusUpdate(TypedDict):
    taskId: str
    contextId: str
    status: A2ATaskStatus
    metadata: dict[str, Any]


class ArtifactUpdate(TypedDict):
    taskId: str
    contextId: str
    artifact: Artifact
    lastChunk: bool


class StreamResponse(TypedDict, total=False):
    """One of these."""

    task: Task
    statusUpdate: StatusUpdate
    artifactUpdate: ArtifactUpdate


# Status


def state(head: Head) -> State:
    return "TASK_STATE_INPUT_REQUIRED" if head.waiting is not None else STATES[head.status]


def status(head: Head) -> A2ATaskStatus:
    made: A2ATaskStatus = {"state": state(head), "timestamp": rfc3339(head.updated_at)}
    parts = _parts(head)
    if parts:
        made["message"] = {
            "messageId": _message_id(head, parts),
            "contextId": head.project,
            "taskId": head.id,
            "role": "ROLE_AGENT",
            "parts": parts,
        }
    return made


def _message_id(head: Head, parts: list[Part]) -> str:
    """The same for the same message, whoever asks."""
    return f"{head.updated_at}-{crc32(wire.encode([head.id, parts])):08x}"


def _parts(head: Head) -> list[Part]:
    question = head.waiting
    if question is not None:
        asked: list[Part] = [{"text": question.prompt}]
        schema = {"n": question.n, "schema": question.schema}
        return asked if question.schema is None else [*asked, {"data": schema}]
    text = _failure(head) if head.finished else _doing(head)
    return [{"text": text}] if text else []


def _failure(head: Head) -> str:
    return head.error.message if head.status == "failed" and head.error is not None else ""


def _doing(head: Head) -> str:
    """For a reader who sees nothing else of the job."""
    it, part = head.progress, percent(head)
    amount = None
    if it.current is not None and (it.total is not None or it.unit):
        amount = counted(it.current, it.total, it.unit)
    facts = (
        None if part is None else f"{part} %",
        amount,
        it.message,
        "The worker is silent." if head.stalled else None,
        "Cancellation is requested." if head.cancel_requested else None,
    )
    return " · ".join(fact for fact in facts if fact)


# Tasks


def task(head: Head, artifacts: Sequence[Artifact] | None) -> Task:
    """`artifacts` None: they are left out."""
    made: Task = {
        "id": head.id,
        "contextId": head.project,
        "status": status(head),
        "metadata": {**_facts(head), **_moving(head)},
    }
    if artifacts is not None:
        made["artifacts"] = artifacts
    return made


def _facts(head: Head) -> dict[str, Any]:
    return {
        "title": head.title,
        "type": head.type,
        "owner": head.owner,
        "tags": head.tags,
        "meta": head.meta,
        "createdAt": rfc3339(head.created_at),
        "startedAt": None if head.started_at is None else rfc3339(head.started_at),
        "completedAt": None if head.completed_at is None else rfc3339(head.completed_at),
    }


def _moving(head: Head) -> dict[str, Any]:
    """The facts that an update of the status repeats."""
    it = head.progress
    moving = {
        "percent": percent(head),
        "current": it.current,
        "total": it.total,
        "unit": it.unit,
        "counters": head.counters,
        "attempt": head.attempt,
        "errorsTotal": head.errors_total,
        "stalled": head.stalled,
        "cancelRequested": head.cancel_requested,
    }
    if head.status == "failed" and head.error is not None:
        moving |= {"errorCode": head.error.code, "errorDetail": head.error.detail}
    return moving


# Artifacts


def result_artifact(n: int, value: Any) -> Artifact:
    """An entry of the job's results."""
    return _of_data(f"results/{n}", f"Result {n}", value)


def artifacts_of(head: Head, base: str) -> list[Artifact]:
    """What the head has to show: its files, and the result that it has ended with."""
    files = [file_artifact(head, it, base) for it in head.files]
    return files if head.result is None else [*files, _of_data("result", "Result", head.result)]


def file_artifact(head: Head, file: File, base: str) -> Artifact:
    seen = wire.file(head.id, file, base)
    part: Part = {"url": seen["url"], "filename": file.name, "mediaType": file.media_type}
    return {"artifactId": f"files/{file.name}", "name": file.name, "parts": [part]}


def _of_data(id: str, name: str, value: Any) -> Artifact:
    return {
        "artifactId": id,
        "name": name,
        "parts": [{"data": value, "mediaType": "application/json"}],
    }


# What streams and webhooks send


def status_update(head: Head) -> StreamResponse:
    return {
        "statusUpdate": {
            "taskId": head.id,
            "contextId": head.project,
            "status": status(head),
            "metadata": _moving(head),
        }
    }


def artifact_update(head: Head, artifact: Artifact) -> StreamResponse:
    return {
        "artifactUpdate": {
            "taskId": head.id,
            "contextId": head.project,
            "artifact": artifact,
            "lastChunk": True,
        }
    }


def updates(
    before: Head | None, after: Head, results: Iterable[Artifact], base: str
) -> list[StreamResponse]:
    """What has happened between two heads. The status comes last, as it may be the end. If the
    head before is not known, the artifacts that come again take the place of those sent before."""
    shown = [] if before is None else artifacts_of(before, base)
    came = (it for it in artifacts_of(after, base) if it not in shown)
    made = [artifact_update(after, it) for it in (*results, *came)]
    told = before is not None and _told(before) == _told(after)
    return made if told else [*made, status_update(after)]


def _told(head: Head) -> object:
    """A status without its time, which every line of the log changes."""
    return state(head), _parts(head), _moving(head)
