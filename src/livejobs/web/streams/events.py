"""Server-sent events: one job, or a feed over many."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.access import Principal, require_project
from livejobs.core.cursor import parse
from livejobs.core.model import STATUSES
from livejobs.jobs.state import Slot
from livejobs.live.catchup import RESET
from livejobs.live.channel import Viewer
from livejobs.live.frames import SSE, event
from livejobs.live.options import Filter, Options, View
from livejobs.live.sink import Sink
from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.streams.response import Stream


async def job_events(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    options = options_of(request, "state")
    first = tail_of(request)
    since, foreign = await position(live, slot.head.project, requested_cursor(request))
    if seen_all(slot, since):
        return Response(status_code=204)  # ends an EventSource

    def subscribe(sink: Sink) -> Viewer:
        return live.hub.watch_job(sink, SSE, slot, options, since, first)

    return Stream(live.hub, http.principal(request), subscribe, hello=hello(foreign))


async def feed_events(request: Request) -> Response:
    live = http.service(request)
    filter = filter_of(request)
    options = options_of(request, "state")
    first = http.whole(request, "limit", 100, least=1, most=1000)
    since, foreign = await position(live, filter.project, requested_cursor(request))

    def subscribe(sink: Sink) -> Viewer:
        return live.hub.watch_feed(sink, SSE, filter, options, since, first)

    return Stream(live.hub, http.principal(request), subscribe, hello=hello(foreign))


def seen_all(slot: Slot, since: int | None) -> bool:
    """Whether a client that has seen `since` can only be answered with 204, which ends it."""
    return slot.head.finished and since is not None and since >= slot.seq


def hello(foreign: bool) -> bytes:
    """How long to wait before a reconnect, with jitter so that not all clients return at once. It
    is no event of its own, but part of the next one. Then a reset, after a foreign cursor."""
    retry = b"retry: %d\n" % random.randint(1000, 4000)  # noqa: S311  no secret
    return retry + event(RESET) if foreign else retry


NOBODY: Final = ""  # no job has this id


def seen_ids(by: Principal, wanted: Iterable[str] | None = None) -> frozenset[str]:
    """The ids for the filter of a list or feed, where no ids means all jobs. `wanted`: ids in the
    request; None means all that the credential may see. A credential for some jobs sees no others.
    """
    ids = by.jobs
    if wanted is not None:
        ids = frozenset(wanted) if by.jobs is None else by.jobs.intersection(wanted)
    return frozenset() if ids is None else ids or frozenset({NOBODY})


def requested_cursor(request: Request) -> str | None:
    return request.headers.get("last-event-id") or cursor_in_query(request)


def cursor_in_query(request: Request) -> str | None:
    """Some clients can't set a header when they reconnect. They add `lastEventId` to the address,
    which may still have an older `since`."""
    query = request.query_params
    return query.get("lastEventId") or query.get("since")


async def position(live: LiveJobs, project: str, text: str | None) -> tuple[int | None, bool]:
    """The seq to resume from; None to begin. And whether the cursor was foreign, of another
    database or ahead of this one, so that the client must reset."""
    if not text:
        return None, False
    cursor = parse(text)
    end = await live.end_after(project, cursor)
    if cursor is None or end is None or cursor.epoch != end.epoch or cursor.seq > end.seq:
        return None, True
    return cursor.seq or None, False


def view_of(request: Request, default: View) -> View:
    view = http.choice(request, "view", ("state", "delta")) or default
    return "delta" if view == "delta" else "state"


def options_of(request: Request, view: View) -> Options:
    return Options(
        view=view_of(request, view),
        logs=http.switch(request, "logs"),
        rate=http.number(request, "rate", 30.0, least=0.1, most=60.0),
    )


def tail_of(request: Request) -> int:
    """How many log lines to begin with."""
    return http.whole(request, "tail", 100, least=0, most=1000)


def filter_of(request: Request) -> Filter:
    by = http.principal(request)
    project = request.query_params.get("project") or by.default_project
    require_project(by, project)
    return Filter(
        project=project,
        statuses=frozenset(http.several(request, "status", STATUSES)),
        types=frozenset(http.names(request, "type")),
        tags=frozenset(http.names(request, "tag")),
        ids=seen_ids(by, http.names(request, "jobs") if "jobs" in request.query_params else None),
        parent=request.query_params.get("parent") or None,
        owner=request.query_params.get("owner") or None,
    )
