"""The app: every route and every layer around them, in the order they are met."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from livejobs.service import LiveJobs
from livejobs.web import http, jobs, problems, streams
from livejobs.web.socket import SOCKET


async def healthz(request: Request) -> Response:
    """The process answers."""
    return http.JSONBytes(b'{"status":"ok"}', headers={"cache-control": "no-store"})


async def readyz(request: Request) -> Response:
    """It can take reports: the store opened and its last commit went through."""
    live = http.service(request)
    ready = live.running and not live.committer.failing
    body = b'{"status":"ready"}' if ready else b'{"status":"unavailable"}'
    return http.JSONBytes(body, 200 if ready else 503, {"cache-control": "no-store"})


Handler = Callable[[Request], Awaitable[Response]]


def resource(path: str, **methods: Handler) -> Route:
    """One address with all its methods, so that a 405 names them all."""

    async def dispatch(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, dispatch, methods=list(methods))


ROUTES: Final[list[BaseRoute]] = [
    resource("/v1/jobs/{id}/reports", POST=jobs.report),
    resource("/v1/jobs/{id}", GET=jobs.snapshot, PUT=jobs.put, DELETE=jobs.delete),
    resource("/v1/jobs", GET=jobs.listing, POST=jobs.create),
    resource("/v1/jobs/{id}/cancel", POST=jobs.cancel),
    resource("/v1/jobs/{id}/logs", GET=jobs.logs),
    resource("/v1/jobs/{id}/results", GET=jobs.results),
    resource("/v1/jobs/{id}/errors", GET=jobs.errors),
    resource("/v1/jobs/{id}/events", GET=streams.job_events),
    resource("/v1/events", GET=streams.feed_events),
    WebSocketRoute("/v1/ws", SOCKET),
    WebSocketRoute("/v1/jobs/{id}", SOCKET),
    resource("/healthz", GET=healthz),
    resource("/readyz", GET=readyz),
]


def create_app(live: LiveJobs) -> Starlette:
    """The service over HTTP. Run alone it starts and stops `live`; mounted into another app,
    that app does: `async with live:` in its own lifespan."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live:
            yield

    app = Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers=problems.HANDLERS)
    app.state.live = live
    return app
