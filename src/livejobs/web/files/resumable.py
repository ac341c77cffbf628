"""Resumable uploads by tus 1.0: core, creation, expiration, termination (https://tus.io)."""

from __future__ import annotations

import base64
import binascii
import re
from functools import partial as bound
from functools import wraps
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.errors import (
    Conflict,
    FieldError,
    LivejobsError,
    UnsupportedMediaType,
)
from livejobs.files.filing import refuse_finished
from livejobs.files.partial import Partial, no_upload
from livejobs.jobs.state import Slot
from livejobs.web import http
from livejobs.web.files.calls import arriving
from livejobs.web.files.ranges import http_date
from livejobs.web.guard import Handler
from livejobs.web.http import BadRequest

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,expiration,termination"
PIECE: Final = "application/offset+octet-stream"
LONGEST_METADATA: Final = 4096

_WHOLE: Final = re.compile(r"[0-9]{1,16}\Z", re.ASCII)


class OtherVersion(LivejobsError):
    status, title, default_code = 412, "Precondition failed", "tus_version"


def tus(handler: Handler) -> Handler:
    """Every request and every answer names the version."""

    @wraps(handler)
    async def speaking(request: Request) -> Response:
        try:
            if request.headers.get("tus-resumable") != VERSION:
                detail = f"This server speaks tus {VERSION}. Send Tus-Resumable: {VERSION}."
                raise OtherVersion(detail, headers={"Tus-Version": VERSION})
            answer = await handler(request)
        except LivejobsError as error:
            error.headers.setdefault("Tus-Resumable", VERSION)
            raise
        answer.headers["tus-resumable"] = VERSION
        return answer

    return speaking


async def options(request: Request) -> Response:
    """The capabilities of this server, for clients that ask first."""
    headers = {
        "tus-resumable": VERSION,
        "tus-version": VERSION,
        "tus-extension": EXTENSIONS,
        "tus-max-size": str(http.service(request).settings.max_file_bytes),
    }
    return Response(status_code=204, headers=headers)


@tus
async def create(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    if "upload-defer-length" in request.headers:
        raise BadRequest("Upload-Length can't be deferred here. Send it with this request.")
    header = request.headers.get("upload-metadata", "")
    metadata = decoded(header)
    if "filename" not in metadata:
        raise wrong("Upload-Metadata", "names the file: filename, and its name in base64")
    files = live.files
    partial = await files.begin(
        slot,
        metadata["filename"],
        media_type=metadata.get("filetype", ""),
        length=number(request, "Upload-Length"),
        metadata=header,
        by=http.principal(request),
    )
    location = f"{slot.base}/v1/jobs/{slot.head.id}/uploads/{partial.declared.id}"
    return Response(None, 201, {"location": location, **state(partial)})


def decoded(header: str) -> dict[str, str]:
    """Upload-Metadata: keys, each with a value in base64 or none, between commas."""
    metadata = {}
    if len(header) > LONGEST_METADATA:
        raise wrong("Upload-Metadata", f"takes at most {LONGEST_METADATA} characters")
    for pair in filter(None, (it.strip() for it in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            metadata[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise wrong("Upload-Metadata", f"takes base64 of UTF-8, but {key!r} is not") from None
    return metadata


def number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not _WHOLE.match(text):
        raise wrong(name, "takes a number of bytes")
    return int(text)


def wrong(name: str, takes: str) -> BadRequest:
    detail = f"The header {name} {takes}."
    return BadRequest(detail, errors=[FieldError(f"/{name}", detail)])


def state(partial: Partial) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if not partial.done:
        headers["upload-expires"] = http_date(partial.expires_at)
    return headers


async def found(request: Request) -> tuple[Slot, Partial]:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    files = live.files
    partial = await files.upload(slot, request.path_params["upload"])
    if partial is None:
        await live.refresh(slot)
        partial = await files.upload(slot, request.path_params["upload"])
    if partial is None or not partial.done:
        refuse_finished(slot)
    if partial is None:
        raise no_upload(slot.head.id)
    return slot, partial


@tus
async def head(request: Request) -> Response:
    slot, partial = await found(request)
    check = bound(http.require_valid, request.scope)
    files = http.service(request).files
    await files.finish(slot, partial, check, http.principal(request))  # its last request could not
    headers = {
        **state(partial),
        "upload-offset": str(partial.size),
        "upload-length": str(partial.declared.length),
        "upload-metadata": partial.declared.metadata,
    }
    return Response(None, 200, headers)


@tus
async def patch(request: Request) -> Response:
    http.check_coding(request.scope)
    sent = http.media_type(request.scope)
    if sent != PIECE:
        raise UnsupportedMediaType(
            f"Content-Type {sent!r} is not supported here. Send {PIECE}.",
            headers={"Accept-Patch": PIECE},
        )
    offset = number(request, "Upload-Offset")
    slot, partial = await found(request)
    check = bound(http.require_valid, request.scope)
    files, by = http.service(request).files, http.principal(request)
    await files.go_on(slot, partial, offset, arriving(request), check, by)
    return Response(status_code=204, headers={**state(partial), "upload-offset": str(partial.size)})


@tus
async def delete(request: Request) -> Response:
    _, partial = await found(request)
    if partial.done:
        raise Conflict("This upload is complete: it is a file of its job.", code="upload_done")
    files = http.service(request).files
    await files.give_up(partial)
    return Response(status_code=204)


async def post(request: Request) -> Response:
    """The same methods, by POST with X-HTTP-Method-Override."""
    meant = request.headers.get("x-http-method-override", "").upper()
    handler = {"HEAD": head, "PATCH": patch, "DELETE": delete}.get(meant)
    if handler is None:
        raise HTTPException(405, headers={"Allow": "HEAD, PATCH, DELETE, OPTIONS"})
    return await handler(request)
