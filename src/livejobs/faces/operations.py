"""Long-running operations as Google's APIs have them (AIP-151): google.longrunning.Operations over
REST.

https://google.aip.dev/151 and google/longrunning/operations.proto. Our `result` is a
google.protobuf.Value and our facts are a Struct, because clients can't parse types that they do not
know. `:wait` has no address in the proto; ours is like that of `:cancel`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NotRequired, TypedDict

from msgspec import Struct
from starlette.responses import Response

from livejobs.core import wire
from livejobs.core.errors import BadCursor, BodyTooLarge, Conflict, LivejobsError
from livejobs.core.model import FINISHED, STATUSES, Head, Status
from livejobs.core.progress import percent
from livejobs.core.times import rfc3339, wire_time
from livejobs.faces.base import Around, Call, Face, Way
from livejobs.web.documents.parameters import Parameter
from livejobs.web.documents.schemas import TEXT, whole

PREFIX: Final = "/operations"
LIST: Final = PREFIX + "/v1/projects/{project}/operations"
ONE: Final = LIST + "/{id}"
PAGE: Final = 100
LARGEST_PAGE: Final = 1000
WAIT: Final = 30.0  # seconds, when the client names none
LONGEST_WAIT: Final = 60.0  # under the usual timeouts of proxies
STRUCT: Final = "type.googleapis.com/google.protobuf.Struct"
VALUE: Final = "type.googleapis.com/google.protobuf.Value"
INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"


# Shapes


ProtoAny = TypedDict("ProtoAny", {"@type": str, "value": Any})  # google.protobuf.Any


class OperationError(TypedDict):
    code: int  # of google.rpc.Code
    message: str


class Operation(TypedDict):
    name: str
    metadata: ProtoAny
    done: bool
    error: NotRequired[OperationError]
    response: NotRequired[ProtoAny]


class Operations(TypedDict):
    operations: Sequence[Operation]
    nextPageToken: str


class Empty(TypedDict):
    pass


def shape(head: Head, around: Around) -> Operation:
    operation: Operation = {
        "name": f"projects/{head.project}/operations/{head.id}",
        "metadata": {"@type": STRUCT, "value": facts(head, around.base)},
        "done": head.finished,
    }
    if head.status == "succeeded":
        operation["response"] = {"@type": VALUE, "value": head.result}
    elif head.finished:
        operation["error"] = error_of(head)
    return operation


CANCELLED, UNKNOWN, DEADLINE_EXCEEDED = 1, 2, 4  # of google.rpc.Code


def error_of(head: Head) -> OperationError:
    if head.status == "cancelled":
        return {"code": CANCELLED, "message": "Cancelled"}
    why = head.error
    lost = why is not None and why.code == "lost"
    return {
        "code": DEADLINE_EXCEEDED if lost else UNKNOWN,
        "message": why.message if why is not None else "",
    }


def facts(head: Head, base: str) -> dict[str, Any]:
    """Under their native names."""
    progress, waiting = head.progress, head.waiting
    return {
        "type": head.type,
        "title": head.title,
        "owner": head.owner,
        "tags": head.tags,
        "status": head.status,
        "stalled": head.stalled,
        "cancel_requested": head.cancel_requested,
        "attempt": head.attempt,
        "percent": percent(head),
        "current": progress.current,
        "total": progress.total,
        "unit": progress.unit,
        "message": progress.message,
        "eta_seconds": progress.eta,
        "counters": head.counters,
        "waiting": None if waiting is None else {"n": waiting.n, "prompt": waiting.prompt},
        "files": [wire.file(head.id, it, base) for it in head.files],
        "created_at": rfc3339(head.created_at),
        "started_at": wire_time(head.started_at),
        "updated_at": rfc3339(head.updated_at),
        "completed_at": wire_time(head.completed_at),
    }


# Requests


class BadArgument(LivejobsError):
    status, title, default_code = 400, "Bad request", "bad_argument"


async def listing(call: Call) -> Response:
    asked = call.request.query_params
    limit = page_size(asked.get("pageSize", ""))
    filters = filters_of(asked.get("filter", ""))
    query = call.among(call.request.path_params["project"], **(filters or {}))
    try:
        found = await call.live.list(query, limit=limit, after=asked.get("pageToken") or None)
    except BadCursor:
        raise BadArgument("pageToken is not one of this list. Begin without it.") from None
    slots = () if filters is None else found.slots
    page: Operations = {
        "operations": [shape(slot.head, Around(base=slot.base)) for slot in slots],
        "nextPageToken": (found.next or "") if slots else "",
    }
    return call.json(page)


def page_size(text: str) -> int:
    """A larger page than the largest is no error (AIP-158)."""
    if text in ("", "0"):
        return PAGE
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise BadArgument("pageSize takes a whole number from 0.")
    return min(int(text), LARGEST_PAGE)


NAMED: Final[Mapping[str, str]] = {
    "metadata.type": "type",
    "metadata.owner": "owner",
    "metadata.tags": "tag",
}
_TERM: Final = re.compile(
    r'\s*([A-Za-z_.]+)\s*[=:]\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"()]+))\s*(?:(?:AND|and)\s(?=\s*\S)|\Z)'
)


def filters_of(text: str) -> dict[str, Any] | None:
    """The fields of a query, from a filter (AIP-160): terms that are joined by AND. None: no job
    fits."""
    filters: dict[str, Any] = {}
    statuses: Sequence[Status] = STATUSES
    at = 0
    while text[at:].strip():
        term = _TERM.match(text, at)
        if term is None:
            raise bad_filter()
        name = term[1]
        value = term[3] if term[2] is None else re.sub(r"\\(.)", r"\1", term[2])
        at = term.end()
        if name in ("done", "metadata.status"):
            statuses = [it for it in statuses if it in statuses_of(name, value)]
        elif name in NAMED and filters.setdefault(NAMED[name], value) != value:
            return None
        elif name not in NAMED:
            raise bad_filter()
    if len(statuses) < len(STATUSES):
        filters["statuses"] = tuple(statuses)
    return filters if statuses else None


def statuses_of(name: str, value: str) -> Sequence[Status]:
    if name == "metadata.status":
        found = [it for it in STATUSES if it == value]
        if not found:
            raise bad_filter()
        return found
    if value not in ("true", "false"):
        raise bad_filter()
    return [it for it in STATUSES if (it in FINISHED) == (value == "true")]


def bad_filter() -> BadArgument:
    names = ", ".join(["done", "metadata.status", *NAMED])
    return BadArgument(f"filter takes terms like done=true, joined by AND. The fields: {names}.")


class CancelOperation(Struct):
    """Members that clients add are of no matter."""


class WaitOperation(Struct):
    timeout: str | None = None
    name: str = ""


async def cancel(call: Call) -> Response:
    """An operation that is done stays as it is, which is no error: the caller could not know."""
    slot = await call.job()
    await call.body(CancelOperation, CancelOperation())
    try:
        await call.cancel(slot)
    except Conflict:
        if not slot.head.finished:
            raise
    return call.json({})


async def delete(call: Call) -> Response:
    await call.delete(await call.job())
    return call.json({})


async def wait(call: Call) -> Response:
    slot = await call.job()
    seconds = seconds_of(await call.body(WaitOperation, WaitOperation()))
    await call.ended(slot, seconds)
    return call.json(await call.seen(slot, shape))


_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)s")


def seconds_of(wait: WaitOperation) -> float:
    if wait.timeout is None:
        return WAIT
    found = _DURATION.fullmatch(wait.timeout)
    if found is None:
        raise BadArgument("timeout takes seconds, like '10s'.")
    return min(float(found[1]), LONGEST_WAIT)


# Errors

WORDS: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
# A wrong field is 400 in these APIs, and so is a state that does not allow it.
STATUS: Final[Mapping[int, int]] = {409: 400, 422: 400}


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    status = STATUS.get(error.status, error.status)
    info = {"@type": INFO, "reason": error.code.upper(), "domain": "livejobs"}
    return {
        "error": {
            "code": status,
            "status": WORDS.get(error.status, WORDS[400]),
            "message": error.detail,
            "details": [info],
        }
    }


# The face

EXAMPLE: Final[Operation] = {
    "name": "projects/default/operations/teaser",
    "metadata": {
        "@type": STRUCT,
        "value": {"type": "render", "status": "running", "percent": 42, "message": "Frame 420"},
    },
    "done": False,
}
DONE: Final[Operation] = {
    "name": "projects/default/operations/teaser",
    "metadata": {"@type": STRUCT, "value": {"type": "render", "status": "succeeded"}},
    "done": True,
    "response": {"@type": VALUE, "value": {"frames": 1000}},
}
FILTERED: Final = (
    Parameter("filter", TEXT, "Terms like `done=true`, joined by `AND`."),
    Parameter("pageSize", whole(0), f"Default {PAGE}, at most {LARGEST_PAGE}."),
    Parameter("pageToken", TEXT, "`nextPageToken` of the page before."),
)
BAD_BODY: Final = (
    BadArgument("timeout takes seconds, like '10s'."),
    BodyTooLarge("A body takes at most 1048576 bytes."),
)


def way(method: Literal["GET", "POST", "DELETE"], path: str, summary: str, **more: Any) -> Way:
    return Way(path, summary, method=method, job="id", project="project", **more)


FACE: Final = Face(
    name="operations",
    prefix=PREFIX,
    ways=(
        Way(
            LIST, "List operations", handler=listing, job="", returns=Operations,
            example={"operations": [EXAMPLE], "nextPageToken": ""}, query=FILTERED,
            refuses=(bad_filter(),),
        ),
        way("GET", ONE, "Get an operation", shape=shape, returns=Operation, example=EXAMPLE),
        way(
            "DELETE", ONE, "Delete an operation that is done", handler=delete, action="delete",
            returns=Empty, example={},
            refuses=(Conflict("Job 'JOB' is running.", code="job_not_finished"),),
        ),
        way(
            "POST", ONE + ":cancel", "Cancel an operation", handler=cancel, action="cancel",
            returns=Empty, example={}, takes=CancelOperation, takes_example={}, needs_body=False,
            refuses=BAD_BODY[1:],
        ),
        way(
            "POST", ONE + ":wait", "Wait until an operation is done", handler=wait,
            returns=Operation, example=DONE, takes=WaitOperation, takes_example={"timeout": "10s"},
            needs_body=False, refuses=BAD_BODY,
        ),
    ),
    refusal=refusal,
    statuses=STATUS,
)  # fmt: skip
