"""The list of tasks of a project: those that changed last come first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.model import Status
from livejobs.faces.a2a import tasks
from livejobs.faces.base import Call
from livejobs.hooks.a2a import STATES
from livejobs.jobs.listing import Listing
from livejobs.jobs.state import Slot
from livejobs.store.base import Query
from livejobs.web import http
from livejobs.web.documents.parameters import Parameter
from livejobs.web.documents.schemas import TEXT, whole

MOST: Final = 100
MOST_WITH_ARTIFACTS: Final = 10  # each has all its results in the answer

ANY: Final = "TASK_STATE_UNSPECIFIED"
WAITING: Final = "TASK_STATE_INPUT_REQUIRED"
WORKING: Final = STATES["running"]
NEVER: Final = ("TASK_STATE_REJECTED", "TASK_STATE_AUTH_REQUIRED")  # no job is so
STATUSES: Final[dict[str, Status]] = {state: status for status, state in STATES.items()}
CHOICES: Final = (ANY, *STATUSES, WAITING, *NEVER)


async def listing(call: Call) -> Response:
    request = call.request
    state, since = http.choice(request, "status", CHOICES) or ANY, _since(request)
    artifacts = http.switch(request, "includeArtifacts")
    asked = http.whole(request, "pageSize", 50, least=1, most=MOST)
    size = min(asked, MOST_WITH_ARTIFACTS) if artifacts else asked
    query = _query(call, state)
    after = request.query_params.get("pageToken") or None
    found = await call.live.latest(query, limit=size, after=after)
    older = bool(found.slots) and found.slots[-1].head.updated_at < since
    shown = [it for it in found.slots if it.head.updated_at >= since and _is(it, state)]
    return call.json({
        "tasks": [await _task(call, slot, artifacts=artifacts) for slot in shown],
        "nextPageToken": "" if older else found.next or "",
        "pageSize": size,
        "totalSize": await _total(call, query, state, found),
    })  # fmt: skip


def _query(call: Call, state: str) -> Query:
    project = call.request.query_params.get("contextId")
    if state == WAITING:
        return call.among(project, flag="waiting")
    statuses = (STATUSES[state],) if state in STATUSES else ()
    return call.among(project, statuses=statuses)


def _is(slot: Slot, state: str) -> bool:
    """A job that waits is running too, but not WORKING."""
    return state not in NEVER and not (state == WORKING and slot.head.waiting is not None)


async def _total(call: Call, query: Query, state: str, found: Listing) -> int:
    if state in NEVER:
        return 0
    if not query.statuses:
        return sum(found.counts.values())
    total = found.counts.get(query.statuses[0], 0)
    if state == WORKING:
        waiting = await call.live.latest(_query(call, WAITING), limit=1)
        total -= sum(waiting.counts.values())
    return total


async def _task(call: Call, slot: Slot, *, artifacts: bool) -> Any:
    if not artifacts:
        return tasks.bare(slot.head)
    return await call.seen(slot, tasks.shape, tasks.NEEDS)


def _since(request: Request) -> float:
    """In ms; without the parameter, the beginning of time."""
    text = request.query_params.get("statusTimestampAfter")
    if not text:
        return float("-inf")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise http.bad_query("statusTimestampAfter", "a time: 2026-01-02T03:04:05Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000


QUERY: Final = (
    Parameter("contextId", TEXT, "The project, by default the caller's own."),
    Parameter("status", {"type": "string", "enum": list(CHOICES)}, "Only tasks in this state."),
    Parameter("pageSize", whole(1, MOST), f"The most tasks. With artifacts {MOST_WITH_ARTIFACTS}."),
    Parameter("pageToken", TEXT, "`nextPageToken` of the page before."),
    Parameter("statusTimestampAfter", TEXT, "Only tasks that changed at this time or later."),
    Parameter("includeArtifacts", {"type": "boolean"}, "Show the artifacts of each task."),
)  # fmt: skip
