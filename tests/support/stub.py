"""A small app under our runner, for tests about connections instead of jobs:

python -m tests.support.stub [--bounds '{"connections": 9, …}'] [any option of `livejobs serve`]
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from itertools import count

import click
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from livejobs.cli.serve import setting_options
from livejobs.config import load
from livejobs.server.connection import Bounds
from livejobs.server.runner import run


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def size(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return Response()


async def types(request: Request) -> Response:
    """How many Content-Types there are, once the body is here."""
    await request.body()
    return PlainTextResponse(str(len(request.headers.getlist("content-type"))))


async def large(request: Request) -> Response:
    return PlainTextResponse(int(request.query_params["size"]) * "x")


async def endless(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        for n in count():
            yield f"{n:999}\n"
            await asyncio.sleep(0)  # let the loop run: `send` does not wait once the client is gone

    return StreamingResponse(lines())


def make_app(drained: asyncio.Event) -> Starlette:
    async def stream(request: Request) -> Response:
        """A stream that ends when the server drains, or with `?deaf` never."""

        async def events() -> AsyncIterator[str]:
            yield "data: hello\n\n"
            await (asyncio.Event() if "deaf" in request.query_params else drained).wait()
            yield "event: bye\ndata: {}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    return Starlette(
        routes=[
            Route("/hello", hello),
            Route("/size", size, methods=["POST", "PUT"]),
            Route("/types", types, methods=["POST"]),
            Route("/stream", stream),
            Route("/large", large),
            Route("/endless", endless),
            WebSocketRoute("/echo", echo),
        ]
    )


@click.command()
@click.option("--bounds", default='{"connections": 100}')
@setting_options
def main(bounds: str, **flags: object) -> None:
    drained = asyncio.Event()

    async def drain() -> None:
        drained.set()

    settings = load(flags, os.environ)
    run(make_app(drained), settings, drain=drain, bounds=Bounds(**json.loads(bounds)))


if __name__ == "__main__":
    main()
