"""Tools that change nothing: list_jobs, get_job, get_logs."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta as Bound
from msgspec import Struct

from livejobs.core.access import Principal, require_project
from livejobs.core.model import ID_PATTERN, LEVELS, Flag, Level, Status
from livejobs.core.reports import SAFE
from livejobs.mcp import shown
from livejobs.mcp.call import Call
from livejobs.mcp.tools.schemas import (
    ENTRY,
    FLAG,
    HEAD,
    MAYBE_TEXT,
    MAYBE_WHOLE,
    STATUS,
    TEXT,
    WHOLE,
    Schema,
    a_list,
    an_object,
)
from livejobs.mcp.tools.tool import Result, Tool, structured
from livejobs.store.base import Query
from livejobs.web.streams.events import seen_ids

JobId = Annotated[str, Bound(pattern=ID_PATTERN, description="The id of the job.")]
After = Annotated[int, Bound(ge=0, le=SAFE)]

Project = Annotated[str, Bound(description="Default: your own.")]
Kind = Annotated[str, Bound(description="Only jobs of this type.")]
Parent = Annotated[str, Bound(description="Only children of this job.")]
Flagged = Annotated[Flag, Bound(description="Only jobs that wait for an answer, or are silent.")]
Part = Annotated[str, Bound(min_length=3, max_length=200, description="Part of an id or title.")]
Next = Annotated[str, Bound(description="`next` of the page before.")]


class ListJobs(Struct, frozen=True, forbid_unknown_fields=True):
    project: Project | None = None
    status: Annotated[list[Status], Bound(max_length=5)] | None = None
    type: Kind | None = None
    tag: str | None = None
    parent: Parent | None = None
    flag: Flagged | None = None
    q: Part | None = None
    limit: Annotated[int, Bound(ge=1, le=50)] = 20
    after: Next | None = None


def query_of(asked: ListJobs, by: Principal) -> Query:
    return Query(
        projects=_projects(asked.project, by),
        statuses=tuple(asked.status or ()),
        type=asked.type,
        tag=asked.tag,
        parent=asked.parent,
        flag=asked.flag,
        q=asked.q,
        ids=tuple(sorted(seen_ids(by))),
    )


def _projects(asked: str | None, by: Principal) -> tuple[str, ...] | None:
    """A credential for several projects may have none that is its own: then all of them."""
    if asked is not None:
        require_project(by, asked)
        return (asked,)
    return (by.default_project,) if by.sees_project(by.default_project) else by.projects


async def list_jobs(call: Call, asked: ListJobs) -> Result:
    query = query_of(asked, call.by)
    found = await call.live.list(query, limit=asked.limit, after=asked.after)
    jobs = [shown.brief(slot) for slot in found.slots]
    return structured({"jobs": jobs, "next": found.next, "counts": found.counts})


AfterResult = Annotated[After, Bound(description="Results after this n. Default: the last 20.")]
AfterError = Annotated[After, Bound(description="Errors after this n. Default: the last 20.")]


class GetJob(Struct, frozen=True, forbid_unknown_fields=True):
    id: JobId
    results_after: AfterResult | None = None
    errors_after: AfterError | None = None


async def get_job(call: Call, asked: GetJob) -> Result:
    slot = await call.live.find(asked.id, call.by)
    job = await shown.whole(
        call.live, slot, results_after=asked.results_after, errors_after=asked.errors_after
    )
    return structured(job, shown.links(slot, call.form))


AfterLine = Annotated[After, Bound(description="Lines after this n. Default: the last lines.")]
Least = Annotated[Level, Bound(description="Only lines of at least this level.")]


class GetLogs(Struct, frozen=True, forbid_unknown_fields=True):
    id: JobId
    after: AfterLine | None = None
    level: Least = "debug"
    limit: Annotated[int, Bound(ge=1, le=200)] = 50


async def get_logs(call: Call, asked: GetLogs) -> Result:
    slot = await call.live.find(asked.id, call.by)
    level = LEVELS.index(asked.level)
    total = slot.head.logs_total
    lines, next_ = await shown.page(
        call.live, slot, "logs", asked.after, limit=asked.limit, level=level
    )
    return structured({"logs": lines, "next": next_, "total": total})


BRIEF: Final[Schema] = an_object({
    "id": TEXT,
    "project": TEXT,
    "type": MAYBE_TEXT,
    "title": MAYBE_TEXT,
    "status": STATUS,
    "stalled": FLAG,
    "cancel_requested": FLAG,
    "percent": MAYBE_WHOLE,
    "message": MAYBE_TEXT,
    "waiting": FLAG,
    "created_at": TEXT,
    "updated_at": TEXT,
})  # fmt: skip
JOB: Final[Schema] = {
    **HEAD,
    "properties": {
        **HEAD["properties"],
        "results": a_list(ENTRY),
        "errors": a_list(ENTRY),
        "results_next": MAYBE_WHOLE,
        "errors_next": MAYBE_WHOLE,
    },
}

READING: Final = (
    Tool(
        "list_jobs",
        "List jobs",
        "List jobs, newest first. If `next` is not null, pass it as `after` for the next page.",
        ListJobs,
        list_jobs,
        gives=an_object({"jobs": a_list(BRIEF), "next": MAYBE_TEXT, "counts": {"type": "object"}}),
    ),
    Tool(
        "get_job",
        "Get a job",
        "Get a job as it is now: status, progress, result, error, files, and its last results and "
        "errors of single items. Pass results_after=0 to read results from the first, then "
        "`results_next` to read on.",
        GetJob,
        get_job,
        gives=JOB,
    ),
    Tool(
        "get_logs",
        "Get a job's log",
        "Get the last lines of a job's log. Pass after=0 to read from the first line, then `next` "
        "to read on.",
        GetLogs,
        get_logs,
        gives=an_object({"logs": a_list(ENTRY), "next": MAYBE_WHOLE, "total": WHOLE}),
    ),
)
