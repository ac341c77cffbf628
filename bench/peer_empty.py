"""The least work of any ASGI server: a Starlette route that reads the body and does nothing, and
one that returns prepared bytes, or 304."""

from __future__ import annotations

import json
import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SNAPSHOT = Path(os.environ.get("PEER_SNAPSHOT", os.devnull)).read_bytes()
HEADERS: dict[str, str] = json.loads(os.environ.get("PEER_HEADERS", "{}"))


async def swallow(request: Request) -> Response:
    await request.body()
    return Response(b"{}", media_type="application/json")


async def snapshot(request: Request) -> Response:
    if request.headers.get("if-none-match") == HEADERS["etag"]:
        return Response(status_code=304, headers=HEADERS)
    return Response(SNAPSHOT, media_type="application/json", headers=HEADERS)


app = Starlette(routes=[Route("/empty", swallow, methods=["POST"]), Route("/job", snapshot)])
