"""Every layer in every place around one LiveJobs, each below a path of its own:

python -m tests.support.layered --server uvicorn|livejobs --data DIR --port N

`/LAYER/inside` is our app with `add_middleware`, called by nothing but this dispatcher;
`/LAYER/outside` is an app with that layer, into which ours is mounted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livejobs.app import create_app
from livejobs.config import Settings
from livejobs.powers import NONE
from livejobs.server.powers import RUNNER
from livejobs.server.runner import run
from livejobs.service import LiveJobs


class Copying:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(dict(scope), receive, send)


class Wrapping:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def passing(message: Message) -> None:
            await asyncio.sleep(0)
            await send(message)

        await self.app(scope, receive, passing)


class Dispatching(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-visitor"] = request.headers["x-visitor"]
        return response


class SettingCookies(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.set_cookie("visitor", request.headers["x-visitor"])
        return response


class Editing:
    """It marks everything that passes with its visitor, in place."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = Headers(scope=scope)["x-visitor"]
        events = False

        async def marking(message: Message) -> None:
            nonlocal events
            if message["type"] == "http.response.start":
                events = (b"content-type", b"text/event-stream; charset=utf-8") in message[
                    "headers"
                ]
                message["headers"].append((b"x-visitor", visitor.encode()))
            elif message["type"] == "http.response.body" and events:
                message["body"] += f": {visitor}\n".encode()
            elif message["type"] == "websocket.send":
                message["text"] = f'{message["text"][:-1]},"visitor":"{visitor}"}}'
            await send(message)

        await self.app(scope, receive, marking)


LAYERS: dict[str, list[Any]] = {
    "none": [],
    "copying": [Middleware(Copying)],
    "wrapping": [Middleware(Wrapping)],
    "base-http": [Middleware(Dispatching)],
    "cookie": [Middleware(SettingCookies)],
    "editing": [Middleware(Editing)],
    "gzip": [Middleware(GZipMiddleware, minimum_size=1)],
}
PLACES = ("inside", "outside")


class Host(Starlette):
    def __init__(self, live: LiveJobs) -> None:
        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            async with live:
                yield

        super().__init__(lifespan=lifespan)
        self.apps: dict[str, ASGIApp] = {}
        for name, layers in LAYERS.items():
            inside, mounted = create_app(live), create_app(live)
            for layer in layers:
                inside.add_middleware(layer.cls, *layer.args, **layer.kwargs)
            self.apps[f"/{name}/inside"] = inside
            around = Starlette(routes=[Mount("/mounted", mounted)], middleware=layers)
            self.apps[f"/{name}/outside"] = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        prefix = "/".join(scope["path"].split("/")[:3])
        scope["root_path"] = prefix
        await self.apps[prefix](scope, receive, send)


class Plain(uvicorn.Server):
    """uvicorn as it is, which says where it is."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"livejobs ready on http://127.0.0.1:{port}", flush=True)


@click.command()
@click.option("--server", required=True)
@click.option("--data", required=True, type=Path)
@click.option("--port", required=True, type=int)
def main(server: str, data: Path, port: int) -> None:
    settings = Settings(data=data, port=port)
    live = LiveJobs(settings, powers=RUNNER if server == "livejobs" else NONE)
    host = Host(live)
    if server == "livejobs":
        run(host, settings, drain=live.drain)
    else:
        Plain(uvicorn.Config(host, port=port)).run()


if __name__ == "__main__":
    main()
