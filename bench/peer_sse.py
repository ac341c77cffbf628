"""The usual way, for comparison: sse-starlette with one queue for each viewer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

queues: set[asyncio.Queue[ServerSentEvent]] = set()
numbers = count(1)


async def messages(queue: asyncio.Queue[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    try:
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


async def subscribe(_request: Request) -> Response:
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
    queues.add(queue)
    return EventSourceResponse(messages(queue))


async def publish(request: Request) -> Response:
    event = ServerSentEvent((await request.body()).decode(), id=str(next(numbers)))
    for queue in queues:
        queue.put_nowait(event)
    return Response(status_code=202)


app = Starlette(routes=[Route("/sub", subscribe), Route("/pub", publish, methods=["POST"])])
