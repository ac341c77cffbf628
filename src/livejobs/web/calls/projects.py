"""The projects that a caller may see, for a menu."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from livejobs.core import wire
from livejobs.web import http

MOST: Final = 1000
PRIVATE: Final = {"cache-control": "private, no-cache", "vary": http.VARY}


async def projects(request: Request) -> Response:
    names = http.service(request).projects(http.principal(request))
    return http.JSONBytes(wire.encode({"projects": names[:MOST]}), 200, PRIVATE)
