"""The app: every route and every layer around them, in the order they are met."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute, request_response
from starlette.types import Receive, Scope, Send

from livejobs.service import LiveJobs
from livejobs.web import entries, http, jobs, pages, problems, streams
from livejobs.web.lasting import LASTING
from livejobs.web.reports import REPORTS
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
    return Route(path, _dispatch(methods), methods=list(methods))


def _dispatch(methods: Mapping[str, Handler]) -> Handler:
    async def dispatch(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return dispatch


class JobDoor:
    """A job's own address. Its polls are met before the framework makes a request of them."""

    methods: Final = {"GET": jobs.snapshot, "PUT": jobs.put, "DELETE": jobs.delete}

    def __init__(self) -> None:
        self._rest = request_response(_dispatch(self.methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live: LiveJobs = scope["app"].state.live
        if scope["method"] != "GET" or not await jobs.plain_snapshot(live, scope, send):
            await self._rest(scope, receive, send)


ROUTES: Final[list[BaseRoute]] = [
    Route("/v1/jobs/{id}/reports", REPORTS, methods=["POST"]),
    Route("/v1/jobs/{id}", JobDoor(), methods=list(JobDoor.methods)),
    resource("/v1/jobs", GET=jobs.listing, POST=jobs.create),
    resource("/v1/jobs/{id}/cancel", POST=jobs.cancel),
    resource("/v1/jobs/{id}/logs", GET=entries.logs),
    resource("/v1/jobs/{id}/results", GET=entries.results),
    resource("/v1/jobs/{id}/errors", GET=entries.errors),
    resource("/v1/jobs/{id}/events", GET=streams.job_events),
    resource("/v1/events", GET=streams.feed_events),
    WebSocketRoute("/v1/ws", SOCKET),
    WebSocketRoute("/v1/jobs/{id}", SOCKET),
    resource("/healthz", GET=healthz),
    resource("/readyz", GET=readyz),
]


class App(Starlette):
    """Starlette, whose dozen layers step aside for what lasts: a stream runs once they are done,
    so that an idle viewer costs a third of the memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        if LASTING in scope:
            await scope.pop(LASTING)(receive, send)  # not held by a name here


def create_app(live: LiveJobs) -> Starlette:
    """The service over HTTP. Run alone it starts and stops `live`; mounted into another app,
    that app does: `async with live:` in its own lifespan."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live:
            yield

    routes = [*ROUTES, *pages.routes()]
    app = App(routes=routes, lifespan=lifespan, exception_handlers=problems.HANDLERS)
    app.state.live = live
    return app
