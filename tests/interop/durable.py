"""Durable Streams for writers too, in front of a livejobs server: the conformance tests create the
streams that they read. A stream is the results of a job. The job succeeds when it is closed.

Reads go through unchanged, but for text: a piece of text is a result that is a string.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2 as httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

BACK: Final = httpx.AsyncClient(base_url=sys.argv[1], timeout=60)
JSON: Final = "application/json"
LARGEST: Final = 1 << 19  # bytes; as JSON they may be some more, and a body has a limit
SAFE: Final = {"x-content-type-options": "nosniff"}
types: dict[str, str] = {}  # the content type of each stream


def is_json(name: str) -> bool:
    return types.get(name, JSON).partition(";")[0].strip().lower() == JSON


def messages(name: str, body: bytes) -> list[Any]:
    if not is_json(name):
        return [body.decode("latin-1")] if body else []
    value = json.loads(body) if body else []
    return value if isinstance(value, list) else [value]


async def offset(name: str) -> dict[str, str]:
    head = await BACK.head(f"/streams/{name}/results")
    kept = ("stream-next-offset", "stream-closed")
    return {**SAFE, **{name: head.headers[name] for name in kept if name in head.headers}}


async def append(name: str, values: list[Any], *, close: bool) -> int:
    """The status of the answer. A change of several reports is one commit."""
    reports: list[Any] = [{"type": "result", "value": value} for value in values]
    reports += [{"type": "succeed"}] if close else []
    if not reports:
        return 204
    answer = await BACK.post(f"/v1/jobs/{name}/reports", json=reports)
    return 204 if answer.status_code == 200 else answer.status_code


async def put(request: Request) -> Response:
    name = request.path_params["name"]
    there = (await BACK.get(f"/v1/jobs/{name}")).status_code == 200
    if there:
        same = types[name].lower() == request.headers.get("content-type", types[name]).lower()
        return Response(status_code=200 if same else 409, headers=await offset(name))
    types[name] = request.headers.get("content-type", "application/octet-stream")
    await BACK.put(f"/v1/jobs/{name}")
    await append(name, messages(name, await request.body()), close=closing(request))
    headers = await offset(name) | {"location": str(request.url), "content-type": types[name]}
    return Response(status_code=201, headers=headers)


def closing(request: Request) -> bool:
    return request.headers.get("stream-closed", "").lower() == "true"


async def post(request: Request) -> Response:
    name, body, close = request.path_params["name"], await request.body(), closing(request)
    job = await BACK.get(f"/v1/jobs/{name}")
    if job.status_code != 200:
        return Response(status_code=404, headers=SAFE)
    if job.json()["status"] == "succeeded":
        return Response(status_code=409 if body else 204, headers=await offset(name))
    if len(body) > LARGEST:
        return Response(status_code=413, headers=SAFE)
    if body and request.headers.get("content-type", "").lower() != types[name].lower():
        return Response(status_code=409 if request.headers.get("content-type") else 400)
    try:
        values = messages(name, body)
    except ValueError:
        return Response(status_code=400, headers=SAFE)
    if not values and not close:
        return Response(status_code=400, headers=SAFE)
    status = await append(name, values, close=close)
    return Response(status_code=status, headers=await offset(name))


async def delete(request: Request) -> Response:
    name = request.path_params["name"]
    await BACK.post(f"/v1/jobs/{name}/cancel?force=true")
    types.pop(name, None)
    return Response(status_code=(await BACK.delete(f"/v1/jobs/{name}")).status_code)


async def get(request: Request) -> Response:
    name = request.path_params["name"]
    headers = {k: v for k, v in request.headers.items() if k in ("if-none-match", "accept")}
    if "live" in request.query_params:
        headers["prefer"] = "wait=1"  # the kit waits for the end of a wait
    asked = BACK.build_request(
        request.method, f"/streams/{name}/results?{request.url.query}", headers=headers
    )
    answer = await BACK.send(asked, stream=True)
    given = {k: v for k, v in answer.headers.items() if k not in ("date", "content-length")}
    if answer.headers.get("content-type") == "text/event-stream":
        return StreamingResponse(events(name, answer), answer.status_code, given)
    body = await answer.aread()
    if answer.status_code == 200 and not is_json(name):
        given["content-type"] = types[name]
        body = b"".join(text.encode("latin-1") for text in json.loads(body or b"[]"))
    return Response(body, answer.status_code, given)


async def events(name: str, answer: httpx.Response) -> AsyncIterator[str]:
    try:
        waiting = ""
        async for piece in answer.aiter_text():
            *whole, waiting = (waiting + piece).split("\n\n")
            yield "".join((event if is_json(name) else as_text(event)) + "\n\n" for event in whole)
    finally:
        await answer.aclose()


def as_text(event: str) -> str:
    kind, _, data = event.partition("\ndata:")
    if kind != "event: data":
        return event
    lines = re.split(r"\r\n|\r|\n", "".join(json.loads(data)))
    return "event: data\n" + "\n".join(f"data:{line}" for line in lines)


async def options(request: Request) -> Response:
    path = f"/streams/{request.path_params['name']}/results"
    answer = await BACK.request("OPTIONS", path, headers=dict(request.headers))
    return Response(answer.content, answer.status_code, dict(answer.headers))


async def door(request: Request) -> Response:
    doors = {"PUT": put, "POST": post, "DELETE": delete, "OPTIONS": options}
    return await doors.get(request.method, get)(request)


@asynccontextmanager
async def life(app: Starlette) -> AsyncIterator[None]:
    yield
    await BACK.aclose()


methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]
app = Starlette(routes=[Route("/v1/stream/{name:path}", door, methods=methods)], lifespan=life)


class Announced(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    Announced(uvicorn.Config(app, port=0, log_level="warning", timeout_keep_alive=600)).run()
