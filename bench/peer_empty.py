"""The floor under any ASGI server: a Starlette route that reads the body and does nothing, and
one that gives ready bytes away, or 304."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SNAPSHOT = Path(os.environ["PEER_SNAPSHOT"]).read_bytes() if "PEER_SNAPSHOT" in os.environ else b""
ETAG = os.environ.get("PEER_ETAG", '"1"')
HEADERS = {"ETag": ETAG, "Cache-Control": "private, no-cache", "Retry-After": "1"}


async def swallow(request: Request) -> Response:
    await request.body()
    return Response(b"{}", media_type="application/json")


async def snapshot(request: Request) -> Response:
    if request.headers.get("if-none-match") == ETAG:
        return Response(status_code=304, headers=HEADERS)
    return Response(SNAPSHOT, media_type="application/json", headers=HEADERS)


app = Starlette(routes=[Route("/empty", swallow, methods=["POST"]), Route("/job", snapshot)])
