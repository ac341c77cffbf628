"""Replicate's predictions: a face in its own package.

`GET /v1/predictions/{id}` and `POST /v1/predictions/{id}/cancel`. With `Prefer: wait` or `wait=N`,
the answer waits until the prediction has ended, at most a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict

from msgspec import Raw
from starlette.datastructures import Headers
from starlette.responses import Response

from livejobs.core import wire
from livejobs.core.errors import LivejobsError
from livejobs.core.model import Head, Status
from livejobs.core.times import rfc3339, wire_time
from livejobs.faces.base import (
    Around,
    Call,
    Face,
    ResultLine,
    Way,
    all_of,
    detail_of,
    failure,
    text,
)
from livejobs.jobs.state import Slot

LONGEST_WAIT: Final = 60
Word = Literal["starting", "processing", "succeeded", "failed", "canceled"]
WORDS: Final[Mapping[Status, Word]] = {
    "queued": "starting",
    "running": "processing",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "canceled",
}


class Metrics(TypedDict, total=False):
    predict_time: float


class Urls(TypedDict):
    get: str
    cancel: str
    stream: str


class Prediction(TypedDict):
    id: str
    model: str
    version: str
    input: Any
    output: Any
    error: str | None
    status: Word
    created_at: str
    started_at: str | None
    completed_at: str | None
    logs: str
    metrics: Metrics
    urls: Urls


def shape(head: Head, around: Around) -> Prediction:
    own = f"{around.base}/v1/predictions/{head.id}"
    ran = wire.timing(head)["run_seconds"]
    return {
        "id": head.id,
        "model": text(head.meta, "model"),
        "version": text(head.meta, "version"),
        "input": head.meta.get("input", {}),
        "output": output(head, around),
        "error": failure(head, cancelled=None),
        "status": WORDS[head.status],
        "created_at": rfc3339(head.created_at),
        "started_at": wire_time(head.started_at),
        "completed_at": wire_time(head.completed_at),
        "logs": "\n".join(line.message for line in around.logs),
        "metrics": {} if ran is None else {"predict_time": ran},
        "urls": {
            "get": own,
            "cancel": f"{own}/cancel",
            "stream": f"{around.base}/v1/jobs/{head.id}/events",
        },
    }


def output(head: Head, around: Around) -> Any:
    """The job's result; if there is none yet, its results so far."""
    if head.result is not None:
        return head.result
    return around.results.each(value) or None


def value(line: ResultLine) -> Raw:
    return line.value


async def get(call: Call) -> Response:
    slot = await call.job(call.request.path_params["id"])
    seconds = asked_to_wait(call.request.headers)
    if seconds:
        await call.ended(slot, seconds)
    return await answer(call, slot)


async def cancel(call: Call) -> Response:
    slot = await call.job(call.request.path_params["id"])
    if not slot.head.finished:
        await call.live.cancel(slot.head.id, by=call.by)
    return await answer(call, slot)


async def answer(call: Call, slot: Slot) -> Response:
    """With absolute URLs, because the clients follow them unchanged."""
    origin = f"{call.request.url.scheme}://{call.request.url.netloc}"

    def here(head: Head, around: Around) -> Prediction:
        return shape(head, around._replace(base=origin + around.base))

    return call.json(await call.seen(slot, here, all_of("results", "logs")))


_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*(?:=\s*(\d{1,4}))?\s*(?=$|[,;])")


def asked_to_wait(headers: Headers) -> int:
    found = _WAIT.search(headers.get("prefer", ""))
    return 0 if found is None else min(int(found[1] or LONGEST_WAIT), LONGEST_WAIT)


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    detail = detail_of(error, {"job_not_found": "The requested resource could not be found."})
    return {"title": error.title, "detail": detail, "status": error.status}


EXAMPLE: Final[Prediction] = {
    "id": "gm3qorzdhgbfurvjtvhg6dckhu",
    "model": "replicate/hello-world",
    "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
    "input": {"text": "Alice"},
    "output": "hello Alice",
    "error": None,
    "status": "succeeded",
    "created_at": "2023-09-08T16:19:34.765Z",
    "started_at": "2023-09-08T16:19:34.779Z",
    "completed_at": "2023-09-08T16:19:34.791Z",
    "logs": "",
    "metrics": {"predict_time": 0.012},
    "urls": {
        "get": "https://jobs.example/v1/predictions/gm3qorzdhgbfurvjtvhg6dckhu",
        "cancel": "https://jobs.example/v1/predictions/gm3qorzdhgbfurvjtvhg6dckhu/cancel",
        "stream": "https://jobs.example/v1/jobs/gm3qorzdhgbfurvjtvhg6dckhu/events",
    },
}

FACE: Final = Face(
    name="replicate",
    ways=(
        Way(
            "/v1/predictions/{id}", "Get a prediction", handler=get,
            returns=Prediction, example=EXAMPLE,
        ),
        Way(
            "/v1/predictions/{id}/cancel", "Cancel a prediction", handler=cancel,
            method="POST", action="cancel", returns=Prediction, example=EXAMPLE,
        ),
    ),
    refusal=refusal,
)  # fmt: skip
