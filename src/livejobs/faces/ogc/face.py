"""Jobs as OGC API - Processes has them: Part 1, version 1.0 (18-062r2), beside the names of 2.0.

https://docs.ogc.org/is/18-062r2/18-062r2.html. The conformance class `core` is not ours: it needs
processes that a client can execute, and a livejobs server executes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from starlette.responses import Response

from livejobs.core.errors import Conflict, LivejobsError, NotFound
from livejobs.core.model import Head
from livejobs.faces.base import Around, Call, Face, Way, all_of, everybody
from livejobs.faces.ogc.listing import FILTERED, JobList, bad_time, job_list
from livejobs.faces.ogc.shapes import (
    JOBS,
    PREFIX,
    REL,
    OgcLink,
    StatusInfo,
    link,
    message,
    results,
    status_info,
)
from livejobs.web import problems

JOB: Final = JOBS + "/{id}"
EXCEPTION: Final = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
CONFORMANCE: Final = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
CLASSES: Final = ("json", "job-list", "dismiss")
OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.1"


class Landing(TypedDict):
    title: str
    description: str
    links: Sequence[OgcLink]


class Conformance(TypedDict):
    conformsTo: Sequence[str]


# Requests


class ResultNotReady(NotFound):
    default_code = "result_not_ready"


async def landing(call: Call) -> Response:
    base = call.live.settings.base_path
    page: Landing = {
        "title": "livejobs",
        "description": "The jobs of this server. It executes no processes.",
        "links": [
            link(f"{base}{PREFIX}/", "self"),
            link(f"{base}/openapi.json", "service-desc", OPENAPI),
            link(f"{base}/docs", "service-doc", "text/html"),
            link(f"{base}{PREFIX}/conformance", REL + "conformance"),
            link(f"{base}{JOBS}", REL + "job-list"),
        ],
    }
    return call.json(page)


async def conformance(call: Call) -> Response:
    declared: Conformance = {"conformsTo": [CONFORMANCE + name for name in CLASSES]}
    return call.json(declared)


async def get_results(call: Call) -> Response:
    slot = await call.job()
    if not slot.head.finished:
        raise ResultNotReady(f"Job {slot.head.id!r} is {slot.head.status}. It has no results yet.")
    if slot.head.status != "succeeded":
        raise not_succeeded(slot.head)
    return call.json(await call.seen(slot, results, all_of("results")))


def not_succeeded(head: Head) -> Conflict:
    why = message(head) if head.status == "failed" else "It has no results."
    return Conflict(f"Job {head.id!r} is {head.status}. {why}", code="job_not_succeeded")


async def dismiss(call: Call) -> Response:
    """End a job, or remove one that has ended. The worker of a running job only gets a request."""
    slot = await call.job()
    if slot.head.finished:
        await call.delete(slot)
    else:
        await call.cancel(slot)
    info = status_info(slot.head, Around(base=slot.base))
    return call.json({**info, "status": "dismissed", "links": info["links"][1:2]})


# Errors

TYPES: Final[Mapping[str, str]] = {
    "job_not_found": EXCEPTION + "no-such-job",
    "result_not_ready": EXCEPTION + "result-not-ready",
}
STATUS: Final[Mapping[int, int]] = {422: 400}


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    told = problems.of(error)
    told["status"] = STATUS.get(error.status, error.status)
    return told | {"type": TYPES.get(error.code, told["type"])}


# The face

EXAMPLE: Final[StatusInfo] = {
    "jobID": "teaser",
    "id": "teaser",
    "type": "process",
    "processingEntityType": "ogc-api-processes",
    "processID": "render",
    "status": "running",
    "message": "Frame 420",
    "progress": 42,
    "created": "2026-01-02T03:04:05.678Z",
    "started": "2026-01-02T03:04:06.000Z",
    "updated": "2026-01-02T03:05:00.000Z",
    "links": [link("/ogc/jobs/teaser", "self"), link("/ogc/jobs", "up")],
}
LISTED: Final[JobList] = {"jobs": [EXAMPLE], "links": [link("/ogc/jobs", "self")]}
RESULTS: Final = {"result": {"value": {"frames": 1000}}}
NOT_SUCCEEDED: Final = Conflict("Job 'JOB' is failed. The disk is full", code="job_not_succeeded")
LANDING: Final = Way(
    PREFIX + "/", "Get the links of this API", handler=landing, job="", public=everybody,
    returns=Landing, example={"title": "livejobs", "description": "", "links": []},
)  # fmt: skip

FACE: Final = Face(
    name="ogc",
    prefix=PREFIX,
    ways=(
        LANDING,
        LANDING._replace(path=PREFIX),
        Way(
            PREFIX + "/conformance", "List the conformance classes", handler=conformance, job="",
            public=everybody, returns=Conformance, example={"conformsTo": [CONFORMANCE + "json"]},
        ),
        Way(
            JOBS, "List jobs", handler=job_list, job="", returns=JobList, example=LISTED,
            query=FILTERED, refuses=(bad_time(),),
        ),
        Way(JOB, "Get the status of a job", status_info, returns=StatusInfo, example=EXAMPLE),
        Way(
            JOB, "Dismiss a job, or remove one that has ended", handler=dismiss, method="DELETE",
            action="cancel", returns=StatusInfo, example={**EXAMPLE, "status": "dismissed"},
            refuses=(Conflict("Job 'JOB' has ended.", code="job_finished"),),
        ),
        Way(
            JOB + "/results", "Get the results of a job", handler=get_results,
            returns=dict[str, Any], example=RESULTS,
            refuses=(ResultNotReady("Job 'JOB' is running. It has no results yet."), NOT_SUCCEEDED),
        ),
    ),
    refusal=refusal,
    statuses=STATUS,
    error_type=problems.MEDIA_TYPE,
)  # fmt: skip
