"""Server-sent events: one job, or a feed over many."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.core.access import Principal, require_project
from livejobs.core.cursor import parse
from livejobs.core.model import STATUSES
from livejobs.live.catchup import RESET
from livejobs.live.channel import Filter, Options, Viewer
from livejobs.live.frames import SSE, event
from livejobs.live.hub import Hub
from livejobs.live.sink import Sink
from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.handover import hand_over

HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx hands events on as they come
    (b"x-content-type-options", b"nosniff"),
    (b"vary", http.VARY.encode()),
)

Subscribe: TypeAlias = Callable[[Sink, int | None], Viewer]


async def job_events(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    options = options_of(request, "state")
    first = tail_of(request)
    since, foreign = position(live, slot.head.project, said_cursor(request))
    if slot.head.finished and since is not None and since >= slot.seq:
        return Response(status_code=204)  # an EventSource takes it as the end

    def subscribe(sink: Sink, since: int | None) -> Viewer:
        return live.hub.watch_job(sink, SSE, slot, options, since, first)

    return EventStream(live, http.principal(request), subscribe, since, foreign=foreign)


async def feed_events(request: Request) -> Response:
    live = http.service(request)
    filter = filter_of(request)
    options = options_of(request, "state")
    first = http.whole(request, "limit", 100, least=1, most=1000)
    since, foreign = position(live, filter.project, said_cursor(request))

    def subscribe(sink: Sink, since: int | None) -> Viewer:
        return live.hub.watch_feed(sink, SSE, filter, options, since, first)

    return EventStream(live, http.principal(request), subscribe, since, foreign=foreign)


class EventStream(Response):
    """A response that lasts as long as its viewer."""

    def __init__(
        self,
        live: LiveJobs,
        by: Principal,
        subscribe: Subscribe,
        since: int | None,
        *,
        foreign: bool,
    ) -> None:
        live.hub.check_room(by)
        self._hub = live.hub
        self._by = by
        self._subscribe = subscribe
        self._since = since
        self._foreign = foreign

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await begin(send)
            await send({"type": "http.response.body", "body": b""})
        else:
            work = partial(last, self._hub, self._by, self._begin)
            await hand_over(work, scope, receive, send)

    async def _begin(self, sink: Sink) -> None:
        self._subscribe(sink, self._since)
        hello = retry() + event(RESET) if self._foreign else retry()
        await sink.write(({"type": "http.response.body", "body": hello, "more_body": True},))
        await self._hub.settle(sink)


async def last(
    hub: Hub,
    by: Principal,
    subscribe: Callable[[Sink], Awaitable[None]],
    receive: Receive,
    send: Send,
) -> None:
    await begin(send)
    sink = hub.open(send, SSE, by, solo=True)
    try:
        await subscribe(sink)
        del subscribe  # an idle viewer needs none of what it began with
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        hub.close(sink)


async def begin(send: Send) -> None:
    # A list of its own for each viewer: layers of other apps add cookies to it.
    await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})


def retry() -> bytes:
    """How long to wait before coming back, jittered so that not all do at once. Not an event of
    its own: it is part of the one that follows."""
    return b"retry: %d\n" % random.randint(1000, 4000)  # noqa: S311  no secret


NOBODY: Final = ""  # no job has this id


def seen_ids(by: Principal, asked: Iterable[str] | None = None) -> frozenset[str]:
    """The ids of a list or a feed, as its filter takes them: empty, it is for all jobs. A
    credential for some jobs carries no others. `asked` None: for all that it carries; empty: for
    none."""
    ids = by.jobs
    if asked is not None:
        ids = frozenset(asked) if by.jobs is None else by.jobs.intersection(asked)
    return frozenset() if ids is None else ids or frozenset({NOBODY})


def said_cursor(request: Request) -> str | None:
    return request.headers.get("last-event-id") or asked_cursor(request)


def asked_cursor(request: Request) -> str | None:
    """Some clients can't set a header when they reconnect: they add `lastEventId` to the address
    they were given, which may have a `since` from before."""
    query = request.query_params
    return query.get("lastEventId") or query.get("since")


def position(live: LiveJobs, project: str, said: str | None) -> tuple[int | None, bool]:
    """The seq to go on from; None to begin. And whether the cursor was one to begin anew for: of
    another database, or ahead of this one."""
    if not said:
        return None, False
    cursor = parse(said)
    end = live.end_of(project)
    if cursor is None or end is None or cursor.epoch != end.epoch or cursor.seq > end.seq:
        return None, True
    return cursor.seq or None, False


def options_of(request: Request, view: str) -> Options:
    chosen = http.choice(request, "view", ("state", "delta")) or view
    return Options(
        view="delta" if chosen == "delta" else "state",
        logs=http.switch(request, "logs"),
        rate=http.number(request, "rate", 30.0, least=0.1, most=60.0),
    )


def tail_of(request: Request) -> int:
    """Log lines to begin with."""
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
