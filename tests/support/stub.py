"""A small app on our own runner, for tests of connections:

python -m tests.support.stub [--limits '{"connections": 9, …}'] [any option of `livejobs serve`]
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

from livejobs.cli.operator.serve import setting_options
from livejobs.config import load
from livejobs.server.limited import ConnectionLimits
from livejobs.server.runner import become_worker, run


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def pid(request: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


async def size(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return Response()


async def types(request: Request) -> Response:
    """The number of Content-Type headers after the body has come."""
    await request.body()
    return PlainTextResponse(str(len(request.headers.getlist("content-type"))))


async def large(request: Request) -> Response:
    return PlainTextResponse(int(request.query_params["size"]) * "x")


async def endless(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        for n in count():
            yield f"{n:999}\n"
            await asyncio.sleep(0)  # after a disconnect, `send` does not let the loop run

    return StreamingResponse(lines())


def make_app(drained: asyncio.Event) -> Starlette:
    async def stream(request: Request) -> Response:
        """A stream that ends when the server drains. With `?deaf` it never ends."""

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
            Route("/pid", pid),
            Route("/size", size, methods=["POST", "PUT"]),
            Route("/types", types, methods=["POST"]),
            Route("/stream", stream),
            Route("/large", large),
            Route("/endless", endless),
            WebSocketRoute("/echo", echo),
        ]
    )


@click.command()
@click.option("--limits", default='{"connections": 100}')
@setting_options
def main(limits: str, **flags: object) -> None:
    settings, chosen = load(flags, os.environ), ConnectionLimits(**json.loads(limits))
    worker = become_worker(settings, chosen)
    drained = asyncio.Event()

    async def drain() -> None:
        drained.set()

    run(make_app(drained), settings, drain=drain, limits=chosen, worker=worker)


if __name__ == "__main__":
    main()
