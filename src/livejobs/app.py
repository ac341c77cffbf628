"""The app: every route and every layer around them, in the order they are met."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from livejobs.core import wire
from livejobs.faces import routes as door
from livejobs.faces.described import describe
from livejobs.faces.registry import chosen
from livejobs.powers import Powers
from livejobs.service import LiveJobs
from livejobs.web import http, problems
from livejobs.web.calls import admin, entries, jobs, metrics, reports
from livejobs.web.documents import asyncapi, openapi
from livejobs.web.fast import Raised, met
from livejobs.web.files import calls as files
from livejobs.web.files import resumable
from livejobs.web.guard import Handler, Rule, admit, change, check_host, public, read, take_token
from livejobs.web.pages import routes as pages
from livejobs.web.streams import events as streams
from livejobs.web.streams.lasting import offer, run_offered
from livejobs.web.streams.socket import SOCKET

# What pages of other origins may send, and see of the answers.
CORS: Final[dict[str, Any]] = {
    "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    "allow_headers": (
        "authorization", "content-type", "idempotency-key", "if-match", "if-none-match",
        "last-event-id", "prefer", "range", "tus-resumable", "upload-length",
        "upload-metadata", "upload-offset", "x-api-key", "x-http-method-override",
    ),
    "expose_headers": (
        "accept-ranges", "content-disposition", "content-range", "etag", "link", "location",
        "preference-applied", "ratelimit", "ratelimit-policy", "repr-digest", "retry-after",
        "tus-extension", "tus-max-size", "tus-resumable", "tus-version", "upload-expires",
        "upload-length", "upload-metadata", "upload-offset",
        "x-format-preserved", "x-processing-type",
    ),
    "allow_credentials": True,
    "max_age": 600,
}  # fmt: skip


async def healthz(request: Request) -> Response:
    """The process answers."""
    return http.JSONBytes(b'{"status":"ok"}', headers={"cache-control": "no-store"})


async def readyz(request: Request) -> Response:
    """It can take reports: the store opened and its last commit went through."""
    live = http.service(request)
    ready = live.running and not live.committer.failing
    body = b'{"status":"ready"}' if ready else b'{"status":"unavailable"}'
    return http.JSONBytes(body, 200 if ready else 503, {"cache-control": "no-store"})


def resource(path: str, **methods: Rule) -> Route:
    """One address with all its methods, so that a 405 names them all."""
    route = Route(path, _dispatch(methods), methods=list(methods))
    route.rules = methods  # type: ignore[attr-defined]  # for the test that asks for one of each
    return route


def _dispatch(methods: Mapping[str, Rule]) -> Handler:
    async def dispatch(request: Request) -> Response:
        rule = methods.get(request.method) or methods["GET"]  # which answers HEAD too
        if rule.action is not None:
            await admit(http.service(request), request.scope, rule.action, rule.rate)
        return await rule.handler(request)

    return dispatch


ROUTES: Final[list[BaseRoute]] = [
    resource("/v1/jobs/{id}/reports", POST=change("report", reports.report)),
    resource(
        "/v1/jobs/{id}",
        GET=read("view", jobs.snapshot),
        PUT=change("create", jobs.put),
        DELETE=change("delete", jobs.delete),
    ),
    resource("/v1/jobs", GET=read("view", jobs.listing), POST=change("create", jobs.create)),
    resource("/v1/jobs/{id}/cancel", POST=change("cancel", jobs.cancel)),
    resource("/v1/jobs/{id}/logs", GET=read("view", entries.logs)),
    resource("/v1/jobs/{id}/results", GET=read("view", entries.results)),
    resource("/v1/jobs/{id}/errors", GET=read("view", entries.errors)),
    resource(
        "/v1/jobs/{id}/files",
        GET=read("view", files.listing),
        POST=change("upload", files.attach),
    ),
    resource("/v1/jobs/{id}/files.zip", GET=read("view", files.archive)),
    resource("/v1/jobs/{id}/download", GET=read("view", files.download)),
    resource(
        "/v1/jobs/{id}/files/{name}",
        GET=read("view", files.get),
        PUT=change("upload", files.put),
    ),
    resource(
        "/v1/jobs/{id}/uploads",
        POST=change("upload", resumable.create),
        OPTIONS=public(resumable.options),
    ),
    resource(
        "/v1/jobs/{id}/uploads/{upload}",
        HEAD=read("upload", resumable.head),
        PATCH=change("upload", resumable.patch),
        DELETE=change("upload", resumable.delete),
        POST=change("upload", resumable.post),
        OPTIONS=public(resumable.options),
    ),
    resource("/v1/jobs/{id}/events", GET=read("view", streams.job_events)),
    resource("/v1/events", GET=read("view", streams.feed_events)),
    WebSocketRoute("/v1/ws", SOCKET),
    WebSocketRoute("/v1/jobs/{id}", SOCKET),
    resource("/v1/tokens", POST=change("token", admin.new_token)),
    resource("/v1/keys", GET=read("keys", admin.keys), POST=change("keys", admin.new_key)),
    resource("/v1/keys/{id}", DELETE=change("keys", admin.revoke_key)),
    resource("/v1/audit", GET=read("audit", admin.audit)),
    resource("/metrics", GET=public(metrics.exposed)),  # it asks by itself: see its setting
    resource("/openapi.json", GET=public(openapi.openapi)),
    resource("/asyncapi.json", GET=public(asyncapi.asyncapi)),
    resource("/healthz", GET=public(healthz)),
    resource("/readyz", GET=public(readyz)),
]


class App(Starlette):
    """Starlette, whose layers step aside for what is asked most and for what lasts."""

    hosts: frozenset[str] | None = None  # names to answer to; None: any
    cors: CORSMiddleware | None = None
    addresses: Sequence[Route] = ()  # of faces

    def __init__(self, powers: Powers, **options: Any) -> None:
        super().__init__(**options)
        self.powers = powers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            if not self.powers.drains:
                self.state.live.heed_signals()
            if b"token=" in scope["query_string"]:
                take_token(scope)
            wrong = None if self.hosts is None else check_host(self.hosts, scope)
            if wrong is not None:
                await problems.refuse(wrong, scope, receive, send)
                return
        if self.cors is not None and scope["type"] == "http":
            await self.cors(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        # What somebody has put around the app is asked about every request.
        wrapped = bool(self.user_middleware)
        if scope["type"] == "http" and not wrapped and await met(scope, receive, send):
            return
        if not wrapped and self.powers.called_directly(scope, send):
            offer(scope)
        await super().__call__(scope, receive, send)
        await run_offered(scope, receive, send)


def create_app(live: LiveJobs, *, hosts: Iterable[str] | None = None) -> App:
    """The service over HTTP. Run alone it starts and stops `live`; mounted into another app,
    that app does: `async with live:` in its own lifespan. `hosts`: names to answer to."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live:
            yield

    faces = chosen(live.settings, [route.path for route in ROUTES if isinstance(route, Route)])
    for face in faces:
        live.creating.retention |= face.retention
    document = openapi.document(version("livejobs"), describe(faces))
    addresses = door.routes(faces)
    # What is asked most comes first: each route is a pattern that is tried.
    routes = [Raised(), *ROUTES[:2], *addresses, *ROUTES[2:], *pages.routes(document)]
    app = App(live.powers, routes=routes, lifespan=lifespan, exception_handlers=problems.HANDLERS)
    app.addresses = addresses
    app.hosts = None if hosts is None else frozenset(hosts)
    if live.settings.cors_origins:
        app.cors = CORSMiddleware(app._inner, allow_origins=live.settings.cors_origins, **CORS)
    app.state.live = live
    app.state.openapi = wire.encode(document)
    app.state.asyncapi = wire.encode(asyncapi.document(version("livejobs")))
    return app
