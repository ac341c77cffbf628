"""Downloads that another server sends for us: an object store, by a link that the client follows,
or the nginx or Apache in front of us, by the path of the file.

We don't learn how much such a server sends, so these downloads are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from livejobs.config import Settings
from livejobs.core.model import File
from livejobs.files.filing import Files
from livejobs.web import http

# A proxy would compare these with its own tag, so we answer.
OURS_TO_ANSWER: Final = ("if-match", "if-range")


def allowed(request: Request, file: File) -> bool:
    """Another server sends only the headers stored with the file: an attachment with its own media
    type. A link works for GET only."""
    return file.kept and request.method == "GET" and not http.switch(request, "inline")


async def to_the_store(settings: Settings, files: Files, file: File) -> Response | None:
    if not settings.files_redirect:
        return None
    address = await files.area.link(file.key)
    return None if address is None else redirect(address)


def redirect(address: str) -> Response:
    headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
    return RedirectResponse(address, 302, headers)


def to_the_proxy(
    settings: Settings,
    files: Files,
    request: Request,
    place: Path | None,
    headers: Mapping[str, str],
) -> Response | None:
    """The proxy evaluates ranges itself, and the other preconditions as we do."""
    way = settings.sendfile
    if way is None or place is None or any(name in request.headers for name in OURS_TO_ANSWER):
        return None
    header, _, prefix = way.partition(":")
    inside = place.relative_to(files.folder)
    where = f"{prefix}/{inside}" if prefix else str(place.absolute())
    sent = {**headers, header: where}
    del sent["accept-ranges"]  # nginx would send it twice
    return Response(None, 200, sent)
