"""A job as an OGC statusInfo, and its results as outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict

from msgspec import Raw

from livejobs.core import wire
from livejobs.core.model import Head, Status
from livejobs.core.progress import percent
from livejobs.core.times import rfc3339
from livejobs.faces.base import JSON, Around, ResultLine

PREFIX: Final = "/ogc"
JOBS: Final = PREFIX + "/jobs"
REL: Final = "http://www.opengis.net/def/rel/ogc/1.0/"

Word: TypeAlias = Literal["accepted", "running", "successful", "failed", "dismissed"]
WORDS: Final[Mapping[Status, Word]] = {
    "queued": "accepted",
    "running": "running",
    "succeeded": "successful",
    "failed": "failed",
    "cancelled": "dismissed",
}


class OgcLink(TypedDict):
    href: str
    rel: str
    type: str
    title: NotRequired[str]


class JobException(TypedDict):
    type: str
    title: str
    detail: str


class StatusInfo(TypedDict):
    jobID: str
    id: str
    type: Literal["process"]
    processingEntityType: Literal["ogc-api-processes"]
    processID: NotRequired[str]
    title: NotRequired[str]
    status: Word
    message: NotRequired[str]
    progress: NotRequired[int]
    created: str
    started: NotRequired[str]
    finished: NotRequired[str]
    updated: str
    exception: NotRequired[JobException]
    links: Sequence[OgcLink]


def status_info(head: Head, around: Around) -> StatusInfo:
    """A member that does not apply is absent. The names `jobID` and `type` are those of 1.0, `id`
    and `processingEntityType` those of 2.0."""
    optional = {
        "processID": head.type,
        "title": head.title,
        "message": message(head),
        "progress": percent(head),
        "started": None if head.started_at is None else rfc3339(head.started_at),
        "finished": None if head.completed_at is None else rfc3339(head.completed_at),
        "exception": exception(head),
    }
    info: StatusInfo = {
        "jobID": head.id,
        "id": head.id,
        "type": "process",
        "processingEntityType": "ogc-api-processes",
        "status": WORDS[head.status],
        "created": rfc3339(head.created_at),
        "updated": rfc3339(head.updated_at),
        "links": links_of(head, around.base),
    }
    return info | {name: value for name, value in optional.items() if value is not None}  # type: ignore[return-value]  # mypy can't see which names these are


def message(head: Head) -> str | None:
    if head.status == "failed" and head.error is not None:
        return head.error.message
    return head.progress.message if head.waiting is None else head.waiting.prompt


def exception(head: Head) -> JobException | None:
    if head.status != "failed":
        return None
    return {"type": "about:blank", "title": "Job failed", "detail": message(head) or ""}


def links_of(head: Head, base: str) -> Sequence[OgcLink]:
    own = f"{base}{JOBS}/{head.id}"
    links: list[OgcLink] = [link(own, "self"), link(f"{base}{JOBS}", "up")]
    if head.status == "succeeded":
        links.append(link(own + "/results", REL + "results"))
    for it in head.files:
        url = wire.file(head.id, it, base)["url"]
        links.append({**link(url, "enclosure", it.media_type), "title": it.name})
    return links


def link(href: str, rel: str, type: str = JSON) -> OgcLink:
    return {"href": href, "rel": rel, "type": type}


def results(head: Head, around: Around) -> dict[str, Any]:
    """Outputs by name. A file's name has a prefix, so that it can't be that of another output."""
    values = around.results.each(value_of)
    outputs: dict[str, Any] = {} if head.result is None else {"result": {"value": head.result}}
    if values:
        outputs["results"] = {"value": values}
    for it in head.files:
        url = wire.file(head.id, it, around.base)["url"]
        outputs[f"files/{it.name}"] = {"href": url, "type": it.media_type, "title": it.name}
    return outputs


def value_of(line: ResultLine) -> Raw:
    return line.value
