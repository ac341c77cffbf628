"""The app: every route, and every layer around the routes in the order of a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Lifespan, Receive, Scope, Send

from livejobs.core import wire
from livejobs.faces import routes as door
from livejobs.faces.described import describe
from livejobs.faces.registry import chosen
from livejobs.mcp.door import Mcp
from livejobs.mcp.extensions.full import full
from livejobs.service import LiveJobs
from livejobs.web import problems
from livejobs.web.calls import (
    admin,
    entries,
    health,
    jobs,
    metrics,
    projects,
    reports,
    session,
    stats,
    webhooks,
)
from livejobs.web.documents import asyncapi, openapi
from livejobs.web.documents.made import Made
from livejobs.web.fast import FastPath, Hot, Raised
from livejobs.web.files import calls as files
from livejobs.web.files import resumable
from livejobs.web.guard import Fast, change, check_host, public, read, take_token
from livejobs.web.handover import HANDOVER, Handover
from livejobs.web.http import once
from livejobs.web.instant import RAISED, Reply
from livejobs.web.pages import routes as pages
from livejobs.web.pages.badge import badge
from livejobs.web.pages.embed import embed
from livejobs.web.resource import Resource
from livejobs.web.streams import events as streams
from livejobs.web.streams.socket import SOCKET

# What pages of other origins may send and read.
CORS: Final[dict[str, Any]] = {
    "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    "allow_headers": (
        "a2a-extensions", "a2a-version", "authorization", "content-type", "idempotency-key",
        "if-match", "if-none-match", "last-event-id", "mcp-method", "mcp-name",
        "mcp-protocol-version", "prefer", "range", "tus-resumable", "upload-length",
        "upload-metadata", "upload-offset", "x-api-key",
        "x-http-method-override", "x-request-id",
    ),
    "expose_headers": (
        "accept-ranges", "content-disposition", "content-range", "etag", "link", "location",
        "preference-applied", "ratelimit", "ratelimit-policy", "repr-digest", "retry-after",
        "stream-closed", "stream-cursor", "stream-next-offset", "stream-up-to-date",
        "tus-extension", "tus-max-size", "tus-resumable", "tus-version", "upload-expires",
        "upload-length", "upload-metadata", "upload-offset",
        "x-format-preserved", "x-processing-type", "x-request-id",
    ),
    "allow_credentials": True,
    "max_age": 600,
}  # fmt: skip


# Tried first, and by the fast path: each route is a pattern, and these are requested most often.
HOT: Final[Sequence[Hot]] = (
    Resource(
        "/v1/jobs/{id}/reports",
        POST=change(
            "report", reports.report, Fast(reports.plain, reports.receipt, reports.INSTANT)
        ),
    ),
    Resource(
        "/v1/jobs/{id}",
        GET=read("view", jobs.snapshot, Fast(jobs.plain, jobs.poll, jobs.INSTANT)),
        PUT=change("create", jobs.put),
        DELETE=change("delete", jobs.delete),
    ),
)
ROUTES: Final[Sequence[BaseRoute]] = (
    *HOT,
    Resource("/v1/jobs", GET=read("view", jobs.listing), POST=change("create", jobs.create)),
    Resource("/v1/jobs/{id}/cancel", POST=change("cancel", jobs.cancel)),
    Resource("/v1/jobs/{id}/answer", POST=change("cancel", jobs.answer)),
    # Not below /v1/jobs, where it could be the id of a job.
    Resource("/v1/cancel", POST=change("cancel", jobs.cancel_many)),
    Resource("/v1/jobs/{id}/logs", GET=read("view", entries.logs)),
    Resource("/v1/jobs/{id}/results", GET=read("view", entries.results)),
    Resource("/v1/jobs/{id}/errors", GET=read("view", entries.errors)),
    Resource(
        "/v1/jobs/{id}/files",
        GET=read("view", files.listing),
        POST=change("upload", files.attach),
    ),
    Resource("/v1/jobs/{id}/files.zip", GET=read("view", files.archive)),
    Resource("/v1/jobs/{id}/download", GET=read("view", files.download)),
    Resource(
        "/v1/jobs/{id}/files/{name}",
        GET=read("view", files.get),
        PUT=change("upload", files.put),
    ),
    Resource(
        "/v1/jobs/{id}/uploads",
        POST=change("upload", resumable.create),
        OPTIONS=public(resumable.options),
    ),
    Resource(
        "/v1/jobs/{id}/uploads/{upload}",
        HEAD=read("upload", resumable.head),
        PATCH=change("upload", resumable.patch),
        DELETE=change("upload", resumable.delete),
        POST=change("upload", resumable.post),
        OPTIONS=public(resumable.options),
    ),
    Resource("/v1/jobs/{id}/audit", GET=read("trail", admin.audit_of_job)),
    Resource("/v1/jobs/{id}/events", GET=read("view", streams.job_events)),
    Resource("/v1/events", GET=read("view", streams.feed_events)),
    WebSocketRoute("/v1/ws", SOCKET),
    WebSocketRoute("/v1/jobs/{id}", SOCKET),
    # These answer in their own form if the caller may not see the job, so they admit by themselves.
    Resource("/jobs/{id}/badge.svg", GET=public(badge)),
    Resource("/jobs/{id}/embed", GET=public(embed)),
    Resource("/v1/tokens", POST=change("token", admin.new_token)),
    Resource(
        "/v1/session",
        GET=read("view", session.show),
        POST=change("view", session.begin),
        DELETE=public(session.end),
    ),
    Resource("/v1/keys", GET=read("keys", admin.keys), POST=change("keys", admin.new_key)),
    Resource("/v1/keys/{id}", DELETE=change("keys", admin.revoke_key)),
    Resource(
        "/v1/webhooks",
        GET=read("webhooks", webhooks.listing),
        POST=change("webhooks", webhooks.create),
    ),
    Resource(
        "/v1/webhooks/{id}",
        GET=read("webhooks", webhooks.show),
        DELETE=change("webhooks", webhooks.delete),
    ),
    Resource("/v1/webhooks/{id}/rotate", POST=change("webhooks", webhooks.rotate)),
    Resource("/v1/webhooks/{id}/test", POST=change("webhooks", webhooks.test)),
    Resource("/v1/webhooks/{id}/deliveries", GET=read("webhooks", webhooks.deliveries)),
    Resource("/v1/webhooks/{id}/deliveries/{n}/replay", POST=change("webhooks", webhooks.replay)),
    Resource("/v1/projects", GET=read("stats", projects.projects)),
    Resource("/v1/stats", GET=read("stats", stats.stats)),
    Resource("/v1/audit", GET=read("audit", admin.audit)),
    Resource("/metrics", GET=public(metrics.exposed)),  # admits by itself: a setting decides
    Resource("/openapi.json", GET=public(openapi.openapi)),
    Resource("/asyncapi.json", GET=public(asyncapi.asyncapi)),
    Resource("/healthz", GET=public(health.healthz)),
    Resource("/readyz", GET=public(health.readyz)),
)


class App(Starlette):
    """Starlette with a fast path for the most frequent requests, and with streams and downloads
    that run after its layers have returned."""

    def __init__(
        self,
        live: LiveJobs,
        routes: Sequence[BaseRoute],
        *,
        hot: Sequence[Hot],
        hosts: Iterable[str] | None,
        lifespan: Lifespan[Starlette],
    ) -> None:
        super().__init__(
            routes=[Raised(), *routes], lifespan=lifespan, exception_handlers=problems.HANDLERS
        )
        self.state.live = live
        self.powers = live.powers  # of the server that runs the app
        self.live = live  # the same, for the fast path: a State looks its values up by name
        self._fast = FastPath(self, live, hot)
        #: Refuses other names than these.
        self._foreign = None if hosts is None else partial(check_host, frozenset(hosts))
        self._cors: CORSMiddleware | None = None
        if origins := live.settings.cors_origins:
            self._cors = CORSMiddleware(self._answer, allow_origins=origins, **CORS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        if not self.powers.drains:
            self.live.heed_signals()
        if b"token=" in scope["query_string"]:
            take_token(scope)
        wrong = None if self._foreign is None else self._foreign(scope)
        if wrong is not None:
            await problems.refuse(wrong, scope, receive, send)
        elif self._cors is not None and scope["type"] == "http":
            await self._cors(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    def instant(self, target: bytes, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Take a request that our own runner offers, before it has made a task (see instant.py)."""
        if self._cors is not None or self.user_middleware or not self.powers.drains:
            return False
        if self.live.traces is not None:  # a span needs a task
            return False
        if self._foreign is not None and once(self._foreign, scope) is not None:
            return False
        try:
            return self._fast.taken(target, scope, body, reply)
        except Exception as error:  # noqa: BLE001  the framework's handlers answer it
            scope[RAISED] = error
            return False

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        raised = scope.pop(RAISED, None)
        # Middleware that was added to the app must see every request.
        if scope["type"] == "http" and raised is None and not self.user_middleware:
            try:
                if await self._fast.answered(scope, receive, send):
                    return
            except Exception as error:  # noqa: BLE001  the framework's handlers answer it
                raised = error
        handover = Handover() if self._may_hand_over(scope, send) else None
        if handover is None:
            scope = dict(scope)  # it may be the scope of an app around this one
        scope[HANDOVER] = handover
        if raised is not None:
            scope[RAISED] = raised
        await super().__call__(scope, receive, send)
        if handover is not None:
            await handover.run(receive, send)

    def _may_hand_over(self, scope: Scope, send: Send) -> bool:
        """Whether our own runner called this app directly, and no middleware was added to it."""
        return not self.user_middleware and self.powers.called_directly(scope, send)


class TracedApp(App):
    """The app of a service with traces: a request's `traceparent` is the parent of its spans."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        traces = self.live.traces
        assert traces is not None, "create_app has asked"
        with traces.within(scope):
            await super().__call__(scope, receive, send)


def create_app(
    live: LiveJobs,
    *,
    hosts: Iterable[str] | None = None,
    fast: bool = True,
    mcp: Mcp | None = None,
) -> App:
    """The service over HTTP. Run alone, the app starts and stops `live`. Mounted into another app,
    that app does: `async with live:` in its own lifespan. `hosts`: the names to answer to.
    `fast=False` sends every request through the framework; the answers are the same. `mcp`: a door
    for agents with more tools or resources than our own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live:
            yield

    faces = chosen(live.settings, [route.path for route in ROUTES if isinstance(route, Route)])
    for face in faces:
        live.keep_by_default(face.retention)
    document = cache(lambda: openapi.document(version("livejobs"), describe(faces)))
    hot: Sequence[Hot] = (*HOT, *door.routes(faces))
    agents = mcp or full()
    routes = (*hot, *ROUTES[len(HOT) :], agents.route, *pages.routes(document))
    made = App if live.traces is None else TracedApp
    app = made(live, routes, hot=hot if fast else (), hosts=hosts, lifespan=lifespan)
    app.state.openapi = Made(lambda: wire.encode(document()))
    app.state.asyncapi = Made(lambda: wire.encode(asyncapi.document(version("livejobs"))))
    return app
