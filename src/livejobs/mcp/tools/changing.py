"""Tools that change jobs: create_job, report, cancel_job, answer."""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args

from msgspec import Meta as Bound
from msgspec import Raw, Struct
from msgspec.structs import replace

from livejobs.core import reports as say
from livejobs.core.model import ID_PATTERN, PROJECT_PATTERN
from livejobs.core.reports import SAFE, AnyReport
from livejobs.mcp import rpc, shown
from livejobs.mcp.call import Call
from livejobs.mcp.tools.reading import JobId
from livejobs.mcp.tools.schemas import (
    FLAG,
    HEAD,
    STATUS,
    TEXT,
    WHOLE,
    Schema,
    an_object,
    arguments_schema,
)
from livejobs.mcp.tools.tool import Result, Tool, structured

Name = Annotated[str, Bound(min_length=1, max_length=200)]
Seconds = Annotated[float, Bound(gt=0)]
NewId = Annotated[str, Bound(pattern=ID_PATTERN, description="Default: the server chooses one.")]
Kind = Annotated[Name, Bound(description="The kind of work, such as render.")]
Total = Annotated[float, Bound(ge=0, le=SAFE, description="How many units the work has.")]
Steps = Annotated[list[Name], Bound(description="Names of the steps, in order.")]
Silence = Annotated[Seconds, Bound(description="Seconds of silence that make the job stalled.")]
Kept = Annotated[Seconds, Bound(description="How many seconds to keep the job after its end.")]
Key = Annotated[
    str, Bound(min_length=1, max_length=255, description="The same key gives the same job.")
]


class CreateJob(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    id: NewId | None = None
    project: Annotated[str, Bound(pattern=PROJECT_PATTERN)] | None = None
    type: Kind | None = None
    title: Annotated[str, Bound(max_length=1000)] | None = None
    total: Total | None = None
    unit: Annotated[str, Bound(max_length=100)] | None = None
    steps: Steps | None = None
    meta: dict[str, Any] | None = None
    tags: Annotated[list[Name], Bound(max_length=50)] | None = None
    parent: Annotated[str, Bound(pattern=ID_PATTERN)] | None = None
    heartbeat_timeout: Silence | None = None
    ttl_seconds: Kept | None = None
    idempotency_key: Key | None = None


async def create_job(call: Call, asked: CreateJob) -> Result:
    creating = call.live.creating
    fields = replace(asked, idempotency_key=None)  # the rest is the body of `POST /v1/jobs`
    new = say.decode_new_job(rpc.encode(fields))
    slot, _ = await creating.once(new, by=call.by, key=asked.idempotency_key)
    return structured(shown.head(slot))


def _reports_schema() -> Schema:
    """One object with the fields of all types. A choice of 15 objects would be much longer."""
    fields: Schema = {}
    types: list[str] = []
    for kind in get_args(AnyReport):
        schema = arguments_schema(kind)
        types += schema["properties"].pop("type")["enum"]
        fields = {**schema["properties"], **fields}
    item = {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": types}, **fields},
        "required": ["type"],
    }
    return {"type": "array", "items": item, "minItems": 1}


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    id: JobId
    reports: Annotated[Raw, Bound(extra_json_schema=_reports_schema())]


async def report(call: Call, asked: Report) -> Result:
    reporting = call.live.reporting
    reports = reporting.decode(bytes(asked.reports))
    slot = await call.live.find(asked.id, call.by)
    return structured(await reporting.apply(slot, reports))


class CancelJob(Struct, frozen=True, forbid_unknown_fields=True):
    id: JobId
    force: Annotated[bool, Bound(description="End it now, without its worker.")] = False


async def cancel_job(call: Call, asked: CancelJob) -> Result:
    slot = await call.live.cancel(asked.id, force=asked.force, by=call.by)
    return structured(shown.head(slot))


Value = Annotated[Any, Bound(description="The answer. It must fit `waiting.schema`.")]
Number = Annotated[
    int, Bound(ge=1, le=SAFE, description="`waiting.n`: answer only if this question is open.")
]


class AnswerJob(Struct, frozen=True, forbid_unknown_fields=True):
    id: JobId
    value: Value
    n: Number | None = None


async def answer(call: Call, asked: AnswerJob) -> Result:
    given = say.decode_answer(rpc.encode({"value": asked.value, "n": asked.n}))
    slot = await call.live.answer(asked.id, given.value, n=given.n, by=call.by)
    return structured(shown.head(slot))


RECEIPT: Final[Schema] = an_object(
    {"cursor": TEXT, "status": STATUS, "accepted": WHOLE, "cancel_requested": FLAG},
)

CHANGING: Final = (
    Tool(
        "create_job",
        "Create a job",
        "Create a job. livejobs does not run it: report its progress with the tool report, or let "
        "a worker do that.",
        CreateJob,
        create_job,
        action="create",
        gives=HEAD,
    ),
    Tool(
        "report",
        "Report on a job",
        "Report what happened to a job. By type: progress takes percent, or current and total, and "
        "message; log: message, level; result: value; error (of one item): message, item; ask: "
        "prompt, schema; retry: error; succeed: result; fail: message. All reports of one call are "
        "applied, or none. With `producer` and `n` (1, 2, 3 …) a report can be sent again without "
        "counting twice. A finished job takes no reports.",
        Report,
        report,
        action="report",
        gives=RECEIPT,
        destructive=True,
    ),
    Tool(
        "cancel_job",
        "Cancel a job",
        "Ask a job to stop. A queued job ends at once; a running job ends when its worker has "
        "heard of it.",
        CancelJob,
        cancel_job,
        action="cancel",
        gives=HEAD,
        destructive=True,
        idempotent=True,
    ),
    Tool(
        "answer",
        "Answer a job",
        "Answer the question that a job waits for. get_job shows the question as `waiting`.",
        AnswerJob,
        answer,
        action="cancel",
        gives=HEAD,
    ),
)
