"""Serve the pages and the files in `static/`. They hold no data, so they need no key: the pages
read everything from `/v1`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from livejobs.web.documents import docs
from livejobs.web.documents.made import Made
from livejobs.web.pages import composed
from livejobs.web.pages.assets import static_dir
from livejobs.web.tags import not_modified

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self'; font-src 'self'; "
    "frame-src 'self'; "  # a PDF; every file is sandboxed by its own policy (see delivery.py)
    "base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PAGE: Final = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
}
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".woff2": "font/woff2",
}


def routes(document: Callable[[], Mapping[str, Any]]) -> list[BaseRoute]:
    frame = (static_dir() / "pages" / "docs.html").read_text()
    made = Made(lambda: docs.page(frame, document()).encode())
    return [serve_made("/docs", made, PAGE), *routes_of_files()]


@cache
def routes_of_files() -> tuple[BaseRoute, ...]:
    """Read the folder once in a process; a later change of a file needs a restart."""
    folder = static_dir()
    below = composed.page(folder, "job").replace('="./', '="../')  # its address is a level deeper
    return (
        serve("/", composed.page(folder, "dashboard").encode(), PAGE),
        serve("/jobs/{id}", below.encode(), PAGE),
        serve("/login", composed.page(folder, "login").encode(), PAGE),
        serve("/webhooks", composed.page(folder, "webhooks").encode(), PAGE),
        serve("/keys", composed.page(folder, "access").encode(), PAGE),
        *(_serve_file(folder, path) for path in files(folder)),
    )


def files(folder: Path) -> list[Path]:
    """What browsers load, in the folder itself and in those below."""
    return sorted(path for path in folder.rglob("*") if path.suffix in MEDIA_TYPES)


def _serve_file(folder: Path, path: Path) -> Route:
    headers = {"content-type": MEDIA_TYPES[path.suffix]}
    return serve(f"/static/{path.relative_to(folder).as_posix()}", path.read_bytes(), headers)


def serve(path: str, body: bytes, own: dict[str, str]) -> Route:
    headers = headers_of(body, own)

    async def answer(request: Request) -> Response:
        return answer_to(request, body, headers)

    return Route(path, answer)


def serve_made(path: str, made: Made, own: dict[str, str]) -> Route:
    async def answer(request: Request) -> Response:
        body = await made.body()
        return answer_to(request, body, headers_of(body, own))

    return Route(path, answer)


def headers_of(body: bytes, own: dict[str, str]) -> dict[str, str]:
    """The names carry no version, so a browser asks each time and usually gets 304."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    return {
        "etag": f'"{tag}"',
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
        **own,
    }


def answer_to(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    if not_modified(request.scope["headers"], headers["etag"].encode()):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers)
