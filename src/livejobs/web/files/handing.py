"""Downloads that another sends in our place: an object store, by a link that the client follows, or
the nginx or Apache in front of us, by the path of the file.

Either way we hear no more of it: how much was sent is not known, and none of it is counted.
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

# A proxy compares these with a tag of its own making; so we answer.
OURS_TO_ANSWER: Final = ("if-match", "if-range")


def allowed(request: Request, file: File) -> bool:
    """Another says of a file what is kept with it, and no more: it is to be saved, as what it
    is. A link is good for GET alone."""
    return file.kept and request.method == "GET" and not http.switch(request, "inline")


async def to_the_store(settings: Settings, files: Files, file: File) -> Response | None:
    if not settings.files_redirect:
        return None
    address = await files.area.link(file.key)
    return None if address is None else sent_on(address)


def sent_on(address: str) -> Response:
    headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
    return RedirectResponse(address, 302, headers)


def to_the_proxy(
    settings: Settings,
    files: Files,
    request: Request,
    place: Path | None,
    headers: Mapping[str, str],
) -> Response | None:
    """It has judged the other preconditions as we have, and ranges it judges by itself."""
    way = settings.sendfile
    if way is None or place is None or any(name in request.headers for name in OURS_TO_ANSWER):
        return None
    header, _, prefix = way.partition(":")
    inside = place.relative_to(files.folder)
    where = f"{prefix}/{inside}" if prefix else str(place.absolute())
    told = {**headers, header: where}
    del told["accept-ranges"]  # nginx would say it twice
    return Response(None, 200, told)
