"""A job's files over REST: upload, attach, list, download."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta as Bound
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from livejobs import clock
from livejobs.access.keyring import Keyring
from livejobs.core import wire
from livejobs.core.access import Principal
from livejobs.core.decoding import decoded
from livejobs.core.errors import BadJson, Conflict, FieldError, Invalid, LivejobsError, NotFound
from livejobs.core.model import File, Head
from livejobs.core.times import wire_time
from livejobs.files.areas.area import Opened
from livejobs.files.counting import Arriving, Sent
from livejobs.files.filing import Files
from livejobs.files.names import checked_media_type, checked_name, disposition
from livejobs.jobs.state import Slot
from livejobs.store.files import Tally
from livejobs.web import http
from livejobs.web.files import handing
from livejobs.web.files.archive import Archive
from livejobs.web.files.delivery import HARMLESS, Delivery, Following
from livejobs.web.files.ranges import Decision, decide
from livejobs.web.http import BadRequest

NO_STORE: Final = {"cache-control": "no-store"}


CHANGED: Final = "The file is not the version that If-Match or If-Unmodified-Since names."


class PreconditionFailed(LivejobsError):
    status, title, default_code = 412, "Precondition failed", "precondition_failed"


class Unsatisfiable(LivejobsError):
    status, title, default_code = 416, "Range not satisfiable", "range_not_satisfiable"


class Attach(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that is already stored somewhere."""

    name: str | None = None
    path: Annotated[str, Bound(min_length=1, max_length=4096)] | None = None
    url: Annotated[str, Bound(pattern=r"^https?://[\x21-\x7e]{1,2000}\Z")] | None = None
    media_type: Annotated[str, Bound(max_length=255)] = ""
    size: Annotated[int, Bound(ge=0, le=2**53)] | None = None
    sha256: Annotated[str, Bound(pattern=r"^[0-9a-f]{64}\Z")] | None = None


_attach: Final = msgspec.json.Decoder(Attach)


# In


async def put(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    headers = request.headers
    if "content-range" in headers:
        raise BadRequest(
            "A file is put whole, without Content-Range. For parts, use a resumable upload."
        )
    http.check_coding(request.scope)
    declared = headers.get("content-length", "")
    files = live.files
    file, new = await files.take(
        slot,
        request.path_params["name"],
        arriving(request),
        media_type=headers.get("content-type", ""),
        size=int(declared) if declared.isdigit() else None,
        sha256=_sent_digest(request),
        check=partial(http.require_valid, request.scope),
        by=http.principal(request),
    )
    return shown(slot, file, new=new)


async def arriving(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives, for as long as the credential is valid."""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        http.require_valid(request.scope)
        if message.get("body"):
            yield message["body"]
        more = message.get("more_body", False)


_SHA256: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*([^,;\s]+)", re.IGNORECASE)


def _sent_digest(request: Request) -> bytes | None:
    """RFC 9530. For a whole file, both digests are of the same bytes."""
    found: set[bytes] = set()
    for name in ("repr-digest", "content-digest"):
        value = _SHA256.search(",".join(request.headers.getlist(name)))
        if value is not None:
            found.add(_decoded_digest(name, value[1]))
    if len(found) > 1:
        raise BadRequest(
            "Repr-Digest and Content-Digest differ, though both are of the same bytes."
        )
    return found.pop() if found else None


def _decoded_digest(name: str, value: str) -> bytes:
    try:
        if not (value.startswith(":") and value.endswith(":") and len(value) > 1):
            raise binascii.Error
        digest = base64.b64decode(value[1:-1], validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        wrong = "Send the digest as base64 of 32 bytes between colons: sha-256=:…=:"
        raise BadRequest(wrong, errors=[FieldError(f"/{name}", wrong)])
    return digest


async def attach(request: Request) -> Response:
    live = http.service(request)
    by = http.principal(request)
    slot = await live.find(request.path_params["id"], by)
    http.check_json(request.scope)
    body = await http.read_body(request.scope, request.receive, live.bounds.body)
    if not body.strip():
        raise BadJson('The body is empty. Send {"name", "path"} or {"name", "url"}.')
    files, asked = live.files, decoded(_attach, body)
    if (asked.path is None) == (asked.url is None):
        raise Invalid.at("/path", "Give either a path or a url.")
    if asked.path is not None:
        file, new = await files.attach_path(slot, asked.path, asked.name, asked.media_type, by)
    else:
        file, new = await files.attach_url(slot, _elsewhere(asked), by)
    return shown(slot, file, new=new)


def _elsewhere(asked: Attach) -> File:
    assert asked.url is not None
    try:
        parts = urlsplit(asked.url)
        bad = not parts.hostname or parts.username is not None or parts.password is not None
    except ValueError:
        bad = True
    if bad:
        raise Invalid.at("/url", "This takes an http or https URL with a host and no password.")
    name = checked_name(asked.name or parts.path.rpartition("/")[2])
    kind = checked_media_type(asked.media_type, name)
    return File(name, asked.size, kind, asked.sha256, url=asked.url)


def shown(slot: Slot, file: File, *, new: bool) -> Response:
    body = wire.file(slot.head.id, file, slot.base)
    headers = {**NO_STORE, "location": body["url"]}
    return http.JSONBytes(wire.encode(body), 201 if new else 200, headers)


# Out


async def listing(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    files = live.files
    tallies = await files.downloads.of(slot.head.files)
    shown = [_with_tally(slot, it, tallies.get(it.key, Tally())) for it in slot.head.files]
    headers = {"cache-control": "private, no-cache", "vary": http.VARY}
    return http.JSONBytes(wire.encode({"files": shown}), 200, headers)


def _with_tally(slot: Slot, file: File, tally: Tally) -> dict[str, object]:
    return {
        **wire.file(slot.head.id, file, slot.base),
        "downloads": tally.count,
        "last_downloaded_at": wire_time(tally.last_at),
    }


async def get(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    name = checked_name(request.path_params["name"])
    file = named(slot, name)
    if file is None:
        await live.refresh(slot)
        file = named(slot, name)
    if file is None:
        raise NotFound(f"Job {slot.head.id!r} has no file {name!r}.", code="no_file")
    return await deliver(request, slot, file)


def named(slot: Slot, name: str) -> File | None:
    return next((file for file in slot.head.files if file.name == name), None)


async def download(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    if slot.head.status != "succeeded":
        await live.refresh(slot)
    if slot.head.status != "succeeded":
        raise Conflict(
            f"Job {slot.head.id!r} is {slot.head.status}; it can be downloaded once it has "
            "succeeded.",
            code="job_not_succeeded",
        )
    file = main_file(slot.head)
    if file is None:
        raise NotFound(f"Job {slot.head.id!r} has no file.", code="no_file")
    return await deliver(request, slot, file)


def main_file(head: Head) -> File | None:
    """The file that a download without a name gets."""
    return head.files[0] if head.files else None


async def deliver(
    request: Request,
    slot: Slot,
    file: File,
    *,
    headers: Mapping[str, str] | None = None,
    media_type: str | None = None,
) -> Response:
    """Answer with the file: whole, in parts, or with a redirect to where it is stored."""
    if file.url is not None:
        return handing.redirect(file.url)
    live, by = http.service(request), http.principal(request)
    files = live.files
    inline = http.switch(request, "inline")
    follow = http.switch(request, "follow") and file.path is not None
    handed = handing.allowed(request, file) and headers is None and media_type is None
    allowed = still_allowed(live.keyring, by)
    sent = noting(files, slot.head, file, by, handed=False)
    handed_on = noting(files, slot.head, file, by, handed=True)

    def over() -> bool:
        return live.over(slot) or not allowed()

    if handed and (answer := await handing.to_the_store(live.settings, files, file)):
        handed_on(0, None, False)
        return answer
    own = {"content-disposition": disposition(file.name, inline=inline), **(headers or {})}
    media_type = media_type or file.media_type
    opened = await files.open(file)
    if follow:
        return Following(opened, own, media_type, slot.changed, over)
    try:
        decision = decided(request, opened)
    except LivejobsError:
        await opened.close()
        raise
    own |= digest_of(file)
    delivery = Delivery(opened, decision, own, media_type, sent, live.powers.sender_of, allowed)
    if handed and decision.status != 304:
        answer = handing.to_the_proxy(
            live.settings, files, request, opened.path, delivery.headers_of_all
        )
        if answer is not None:
            await opened.close()
            handed_on(0, request.headers.get("range"), False)
            return answer
    return delivery


def noting(
    files: Files, head: Head, file: File, by: Principal, *, handed: bool
) -> Callable[[int, str | None, bool | Arriving], None]:
    """A function that records this download once it is sent, or handed to another server."""

    def sent(size: int, ranges: str | None, whole: bool | Arriving) -> None:
        record = Sent(head, file, by.name, size, ranges, whole is True, handed, by.key)
        files.downloads.note(record, None if isinstance(whole, bool) else whole)

    return sent


def digest_of(file: File) -> dict[str, str]:
    if file.sha256 is None:
        return {}
    digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    return {"repr-digest": f"sha-256=:{digest}:"}


def still_allowed(keyring: Keyring, by: Principal) -> Callable[[], bool]:
    return lambda: keyring.valid(by, clock.now_ms()) is None


def decided(request: Request, opened: Opened) -> Decision:
    decision = decide(
        request.method,
        request.headers,
        etag=opened.etag,
        modified=opened.modified,
        size=opened.size,
    )
    if decision.status == 412:
        raise PreconditionFailed(CHANGED)
    if decision.status == 416:
        raise Unsatisfiable(
            f"The file has {opened.size} bytes, and none of them is in the requested range.",
            headers={"Content-Range": f"bytes */{opened.size}", "ETag": opened.etag},
        )
    return decision


async def archive(request: Request) -> Response:
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    by, head, files = http.principal(request), slot.head, live.files
    if not head.files:
        raise NotFound(f"Job {head.id!r} has no file.", code="no_file")
    for file in head.files:  # while an error answer is still possible
        if file.url is None:
            await (await files.open(file)).close()

    def sent(file: File, size: int) -> None:
        files.downloads.note(Sent(head, file, by.name, size, None, True, by_id=by.key))

    headers = {**NO_STORE, **HARMLESS, "content-disposition": disposition(f"{head.id}.zip")}
    return Archive(head.files, files, headers, sent, still_allowed(live.keyring, by))
